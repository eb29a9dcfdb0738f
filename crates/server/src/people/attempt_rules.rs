//! How many passwords and codes may be wrong: pure decisions based on counts.
//!
//! Unknown devices of a user wait longer after each failure. Each known device has its own count, so that strangers
//! cannot lock it out. After [`MAX_FAILURES`] in a row, only an administrator can unlock the user (NIST SP 800-63B
//! §5.2.2).

use countersign_protocol::UnixTime;
use countersign_protocol::refusal::Refusal;
use countersign_store::{DeviceKind, KnownDevice, PasswordFailures};

use crate::people::attempts_under_way::Ahead;

/// How long a device stays known after its last success, in seconds.
pub(crate) const KNOWN_S: i64 = 30 * 86_400;
/// The window for a known device's failures, in seconds.
pub(crate) const DEVICE_WINDOW_S: i64 = 15 * 60;
/// The limit of a known device in its window. Above it, the device counts as unknown.
const MAX_OF_DEVICE: i64 = 10;
/// The limit of unknown devices before they must wait.
const MAX_WITHOUT_WAIT: i64 = 10;
/// The waiting times after that many failures, after one more, and so on, in seconds.
const WAITS_S: [i64; 5] = [60, 120, 240, 480, 900];
/// The limit of a user's consecutive failures from all devices. After that, the user is locked.
pub(crate) const MAX_FAILURES: i64 = 100;
/// The limit of a user's wrong one-time codes from one network…
const MAX_CODES_OF_SOURCE: i64 = 10;
/// … in this window, in seconds.
pub(crate) const CODE_SOURCE_WINDOW_S: i64 = 15 * 60;
/// The limit of a user's wrong one-time codes in total…
const MAX_CODES: i64 = 100;
/// … in this window, in seconds.
pub(crate) const CODE_WINDOW_S: i64 = 24 * 3600;
/// Seconds after which to try again while other attempts for the same user are in progress.
const BUSY_S: i64 = 1;

/// What is known when a password is presented.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// The failures of the name.
    pub(super) failures: PasswordFailures,
    /// The device, if it has ever succeeded.
    pub(super) device: Option<KnownDevice>,
    /// True if the name belongs to an administrator.
    pub(super) is_administrator: bool,
    /// The attempts that are already in progress.
    pub(super) ahead: Ahead,
}

/// Decides whether a password may be checked. Returns true if the device counts as known.
pub(super) fn decide(seen: &Seen, now: UnixTime) -> Result<bool, Refusal> {
    let Seen { failures, device, is_administrator, ahead } = seen;
    let is_known = device.is_some_and(|device| {
        let failures = if device.began_at + DEVICE_WINDOW_S > now { device.failures } else { 0 };
        device.last_success_at + KNOWN_S > now && failures + ahead.of_device < MAX_OF_DEVICE
    });
    // Nobody can guess a browser's cookie, so this exception does not help strangers.
    let is_exempt = *is_administrator && is_known && device.is_some_and(|device| device.kind == DeviceKind::Browser);
    if failures.failures + ahead.of_name >= MAX_FAILURES && !is_exempt {
        return Err(if is_locked(failures) { Refusal::UserLocked } else { wait(BUSY_S) });
    }
    if is_known {
        return Ok(true);
    }
    if let Some(until) = waits_until(failures, now) {
        return Err(wait(until - now));
    }
    // Once unknown devices must wait, only one attempt at a time is checked.
    let free = (MAX_WITHOUT_WAIT - failures.unknown_failures).max(1);
    if ahead.of_unknown >= free { Err(wait(BUSY_S)) } else { Ok(false) }
}

/// Returns how long unknown devices wait after this many failures, in seconds.
pub(super) fn wait_s(unknown_failures: i64) -> i64 {
    let Ok(beyond) = usize::try_from(unknown_failures - MAX_WITHOUT_WAIT) else { return 0 };
    WAITS_S[beyond.min(WAITS_S.len() - 1)]
}

/// Decides whether a one-time code may be checked, based on the failures from one network and in total, each with the
/// start of its window, and the attempts in progress for each.
pub(super) fn decide_code(failures: [(i64, UnixTime); 2], ahead: [i64; 2], now: UnixTime) -> Result<(), Refusal> {
    let check = |(failures, began_at): (i64, UnixTime), ahead, window_s, most| {
        let left_s = began_at + window_s - now;
        let failures = if left_s > 0 { failures } else { 0 };
        match failures {
            failures if failures >= most => Err(wait(left_s)),
            failures if failures + ahead >= most => Err(wait(BUSY_S)),
            _ => Ok(()),
        }
    };
    check(failures[0], ahead[0], CODE_SOURCE_WINDOW_S, MAX_CODES_OF_SOURCE)?;
    check(failures[1], ahead[1], CODE_WINDOW_S, MAX_CODES)
}

fn wait(retry_after_s: i64) -> Refusal {
    Refusal::TooManyAttempts { what: "this user", retry_after_s }
}

/// True if only an administrator can unlock a user with these failures.
pub(crate) fn is_locked(failures: &PasswordFailures) -> bool {
    failures.failures >= MAX_FAILURES
}

