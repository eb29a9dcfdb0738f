//! People's passwords: Argon2id on a small pool, so that guessing cannot take the server down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::Secret;
use countersign_protocol::user::UserId;
use countersign_store::{SignIn, StoredPassword};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

use crate::attempt::CountedAttempt;
use crate::caller::Caller;
use crate::guessing::NameMac;
use crate::limits::{
    MAX_NEW_PASSWORD_CHARS, MAX_PASSWORD_BYTES, MIN_NEW_PASSWORD_CHARS, PASSWORD_QUEUE, PASSWORD_SLOTS,
};
use crate::state::State;

/// 19 MiB, two passes, one lane: the first choice of OWASP's password storage sheet.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What an unknown user's password is checked against, so that it costs what a known one's does. Nobody knows of what.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IG5vYm9keSBubw$KREvIrYFVJxYBmOaWeRVGLE8W4hZ2d6RYbqYZJNcgBU";

/// What is said of a new password that is easily guessed.
const EASILY_GUESSED: &str =
    "is too easy to guess: it is a common password, or close to one; use several unrelated words";

/// The most characters scored at once. zxcvbn takes longer than linear time: 32 characters take a tenth of a second at worst,
/// and 100 take more than a second.
const SCORED_CHARS: usize = 32;
/// What people put into a password for this server.
const PRODUCT: &str = "countersign";

/// The id of no user.
const NOBODYS_ID: &str = "usr_";

/// A bounded pool that hashes passwords.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Passwords {
    /// A pool of [`PASSWORD_SLOTS`].
    pub(crate) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(PASSWORD_SLOTS)), waiting: Arc::default() }
    }

    /// Runs `work` with the pool's next free slot; refuses at once when too many wait.
    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let waiting = Waiting::enter(&self.waiting)?;
        let slot = self.slots.clone().acquire_owned().await;
        let slot = slot.map_err(|_| Refusal::Overloaded("the password pool is closed"))?;
        drop(waiting);
        // The slot goes with the work: a caller who hangs up frees nothing before the hash is done.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(slot);
            result
        });
        done.await.map_err(|_| Refusal::Internal("hashing a password failed".to_owned()))
    }
}

/// A place in the queue, given back on drop.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn enter(waiting: &Arc<AtomicUsize>) -> Result<Self, Refusal> {
        let before = waiting.fetch_add(1, Ordering::AcqRel);
        let place = Self(waiting.clone());
        if before >= PASSWORD_QUEUE {
            return Err(Refusal::Overloaded("too many passwords wait to be checked"));
        }
        Ok(place)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Whose password is asked for: a name as it was typed, and whose it is, if anybody's.
pub(crate) struct Named {
    /// Under which failures are counted.
    pub(crate) mac: NameMac,
    /// What the password is checked against.
    pub(crate) stored: Option<StoredPassword>,
}

impl Named {
    /// Finds the user with this login name.
    pub(crate) async fn find(state: &State, login: &str) -> Result<Self, Refusal> {
        state.registry.check_database()?;
        let stored = state.store.find_password(login).await.map_err(|error| state.store_failed(&error))?;
        Ok(Self { mac: state.guessing.name_mac(login), stored })
    }

    /// Finds the user of a sign-in, under the name that was typed when it began.
    pub(crate) async fn of_sign_in(state: &State, sign_in: &SignIn) -> Result<Self, Refusal> {
        state.registry.check_database()?;
        // Somebody is looked for whether or not the name is anybody's, so that both cost the same.
        let id = sign_in.user_id.clone().or_else(|| UserId::parse(NOBODYS_ID)).ok_or_else(no_user_id)?;
        let stored = state.store.find_password_of(&id).await.map_err(|error| state.store_failed(&error))?;
        Ok(Self { mac: name_of(sign_in)?, stored })
    }
}

fn no_user_id() -> Refusal {
    Refusal::Internal("the id of nobody is no user id".to_owned())
}

/// The MAC of the name that was typed when a sign-in began.
pub(crate) fn name_of(sign_in: &SignIn) -> Result<NameMac, Refusal> {
    NameMac::from_bytes(&sign_in.name_mac).ok_or_else(|| Refusal::Internal("a sign-in has no name".to_owned()))
}

/// What came of checking a password.
pub(crate) struct Checked {
    /// What it was checked against: of whose name was given, if anybody's.
    pub(crate) stored: Option<StoredPassword>,
    /// True if the password is theirs.
    pub(crate) holds: bool,
    /// Counted as failed until it is said to have succeeded.
    pub(crate) attempt: CountedAttempt,
}

/// Checks a password on the pool. Known and unknown users take the same path, count the same and cost the same.
pub(crate) async fn check(
    state: &State,
    Named { mac, stored }: Named,
    password: &Secret,
    caller: &Caller,
) -> Result<Checked, Refusal> {
    let (password, state_of_task, caller) = (password.clone(), state.clone(), caller.clone());
    // Counted inside the slot: guesses that wait side by side are judged one after the other.
    let check = move || {
        let user = stored.as_ref().map(|stored| stored.user_id.clone());
        let attempt = CountedAttempt::begin(&state_of_task, mac, user, &caller)?;
        let holds = verify(&password, stored.as_ref().map(|stored| &stored.password_hash));
        Ok(Checked { stored, holds, attempt })
    };
    state.passwords.run(check).await?
}

