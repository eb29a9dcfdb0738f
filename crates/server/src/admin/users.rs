//! `/admin/v1/users`: users.

use std::sync::Arc;

use axum::extract::{self, Path};
use countersign_protocol::UnixTime;
use countersign_protocol::ids::UserId;
use countersign_protocol::jose::base64url;
use countersign_protocol::secret::Secret;
use countersign_protocol::status::Status;
use countersign_protocol::user::{Login, MAX_LOGIN_BYTES, Role, User};
use countersign_store::{EntryKind, NewUser as StoredUser, Note};
use http::{HeaderMap, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::answer::{AdminBody, Answer, check_match, created, done, show};
use crate::admin::audit::Entry;
use crate::admin::change::Changing;
use crate::admin::change_error::ChangeError;
use crate::admin::characters::is_identifier;
use crate::admin::edit::Edit;
use crate::admin::fields::{find_user, status};
use crate::admin::operator;
use crate::admin::page::{Query, page_of_kind};
use crate::admin::rights::Operator;
use crate::http::source::Source;
use crate::people::password_queue::Who;
use crate::people::password_strength;
use crate::people::passwords;
use crate::registry::Registry;
use crate::state::State;

/// A new user. Without a password, the server generates one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    login: String,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    roles: Vec<String>,
}

/// The changes to a user. Omitted fields stay the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    status: Option<String>,
    roles: Option<Vec<String>>,
    password: Option<Secret>,
}

/// `GET users`
pub(crate) async fn list(extract::State(state): extract::State<Arc<State>>, _: Operator, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["after", "limit"])?;
    let show = |registry: &Registry, id: &str| Some(view(registry.find_user(id)?, &registry.note_of_user(id)));
    page_of_kind(&state, &query, EntryKind::User, show).await
}

/// `GET users/{id}`: by ID or login name.
pub async fn find(extract::State(state): extract::State<Arc<State>>, _: Operator, Path(id): Path<String>) -> Answer {
    let registry = state.registry.current().clone();
    let user = find_user(&registry, &id)?;
    Ok(show(&view(user, &registry.note_of_user(user.id.as_str()))))
}

/// `POST users`: only this response contains a generated password.
pub(crate) async fn create(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    AdminBody(new): AdminBody<NewUser>,
) -> Answer {
    let login = check_login(&new.login)?;
    let roles = roles(&operator, &new.roles)?;
    let made = new.password.is_none().then(|| Secret::new(base64url(&state.entropy.bytes::<15>())));
    let password = new.password.as_ref().or(made.as_ref()).ok_or_else(|| ChangeError::internal("no password"))?;
    // Checked before hashing. The database checks it again.
    if state.store.is_name_taken(login.as_str()).await? {
        return Err(ChangeError::conflict(format!("{login} is taken")));
    }
    let password_hash = hash(&state, &operator, password, &login).await?;
    let mut changing = Changing::begin(&state, &operator).await?;
    let id = UserId::from_random(state.entropy.bytes());
    let stored = StoredUser { id: id.clone(), login: login.clone(), password_hash, roles: roles.clone() };
    changing.change.insert_user(&stored).await?;
    // Earlier failures for this name do not belong to the new user.
    changing.change.forget_failures(&id, state.name_mac(login.as_str()).as_bytes()).await?;
    let (status, epoch) = (Status::Active, changing.change.number());
    let user = User { id: id.clone(), login, roles, status, has_second_factor: false, epoch };
    let after = view(&user, &Note { created_at: state.now(), ..Note::default() });
    let (action, target) = ("user.create", id.to_string());
    changing.finish(Entry { action, target, before: None, after: Some(after.clone()) }).await?;
    let mut shown = after.clone();
    if let Some(made) = &made {
        shown["password"] = made.expose().into();
    }
    Ok(created(&shown, &after, &format!("/admin/v1/users/{id}")))
}

/// `PATCH users/{id}`: a new password revokes the user's tokens and ends their sessions, and so does disabling.
pub(crate) async fn update(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
    headers: HeaderMap,
    AdminBody(changes): AdminBody<Changes>,
) -> Answer {
    let new_hash = match &changes.password {
        Some(password) => {
            // Checks everything that can fail before hashing.
            let user = check_changes(&operator, &state.registry.current().clone(), &id, &headers, &changes)?.user;
            Some(hash(&state, &operator, password, &user.login).await?)
        }
        None => None,
    };
    let mut changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let Checked { mut user, note, before, roles, status } =
        check_changes(&operator, &registry, &id, &headers, &changes)?;
    if let Some(roles) = roles {
        user.roles = roles;
        changing.change.set_roles(&user.id, &user.roles).await?;
    }
    if let Some(status) = status {
        user.status = status;
        changing.change.set_user_status(&user.id, user.status).await?;
        if user.status == Status::Disabled {
            changing.change.end_user(&user.id, at_least(&state)).await?;
        }
    }
    if let Some(hash) = &new_hash {
        changing.change.set_password(&user.id, hash, at_least(&state)).await?;
        changing.change.forget_failures(&user.id, state.name_mac(user.login.as_str()).as_bytes()).await?;
    }
    let mut after = view(&user, &note);
    let audited = if new_hash.is_some() {
        let mut audited = after.clone();
        audited["password"] = "changed".into();
        audited
    } else {
        after.clone()
    };
    let (action, target) = ("user.update", user.id.to_string());
    changing.finish(Entry { action, target, before: Some(before), after: Some(audited) }).await?;
    Ok(show(&after.take()))
}

