//! Counts wrong client secrets on this node, per address and presented ID.
//!
//! A correct generated secret always works, whatever was counted, because nobody can guess 256 random bits. An imported
//! secret may be weaker (RFC 6749 §2.3.1), so that it is limited like wrong secrets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use countersign_protocol::UnixTime;
use countersign_protocol::client::{Client, Credential};
use countersign_protocol::client_authentication::{ClientAuthentication, check};
use countersign_protocol::refusal::Refusal;
use countersign_protocol::secret::{CLIENT_SECRET_PREFIX, Secret};

use crate::http::source::Source;
use crate::usage::metrics::Metrics;

/// The number of wrong secrets per ID and address in [`WINDOW_S`]. Further ones get 429.
const MAX_WRONG: u32 = 100;
/// The length of a window in seconds. It begins with the first wrong secret.
const WINDOW_S: i64 = 15 * 60;
/// The maximum number of counted pairs, so that a flood of IDs or addresses cannot fill the memory.
const MAX_PAIRS: usize = 100_000;

/// The metrics label of requests that get 429.
const TOO_MANY: &str = "too_many_attempts";

/// An address, and the SHA-256 of an ID, because an ID may be as long as a body, or a secret in the wrong field.
type Pair = (Source, [u8; 32]);

/// The wrong secrets of a pair.
#[derive(Clone, Copy, Debug)]
struct Window {
    began_at: UnixTime,
    wrong: u32,
}

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct FailedSecrets {
    pairs: Mutex<HashMap<Pair, Window>>,
    /// When the last full window ends. Until then, correct secrets need a lookup. After that, they cost nothing more.
    full_until: AtomicI64,
}

impl FailedSecrets {
    /// Checks what a client presented. The secret is checked first, and counted if it was wrong.
    pub(crate) fn check<'c>(
        &self,
        presented: &ClientAuthentication,
        client: Option<&'c Client>,
        address: IpAddr,
        (metrics, now): (&Metrics, UnixTime),
    ) -> Result<&'c Credential, Refusal> {
        let checked = check(presented, client, now);
        let wait = |retry_after_s| Refusal::TooManyAttempts { what: "this client from this address", retry_after_s };
        match &checked {
            Ok(_) if self.full_until.load(Ordering::Relaxed) <= now => checked,
            // For example, the right secret of a disabled client is not a guess.
            Err(refusal) if is_wrong(refusal) => match self.count(presented, address, now) {
                Counted { retry_after_s: Some(retry_after_s), .. } => {
                    metrics.count_client_failure(TOO_MANY);
                    Err(wait(retry_after_s))
                }
                Counted { is_last, .. } => {
                    metrics.count_client_failure(reason(refusal));
                    if is_last {
                        warn(client, address);
                    }
                    checked
                }
            },
            _ => {
                if let Err(refusal) = &checked {
                    metrics.count_client_failure(reason(refusal));
                }
                match self.retry_after_s(presented, address, now) {
                    Some(retry_after_s) if !is_ours(&presented.secret) => {
                        metrics.count_client_failure(TOO_MANY);
                        Err(wait(retry_after_s))
                    }
                    _ => checked,
                }
            }
        }
    }

    fn count(&self, presented: &ClientAuthentication, address: IpAddr, now: UnixTime) -> Counted {
        let pair = pair(presented, address);
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if pairs.len() >= MAX_PAIRS && !pairs.contains_key(&pair) {
            make_room(&mut pairs, now);
        }
        let window = pairs.entry(pair).or_insert(Window { began_at: now, wrong: 0 });
        if window.began_at + WINDOW_S <= now {
            *window = Window { began_at: now, wrong: 0 };
        }
        let until = window.began_at + WINDOW_S;
        if window.wrong >= MAX_WRONG {
            return Counted { retry_after_s: Some(until - now), is_last: false };
        }
        window.wrong += 1;
        let is_last = window.wrong == MAX_WRONG;
        if is_last {
            self.full_until.fetch_max(until, Ordering::Relaxed);
        }
        Counted { retry_after_s: None, is_last }
    }

    fn retry_after_s(&self, presented: &ClientAuthentication, address: IpAddr, now: UnixTime) -> Option<i64> {
        let pair = pair(presented, address);
        let pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        let window = pairs.get(&pair)?;
        let left_s = window.began_at + WINDOW_S - now;
        (window.wrong >= MAX_WRONG && left_s > 0).then_some(left_s)
    }
}

