//! Sessions, and the tokens requested through each, which end with it.

use countersign_protocol::UnixTime;
use countersign_protocol::ids::{FamilyId, UserId};
use countersign_protocol::revocation::Revoked;
use countersign_protocol::secret::SecretHash;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::change_counter::raise_change;
use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::refresh_tokens::end_family;
use crate::revocations::insert_revocation;
use crate::statement::statements;
use crate::transaction::transact;

statements! {
    INSERT_SESSION = "INSERT INTO sessions (id, key_hash, user_id, user_epoch, created_at, last_seen_at, expires_at, \
         address, user_agent, token_count) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)";
    FIND_SESSION = "SELECT id, user_id, user_epoch, created_at, last_seen_at, expires_at, address, user_agent \
         FROM sessions WHERE key_hash = $1";
    LIST_SESSIONS = "SELECT id, user_id, user_epoch, created_at, last_seen_at, expires_at, address, user_agent \
         FROM sessions WHERE user_id = $1 ORDER BY last_seen_at DESC, id";
    TOUCH_SESSION = "UPDATE sessions SET last_seen_at = $1 WHERE id = $2 AND last_seen_at < $3";
    LOCK_SESSION = "UPDATE sessions SET token_count = token_count WHERE id = $1 RETURNING token_count";
    COUNT_TOKEN = "UPDATE sessions SET token_count = token_count + 1 WHERE id = $1 \
         AND user_epoch = (SELECT users.epoch FROM users WHERE users.id = sessions.user_id) RETURNING token_count";
    INSERT_TOKEN = "INSERT INTO session_tokens (session_id, number, token_id, family_id, expires_at) \
         VALUES ($1, $2, $3, $4, $5)";
    FORGET_TOKENS = "DELETE FROM session_tokens WHERE session_id = $1 AND number <= $2";
    LIST_TOKENS = "SELECT token_id, family_id, expires_at FROM session_tokens WHERE session_id = $1 ORDER BY number";
    DELETE_SESSION = "DELETE FROM sessions WHERE id = $1";
    DELETE_EXPIRED = "DELETE FROM sessions WHERE expires_at < $1 OR last_seen_at < $2";
}

/// The number of tokens that a session remembers. Older ones outlive the session.
pub const MAX_SESSION_TOKENS: i64 = 100;

/// A session to store.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The ID that its owner sees.
    pub id: String,
    /// The hash of the browser's cookie.
    pub key_hash: SecretHash,
    /// Its user.
    pub user_id: UserId,
    /// The user's epoch. Raising it ends the session.
    pub user_epoch: i64,
    /// When it began.
    pub created_at: UnixTime,
    /// When it expires, used or not.
    pub expires_at: UnixTime,
    /// The address that it began from.
    pub address: String,
    /// The browser's `User-Agent`.
    pub user_agent: String,
}

/// A stored session.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of `NewSession`")]
pub struct StoredSession {
    pub id: String,
    pub user_id: UserId,
    pub user_epoch: i64,
    pub created_at: UnixTime,
    pub last_seen_at: UnixTime,
    pub expires_at: UnixTime,
    pub address: String,
    pub user_agent: String,
}

/// A token requested through a session.
#[derive(Clone, Debug)]
pub struct SessionToken {
    /// Its `jti`.
    pub token_id: String,
    /// Its family, if it has a refresh token.
    pub family: Option<FamilyId>,
    /// Its `exp`.
    pub expires_at: UnixTime,
}

/// What ended with a session, and until when to remember each.
pub type Ended = Vec<(Revoked, UnixTime)>;

impl Change {
    /// True if the session has not ended.
    pub async fn has_session(&mut self, id: &str) -> Result<bool, StoreError> {
        let find = sqlx::query(LOCK_SESSION).bind(id.to_owned());
        Ok(find.fetch_optional(&mut *self.transaction).await?.is_some())
    }

    /// Stores a session of a user who proved their identity in another way than a sign-in.
    pub async fn insert_session(&mut self, session: &NewSession) -> Result<(), StoreError> {
        insert_session(&mut self.transaction, session).await
    }

    /// Ends a session and revokes the tokens requested through it. `at_least` is as in [`Store::end_session`].
    pub async fn end_session(&mut self, id: &str, at_least: UnixTime) -> Result<(), StoreError> {
        end_session(&mut self.transaction, self.number, id, (self.now, at_least)).await.map(|_| ())
    }
}

impl Store {
    /// Finds the session with this key, in any state.
    pub async fn find_session(&self, key_hash: &SecretHash) -> Result<Option<StoredSession>, StoreError> {
        let query = sqlx::query(FIND_SESSION).bind(key_hash.as_bytes().to_vec());
        query.fetch_optional(self.reader()).await?.as_ref().map(read_session).transpose()
    }

