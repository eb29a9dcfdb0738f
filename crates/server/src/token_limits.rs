//! The most tokens of a client in a minute and in a day: counted in memory, by each node for itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use countersign_protocol::UnixTime;
use countersign_protocol::client::{Client, ClientId};
use countersign_protocol::refusal::Refusal;

const MINUTE_S: i64 = 60;
const DAY_S: i64 = 86_400;

/// Tokens that limited clients have had.
#[derive(Debug, Default)]
pub(crate) struct TokenLimiter(Mutex<HashMap<ClientId, Had>>);

/// What a client has had in the minute and the day that it last asked in.
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
    /// The window of this length that `now` is in.
    fn at(self, now: UnixTime, length_s: i64) -> Self {
        let began = now - now.rem_euclid(length_s);
        if self.began == began { self } else { Self { began, tokens: 0 } }
    }
}

impl TokenLimiter {
    /// Takes one token from what the client may have, ahead of its being issued; a client without limits costs nothing.
    pub(crate) fn take(&self, client: &Client, now: UnixTime) -> Result<(), Refusal> {
        let Some(limits) = client.limits.as_deref() else {
            return Ok(());
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
        Ok(())
    }

    /// Gives back one that was not issued.
    pub(crate) fn give_back(&self, client: &Client) {
        if client.limits.is_some()
            && let Some(had) = self.lock().get_mut(&client.id)
        {
            had.minute.tokens = (had.minute.tokens - 1).max(0);
            had.day.tokens = (had.day.tokens - 1).max(0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, Had>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
