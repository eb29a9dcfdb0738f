//! `/admin/v1/revocations`: revokes what leaked, on every node within a second. Callers cannot revoke what has more
//! rights than they do. Signing keys are an exception, because a leaked key is more urgent.

use std::sync::Arc;

use axum::extract;
use countersign_protocol::access_token::{Expected, check_issued};
use countersign_protocol::refresh_token::RefreshFamily;
use countersign_protocol::revocation::Revoked;
use countersign_protocol::secret::{REFRESH_TOKEN_PREFIX, Secret};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::answer::{AdminBody, Answer};
use crate::admin::audit::Entry;
use crate::admin::change::Changing;
use crate::admin::change_error::ChangeError;
use crate::admin::fields::{find_client, find_user};
use crate::admin::rights::Operator;
use crate::admin::{secrets, users};
use crate::http::answer::json_response;
use crate::keys::revocation;
use crate::state::State;

/// What to revoke. Exactly one of these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRevocation {
    token: Option<Secret>,
    client_id: Option<String>,
    secret_id: Option<String>,
    user: Option<String>,
    key_id: Option<String>,
}

/// `POST revocations`
pub(crate) async fn create(
    extract::State(state): extract::State<Arc<State>>,
    operator: Operator,
    AdminBody(asked): AdminBody<NewRevocation>,
) -> Answer {
    let ended = match asked {
        NewRevocation { token: Some(token), client_id: None, secret_id: None, user: None, key_id: None } => {
            end_token(&state, &operator, &token).await?
        }
        NewRevocation { token: None, client_id: Some(id), secret_id: None, user: None, key_id: None } => {
            end_client(&state, &operator, &id).await?
        }
        NewRevocation { token: None, client_id: None, secret_id: Some(id), user: None, key_id: None } => {
            operator.check_may("secrets:write")?;
            secrets::end_for_cause(&state, &operator, &id).await?
        }
        NewRevocation { token: None, client_id: None, secret_id: None, user: Some(id), key_id: None } => {
            end_user(&state, &operator, &id).await?
        }
        NewRevocation { token: None, client_id: None, secret_id: None, user: None, key_id: Some(id) } => {
            operator.check_may("keys:write")?;
            revocation::revoke(&state, (&operator).into(), &id).await?;
            json!({ "kind": "key", "id": id })
        }
        _ => {
            return Err(ChangeError::invalid(
                "the body",
                "must contain exactly one of: token client_id secret_id user key_id",
            ));
        }
    };
    Ok(json_response(StatusCode::OK, json!({ "revoked": ended }).to_string()))
}

async fn end_token(state: &State, operator: &Operator, token: &Secret) -> Result<Value, ChangeError> {
    let mut changing = Changing::begin(state, operator).await?;
    let revoked = if token.expose().starts_with(REFRESH_TOKEN_PREFIX) {
        // A family belongs to a user, and tokens of users never have scopes of `admin-api`.
        let family = find_family(state, token).await?.ok_or_else(not_ours)?;
        let lifetime_s = changing.registry.longest_lifetime_s();
        changing.change.end_family(&family.id, state.now() + lifetime_s).await?;
        Revoked::Family(family.id)
    } else {
        let expected = Expected { issuer: state.issuer.as_str(), audience: None };
        let claims = check_issued(token.expose(), state.registry.as_ref(), expected, state.now());
        let claims = claims.map_err(|_| not_ours())?;
        operator.check_can_revoke(&changing.registry, &claims)?;
        let revoked = Revoked::Token(claims.token_id);
        changing.change.revoke(&revoked, claims.expires_at).await?;
        revoked
    };
    let (kind, id) = revoked.parts();
    let ended = json!({ "kind": kind, "id": id });
    changing.finish(Entry { action: "token.revoke", target: id.to_owned(), before: None, after: None }).await?;
    Ok(ended)
}

async fn find_family(state: &State, token: &Secret) -> Result<Option<RefreshFamily>, ChangeError> {
    if !Secret::is_well_formed(REFRESH_TOKEN_PREFIX, token.expose()) {
        return Ok(None);
    }
    Ok(state.store.find_refresh_token(&token.hash()).await?.map(|found| found.family))
}

async fn end_client(state: &State, operator: &Operator, id: &str) -> Result<Value, ChangeError> {
    let mut changing = Changing::begin(state, operator).await?;
    let registry = changing.registry.clone();
    let client = find_client(&registry, id)?;
    operator.check_can_administer(client)?;
    let client_id = client.id.clone();
    changing.change.raise_client_epoch(&client_id).await?;
    let target = client_id.to_string();
    changing.finish(Entry { action: "client.revoke", target, before: None, after: None }).await?;
    Ok(json!({ "kind": "client", "id": client_id.as_str() }))
}

async fn end_user(state: &State, operator: &Operator, id: &str) -> Result<Value, ChangeError> {
    let mut changing = Changing::begin(state, operator).await?;
    let registry = changing.registry.clone();
    let user = find_user(&registry, id)?;
    operator.check_can_administer_user(user)?;
    let user_id = user.id.clone();
    changing.change.end_user(&user_id, users::at_least(state)).await?;
    let target = user_id.to_string();
    changing.finish(Entry { action: "user.revoke", target, before: None, after: None }).await?;
    Ok(json!({ "kind": "user", "id": user_id.as_str() }))
}

fn not_ours() -> ChangeError {
    ChangeError::invalid("token", "is not a token of this server, or has expired")
}