    /// Lists the sessions of a user, last used first.
    pub async fn list_sessions(&self, user: &UserId) -> Result<Vec<StoredSession>, StoreError> {
        let rows = sqlx::query(LIST_SESSIONS).bind(user.as_str()).fetch_all(self.reader()).await?;
        rows.iter().map(read_session).collect()
    }

    /// Records that a session was used, unless this was already recorded at or after `unless_after`.
    pub async fn touch_session(&self, id: &str, now: UnixTime, unless_after: UnixTime) -> Result<(), StoreError> {
        transact!(self, |transaction| {
            let touch = sqlx::query(TOUCH_SESSION).bind(now).bind(id.to_owned()).bind(unless_after);
            touch.execute(&mut **transaction).await?;
            Ok(())
        })
    }

    /// Adds a token to its session. Returns false if the session has ended or its user's epoch was raised.
    pub async fn keep_session_token(&self, session: &str, token: &SessionToken) -> Result<bool, StoreError> {
        transact!(self, |transaction| {
            let count = sqlx::query(COUNT_TOKEN).bind(session.to_owned()).fetch_optional(&mut **transaction).await?;
            let Some(count) = count else {
                return Ok(false);
            };
            let number: i64 = count.try_get(0)?;
            sqlx::query(INSERT_TOKEN)
                .bind(session.to_owned())
                .bind(number)
                .bind(token.token_id.as_str())
                .bind(token.family.as_ref().map(|family| family.as_str().to_owned()))
                .bind(token.expires_at)
                .execute(&mut **transaction)
                .await?;
            let forget = sqlx::query(FORGET_TOKENS).bind(session.to_owned()).bind(number - MAX_SESSION_TOKENS);
            forget.execute(&mut **transaction).await?;
            Ok(true)
        })
    }

    /// Ends a session and revokes the tokens requested through it, all or nothing.
    ///
    /// `at_least` is the expiry of a token issued now: a concurrent refresh may store one that is not visible yet.
    pub async fn end_session(&self, id: &str, now: UnixTime, at_least: UnixTime) -> Result<Ended, StoreError> {
        transact!(self, |transaction| {
            let change = raise_change(transaction).await?;
            end_session(transaction, change, id, (now, at_least)).await
        })
    }

    /// Deletes the sessions that ended before `before`, or were last used before `idle_before`.
    pub async fn delete_expired_sessions(&self, before: UnixTime, idle_before: UnixTime) -> Result<u64, StoreError> {
        self.execute(DELETE_EXPIRED, &[before, idle_before]).await
    }
}

/// Stores a session in the caller's transaction.
pub(crate) async fn insert_session(
    transaction: &mut Transaction<'static, Any>,
    session: &NewSession,
) -> Result<(), StoreError> {
    sqlx::query(INSERT_SESSION)
        .bind(session.id.as_str())
        .bind(session.key_hash.as_bytes().to_vec())
        .bind(session.user_id.as_str())
        .bind(session.user_epoch)
        .bind(session.created_at)
        .bind(session.created_at)
        .bind(session.expires_at)
        .bind(session.address.as_str())
        .bind(session.user_agent.as_str())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Ends a session and revokes its tokens in the caller's transaction, which is this change.
pub(crate) async fn end_session(
    transaction: &mut Transaction<'static, Any>,
    change: i64,
    id: &str,
    (now, at_least): (UnixTime, UnixTime),
) -> Result<Ended, StoreError> {
    // Lock the row first, so that a concurrent `keep_session_token` waits and then finds no session.
    let lock = sqlx::query(LOCK_SESSION).bind(id.to_owned()).fetch_optional(&mut **transaction).await?;
    if lock.is_none() {
        return Ok(Vec::new());
    }
    let mut ended = Ended::new();
    for row in sqlx::query(LIST_TOKENS).bind(id.to_owned()).fetch_all(&mut **transaction).await? {
        let (token_id, family, expires_at): (String, Option<String>, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if let Some(family) = family.map(FamilyId::new) {
            let until = end_family(transaction, change, &family, (now, at_least)).await?;
            ended.push((Revoked::Family(family), until));
        } else if expires_at > now {
            let token = Revoked::Token(token_id);
            insert_revocation(transaction, change, &token, expires_at).await?;
            ended.push((token, expires_at));
        }
    }
    sqlx::query(DELETE_SESSION).bind(id.to_owned()).execute(&mut **transaction).await?;
    Ok(ended)
}

fn read_session(row: &AnyRow) -> Result<StoredSession, StoreError> {
    let (id, user_id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    let user_id = UserId::parse(&user_id).ok_or(StoreError::Broken { table: "sessions", row: id.clone() })?;
    Ok(StoredSession {
        id,
        user_id,
        user_epoch: row.try_get(2)?,
        created_at: row.try_get(3)?,
        last_seen_at: row.try_get(4)?,
        expires_at: row.try_get(5)?,
        address: row.try_get(6)?,
        user_agent: row.try_get(7)?,
    })
}
