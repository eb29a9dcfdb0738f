//! The refresh grant (RFC 6749 §6): a token is used once, a use whose response was lost can be repeated, and any other
//! reuse revokes the family (RFC 9700 §4.14.2).

use std::sync::Arc;

use aws_lc_rs::hmac;
use countersign_protocol::UnixTime;
use countersign_protocol::api::Api;
use countersign_protocol::client::Client;
use countersign_protocol::grant::check_allowed;
use countersign_protocol::grant::refresh_token::{check_owner, check_reuse, decide, parameters};
use countersign_protocol::grant_type::GrantType;
use countersign_protocol::refresh_token::{Retry, StoredRefreshToken, idle_expiry};
use countersign_protocol::refusal::Refusal;
use countersign_protocol::revocation::Revoked;
use countersign_protocol::secret::{REFRESH_TOKEN_PREFIX, Secret};
use countersign_protocol::token_request::TokenRequest;
use countersign_store::{NewRefreshToken, Spend, Store, StoreError};

use crate::keys::mac::mac;
use crate::keys::sealing_keys::{MacUse, SealingKeys};
use crate::oauth::asked::Asked;
use crate::oauth::issue::{Issued, TokenParams, issue};
use crate::oauth::revoke::end_family;
use crate::registry::Registry;
use crate::state::State;

/// The stored refresh token, or the refusal if the request presents no valid one.
pub(crate) struct PresentedToken(Result<StoredRefreshToken, Refusal>);

impl PresentedToken {
    /// Finds the token of an authenticated client. A reuse revokes the family here, whatever else the request contains.
    pub(crate) async fn find(
        state: &State,
        registry: &Registry,
        client: &Client,
        request: &TokenRequest,
    ) -> Result<Self, Refusal> {
        let found = find_own(state, client, request).await;
        if let Ok(found) = &found {
            let api = registry.find_api(found.family.api_id.as_str()).map(Arc::as_ref);
            if let Err(refusal) = check_reuse(found, api, state.now()) {
                end_family(state, &found.family).await?;
                return Err(refusal);
            }
        }
        Ok(Self(found))
    }
}

/// Returns the presented token, if this server issued it to this client.
async fn find_own(state: &State, client: &Client, request: &TokenRequest) -> Result<StoredRefreshToken, Refusal> {
    let token = parameters(request)?;
    state.registry.check_database()?;
    if !Secret::is_well_formed(REFRESH_TOKEN_PREFIX, token.expose()) {
        return Err(Refusal::UnknownRefreshToken);
    }
    let found = state.store.find_refresh_token(&token.hash()).await.map_err(|error| state.store_failed(&error))?;
    let found = found.ok_or(Refusal::UnknownRefreshToken)?;
    check_owner(&found, client)?;
    Ok(found)
}

/// Decides again, and issues an access token and the successor of the refresh token.
pub(crate) async fn by_refresh_token(
    state: &State,
    asked: &Asked<'_>,
    presented: PresentedToken,
) -> Result<Issued, Refusal> {
    let Asked { registry, client, .. } = *asked;
    if let Some(api) = &asked.named {
        check_allowed(client, api, GrantType::RefreshToken)?;
    }
    let (token, found) = (parameters(asked.request)?.clone(), presented.0?);
    if asked.named.as_ref().is_some_and(|api| api.id != found.family.api_id) {
        return Err(Refusal::RefreshTokenOfOtherApi);
    }
    let api = registry.find_api(found.family.api_id.as_str()).ok_or(Refusal::NoEntitlement)?;
    let user = registry.find_user(found.family.user_id.as_str()).map(Arc::as_ref);
    let now = state.now();
    let grant = decide(&found, client, user, api, asked.scope(), now)?;
    let issued = issue(state, &TokenParams { registry, client, api, grant, now })?;
    let family = found.family.id.clone();
    let (store, keys, api, salt) = (state.store.clone(), state.sealing_keys(), api.clone(), state.entropy.bytes());
    let using = Use { store, keys, token, found, api, salt, now };
    // In a separate task, which completes even if the caller disconnects.
    match state.write(using.run()).await? {
        Outcome::Issued(successor) => Ok(issued.with_refresh_token(successor)),
        Outcome::Repeated(successor) => {
            let (request_id, client_id) = (asked.caller.request_id(), client.id.as_str());
            let address = asked.caller.address;
            tracing::info!(request_id, client_id, %address, %family, "a refresh was repeated and returned the same \
                        refresh token");
            Ok(issued.with_refresh_token(successor))
        }
        Outcome::Ended => Err(Refusal::RevokedRefreshToken),
        Outcome::Reused { until } => {
            state.registry.insert_revoked(Revoked::Family(family.clone()), until);
            Err(Refusal::RefreshTokenReused(family.to_string()))
        }
    }
}

