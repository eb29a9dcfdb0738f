//! Sessions of people, and the tokens asked through each, which end with it.

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

/// The tokens that a session remembers; what was asked before them outlives it.
pub const MAX_SESSION_TOKENS: i64 = 100;

/// A session to be stored.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The name by which its owner sees and ends it.
    pub id: String,
    /// The hash of what the browser holds.
    pub key_hash: SecretHash,
    /// Whose it is.
    pub user_id: UserId,
    /// Their epoch: a raised one ends the session.
    pub user_epoch: i64,
    /// When it began.
    pub created_at: UnixTime,
    /// When it ends, used or not.
    pub expires_at: UnixTime,
    /// From where.
    pub address: String,
    /// By which browser, as it says.
    pub user_agent: String,
}

/// A session as it is stored.
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

/// A token asked through a session.
#[derive(Clone, Debug)]
pub struct SessionToken {
    /// Its `jti`.
    pub token_id: String,
    /// Its family, if it came with a refresh token.
    pub family: Option<FamilyId>,
    /// Its `exp`.
    pub expires_at: UnixTime,
}

/// What ended with a session, each until when it must be remembered.
pub type Ended = Vec<(Revoked, UnixTime)>;

impl Change {
    /// True if the session has not ended.
    pub async fn has_session(&mut self, id: &str) -> Result<bool, StoreError> {
        let find = sqlx::query(LOCK_SESSION).bind(id.to_owned());
        Ok(find.fetch_optional(&mut *self.transaction).await?.is_some())
    }

    /// Stores a session whose user has just proved themselves in another way than by a sign-in.
    pub async fn insert_session(&mut self, session: &NewSession) -> Result<(), StoreError> {
        insert_session(&mut self.transaction, session).await
    }

    /// Ends a session and revokes the tokens asked through it. `at_least` is as in [`Store::end_session`].
    pub async fn end_session(&mut self, id: &str, at_least: UnixTime) -> Result<(), StoreError> {
        end_session(&mut self.transaction, self.number, id, (self.now, at_least)).await.map(|_| ())
    }
}

impl Store {
    /// The session of this key, whatever its state.
    pub async fn find_session(&self, key_hash: &SecretHash) -> Result<Option<StoredSession>, StoreError> {
        let query = sqlx::query(FIND_SESSION).bind(key_hash.as_bytes().to_vec());
        query.fetch_optional(self.reader()).await?.as_ref().map(read_session).transpose()
    }

    /// The sessions of a user, the last used first.
    pub async fn list_sessions(&self, user: &UserId) -> Result<Vec<StoredSession>, StoreError> {
        let rows = sqlx::query(LIST_SESSIONS).bind(user.as_str()).fetch_all(self.reader()).await?;
        rows.iter().map(read_session).collect()
    }

    /// Notes that a session was used, unless that was noted at or after `unless_after`.
    pub async fn touch_session(&self, id: &str, now: UnixTime, unless_after: UnixTime) -> Result<(), StoreError> {
        transact!(self, |transaction| {
            let touch = sqlx::query(TOUCH_SESSION).bind(now).bind(id.to_owned()).bind(unless_after);
            touch.execute(&mut **transaction).await?;
            Ok(())
        })
    }

    /// Remembers a token with its session; false if the session has ended meanwhile, or its user's epoch was raised.
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

    /// Ends a session and revokes the tokens asked through it, all or nothing.
    ///
    /// `at_least` is the end of a token issued now: a refresh under way may store one that is not seen here.
    pub async fn end_session(&self, id: &str, now: UnixTime, at_least: UnixTime) -> Result<Ended, StoreError> {
        transact!(self, |transaction| {
            let change = raise_change(transaction).await?;
            end_session(transaction, change, id, (now, at_least)).await
        })
    }

    /// Forgets the sessions that ended before `before`, or were last used before `idle_before`.
    pub async fn delete_expired_sessions(&self, before: UnixTime, idle_before: UnixTime) -> Result<u64, StoreError> {
        self.execute(DELETE_EXPIRED, &[before, idle_before]).await
    }
}

/// Stores a session, in the caller's transaction.
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

/// Ends a session and revokes its tokens, in the caller's transaction, which is this change.
pub(crate) async fn end_session(
    transaction: &mut Transaction<'static, Any>,
    change: i64,
    id: &str,
    (now, at_least): (UnixTime, UnixTime),
) -> Result<Ended, StoreError> {
    // First, so that whoever keeps a token meanwhile waits for this row, and then finds it gone.
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
