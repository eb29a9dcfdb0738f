//! Refresh tokens: found by hash, spent once, repeated while the successor is unused, ended by family.

use countersign_protocol::UnixTime;
use countersign_protocol::ids::{ApiId, ClientId, FamilyId, UserId};
use countersign_protocol::refresh_token::{RefreshFamily, Retry, StoredRefreshToken};
use countersign_protocol::revocation::Revoked;
use countersign_protocol::scope::Scope;
use countersign_protocol::secret::SecretHash;
use futures_util::future::BoxFuture;
use sqlx::any::AnyRow;
use sqlx::{Any, Row, Transaction};

use crate::change_counter::raise_change;
use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::revocations::insert_revocation;
use crate::statement::statements;
use crate::transaction::transact;
use crate::write_queue::{SharedTransaction, SharedWrite};

statements! {
    INSERT_FAMILY = "INSERT INTO refresh_families (id, client_id, user_id, api_id, scope, auth_time, client_epoch, \
         user_epoch, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    INSERT_TOKEN = "INSERT INTO refresh_tokens (token_hash, family_id, issued_at, expires_at, access_token_expires_at, \
         retry_salt, retry_until) VALUES ($1, $2, $3, $4, $5, $6, $7)";
    FIND_TOKEN = "SELECT f.id, f.client_id, f.user_id, f.api_id, f.scope, f.auth_time, f.client_epoch, f.user_epoch, \
         f.expires_at, f.ended_at, t.issued_at, t.expires_at, t.spent_at, s.retry_salt, s.retry_until \
         FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id \
         LEFT JOIN refresh_tokens s ON s.token_hash = t.successor_hash AND s.spent_at IS NULL WHERE t.token_hash = $1";
    SPEND_TOKEN = "UPDATE refresh_tokens SET spent_at = $1, successor_hash = $2, retry_salt = NULL, retry_until = NULL \
         WHERE token_hash = $3 AND spent_at IS NULL \
         AND EXISTS (SELECT 1 FROM refresh_families f WHERE f.id = refresh_tokens.family_id AND f.ended_at IS NULL)";
    REPEAT_TOKEN = "UPDATE refresh_tokens SET access_token_expires_at = \
         CASE WHEN access_token_expires_at < $1 THEN $2 ELSE access_token_expires_at END \
         WHERE token_hash = $3 AND spent_at IS NULL AND retry_until > $4 \
         AND EXISTS (SELECT 1 FROM refresh_families f WHERE f.id = refresh_tokens.family_id AND f.ended_at IS NULL)";
    FIND_RETRY = "SELECT 1 FROM refresh_tokens WHERE retry_until <= $1 LIMIT 1";
    FORGET_RETRIES = "UPDATE refresh_tokens SET retry_salt = NULL, retry_until = NULL WHERE retry_until <= $1";
    END_FAMILY = "UPDATE refresh_families SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL";
    LAST_ACCESS_TOKEN =
        "SELECT CAST(MAX(access_token_expires_at) AS BIGINT) FROM refresh_tokens WHERE family_id = $1";
    DELETE_DEAD = "DELETE FROM refresh_families WHERE id IN \
         (SELECT id FROM refresh_families WHERE expires_at < $1 ORDER BY id LIMIT $2)";
}

/// The number of families deleted in one transaction, because other writers wait for it.
const BATCH: i64 = 1000;

/// A refresh token to store.
#[derive(Clone, Debug)]
pub struct NewRefreshToken {
    /// Its hash.
    pub hash: SecretHash,
    /// When it was issued.
    pub issued_at: UnixTime,
    /// When it expires if it stays unused.
    pub expires_at: UnixTime,
    /// When the access token issued with it expires.
    pub access_token_expires_at: UnixTime,
    /// What a retry needs to recreate it, if a retry is allowed.
    pub retry: Option<Retry>,
}

/// The result of spending a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    /// It is spent, and its successor is stored.
    Spent,
    /// It was already spent, or its family has ended. Nothing changed.
    TooLate,
}

