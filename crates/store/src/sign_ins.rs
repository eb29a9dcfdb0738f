//! Sign-ins under way: who is named, and what they have shown so far.

use countersign_protocol::UnixTime;
use countersign_protocol::secret::SecretHash;
use countersign_protocol::user::UserId;
use sqlx::Row;

use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::second_factors::spend_step;
use crate::sessions::{NewSession, insert_session};
use crate::statement::statements;

statements! {
    INSERT_SIGN_IN = "INSERT INTO sign_ins (key_hash, session_hash, name_mac, user_id, password_passed, expires_at) \
         VALUES ($1, $2, $3, $4, 0, $5)";
    FIND_SIGN_IN =
        "SELECT session_hash, name_mac, user_id, password_passed, expires_at FROM sign_ins WHERE key_hash = $1";
    PASS_PASSWORD = "UPDATE sign_ins SET password_passed = 1 WHERE key_hash = $1";
    DELETE_SIGN_IN = "DELETE FROM sign_ins WHERE key_hash = $1";
    DELETE_EXPIRED = "DELETE FROM sign_ins WHERE expires_at < $1";
}

/// A sign-in under way.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The hash of its id, which the browser holds.
    pub key_hash: SecretHash,
    /// The hash of the anonymous session that began it; no other goes on with it.
    pub session_hash: SecretHash,
    /// The MAC of the name that was typed, under which failures are counted.
    pub name_mac: Vec<u8>,
    /// Whose name it is, if anybody's.
    pub user_id: Option<UserId>,
    /// True once the password was right.
    pub password_passed: bool,
    /// When it ends unfinished.
    pub expires_at: UnixTime,
}

/// A one-time code that was accepted, to be spent.
#[derive(Clone, Debug)]
pub struct SpentCode {
    /// The second factor.
    pub factor_id: String,
    /// The code's step.
    pub step: i64,
}

impl Change {
    /// Makes a session of a sign-in: ends the one, spends the code, stores the other. False, and the change must be dropped,
    /// if the sign-in had ended or the code was spent before. Of any number of callers one wins.
    pub async fn complete_sign_in(
        &mut self,
        key_hash: &SecretHash,
        code: Option<&SpentCode>,
        session: &NewSession,
    ) -> Result<bool, StoreError> {
        let delete = sqlx::query(DELETE_SIGN_IN).bind(key_hash.as_bytes().to_vec());
        if delete.execute(&mut *self.transaction).await?.rows_affected() == 0 {
            return Ok(false);
        }
        if let Some(code) = code
            && !spend_step(&mut self.transaction, &code.factor_id, code.step).await?
        {
            return Ok(false);
        }
        insert_session(&mut self.transaction, session).await?;
        Ok(true)
    }
}

impl Store {
    /// Stores a new sign-in, whose password has not been seen.
    pub async fn insert_sign_in(&self, new: &SignIn) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query(INSERT_SIGN_IN)
            .bind(new.key_hash.as_bytes().to_vec())
            .bind(new.session_hash.as_bytes().to_vec())
            .bind(new.name_mac.clone())
            .bind(new.user_id.as_ref().map(|id| id.as_str().to_owned()))
            .bind(new.expires_at)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// The sign-in of this id, whatever its state.
    pub async fn find_sign_in(&self, key_hash: &SecretHash) -> Result<Option<SignIn>, StoreError> {
        let query = sqlx::query(FIND_SIGN_IN).bind(key_hash.as_bytes().to_vec());
        let Some(row) = query.fetch_optional(self.reader()).await? else {
            return Ok(None);
        };
        let broken = || StoreError::Broken { table: "sign_ins", row: "one".to_owned() };
        let (session_hash, user_id): (Vec<u8>, Option<String>) = (row.try_get(0)?, row.try_get(2)?);
        Ok(Some(SignIn {
            key_hash: *key_hash,
            session_hash: SecretHash::from_bytes(&session_hash).ok_or_else(broken)?,
            name_mac: row.try_get(1)?,
            user_id: user_id.map(|id| UserId::parse(&id).ok_or_else(broken)).transpose()?,
            password_passed: row.try_get::<i64, _>(3)? > 0,
            expires_at: row.try_get(4)?,
        }))
    }

    /// Notes that the password was right.
    pub async fn pass_password(&self, key_hash: &SecretHash) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        sqlx::query(PASS_PASSWORD).bind(key_hash.as_bytes().to_vec()).execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Ends a sign-in; false if it had ended.
    pub async fn end_sign_in(&self, key_hash: &SecretHash) -> Result<bool, StoreError> {
        let mut transaction = self.begin_write().await?;
        let delete = sqlx::query(DELETE_SIGN_IN).bind(key_hash.as_bytes().to_vec());
        let ended = delete.execute(&mut *transaction).await?.rows_affected() > 0;
        transaction.commit().await?;
        Ok(ended)
    }

    /// Forgets the sign-ins that ended before `before`; returns how many.
    pub async fn delete_expired_sign_ins(&self, before: UnixTime) -> Result<u64, StoreError> {
        let mut transaction = self.begin_write().await?;
        let deleted = sqlx::query(DELETE_EXPIRED).bind(before).execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok(deleted)
    }
}
