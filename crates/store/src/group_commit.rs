//! Group commit: on SQLite, small writes that wait for its one connection share a transaction, and so its fsync.
//!
//! On PostgreSQL each goes by itself: connections are many there, the engine groups commits, and two nodes that each held
//! the rows of several writes could wait for each other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use countersign_protocol::UnixTime;
use countersign_protocol::ids::FamilyId;
use countersign_protocol::refusal::DatabaseTrouble;
use countersign_protocol::revocation::Revoked;
use countersign_protocol::secret::SecretHash;
use sqlx::{Any, Transaction};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::change_counter::raise_change;
use crate::database::Store;
use crate::error::StoreError;
use crate::refresh_tokens::{NewRefreshToken, repeat_token, spend_token};
use crate::revocations::insert_revocation;
use crate::transaction::transact;

/// The most writes of one transaction, so that whoever waits for the connection waits for milliseconds.
const MAX_WRITES: usize = 100;
/// What has waited longer is not written any more: soon its caller is told that it was not.
const MAX_WAIT: Duration = Duration::from_secs(4);

/// A write that may share its transaction: whatever comes of it, the others stand.
#[derive(Debug)]
pub(crate) enum Write {
    /// Spends a refresh token and stores its successor.
    Spend { hash: SecretHash, family: FamilyId, successor: NewRefreshToken },
    /// Notes that the successor of a spent token is given again.
    Repeat { successor: SecretHash, access_token_expires_at: UnixTime, now: UnixTime },
    /// Revokes until all that it ends is dead by itself.
    Revoke { revoked: Revoked, expires_at: UnixTime },
}

/// Who is told whether a write changed anything.
type Answer = oneshot::Sender<Result<bool, StoreError>>;

/// The writes that wait, and the turn to write them all.
#[derive(Debug, Default)]
pub(crate) struct Group {
    waiting: Mutex<Vec<(Instant, Write, Answer)>>,
    turn: tokio::sync::Mutex<()>,
}

impl Group {
    fn add(&self, write: Write, answer: Answer) {
        self.lock().push((now(), write, answer));
    }

    /// Takes the first `most` of those that are still in time; the others hear that they were given up.
    fn take(&self, most: usize) -> (Vec<Write>, Vec<Answer>) {
        let (mut waiting, now) = (self.lock(), now());
        waiting.retain(|(since, ..)| now.duration_since(*since) < MAX_WAIT);
        let taken = waiting.len().min(most);
        waiting.drain(..taken).map(|(_, write, answer)| (write, answer)).unzip()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Write, Answer)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::disallowed_methods, reason = "measures a wait; nothing that is stored depends on it")]
fn now() -> Instant {
    Instant::now()
}

impl Store {
    /// Writes durably; returns whether that changed anything.
    pub(crate) async fn write(&self, write: Write) -> Result<bool, StoreError> {
        let Some(group) = self.group() else {
            return self.write_alone(&write).await;
        };
        let (answer, mut answered) = oneshot::channel();
        group.add(write, answer);
        loop {
            // Who has the turn writes for all; the others are answered before theirs comes.
            tokio::select! {
                biased;
                answer = &mut answered => return answer.unwrap_or_else(|_| Err(given_up())),
                _turn = group.turn.lock() => self.write_waiting(group).await,
            }
        }
    }

    async fn write_waiting(&self, group: &Group) {
        // Until the connection is free, more may come to wait. What one cannot begin, none can.
        let begun = self.begin_write().await;
        let (writes, answers) = group.take(if begun.is_ok() { MAX_WRITES } else { usize::MAX });
        let written = match begun {
            Ok(mut transaction) => match write_all(&mut transaction, &writes).await {
                Ok(changed) => transaction.commit().await.map(|()| changed).map_err(StoreError::from),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        // Who is not there any more needs no answer.
        let tell = |answer: Answer, result| drop(answer.send(result));
        match written {
            Ok(changed) => answers.into_iter().zip(changed).for_each(|(answer, changed)| tell(answer, Ok(changed))),
            Err(error @ StoreError::Unavailable(..)) => {
                answers.into_iter().for_each(|answer| tell(answer, Err(error.clone())));
            }
            // One of them cannot be written: the others can, each by itself.
            Err(_) => {
                for (write, answer) in writes.iter().zip(answers) {
                    tell(answer, self.write_alone(write).await);
                }
            }
        }
    }

    async fn write_alone(&self, write: &Write) -> Result<bool, StoreError> {
        transact!(self, |transaction| { Ok(write_all(transaction, std::slice::from_ref(write)).await? == [true]) })
    }
}

/// Writes all, in the caller's transaction; returns what changed anything.
async fn write_all(transaction: &mut Transaction<'static, Any>, writes: &[Write]) -> Result<Vec<bool>, StoreError> {
    let mut change = None;
    let mut changed = Vec::with_capacity(writes.len());
    for write in writes {
        changed.push(match write {
            Write::Spend { hash, family, successor } => spend_token(transaction, hash, family, successor).await?,
            Write::Repeat { successor, access_token_expires_at, now } => {
                repeat_token(transaction, successor, *access_token_expires_at, *now).await?
            }
            Write::Revoke { revoked, expires_at } => {
                let change = match change {
                    Some(change) => change,
                    None => *change.insert(raise_change(transaction).await?),
                };
                insert_revocation(transaction, change, revoked, *expires_at).await?
            }
        });
    }
    Ok(changed)
}

/// For those who waited too long, and those whose writer ended with the whole server.
fn given_up() -> StoreError {
    StoreError::Unavailable(DatabaseTrouble::Slow, "the write waited too long for its turn".to_owned())
}