impl Change {
    /// Ends a family and revokes its access tokens. `at_least` is as in [`Store::end_family`].
    pub async fn end_family(&mut self, family: &FamilyId, at_least: UnixTime) -> Result<(), StoreError> {
        end_family(&mut self.transaction, self.number, family, (self.now, at_least)).await.map(|_| ())
    }
}

impl Store {
    /// Stores a family and its first token.
    pub async fn insert_family(&self, family: &RefreshFamily, first: &NewRefreshToken) -> Result<(), StoreError> {
        transact!(self, |transaction| {
            sqlx::query(INSERT_FAMILY)
                .bind(family.id.as_str())
                .bind(family.client_id.as_str())
                .bind(family.user_id.as_str())
                .bind(family.api_id.as_str())
                .bind(family.scope.to_string())
                .bind(family.auth_time)
                .bind(family.issued_change)
                .bind(family.user_change)
                .bind(family.expires_at)
                .execute(&mut **transaction)
                .await?;
            insert_token(transaction, &family.id, first).await
        })
    }

    /// Finds the token with this hash, and its family, in any state.
    pub async fn find_refresh_token(&self, hash: &SecretHash) -> Result<Option<StoredRefreshToken>, StoreError> {
        let query = sqlx::query(FIND_TOKEN).bind(hash.as_bytes().to_vec());
        match query.fetch_optional(self.reader()).await? {
            Some(row) => Ok(Some(read_token(&row)?)),
            None => Ok(None),
        }
    }

    /// Spends a token and stores its successor, both or neither. Of concurrent callers, one succeeds.
    pub async fn spend_refresh_token(
        &self,
        hash: &SecretHash,
        family: &FamilyId,
        successor: &NewRefreshToken,
    ) -> Result<Spend, StoreError> {
        let (hash, family, successor) = (*hash, family.clone(), successor.clone());
        let spent = self.write(SpendToken { hash, family, successor }).await?;
        Ok(if spent { Spend::Spent } else { Spend::TooLate })
    }

    /// Ends a family and revokes its access tokens. Returns when the last of them would have expired.
    ///
    /// `at_least` is the expiry of a token issued now: a concurrent refresh on PostgreSQL may store one that is not visible yet.
    pub async fn end_family(
        &self,
        family: &FamilyId,
        now: UnixTime,
        at_least: UnixTime,
    ) -> Result<UnixTime, StoreError> {
        transact!(self, |transaction| {
            let change = raise_change(transaction).await?;
            end_family(transaction, change, family, (now, at_least)).await
        })
    }

    /// Records that an unused successor is issued again at `now`, with an access token that expires at
    /// `access_token_expires_at`. Returns false if it was used, its family has ended, or its retry window is over.
    pub async fn repeat_refresh_token(
        &self,
        successor: &SecretHash,
        access_token_expires_at: UnixTime,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        self.write(RepeatToken { successor: *successor, access_token_expires_at, now }).await
    }

    /// Erases the salts whose retry window ended before `now`. Returns their number.
    pub async fn forget_refresh_retries(&self, now: UnixTime) -> Result<u64, StoreError> {
        if sqlx::query(FIND_RETRY).bind(now).fetch_optional(self.reader()).await?.is_none() {
            return Ok(0);
        }
        self.execute(FORGET_RETRIES, &[now]).await
    }

    /// Deletes the families that ended before `before`, with their tokens. Returns their number.
    pub async fn delete_dead_families(&self, before: UnixTime) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let batch = self.execute(DELETE_DEAD, &[before, BATCH]).await?;
            deleted += batch;
            if batch < BATCH.unsigned_abs() {
                return Ok(deleted);
            }
        }
    }
}

