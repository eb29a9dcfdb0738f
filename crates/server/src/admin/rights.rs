//! The rights of an administrator, checked when a call arrives, and for a change again under the global change lock.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use countersign_guard::VerifiedToken;
use countersign_protocol::access_token::KeySource;
use countersign_protocol::claims::Claims;
use countersign_protocol::client::Client;
use countersign_protocol::ids::UserId;
use countersign_protocol::path_rule::normalise;
use countersign_protocol::scope::Scope;
use countersign_protocol::scope_token::ScopeToken;
use countersign_protocol::status::Status;
use countersign_protocol::user::{Role, User};
use countersign_store::Change;
use http::request::Parts;

use crate::admin::change_error::ChangeError;
use crate::admin::change_queue::Waiter;
use crate::admin::own_api::{self, all_scopes, api_id};
use crate::http::caller::Caller;
use crate::registry::Registry;
use crate::state::State;

/// A caller of the admin API: a client, or the user that it acts for.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The caller's name in the audit log.
    pub(crate) name: String,
    /// The caller's address.
    pub(crate) caller: Caller,
    /// The scopes of the caller's token that the client is still entitled to.
    scope: Scope,
    claims: Arc<Claims>,
}

impl Operator {
    /// Fails unless the caller has all these scopes of `admin-api`. Nobody can grant more than they have.
    pub(crate) fn check_holds(&self, scopes: &Scope, field: &'static str) -> Result<(), ChangeError> {
        match scopes.first_missing_in(&self.scope) {
            None => Ok(()),
            Some(missing) => Err(ChangeError::not_yours(field, missing)),
        }
    }

    /// Fails unless the caller has this scope, for calls that require more than the scope for their path.
    pub(crate) fn check_may(&self, scope: &str) -> Result<(), ChangeError> {
        if self.scope.iter().any(|held| held.as_str() == scope) {
            Ok(())
        } else {
            Err(ChangeError::scope_missing(scope))
        }
    }

    /// Fails unless the caller has all scopes of `admin-api`.
    pub(crate) fn check_holds_all(&self, field: &'static str) -> Result<(), ChangeError> {
        self.check_holds(&all_scopes(), field)
    }

    /// Fails unless the caller has all scopes of `admin-api` that the client has. Anyone who creates a client's secret
    /// can act as the client, and revoking or changing a more powerful client would bypass its rights.
    pub(crate) fn check_can_administer(&self, client: &Client) -> Result<(), ChangeError> {
        if client.may_introspect.contains(&api_id()) {
            self.check_holds_all("client_id")?;
        }
        match client.find_entitlement(&api_id()) {
            Some(entitlement) => self.check_holds(&entitlement.scopes.intersection(&all_scopes()), "client_id"),
            None => Ok(()),
        }
    }

    /// If the user has a role, fails unless the caller has all scopes of `admin-api`. Anyone who sets a user's password
    /// can act as the user, and ending the sessions of a more powerful user would bypass their rights.
    pub(crate) fn check_can_administer_user(&self, user: &User) -> Result<(), ChangeError> {
        if user.roles.is_empty() { Ok(()) } else { self.check_holds_all("user") }
    }

    /// Fails unless the caller has all scopes of `admin-api` that a token has.
    pub(crate) fn check_can_revoke(&self, registry: &Registry, token: &Claims) -> Result<(), ChangeError> {
        let api = token.audiences.first().and_then(|audience| registry.find_api_by_audience(audience));
        if api.is_some_and(|api| own_api::is_own(api)) { self.check_holds(&token.scope, "token") } else { Ok(()) }
    }
}

impl FromRequestParts<Arc<State>> for Operator {
    type Rejection = ChangeError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, ChangeError> {
        let token = VerifiedToken::from_request_parts(parts, state).await;
        let VerifiedToken(claims) =
            token.map_err(|_| ChangeError::internal("a route of the admin API has no guard"))?;
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| ChangeError::internal("unknown caller"))?;
        let registry = state.registry.current().clone();
        let scope = held_now(&registry, &claims);
        check_opens(&registry, &scope, parts)?;
        let name = if claims.subject == claims.client_id {
            claims.client_id.clone()
        } else {
            format!("{} by {}", claims.subject, claims.client_id)
        };
        Ok(Self { name, caller, scope, claims })
    }
}

/// Returns the scopes of a token that its client is still entitled to.
fn held_now(registry: &Registry, claims: &Claims) -> Scope {
    let entitlement = registry.find_client(&claims.client_id).and_then(|client| client.find_entitlement(&api_id()));
    entitlement.map(|entitlement| claims.scope.intersection(&entitlement.scopes)).unwrap_or_default()
}

/// Fails unless one of these scopes allows the request. The guard has only checked the scopes of the token.
fn check_opens(registry: &Registry, scope: &Scope, parts: &Parts) -> Result<(), ChangeError> {
    let path =
        normalise(parts.uri.path()).map_err(|_| ChangeError::internal("the guard accepted an ambiguous path"))?;
    let Some(api) = registry.find_api(own_api::API) else {
        return Err(ChangeError::rights_ended("admin-api does not exist"));
    };
    let opening: Vec<&ScopeToken> =
        api.find_opening(parts.method.as_str(), &path).map(|(scope, _)| &scope.token).collect();
    match opening.first() {
        Some(needed) if !opening.iter().any(|token| scope.contains(token)) => {
            Err(ChangeError::scope_missing(needed.as_str()))
        }
        _ => Ok(()),
    }
}

/// What authorizes a change.
#[derive(Clone, Debug)]
pub enum Authority {
    /// The server itself, by schedule or at startup.
    Server,
    /// A token of `admin-api`.
    Token(Box<Operator>),
    /// A user's session.
    Session {
        /// The session.
        id: String,
        /// The user.
        user_id: UserId,
        /// The role that the change requires, if any.
        role: Option<Role>,
    },
}

impl Authority {
    /// Returns who the change waits for.
    pub(crate) fn waiter(&self) -> Waiter {
        match self {
            Self::Server => Waiter::Server,
            Self::Token(_) => Waiter::Operator,
            Self::Session { .. } => Waiter::Person,
        }
    }

    /// Fails if the authorization has ended since the call arrived. The caller holds the global change lock and this
    /// node's registry is up to date, so that the previous change is taken into account.
    pub(crate) async fn check_still(&self, state: &State, change: &mut Change) -> Result<(), ChangeError> {
        let registry = state.registry.current().clone();
        match self {
            Self::Server => Ok(()),
            Self::Token(operator) => {
                if state.now() >= operator.claims.expires_at {
                    return Err(ChangeError::rights_ended("the token has expired"));
                }
                state.registry.check_alive(&operator.claims).map_err(ChangeError::rights_ended)?;
                match operator.scope.first_missing_in(&held_now(&registry, &operator.claims)) {
                    Some(missing) => Err(ChangeError::scope_missing(missing.as_str())),
                    None => Ok(()),
                }
            }
            Self::Session { id, user_id, role } => {
                let user = registry.find_user(user_id.as_str()).filter(|user| user.status == Status::Active);
                let user = user.ok_or_else(ChangeError::session_ended)?;
                if !change.has_session(id).await? {
                    return Err(ChangeError::session_ended());
                }
                match role {
                    Some(role) if !user.roles.contains(role) => {
                        Err(ChangeError::rights_ended(format!("the user no longer has the role {}", role.as_str())))
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}
