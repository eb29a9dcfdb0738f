//! An attempt to sign in with a password: whether it is allowed, and what its outcome counts.

use std::sync::Arc;

use countersign_protocol::ids::UserId;
use countersign_protocol::refusal::{DatabaseTrouble, Refusal};
use countersign_protocol::user::{Role, User};
use countersign_store::{NewPasswordFailure, PasswordFailures, StoreError};

use crate::admin::audit::Actor;
use crate::admin::audit::Entry;
use crate::admin::change::Event;
use crate::admin::change_queue::Waiter;
use crate::admin::fields::UNKNOWN;
use crate::http::again;
use crate::http::caller::Caller;
use crate::people::attempt_rules::{DEVICE_WINDOW_S, MAX_FAILURES, Seen, decide, wait_s};
use crate::people::attempts_under_way::{Ahead, Key, Place};
use crate::people::known_device::Device;
use crate::people::name_mac::NameMac;
use crate::state::State;

/// The success of a known device is stored again only after this time, in seconds, because a busy job signs in often.
const REFRESH_S: i64 = 3600;

/// The inputs of an attempt.
#[derive(Clone, Copy)]
pub struct Presenter<'a> {
    /// The caller's address.
    pub caller: &'a Caller,
    /// The device.
    pub device: Option<Device>,
}

/// An attempt. It counts nothing until its outcome is known.
pub(crate) struct Attempt {
    state: State,
    caller: Caller,
    name: NameMac,
    user: Option<Arc<User>>,
    device: Option<Device>,
    seen: Seen,
    /// True if the device counts as known and has its own failure count.
    pub(crate) is_known: bool,
    /// The place among the attempts in progress. It is released once the outcome is stored.
    place: Option<Place>,
}

impl Attempt {
    /// Refuses after too many failures. Names that do not belong to a user are treated in the same way.
    pub async fn begin(
        state: &State,
        name: NameMac,
        user: Option<&Arc<User>>,
        Presenter { caller, device }: Presenter<'_>,
    ) -> Result<Self, Refusal> {
        let (user, caller) = (user.cloned(), caller.clone());
        let (seen, place) = (Seen::default(), None);
        let mut attempt = Self { state: state.clone(), caller, name, user, device, seen, is_known: false, place };
        attempt.decide(Ahead::default()).await?;
        Ok(attempt)
    }

    /// Takes a place and decides again, just before the password is hashed, so that concurrent attempts cannot exceed
    /// the limit. A waiting attempt has no place, and therefore does not delay others.
    pub(crate) async fn take_place(&mut self) -> Result<(), Refusal> {
        let name = self.name.0;
        let device = self.device.map_or(name, |device| device.mac);
        let keys = [Key::Name(name), Key::Unknown(name), Key::Device(device)];
        let (place, [of_name, of_unknown, of_device]) = self.state.failed_attempts.under_way.enter(keys);
        self.place = Some(place);
        self.decide(Ahead { of_name, of_unknown, of_device }).await?;
        // Decided again here, because a known device may have reached its limit while it was waiting.
        if let Some(place) = self.place.as_mut().filter(|_| self.is_known) {
            place.leave(Key::Unknown(name));
        }
        Ok(())
    }

    async fn decide(&mut self, ahead: Ahead) -> Result<(), Refusal> {
        let Self { state, name, user, device, .. } = &*self;
        let failed = |error| state.store_failed(&error);
        let failures = state.store.find_password_failures(name.as_bytes()).await.map_err(failed)?;
        let known = match device {
            Some(device) => state.store.find_device(&device.mac).await.map_err(failed)?,
            None => None,
        };
        let is_administrator = user.as_ref().is_some_and(|user| user.roles.contains(&Role::Administrator));
        let seen = Seen { failures, device: known, is_administrator, ahead };
        let decided = decide(&seen, state.now()).inspect_err(|refusal| {
            state.metrics.count_password(if *refusal == Refusal::UserLocked { "locked" } else { "waiting" });
        });
        self.seen = seen;
        self.is_known = decided?;
        Ok(())
    }

    /// Counts a wrong password, durably.
    pub async fn fail(mut self) -> Result<(), Refusal> {
        let place = self.place.take();
        let Self { state, name, user, is_known, .. } = &self;
        state.metrics.count_password("wrong");
        let known_device = self.device.filter(|_| *is_known).map(|device| device.mac.to_vec());
        let (now, window_s) = (state.now(), DEVICE_WINDOW_S);
        let (name_mac, user_id) = (name.as_bytes().to_vec(), user.as_ref().map(|user| user.id.clone()));
        let new = NewPasswordFailure { name_mac, user_id, known_device, now, window_s };
        let store = state.store.clone();
        let adding = async move {
            let _place = place;
            store.add_password_failure(&new).await
        };
        let failures = state.write(adding).await?;
        self.warn(&failures);
        Ok(())
    }

    /// Resets the user's failures after a success, and marks the device as known, durably.
    pub(crate) async fn succeed(self) -> Result<(), Refusal> {
        let Self { state, name, user, device, .. } = &self;
        state.metrics.count_password("right");
        let (Some(user), Some(device)) = (user, device) else { return Ok(()) };
        let Seen { failures, device: known, .. } = self.seen;
        let is_recent =
            known.is_some_and(|known| known.last_success_at + REFRESH_S > state.now() && known.failures == 0);
        if is_recent && failures.failures == 0 && device.renewed.is_none() {
            return Ok(());
        }
        let (store, new) = (state.store.clone(), device.success(state, *name, &user.id, Some(*device)));
        state.write(async move { store.add_success(&new).await }).await
    }

    /// Logs that a user is locked, or that unknown devices must wait. Logs nothing for names that do not belong to a
    /// user.
    fn warn(&self, failures: &PasswordFailures) {
        let Some(User { id: user, .. }) = self.user.as_deref() else { return };
        let (request_id, address) = (self.caller.request_id(), self.caller.address);
        if failures.failures == MAX_FAILURES {
            tracing::warn!(request_id, %address, user_id = %user, failures = MAX_FAILURES, "user locked after too many \
                        failed passwords");
            // In a separate task, so that the response time does not reveal whether the name belongs to a user.
            tokio::spawn(record_lock(self.state.clone(), user.clone(), self.caller.clone()));
        } else if !self.is_known && wait_s(failures.unknown_failures) > 0 {
            let (failures, wait_s) = (failures.failures, wait_s(failures.unknown_failures));
            tracing::warn!(request_id, %address, user_id = %user, failures, wait_s, "unknown devices of a user must \
                        wait");
        }
    }
}

/// Records in the audit log that a user was locked.
async fn record_lock(state: State, user: UserId, caller: Caller) {
    let record = || async {
        let entry = Entry { action: "user.lock-out", target: user.to_string(), before: None, after: None };
        let turn = state.changing.wait(Waiter::Record).await;
        let busy = |_| StoreError::Unavailable(DatabaseTrouble::Slow, "too many changes are waiting".to_owned());
        let event = Event::begin(&state, turn.map_err(busy)?).await?;
        event.finish(&state, &Actor::new(UNKNOWN, &caller), entry).await
    };
    if let Err(error) = again::make(record).await {
        tracing::error!(request_id = caller.request_id(), %error, "failed to record a lockout");
    }
}
