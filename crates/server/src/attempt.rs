//! An attempt to prove a password or a one-time code. It counts as failed until it is said to have succeeded, also when the
//! caller hangs up; one that locks a user out is written into the audit log.

use countersign_protocol::refusal::Refusal;
use countersign_protocol::user::UserId;
use tokio::runtime::Handle;

use crate::admin::audit::Actor;
use crate::admin::change::{Entry, Event};
use crate::admin::fields::UNKNOWN;
use crate::caller::Caller;
use crate::guessing::{NameMac, PasswordAttempt};
use crate::state::State;

/// An attempt under way.
pub(crate) struct CountedAttempt {
    /// Nothing once it is said how the attempt ended.
    counted: Option<PasswordAttempt>,
    /// Whose proof it is, if the name is anybody's.
    user: Option<UserId>,
    caller: Caller,
    state: State,
}

impl CountedAttempt {
    /// Counts a failure ahead of the proof, so that guesses side by side gain nothing. Err if too many have failed.
    pub(crate) fn begin(state: &State, name: NameMac, user: Option<UserId>, caller: &Caller) -> Result<Self, Refusal> {
        let counted = Some(state.guessing.begin_password(name, caller.address, state.now())?);
        Ok(Self { counted, user, caller: caller.clone(), state: state.clone() })
    }

    /// All was right: it does not count, and the address is known for this user.
    pub(crate) fn succeed(mut self) {
        if let Some(counted) = self.counted.take() {
            self.state.guessing.succeed(counted, self.state.now());
        }
    }

    /// The password was right, but is not all that is asked: it does not count, and the address is not known for it.
    pub(crate) fn pass(mut self) {
        if let Some(counted) = self.counted.take() {
            self.state.guessing.pass(counted);
        }
    }
}

impl Drop for CountedAttempt {
    /// Records a lock-out in a task of its own: nobody learns from the time of the answer whether a user has this name. Of a
    /// name that nobody has, nothing is kept.
    fn drop(&mut self) {
        let Some(counted) = self.counted.take() else { return };
        let address = counted.is_last_of_address().then(|| ("address.lock-out", self.caller.address.to_string()));
        let user = self.user.take().filter(|_| counted.is_last()).map(|user| ("user.lock-out", user.to_string()));
        for (action, target) in user.into_iter().chain(address) {
            let (state, caller) = (self.state.clone(), self.caller.clone());
            match Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(async move { record(&state, action, target, &caller).await })),
                Err(error) => tracing::error!(%error, "a lock-out could not be recorded"),
            }
        }
    }
}

async fn record(state: &State, action: &'static str, target: String, caller: &Caller) {
    let (request_id, address) = (caller.request_id(), caller.address);
    tracing::warn!(request_id, %address, action, target, "locked out after too many failures");
    let entry = Entry { action, target, before: None, after: None };
    let recorded = async {
        let event = Event::begin(state).await?;
        event.finish(state, &Actor::new(UNKNOWN, caller), entry).await
    };
    if let Err(error) = recorded.await {
        tracing::error!(request_id, %error, "a lock-out could not be recorded");
    }
}
