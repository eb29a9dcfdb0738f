//! Who may make an administrative change: decided when the call arrives, and again under the change's lock.

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

/// A caller of the admin API: a client, or somebody for whom it speaks.
#[derive(Clone, Debug)]
pub struct Operator {
    /// As the audit log names them.
    pub(crate) name: String,
    /// Where they call from.
    pub(crate) caller: Caller,
    /// The scopes of their token that their client is still entitled to.
    scope: Scope,
    claims: Arc<Claims>,
}

impl Operator {
    /// Err unless they hold each of these scopes of `admin-api`: nobody gives away more than they have.
    pub(crate) fn check_holds(&self, scopes: &Scope, field: &'static str) -> Result<(), ChangeError> {
        match scopes.first_missing_in(&self.scope) {
            None => Ok(()),
            Some(missing) => Err(ChangeError::not_yours(field, missing)),
        }
    }

    /// Err unless they hold this scope, where a call asks for more than its path says.
    pub(crate) fn check_may(&self, scope: &str) -> Result<(), ChangeError> {
        if self.scope.iter().any(|held| held.as_str() == scope) {
            Ok(())
        } else {
            Err(ChangeError::scope_missing(scope))
        }
    }

    /// Err unless they hold all of `admin-api`.
    pub(crate) fn check_holds_all(&self, field: &'static str) -> Result<(), ChangeError> {
        self.check_holds(&all_scopes(), field)
    }

    /// Err unless they hold all that the client may do with `admin-api`. Making a secret of a client means acting as it, and
    /// ending or changing a stronger client would be a way around its rights.
    pub(crate) fn check_can_administer(&self, client: &Client) -> Result<(), ChangeError> {
        if client.may_introspect.contains(&api_id()) {
            self.check_holds_all("client_id")?;
        }
        match client.find_entitlement(&api_id()) {
            Some(entitlement) => self.check_holds(&entitlement.scopes.intersection(&all_scopes()), "client_id"),
            None => Ok(()),
        }
    }

    /// Err unless they hold all of `admin-api`, if the user has a role. Setting a password means signing in as the user, and
    /// ending the sessions of a stronger user would be a way around their rights.
    pub(crate) fn check_can_administer_user(&self, user: &User) -> Result<(), ChangeError> {
        if user.roles.is_empty() { Ok(()) } else { self.check_holds_all("user") }
    }

    /// Err unless they hold the scopes of `admin-api` that a token has.
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

/// The scopes of a token that its client is entitled to as things are now.
fn held_now(registry: &Registry, claims: &Claims) -> Scope {
    let entitlement = registry.find_client(&claims.client_id).and_then(|client| client.find_entitlement(&api_id()));
    entitlement.map(|entitlement| claims.scope.intersection(&entitlement.scopes)).unwrap_or_default()
}

/// Err unless one of these scopes opens the request: the guard has judged the token's own.
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

/// What allows a change.
#[derive(Clone, Debug)]
pub enum Authority {
    /// It is the server's own, by its schedule or at its start.
    Server,
    /// A token of `admin-api`.
    Token(Box<Operator>),
    /// A person's session.
    Session {
        /// Which.
        id: String,
        /// Whose.
        user_id: UserId,
        /// What they must be, if only such people may make the change.
        role: Option<Role>,
    },
}

impl Authority {
    /// For whom its change waits.
    pub(crate) fn waiter(&self) -> Waiter {
        match self {
            Self::Server => Waiter::Server,
            Self::Token(_) => Waiter::Operator,
            Self::Session { .. } => Waiter::Person,
        }
    }

    /// Err if it ended since the call arrived. The caller holds the lock of all changes, and this node's registry is up to
    /// date, so a right that the change before this one took away no longer counts.
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