/// The result of counting a wrong secret.
struct Counted {
    /// Seconds until the window ends, if it was already full.
    retry_after_s: Option<i64>,
    /// True if the window is full now.
    is_last: bool,
}

fn pair(presented: &ClientAuthentication, address: IpAddr) -> Pair {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, presented.client_id.as_bytes()).as_ref());
    (Source::of(address), hash)
}

/// Drops the windows that have ended, and then those with the fewest wrong secrets, until half of the space is free.
fn make_room(pairs: &mut HashMap<Pair, Window>, now: UnixTime) {
    pairs.retain(|_, window| window.began_at + WINDOW_S > now);
    let too_many = pairs.len().saturating_sub(MAX_PAIRS / 2);
    if too_many > 0 {
        let mut counts: Vec<(u32, Pair)> = pairs.iter().map(|(pair, window)| (window.wrong, *pair)).collect();
        let (fewest, ..) = counts.select_nth_unstable_by_key(too_many, |(wrong, _)| *wrong);
        for (_, pair) in fewest {
            pairs.remove(pair);
        }
    }
}

fn is_ours(secret: &Secret) -> bool {
    Secret::is_well_formed(CLIENT_SECRET_PREFIX, secret.expose())
}

fn is_wrong(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::UnknownClient | Refusal::WrongSecret | Refusal::MistypedSecret)
}

/// Returns the metrics label of a refusal.
fn reason(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownClient => "unknown_client",
        Refusal::WrongSecret => "wrong_secret",
        Refusal::MistypedSecret => "mistyped_secret",
        Refusal::ExpiredSecret(_) => "expired_secret",
        Refusal::SecretNotYetValid(_) => "secret_not_yet_valid",
        Refusal::AuthMethodNotRegistered(_) => "auth_method",
        Refusal::ClientDisabled => "client_disabled",
        _ => "other",
    }
}

/// Logs one line per pair and window. An ID that is not a client's may be anything, and is not logged.
fn warn(client: Option<&Client>, address: IpAddr) {
    let client_id = client.map_or("(unknown)", |client| client.id.as_str());
    tracing::warn!(%address, client_id, count = MAX_WRONG, "too many wrong client secrets; returning 429 for further \
                ones");
}

#[cfg(test)]
mod tests {
    use countersign_protocol::client::ClientAuthMethod;

    use super::*;

    fn presented(client_id: &str) -> ClientAuthentication {
        let (method, secret) = (ClientAuthMethod::ClientSecretBasic, Secret::new("wrong"));
        ClientAuthentication { method, client_id: client_id.to_owned(), secret }
    }

    #[test]
    fn a_flood_of_ids_takes_limited_memory_and_resets_no_blocked_pair() {
        let (failed, address) = (FailedSecrets::default(), "192.0.2.1".parse().expect("an address"));
        for _ in 0..MAX_WRONG {
            assert!(failed.count(&presented("job"), address, 0).retry_after_s.is_none());
        }
        for number in 0..2 * MAX_PAIRS {
            failed.count(&presented(&number.to_string()), address, 1);
        }
        let held = || failed.pairs.lock().expect("not poisoned").len();
        assert!(held() <= MAX_PAIRS);
        assert_eq!(failed.count(&presented("job"), address, 1).retry_after_s, Some(899));
        // When other windows have ended, no more than necessary are dropped.
        for number in 0..=MAX_PAIRS / 2 + 10 {
            failed.count(&presented(&format!("later-{number}")), address, 800);
        }
        for number in 0..MAX_PAIRS {
            failed.count(&presented(&format!("last-{number}")), address, 901);
        }
        assert!(held() > MAX_PAIRS / 2, "{}", held());
    }
}
