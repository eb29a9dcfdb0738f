//! An attempt to prove a password. It holds a place while it is under way, and counts nothing until its outcome is known.

use std::sync::Arc;

use countersign_protocol::refusal::Refusal;
use countersign_protocol::user::{Role, User, UserId};
use countersign_store::{KnownDevice, NewPasswordFailure, PasswordFailures};

use crate::admin::audit::Actor;
use crate::admin::change::{Entry, Event};
use crate::admin::change_queue::Waiter;
use crate::admin::fields::UNKNOWN;
use crate::caller::Caller;
use crate::guessing::rules::{DEVICE_WINDOW_S, MAX_FAILURES, Seen, decide, wait_s};
use crate::guessing::under_way::{Ahead, Key, Place};
use crate::guessing::{Device, NameMac};
use crate::state::State;

/// A success of a device that is known is stored again after this time, in seconds: each sign-in of a busy job need not be.
const REFRESH_S: i64 = 3600;

/// An attempt under way.
pub(crate) struct Attempt {
    state: State,
    caller: Caller,
    name: NameMac,
    user: Option<UserId>,
    device: Option<Device>,
    /// What the database says of the device.
    known: Option<KnownDevice>,
    /// True if the device has failures of its own.
    pub(crate) is_known: bool,
    failures: PasswordFailures,
    /// Given back once the outcome is stored.
    _place: Place,
}

impl Attempt {
    /// Takes a place, and refuses if too many have failed. Names that nobody has are treated alike.
    pub(crate) async fn begin(
        state: &State,
        name: NameMac,
        user: Option<&Arc<User>>,
        device: Option<Device>,
        caller: &Caller,
    ) -> Result<Self, Refusal> {
        let keys = [Key::Name(name.0), Key::Unknown(name.0), Key::Device(device.map_or(name.0, |device| device.mac))];
        let (mut place, [of_name, of_unknown, of_device]) = state.guessing.under_way.enter(keys);
        let failed = |error| state.store_failed(&error);
        let failures = state.store.find_password_failures(name.as_bytes()).await.map_err(failed)?;
        let known = match &device {
            Some(device) => state.store.find_device(&device.mac).await.map_err(failed)?,
            None => None,
        };
        let is_administrator = user.is_some_and(|user| user.roles.contains(&Role::Administrator));
        let ahead = Ahead { of_name, of_unknown, of_device };
        let seen = Seen { failures, device: known, is_administrator, ahead };
        let is_known = decide(&seen, state.now()).inspect_err(|refusal| {
            state.metrics.count_password(if *refusal == Refusal::UserLocked { "locked" } else { "waiting" });
        })?;
        if is_known {
            place.leave(Key::Unknown(name.0));
        }
        let (state, caller, user) = (state.clone(), caller.clone(), user.map(|user| user.id.clone()));
        Ok(Self { state, caller, name, user, device, known, is_known, failures, _place: place })
    }

    /// The password was wrong: that counts, durably.
    pub(crate) async fn fail(self) -> Result<(), Refusal> {
        let Self { state, name, user, is_known, .. } = &self;
        state.metrics.count_password("wrong");
        let known_device = self.device.filter(|_| *is_known).map(|device| device.mac.to_vec());
        let (now, window_s) = (state.now(), DEVICE_WINDOW_S);
        let (name_mac, user_id) = (name.as_bytes().to_vec(), user.clone());
        let new = NewPasswordFailure { name_mac, user_id, known_device, now, window_s };
        let store = state.store.clone();
        let failures = state.write(async move { store.add_password_failure(&new).await }).await?;
        self.warn(&failures);
        Ok(())
    }

    /// All was right: the failures of the user count no more, and their device is known, durably.
    pub(crate) async fn succeed(self) -> Result<(), Refusal> {
        let Self { state, name, user, device, .. } = &self;
        state.metrics.count_password("right");
        let (Some(user), Some(device)) = (user, device) else { return Ok(()) };
        let is_recent =
            self.known.is_some_and(|known| known.last_success_at + REFRESH_S > state.now() && known.failures == 0);
        if is_recent && self.failures == PasswordFailures::default() {
            return Ok(());
        }
        let (store, new) = (state.store.clone(), device.success(state, *name, user, None));
        state.write(async move { store.add_success(&new).await }).await
    }

    /// Tells of a user whom too many have tried. Of a name that nobody has, nothing is told.
    fn warn(&self, failures: &PasswordFailures) {
        let Some(user) = &self.user else { return };
        let (request_id, address) = (self.caller.request_id(), self.caller.address);
        if failures.failures == MAX_FAILURES {
            tracing::warn!(request_id, %address, user_id = %user, failures = MAX_FAILURES, "user locked after failed passwords");
            // In a task of its own: nobody learns from the time of the answer whether a user has this name.
            tokio::spawn(record_lock(self.state.clone(), user.clone(), self.caller.clone()));
        } else if !self.is_known && wait_s(failures.unknown_failures) > 0 {
            let (failures, wait_s) = (failures.failures, wait_s(failures.unknown_failures));
            tracing::warn!(request_id, %address, user_id = %user, failures, wait_s, "unknown devices of a user wait");
        }
    }
}

/// Writes into the audit log that a user was locked.
async fn record_lock(state: State, user: UserId, caller: Caller) {
    let entry = Entry { action: "user.lock-out", target: user.to_string(), before: None, after: None };
    let Ok(turn) = state.changing.wait(Waiter::Record).await else {
        tracing::error!(request_id = caller.request_id(), "a lock-out could not be recorded: too many changes wait");
        return;
    };
    let recorded = async {
        let event = Event::begin(&state, turn).await?;
        event.finish(&state, &Actor::new(UNKNOWN, &caller), entry).await
    };
    if let Err(error) = recorded.await {
        tracing::error!(request_id = caller.request_id(), %error, "a lock-out could not be recorded");
    }
}
