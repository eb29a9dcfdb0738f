//! Passwords of users, hashed with Argon2id two at a time, so that an attacker cannot overload the server.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use countersign_protocol::ids::UserId;
use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::Secret;
use countersign_protocol::user::User;
use countersign_store::StoredPassword;

use crate::http::source::Source;
use crate::limits::MAX_PASSWORD_BYTES;
use crate::people::attempt::{Attempt, Presenter};
use crate::people::name_mac::NameMac;
use crate::people::password_queue::{Turn, Who};
use crate::state::State;

/// 19 MiB, two passes, one lane: the first choice of the OWASP Password Storage Cheat Sheet.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The hash to check for an unknown user, so that both cases take the same time. No known password has this hash.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IG5vYm9keSBubw$KREvIrYFVJxYBmOaWeRVGLE8W4hZ2d6RYbqYZJNcgBU";

/// The ID of no user.
const NOBODYS_ID: &str = "usr_";

/// The name that was presented, and the user who has it.
pub struct Named {
    /// The key under which failures are counted.
    pub(crate) mac: NameMac,
    /// The current user.
    pub user: Option<Arc<User>>,
    /// The hash to check.
    stored: Option<StoredPassword>,
}

impl Named {
    /// Finds the user with this login name.
    pub async fn find(state: &State, login: &str) -> Result<Self, Refusal> {
        state.registry.check_database()?;
        let stored = state.store.find_password(login).await.map_err(|error| state.store_failed(&error))?;
        Ok(Self::new(state, state.name_mac(login), stored))
    }

    /// Finds a user by ID. Without an ID, makes the same lookup, so that both cases take the same time.
    pub async fn of_user(state: &State, mac: NameMac, id: Option<&UserId>) -> Result<Self, Refusal> {
        state.registry.check_database()?;
        let nobody = || Refusal::Internal("the placeholder user ID is invalid".to_owned());
        let id = id.cloned().or_else(|| UserId::parse(NOBODYS_ID)).ok_or_else(nobody)?;
        let stored = state.store.find_password_of(&id).await.map_err(|error| state.store_failed(&error))?;
        Ok(Self::new(state, mac, stored))
    }

    fn new(state: &State, mac: NameMac, stored: Option<StoredPassword>) -> Self {
        let registry = state.registry.current();
        let user = stored.as_ref().and_then(|stored| registry.find_user(stored.user_id.as_str())).cloned();
        Self { mac, user, stored }
    }

    /// Returns the PHC string of the user's password, or `None` if the name does not belong to a user.
    pub fn password_hash(&self) -> Option<Secret> {
        self.stored.as_ref().map(|stored| stored.password_hash.clone())
    }
}

/// Checks a password. `judge` gets the result. If it refuses, the attempt counts as a failure, durably, even if the
/// caller has disconnected by then. If it accepts with [`Verdict::Right`], the attempt counts as a success.
///
/// Known and unknown users take the same path and the same time. Too many failures are refused before hashing.
pub async fn check<T: Send + 'static, E: From<Refusal> + Send + 'static>(
    state: &State,
    named: Named,
    password: &Secret,
    presenter: Presenter<'_>,
    judge: impl FnOnce(Option<Arc<User>>, bool) -> Result<Verdict<T>, E> + Send + 'static,
) -> Result<T, E> {
    let mut attempt = Attempt::begin(state, named.mac, named.user.as_ref(), presenter).await?;
    if password.expose().len() > MAX_PASSWORD_BYTES {
        // No user can have such a password, so this does not count as a guess.
        return judge(named.user, false).map(Verdict::into_inner);
    }
    let source = Source::of(presenter.caller.address);
    let who = Who { source, name: named.mac, is_known: attempt.is_known };
    let turn = state.passwords.wait(who).await?;
    let (password, Named { user, stored, .. }) = (password.clone(), named);
    // From here on, the outcome counts, so a separate task continues if the caller disconnects.
    let checking = async move {
        attempt.take_place().await?;
        let hash = stored.map(|stored| stored.password_hash);
        let is_right = run(turn, move || verify(&password, hash.as_ref())).await?;
        match judge(user, is_right) {
            Ok(Verdict::Right(found)) => {
                attempt.succeed().await?;
                Ok(found)
            }
            Ok(Verdict::Pending(found)) => Ok(found),
            Err(refused) => {
                attempt.fail().await?;
                Err(refused)
            }
        }
    };
    tokio::spawn(checking).await.map_err(|_| E::from(Refusal::Internal("failed to check a password".to_owned())))?
}

/// The meaning of a right password.
pub enum Verdict<T> {
    /// It is sufficient.
    Right(T),
    /// More is required, so it does not count as a success yet.
    Pending(T),
}

impl<T> Verdict<T> {
    fn into_inner(self) -> T {
        match self {
            Self::Right(found) | Self::Pending(found) => found,
        }
    }
}

/// Returns the PHC string of a new password, for an authorized user.
pub async fn hash_new(state: &State, password: &Secret, who: Who) -> Result<Secret, Refusal> {
    let (password, salt) = (password.clone(), state.entropy.bytes());
    let turn = state.passwords.wait(who).await?;
    run(turn, move || hash(&password, &salt)).await?
}

/// Hashes on a separate thread. The work keeps the turn, so that a caller who disconnects does not free it early.
async fn run<T: Send + 'static>(turn: Turn, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    let working = move || {
        let result = work();
        drop(turn);
        result
    };
    let done = tokio::task::spawn_blocking(working).await;
    done.map_err(|_| Refusal::Internal("failed to hash a password".to_owned()))
}

/// Returns the PHC string of a password.
pub fn hash(password: &Secret, salt: &[u8; 16]) -> Result<Secret, Refusal> {
    let failed = |_| Refusal::Internal("failed to hash a password".to_owned());
    let phc = argon2()?.hash_password_with_salt(password.expose().as_bytes(), salt).map_err(failed)?;
    Ok(Secret::new(phc.to_string()))
}

/// True if the password matches the stored PHC string. Without one, takes the same time and returns false.
pub fn verify(password: &Secret, stored: Option<&Secret>) -> bool {
    let holds = |phc: &str| {
        let bytes = password.expose().as_bytes();
        PasswordHash::new(phc)
            .is_ok_and(|hash| argon2().is_ok_and(|argon2| argon2.verify_password(bytes, &hash).is_ok()))
    };
    let matches = holds(stored.map_or(NOBODY, Secret::expose));
    matches && stored.is_some()
}

fn argon2() -> Result<Argon2<'static>, Refusal> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
    let params = params.map_err(|_| Refusal::Internal("the password parameters are out of range".to_owned()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_only_matches_its_own_password() {
        let stored = hash(&Secret::new("correct horse"), &[1; 16]).expect("hashes");
        assert!(verify(&Secret::new("correct horse"), Some(&stored)));
        assert!(!verify(&Secret::new("correct horsf"), Some(&stored)));
        assert!(!verify(&Secret::new("correct horse"), None));
        assert!(!verify(&Secret::new("correct horse"), Some(&Secret::new("damaged"))));
    }

    #[test]
    fn unknown_user_hash_uses_same_argon2_params() {
        let parameters = |phc: &str| phc.rsplitn(3, '$').last().map(str::to_owned);
        let stored = hash(&Secret::new("x"), &[1; 16]).expect("hashes");
        assert_eq!(parameters(NOBODY), parameters(stored.expose()));
        assert!(PasswordHash::new(NOBODY).is_ok());
    }
}
