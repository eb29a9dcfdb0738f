//! Checks of fields that several objects have.

use std::sync::Arc;

use countersign_protocol::api::Api;
use countersign_protocol::client::Client;
use countersign_protocol::grant_type::{GrantType, GrantTypes};
use countersign_protocol::ids::{ApiId, ClientId, UserId};
use countersign_protocol::scope::Scope;
use countersign_protocol::scope_token::ScopeToken;
use countersign_protocol::status::Status;
use countersign_protocol::user::User;

use crate::admin::change::SERVER;
use crate::admin::change_error::ChangeError;
use crate::admin::characters::{is_anything_visible, is_line};
use crate::admin::own_api::API;
use crate::registry::Registry;

/// The maximum length of a name, owner, label or description, in characters.
const MAX_TEXT_CHARS: usize = 200;

/// The name of an unauthenticated caller in the audit log.
pub(crate) const UNKNOWN: &str = "unknown";

/// Validates a line of text for people.
pub(crate) fn line(field: &str, text: &str) -> Result<String, ChangeError> {
    let text = text.trim();
    if text.chars().count() > MAX_TEXT_CHARS || !is_line(text) {
        let what = format!(
            "must be one line of at most {MAX_TEXT_CHARS} characters, without control characters or Unicode tags"
        );
        return Err(ChangeError::invalid(field, what));
    }
    Ok(text.to_owned())
}

/// Validates a name for people, which must not be blank.
pub(crate) fn name(text: &str) -> Result<String, ChangeError> {
    let name = line("name", text)?;
    if is_anything_visible(&name) { Ok(name) } else { Err(ChangeError::invalid("name", "must not be empty or blank")) }
}

/// Validates a whole number within bounds.
pub(crate) fn within(field: &str, value: i64, bounds: std::ops::RangeInclusive<i64>) -> Result<i64, ChangeError> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    let unit = if field.ends_with("_s") { " seconds" } else { "" };
    Err(ChangeError::invalid(field, format!("must be from {} to {}{unit}", bounds.start(), bounds.end())))
}

/// Parses names of grants.
pub(crate) fn grants(names: &[String]) -> Result<GrantTypes, ChangeError> {
    let parse = |name: &String| {
        let known = GrantType::ALL.map(GrantType::as_str).join(" ");
        GrantType::parse(name).map_err(|_| ChangeError::invalid("grants", format!("`{name}` is not one of: {known}")))
    };
    names.iter().map(parse).collect()
}

/// Parses names of scopes, which the API must define.
pub(crate) fn scopes(api: &Api, names: &[String]) -> Result<Scope, ChangeError> {
    let parse = |name: &String| {
        let token = ScopeToken::parse(name).filter(|token| api.find_scope(token).is_some());
        token.ok_or_else(|| ChangeError::invalid("scopes", format!("`{name}` is not a scope of {}", api.id)))
    };
    names.iter().map(parse).collect()
}

/// Parses `active` or `disabled`.
pub fn status(word: &str) -> Result<Status, ChangeError> {
    Status::parse(word).ok_or_else(|| ChangeError::invalid("status", "must be active or disabled"))
}

/// Returns the API in the path.
pub(crate) fn find_api<'r>(registry: &'r Registry, id: &str) -> Result<&'r Arc<Api>, ChangeError> {
    registry.find_api(id).ok_or_else(|| ChangeError::not_found("API", id))
}

/// Returns the client in the path.
pub(crate) fn find_client<'r>(registry: &'r Registry, id: &str) -> Result<&'r Client, ChangeError> {
    registry.find_client(id).ok_or_else(|| ChangeError::not_found("client", id))
}

/// Returns the user in the path, by ID or login name.
pub(crate) fn find_user<'r>(registry: &'r Registry, id: &str) -> Result<&'r Arc<User>, ChangeError> {
    let by_id = UserId::parse(id).and_then(|id| registry.find_user(id.as_str()));
    by_id.or_else(|| registry.find_user_by_login(id)).ok_or_else(|| ChangeError::not_found("user", id))
}

/// Validates the ID of a new API.
pub(crate) fn api_id(text: &str) -> Result<ApiId, ChangeError> {
    let grammar = "must have at most 63 lowercase letters, digits and -, and must not be a reserved path";
    ApiId::parse(text).ok_or_else(|| ChangeError::invalid("id", grammar))
}

/// Validates the ID of a new client. It can be used in a path without escaping.
pub(crate) fn client_id(text: &str) -> Result<ClientId, ChangeError> {
    let grammar =
        "must have 1 to 100 letters, digits and . _ - @ +, begin with a letter or digit, and not begin with usr_";
    if [SERVER, UNKNOWN].iter().any(|reserved| text.eq_ignore_ascii_case(reserved)) {
        return Err(ChangeError::invalid("client_id", format!("{text} is reserved for the audit log")));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let id = ClientId::parse(text).filter(|_| begins && text.bytes().all(allowed));
    id.ok_or_else(|| ChangeError::invalid("client_id", grammar))
}

/// Fails for `admin-api`, which cannot be changed because it protects this API.
pub(crate) fn find_own<'r>(registry: &'r Registry, id: &str) -> Result<&'r Arc<Api>, ChangeError> {
    let api = find_api(registry, id)?;
    if id == API {
        return Err(ChangeError::conflict("admin-api is built in and cannot be changed"));
    }
    Ok(api)
}