/// A use of a refresh token.
struct Use {
    store: Store,
    keys: Arc<SealingKeys>,
    token: Secret,
    found: StoredRefreshToken,
    api: Arc<Api>,
    /// The salt of the successor, for a first use.
    salt: [u8; 32],
    now: UnixTime,
}

/// The outcome of a use.
enum Outcome {
    /// The first use, with its successor.
    Issued(Secret),
    /// A repeated use, which returns the same successor.
    Repeated(Secret),
    /// The family had ended.
    Ended,
    /// A reuse, which has revoked the family. Its access tokens expire at `until` at the latest.
    Reused { until: UnixTime },
}

impl Use {
    async fn run(mut self) -> Result<Outcome, StoreError> {
        let (hash, access_token_expires_at) = (self.token.hash(), self.now + self.api.access_token_lifetime_s);
        if self.found.spent_at.is_none() {
            let successor = self.successor(self.keys.mac_key(MacUse::Successor), &self.salt);
            let new = self.describe(&successor, access_token_expires_at);
            if self.store.spend_refresh_token(&hash, &self.found.family.id, &new).await? == Spend::Spent {
                return Ok(Outcome::Issued(successor));
            }
            // Another use came first, or the family has ended.
            match self.store.find_refresh_token(&hash).await? {
                Some(found) => self.found = found,
                None => return Ok(Outcome::Ended),
            }
        }
        if self.found.family.ended {
            return Ok(Outcome::Ended);
        }
        if let (Ok(()), Some(retry)) = (check_reuse(&self.found, Some(&self.api), self.now), &self.found.retry) {
            for key in self.keys.mac_keys(MacUse::Successor) {
                let successor = self.successor(key, &retry.salt);
                if self.store.repeat_refresh_token(&successor.hash(), access_token_expires_at, self.now).await? {
                    return Ok(Outcome::Repeated(successor));
                }
            }
        }
        let until = self.store.end_family(&self.found.family.id, self.now, access_token_expires_at).await?;
        Ok(Outcome::Reused { until })
    }

    /// Derives the successor. The result depends on a key of this server and on the salt, which is erased later.
    fn successor(&self, key: &hmac::Key, salt: &[u8; 32]) -> Secret {
        let parts = [self.found.family.id.as_str().as_bytes(), self.token.expose().as_bytes(), salt];
        Secret::from_random(REFRESH_TOKEN_PREFIX, &mac(key, &parts))
    }

    fn describe(&self, successor: &Secret, access_token_expires_at: UnixTime) -> NewRefreshToken {
        let (policy, salt) = (self.api.refresh, self.salt);
        let expires_at = idle_expiry(policy, self.found.family.expires_at, self.now);
        let until = (self.now + policy.retry_s).min(expires_at);
        NewRefreshToken {
            hash: successor.hash(),
            issued_at: self.now,
            expires_at,
            access_token_expires_at,
            retry: (policy.retry_s > 0).then_some(Retry { salt, until }),
        }
    }
}
