//! One-time codes (RFC 6238): asks for the code of a user with a second factor, checks it, and spends it once.

use countersign_protocol::ids::UserId;
use countersign_protocol::secret::Secret;
use countersign_protocol::totp;
use countersign_server::keys::sealing::SECOND_FACTOR;
use countersign_server::people::code_attempt::CodeAttempt;
use countersign_server::state::State;
use countersign_store::{Change, SpentCode, StoreError, StoredSecondFactor};

use crate::api::access::SignedIn;
use crate::api::fault::Fault;

/// The only kind of second factor.
pub(crate) const KIND: &str = "totp";
/// The message for a refused code, whatever is wrong with it.
pub(crate) const WRONG_CODE: &str = "the code is wrong, has expired, or was already used";
/// The message when a password and a code are required, whichever of them is wrong.
const WRONG_PASSWORD_OR_CODE: &str = "the password or the code is wrong, or the code has expired or was already used";

/// A user's second factor.
pub(crate) async fn find(state: &State, user: &UserId) -> Result<Option<StoredSecondFactor>, Fault> {
    let found = state.store.find_second_factor(user, KIND).await;
    Ok(found.map_err(|error| state.store_failed(&error))?)
}

/// Returns the step of a code, if the code is current and neither it nor a later one was used.
pub(crate) fn find_step(state: &State, factor: &StoredSecondFactor, code: &Secret) -> Result<Option<i64>, Fault> {
    let seed = state.sealing_keys().open(SECOND_FACTOR, &factor.id, &factor.sealed_seed)?;
    Ok(totp::find_step(&seed, without_spaces(code).expose(), state.now()).filter(|step| *step > factor.last_step))
}

/// A code that is required in addition to the password. Its place among the attempts in progress is taken before the
/// password is hashed.
pub(crate) struct AskedCode {
    factor: StoredSecondFactor,
    attempt: CodeAttempt,
}

/// Asks for the signed-in user's code. Returns `None` if the user has no second factor. Refuses after too many wrong
/// codes.
pub(crate) async fn ask(state: &State, signed_in: &SignedIn) -> Result<Option<AskedCode>, Fault> {
    let (user, caller) = (&signed_in.session.user, &signed_in.caller);
    let Some(factor) = find(state, &user.id).await? else { return Ok(None) };
    let name = state.name_mac(user.login.as_str());
    let attempt = CodeAttempt::begin(state, name, &user.id, caller).await?;
    Ok(Some(AskedCode { factor, attempt }))
}

impl AskedCode {
    /// Checks the code after the password. The message does not reveal which of them was wrong.
    pub(crate) async fn check(self, state: &State, code: Option<&Secret>) -> Result<ProvedCode, Fault> {
        let Self { factor, attempt } = self;
        match code.map(|code| find_step(state, &factor, code)).transpose()?.flatten() {
            Some(step) => Ok(ProvedCode { code: SpentCode { factor_id: factor.id, step }, attempt }),
            None => {
                attempt.fail().await?;
                Err(wrong_code("wrong or expired code"))
            }
        }
    }
}

/// A correct code, to be spent together with the change that it authorizes.
pub(crate) struct ProvedCode {
    code: SpentCode,
    attempt: CodeAttempt,
}

impl ProvedCode {
    /// Spends the code in the transaction of a change. If the code was already spent, the caller must drop the change.
    pub(crate) async fn spend(self, change: &mut Change) -> Result<Result<String, Fault>, StoreError> {
        if change.spend_code(&self.code).await? {
            return Ok(Ok(self.code.factor_id));
        }
        // In a separate task, because the change holds the database's lock.
        tokio::spawn(self.attempt.fail());
        Ok(Err(wrong_code("the code was already used")))
    }
}

/// Returns the same fault with a message that does not reveal whether the password or the code was wrong.
pub(crate) fn wording(fault: Fault) -> Fault {
    fault.wording_wrong_answer(WRONG_PASSWORD_OR_CODE)
}

fn wrong_code(reason: &'static str) -> Fault {
    Fault::wrong_answer(WRONG_PASSWORD_OR_CODE, reason)
}

/// Removes spaces: apps show a code in two groups, so users copy it with a space.
pub(crate) fn without_spaces(code: &Secret) -> Secret {
    Secret::new(code.expose().replace(' ', ""))
}
