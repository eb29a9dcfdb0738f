//! New client secrets: generated or imported, with their dates.

use countersign_protocol::UnixTime;
use countersign_protocol::client::{Client, Credential};
use countersign_protocol::ids::ClientId;
use countersign_protocol::jose::base64url;
use countersign_protocol::secret::{CLIENT_SECRET_PREFIX, Secret};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::change_error::ChangeError;
use crate::admin::fields::line;
use crate::state::State;

/// The length of an imported secret. The maximum is what fits into a header.
const IMPORTED_CHARS: std::ops::RangeInclusive<usize> = 32..=512;
/// Dates must be before this, the end of the year 2200.
const LATEST: UnixTime = 7_258_118_400;

/// A new secret, generated or imported.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewSecret {
    label: String,
    not_before: Option<i64>,
    expires_at: Option<i64>,
    import: Option<Secret>,
}

impl NewSecret {
    /// Returns the credential, which is not stored yet, and the secret if it was generated.
    pub(crate) fn make(&self, state: &State) -> Result<(Credential, Option<Secret>), ChangeError> {
        let now = state.now();
        let not_before = self.not_before.map(|at| moment("not_before", at, 0)).transpose()?.unwrap_or(now);
        let expires_at = self.expires_at.map(|at| moment("expires_at", at, now + 1)).transpose()?;
        if expires_at.is_some_and(|end| end <= not_before) {
            return Err(ChangeError::invalid("expires_at", "must be later than not_before"));
        }
        if let Some(imported) = &self.import {
            check_imported(imported)?;
            return Ok((make(state, &self.label, imported, not_before, expires_at)?, None));
        }
        let secret = Secret::from_random(CLIENT_SECRET_PREFIX, &state.entropy.bytes());
        Ok((make(state, &self.label, &secret, not_before, expires_at)?, Some(secret)))
    }

    /// True if the client already has the imported secret. Otherwise, revoking one copy would leave the other.
    pub(crate) fn is_known_to(&self, client: &Client) -> bool {
        let import = self.import.as_ref().map(Secret::hash);
        import.is_some_and(|imported| client.credentials.iter().any(|known| known.secret_hash.matches(&imported)))
    }
}

/// Validates a date of a secret, which must not be too early.
pub(crate) fn moment(field: &str, at: i64, earliest: UnixTime) -> Result<UnixTime, ChangeError> {
    if at < earliest {
        return Err(ChangeError::invalid(field, "must not be in the past"));
    }
    if at > LATEST {
        return Err(ChangeError::invalid(field, "must be before the year 2201"));
    }
    Ok(at)
}

/// Creates a successor that is valid from now on.
pub(crate) fn make_successor(state: &State, label: &str) -> Result<(Credential, Secret), ChangeError> {
    let secret = Secret::from_random(CLIENT_SECRET_PREFIX, &state.entropy.bytes());
    Ok((make_credential(state, label, &secret)?, secret))
}

/// Creates the credential of an existing secret, valid from now on.
pub(crate) fn make_credential(state: &State, label: &str, secret: &Secret) -> Result<Credential, ChangeError> {
    make(state, label, secret, state.now(), None)
}

fn make(
    state: &State,
    label: &str,
    secret: &Secret,
    not_before: UnixTime,
    expires_at: Option<UnixTime>,
) -> Result<Credential, ChangeError> {
    let id = format!("cred_{}", base64url(&state.entropy.bytes::<12>()));
    Ok(Credential { id, label: line("label", label)?, secret_hash: secret.hash(), not_before, expires_at })
}

fn check_imported(secret: &Secret) -> Result<(), ChangeError> {
    let text = secret.expose();
    if !IMPORTED_CHARS.contains(&text.chars().count()) || text.chars().any(char::is_control) {
        let (fewest, most) = IMPORTED_CHARS.into_inner();
        return Err(ChangeError::invalid(
            "import",
            format!("must have {fewest} to {most} characters, without control characters"),
        ));
    }
    Ok(())
}

/// Returns the only response that contains the secret.
pub(crate) fn answer(client: &ClientId, credential: &Credential, secret: Option<&Secret>) -> Value {
    let mut answer = json!({
        "client_id": client.as_str(),
        "secret_id": credential.id,
        "not_before": credential.not_before,
        "expires_at": credential.expires_at,
    });
    if let Some(secret) = secret {
        answer["client_secret"] = secret.expose().into();
    }
    answer
}