/// Returns when unknown devices may try again, or `None` if they need not wait.
pub(crate) fn waits_until(failures: &PasswordFailures, now: UnixTime) -> Option<UnixTime> {
    let wait_s = wait_s(failures.unknown_failures);
    // The clock of the node that stored the failure may be ahead.
    let until = failures.last_unknown_at.min(now) + wait_s;
    (wait_s > 0 && until > now).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = 1_000_000;
    const BROWSER: DeviceKind = DeviceKind::Browser;
    const CLIENT: DeviceKind = DeviceKind::Client;

    fn unknown(failures: i64, since_last_s: i64) -> Seen {
        let failures = PasswordFailures { failures, unknown_failures: failures, last_unknown_at: NOW - since_last_s };
        Seen { failures, ..Seen::default() }
    }

    fn known(seen: Seen, failures: i64, kind: DeviceKind) -> Seen {
        let device = KnownDevice { last_success_at: NOW - 86_400, failures, began_at: NOW - 60, kind };
        Seen { device: Some(device), ..seen }
    }

    fn retry_after_s(seen: &Seen) -> i64 {
        match decide(seen, NOW) {
            Err(Refusal::TooManyAttempts { retry_after_s, .. }) => retry_after_s,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn from_the_tenth_failure_unknown_devices_wait_longer_each_time() {
        assert_eq!(decide(&unknown(9, 0), NOW), Ok(false));
        assert_eq!(decide(&unknown(9, -3600), NOW), Ok(false), "another node's clock is ahead");
        assert_eq!(retry_after_s(&unknown(10, -3600)), 60);
        for (failures, wait_s) in [(10, 60), (11, 120), (12, 240), (13, 480), (14, 900), (15, 900), (99, 900)] {
            assert_eq!(retry_after_s(&unknown(failures, 0)), wait_s, "{failures}");
            assert_eq!(retry_after_s(&unknown(failures, wait_s - 1)), 1, "{failures}");
            assert_eq!(decide(&unknown(failures, wait_s), NOW), Ok(false), "{failures}");
        }
    }

    #[test]
    fn a_known_device_does_not_wait_for_others_and_has_its_own_ten_failures() {
        assert_eq!(decide(&known(unknown(50, 0), 9, CLIENT), NOW), Ok(true));
        assert_eq!(retry_after_s(&known(unknown(50, 0), 10, CLIENT)), 900, "then it counts as unknown");
        let mut seen = known(unknown(50, 0), 10, CLIENT);
        seen.device = seen.device.map(|device| KnownDevice { began_at: NOW - DEVICE_WINDOW_S, ..device });
        assert_eq!(decide(&seen, NOW), Ok(true), "its window has ended");
        seen.device = seen.device.map(|device| KnownDevice { last_success_at: NOW - KNOWN_S, ..device });
        assert_eq!(retry_after_s(&seen), 900, "known for 30 days");
    }

    #[test]
    fn a_hundred_failures_lock_all_devices_except_an_administrators_known_browsers() {
        assert_eq!(decide(&unknown(100, 90_000), NOW), Err(Refusal::UserLocked));
        assert_eq!(decide(&known(unknown(100, 90_000), 0, BROWSER), NOW), Err(Refusal::UserLocked));
        let administrator = |seen| Seen { is_administrator: true, ..seen };
        assert_eq!(decide(&administrator(known(unknown(100, 0), 0, BROWSER)), NOW), Ok(true));
        assert_eq!(decide(&administrator(known(unknown(100, 0), 0, CLIENT)), NOW), Err(Refusal::UserLocked));
        assert_eq!(decide(&administrator(known(unknown(100, 0), 10, BROWSER)), NOW), Err(Refusal::UserLocked));
        assert_eq!(decide(&administrator(unknown(100, 0)), NOW), Err(Refusal::UserLocked));
    }

    #[test]
    fn concurrent_attempts_stay_within_the_limits() {
        let ahead = |seen: Seen, of_name, of_unknown, of_device| Seen {
            ahead: Ahead { of_name, of_unknown, of_device },
            ..seen
        };
        assert_eq!(decide(&ahead(unknown(4, 0), 5, 5, 0), NOW), Ok(false));
        assert_eq!(retry_after_s(&ahead(unknown(4, 0), 6, 6, 0)), 1);
        assert_eq!(retry_after_s(&ahead(unknown(10, 60), 1, 1, 0)), 1, "one at a time once they wait");
        assert_eq!(decide(&ahead(known(unknown(4, 0), 4, CLIENT), 9, 4, 5), NOW), Ok(true));
        assert_eq!(decide(&ahead(known(unknown(4, 0), 4, CLIENT), 9, 4, 6), NOW), Ok(false), "as an unknown one");
        assert_eq!(retry_after_s(&ahead(unknown(99, 900), 1, 0, 0)), 1);
    }

    #[test]
    fn codes_are_limited_per_network_and_in_total() {
        let decide = |source, everywhere, ahead| decide_code([source, everywhere], [ahead; 2], NOW);
        assert_eq!(decide((9, NOW - 899), (99, NOW - 86_399), 0), Ok(()));
        assert_eq!(decide((10, NOW - 899), (10, NOW - 899), 0), Err(wait(1)));
        assert_eq!(decide((10, NOW - 900), (10, NOW - 900), 0), Ok(()));
        assert_eq!(decide((0, 0), (100, NOW - 86_000), 0), Err(wait(400)));
        assert_eq!(decide((8, NOW), (8, NOW), 2), Err(wait(BUSY_S)));
    }
}