/// Ends a family and revokes its access tokens in the caller's transaction, which is this change.
pub(crate) async fn end_family(
    transaction: &mut Transaction<'static, Any>,
    change: i64,
    family: &FamilyId,
    (now, at_least): (UnixTime, UnixTime),
) -> Result<UnixTime, StoreError> {
    let end = sqlx::query(END_FAMILY).bind(now).bind(family.as_str().to_owned());
    let ended = end.execute(&mut **transaction).await?.rows_affected() > 0;
    let last = sqlx::query(LAST_ACCESS_TOKEN).bind(family.as_str().to_owned()).fetch_one(&mut **transaction).await?;
    let until = last.try_get::<Option<i64>, _>(0)?.unwrap_or(now).max(at_least);
    if ended {
        insert_revocation(transaction, change, &Revoked::Family(family.clone()), until).await?;
    }
    Ok(until)
}

/// Spends a token and stores its successor. Changes nothing if it is too late.
#[derive(Debug)]
struct SpendToken {
    hash: SecretHash,
    family: FamilyId,
    successor: NewRefreshToken,
}

impl SharedWrite for SpendToken {
    fn write<'a>(&'a self, shared: &'a mut SharedTransaction<'_>) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let successor = &self.successor;
            let spend = sqlx::query(SPEND_TOKEN).bind(successor.issued_at).bind(successor.hash.as_bytes().to_vec());
            let spend = spend.bind(self.hash.as_bytes().to_vec());
            if spend.execute(&mut **shared.transaction).await?.rows_affected() == 0 {
                return Ok(false);
            }
            insert_token(shared.transaction, &self.family, successor).await?;
            Ok(true)
        })
    }
}

/// Records that a spent token's successor is issued again. Changes nothing if it is too late.
#[derive(Debug)]
struct RepeatToken {
    successor: SecretHash,
    access_token_expires_at: UnixTime,
    now: UnixTime,
}

impl SharedWrite for RepeatToken {
    fn write<'a>(&'a self, shared: &'a mut SharedTransaction<'_>) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let expires_at = self.access_token_expires_at;
            let repeat = sqlx::query(REPEAT_TOKEN).bind(expires_at).bind(expires_at);
            let repeat = repeat.bind(self.successor.as_bytes().to_vec()).bind(self.now);
            Ok(repeat.execute(&mut **shared.transaction).await?.rows_affected() > 0)
        })
    }
}

async fn insert_token(
    transaction: &mut Transaction<'static, Any>,
    family: &FamilyId,
    token: &NewRefreshToken,
) -> Result<(), StoreError> {
    sqlx::query(INSERT_TOKEN)
        .bind(token.hash.as_bytes().to_vec())
        .bind(family.as_str())
        .bind(token.issued_at)
        .bind(token.expires_at)
        .bind(token.access_token_expires_at)
        .bind(token.retry.as_ref().map(|retry| retry.salt.to_vec()))
        .bind(token.retry.as_ref().map(|retry| retry.until))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn read_token(row: &AnyRow) -> Result<StoredRefreshToken, StoreError> {
    let text = |index: usize| row.try_get::<String, _>(index);
    let (id, client_id, user_id, api_id, scope) = (text(0)?, text(1)?, text(2)?, text(3)?, text(4)?);
    let broken = || StoreError::Broken { table: "refresh_families", row: id.clone() };
    let family = RefreshFamily {
        id: FamilyId::new(id.as_str()),
        client_id: ClientId::parse(&client_id).ok_or_else(broken)?,
        user_id: UserId::parse(&user_id).ok_or_else(broken)?,
        api_id: ApiId::parse(&api_id).ok_or_else(broken)?,
        scope: Scope::parse(&scope).map_err(|_| broken())?,
        auth_time: row.try_get(5)?,
        issued_change: row.try_get(6)?,
        user_change: row.try_get(7)?,
        expires_at: row.try_get(8)?,
        ended: row.try_get::<Option<i64>, _>(9)?.is_some(),
    };
    let retry = match (row.try_get::<Option<Vec<u8>>, _>(13)?, row.try_get(14)?) {
        (Some(salt), Some(until)) => salt.try_into().ok().map(|salt| Retry { salt, until }),
        _ => None,
    };
    let (issued_at, expires_at, spent_at) = (row.try_get(10)?, row.try_get(11)?, row.try_get(12)?);
    Ok(StoredRefreshToken { family, issued_at, expires_at, spent_at, retry })
}