/// Err within if the password is too easy to guess. It takes up to a quarter of a second: the caller has proved who they are.
pub(crate) async fn check_strength(password: &Secret, login: &str) -> Result<Result<(), String>, Refusal> {
    let (password, login) = (password.clone(), login.to_owned());
    // Not on the pool: this takes no memory to speak of, and must not keep others from signing in.
    let checked = tokio::task::spawn_blocking(move || is_easily_guessed(&password, &login)).await;
    let is_easy = checked.map_err(|_| Refusal::Internal("checking a new password failed".to_owned()))?;
    Ok(if is_easy { Err(EASILY_GUESSED.to_owned()) } else { Ok(()) })
}

/// The PHC string of a new password.
pub(crate) async fn hash_new(state: &State, password: &Secret) -> Result<Secret, Refusal> {
    let (password, salt) = (password.clone(), state.entropy.bytes());
    state.passwords.run(move || hash(&password, &salt)).await?
}

/// Err, saying what is wrong, if this cannot be somebody's new password whatever it is made of.
pub(crate) fn check_length(password: &Secret) -> Result<(), String> {
    let length = password.expose().chars().count();
    if !(MIN_NEW_PASSWORD_CHARS..=MAX_NEW_PASSWORD_CHARS).contains(&length) {
        return Err(format!("must have {MIN_NEW_PASSWORD_CHARS} to {MAX_NEW_PASSWORD_CHARS} characters"));
    }
    if password.expose().chars().any(char::is_control) {
        return Err("must have no control characters, which a form cannot send".to_owned());
    }
    Ok(())
}

/// True for a password of zxcvbn's lists of common passwords, or one that its patterns, the user's own name and ours make as
/// easy to guess (NIST SP 800-63B §5.1.1.2).
fn is_easily_guessed(password: &Secret, login: &str) -> bool {
    let chars: Vec<char> = password.expose().chars().collect();
    let is_easy = |part: &[char]| {
        let part = Zeroizing::new(part.iter().collect::<String>());
        zxcvbn(&part, &[login, PRODUCT]).score() < Score::Three
    };
    // A long one is as good as its better end.
    let (head, tail) = (chars.get(..SCORED_CHARS).unwrap_or(&chars), chars.len().saturating_sub(SCORED_CHARS));
    is_easy(head) && (tail == 0 || is_easy(&chars[tail..]))
}

/// The PHC string of a password.
pub fn hash(password: &Secret, salt: &[u8; 16]) -> Result<Secret, Refusal> {
    let failed = |_| Refusal::Internal("hashing a password failed".to_owned());
    let phc = argon2()?.hash_password_with_salt(password.expose().as_bytes(), salt).map_err(failed)?;
    Ok(Secret::new(phc.to_string()))
}

/// True if the password is that of the stored PHC string; without one it costs the same and is false.
pub(crate) fn verify(password: &Secret, stored: Option<&Secret>) -> bool {
    let bytes = password.expose().as_bytes();
    let bytes = bytes.get(..MAX_PASSWORD_BYTES + 1).unwrap_or(bytes);
    let holds = |phc: &str| {
        PasswordHash::new(phc)
            .is_ok_and(|hash| argon2().is_ok_and(|argon2| argon2.verify_password(bytes, &hash).is_ok()))
    };
    let matches = holds(stored.map_or(NOBODY, Secret::expose));
    matches && stored.is_some() && bytes.len() <= MAX_PASSWORD_BYTES
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
    fn a_password_is_its_own_and_no_others() {
        let stored = hash(&Secret::new("correct horse"), &[1; 16]).expect("hashes");
        assert!(verify(&Secret::new("correct horse"), Some(&stored)));
        assert!(!verify(&Secret::new("correct horsf"), Some(&stored)));
        assert!(!verify(&Secret::new("correct horse"), None));
        assert!(!verify(&Secret::new("correct horse"), Some(&Secret::new("damaged"))));
    }

    #[test]
    fn easily_guessed_passwords_are_refused() {
        let is_easily_guessed = |password: &str| is_easily_guessed(&Secret::new(password), "ada.lovelace");
        for bad in [
            "password1234",
            "123456789012",
            "qwertyuiopas",
            "iloveyouiloveyou",
            "manchesterunited",
            "ada.lovelace1",
            "countersign1",
        ] {
            assert!(is_easily_guessed(bad), "{bad}");
        }
        for good in [
            "correct horse",
            "correct horse battery staple",
            "a longer password",
            "tQ8#vN2!pLz0",
            &"xy ".repeat(40).replacen("xy", "quite unrelated words", 1),
        ] {
            assert!(!is_easily_guessed(good), "{good}");
        }
    }

    #[test]
    fn unknown_user_hash_uses_same_argon2_params() {
        let parameters = |phc: &str| phc.rsplitn(3, '$').last().map(str::to_owned);
        let stored = hash(&Secret::new("x"), &[1; 16]).expect("hashes");
        assert_eq!(parameters(NOBODY), parameters(stored.expose()));
        assert!(PasswordHash::new(NOBODY).is_ok());
    }
}