/// A user, and the changes to make.
struct Checked {
    user: User,
    note: Note,
    before: Value,
    roles: Option<Vec<Role>>,
    status: Option<Status>,
}

/// Checks everything that can refuse a change of a user.
fn check_changes(
    operator: &Operator,
    registry: &Registry,
    id: &str,
    headers: &HeaderMap,
    changes: &Changes,
) -> Result<Checked, ChangeError> {
    let user = User::clone(find_user(registry, id)?);
    let note = registry.note_of_user(user.id.as_str());
    let before = view(&user, &note);
    check_match(headers, &before)?;
    operator.check_can_administer_user(&user)?;
    let roles = changes.roles.as_deref().map(|names| roles(operator, names)).transpose()?;
    let status = changes.status.as_deref().map(status).transpose()?;
    Ok(Checked { user, note, before, roles, status })
}

/// `DELETE users/{id}`
pub(crate) async fn delete(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let user = find_user(&registry, &id)?;
    let before = view(user, &registry.note_of_user(user.id.as_str()));
    let mut edit = Edit::begin(changing, &headers, before)?;
    operator.check_can_administer_user(user)?;
    edit.change.end_user(&user.id, at_least(&state)).await?;
    edit.change.delete_user(&user.id, &user.login).await?;
    edit.delete("user.delete", user.id.to_string()).await
}

/// `DELETE users/{id}/second-factor`: for a user who has lost it.
pub(crate) async fn delete_second_factor(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    Path(id): Path<String>,
) -> Answer {
    let mut changing = Changing::begin(&state, &operator).await?;
    let registry = changing.registry.clone();
    let user = find_user(&registry, &id)?;
    operator.check_can_administer_user(user)?;
    if !user.has_second_factor {
        return Err(ChangeError::conflict(format!("{} has no second factor", user.login)));
    }
    changing.change.delete_second_factors(&user.id).await?;
    let (action, target) = ("user.delete-second-factor", user.id.to_string());
    changing.finish(Entry { action, target, before: Some(json!({ "second_factor": true })), after: None }).await?;
    Ok(done())
}

/// Returns when a token issued now expires. A revocation must be stored until then.
pub(crate) fn at_least(state: &State) -> UnixTime {
    state.now() + state.registry.current().longest_lifetime_s()
}

/// Parses roles. An administrator has full rights, so assigning the role requires all scopes of `admin-api`.
fn roles(operator: &Operator, names: &[String]) -> Result<Vec<Role>, ChangeError> {
    let parse = |name: &String| {
        Role::parse(name).ok_or_else(|| ChangeError::invalid("roles", format!("`{name}` is not one of: administrator")))
    };
    let parsed: Vec<Role> = names.iter().map(parse).collect::<Result<_, _>>()?;
    if !parsed.is_empty() {
        operator.check_holds_all("roles")?;
    }
    Ok(parsed)
}

/// Validates a new login name. It must be an identifier, not look like an ID, and not be the operator's.
fn check_login(text: &str) -> Result<Login, ChangeError> {
    let what = format!(
        "must be 1 to {MAX_LOGIN_BYTES} bytes of visible characters in Unicode NFKC form, without spaces, and \
         not begin with usr_"
    );
    let may_be = is_identifier(text) && UserId::parse(text).is_none();
    let login = Login::parse(text).filter(|_| may_be).ok_or_else(|| ChangeError::invalid("login", what))?;
    if text.eq_ignore_ascii_case(operator::CLIENT) {
        return Err(ChangeError::invalid(
            "login",
            format!("{} is reserved for the operator's client", operator::CLIENT),
        ));
    }
    Ok(login)
}

async fn hash(state: &State, operator: &Operator, password: &Secret, login: &Login) -> Result<Secret, ChangeError> {
    let invalid = |what| ChangeError::invalid("password", what);
    password_strength::check_length(password).map_err(invalid)?;
    password_strength::check_strength(password, login.as_str()).await?.map_err(invalid)?;
    let (source, name) = (Source::of(operator.caller.address), state.name_mac(login.as_str()));
    Ok(passwords::hash_new(state, password, Who { source, name, is_known: true }).await?)
}

/// Returns a user for display.
fn view(user: &User, note: &Note) -> Value {
    json!({
        "id": user.id.as_str(),
        "login": user.login.as_str(),
        "roles": user.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
        "status": user.status.as_str(),
        "second_factor": user.has_second_factor,
        "created_at": note.created_at,
    })
}
