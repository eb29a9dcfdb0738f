//! Token limits per minute and per day, counted in the memory of each node.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_protocol::UnixTime;
use countersign_protocol::client::Client;
use countersign_protocol::ids::ClientId;
use countersign_protocol::refusal::Refusal;

const MINUTE_S: i64 = 60;
const DAY_S: i64 = 86_400;

/// The tokens that limited clients have used.
#[derive(Debug, Default)]
pub(crate) struct TokenLimiter(Mutex<HashMap<ClientId, Had>>);

/// A client's tokens in its most recent minute and day.
#[derive(Clone, Copy, Debug, Default)]
struct Had {
    minute: Window,
    day: Window,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began: UnixTime,
    tokens: i64,
}

impl Window {
    /// The window of this length that contains `now`.
    fn at(self, now: UnixTime, length_s: i64) -> Self {
        let began = now - now.rem_euclid(length_s);
        if self.began == began { self } else { Self { began, tokens: 0 } }
    }
}

/// A token taken from the limit. Dropping it without [`Taken::keep`], as when the caller disconnects, returns it.
#[must_use]
pub(crate) struct Taken<'l>(Option<(&'l TokenLimiter, &'l ClientId, Had)>);

impl Taken<'_> {
    /// Keeps the token, because it was issued.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some((limiter, client, had)) = self.0.take() {
            limiter.give_back(client, &had);
        }
    }
}

impl TokenLimiter {
    /// Takes one token from the client's limit before it is issued. Free for clients without limits.
    pub(crate) fn take<'l>(&'l self, client: &'l Client, now: UnixTime) -> Result<Taken<'l>, Refusal> {
        let Some(limits) = client.limits.as_deref() else {
            return Ok(Taken(None));
        };
        let mut all = self.lock();
        let had = all.entry(client.id.clone()).or_default();
        (had.minute, had.day) = (had.minute.at(now, MINUTE_S), had.day.at(now, DAY_S));
        let refuse = |window, began: UnixTime, length_s| {
            Err(Refusal::TooManyTokens { window, retry_after_s: began + length_s - now })
        };
        if limits.per_day.is_some_and(|most| had.day.tokens >= most) {
            return refuse("day", had.day.began, DAY_S);
        }
        if limits.per_minute.is_some_and(|most| had.minute.tokens >= most) {
            return refuse("minute", had.minute.began, MINUTE_S);
        }
        had.minute.tokens += 1;
        had.day.tokens += 1;
        Ok(Taken(Some((self, &client.id, *had))))
    }

    /// Returns a token to the windows that it was taken from.
    fn give_back(&self, client: &ClientId, taken: &Had) {
        if let Some(had) = self.lock().get_mut(client) {
            for (had, taken) in [(&mut had.minute, &taken.minute), (&mut had.day, &taken.day)] {
                if had.began == taken.began {
                    had.tokens -= 1;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, Had>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
