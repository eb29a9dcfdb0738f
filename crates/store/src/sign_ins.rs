//! The progress of sign-ins. A sign-in's data is sealed in its ID, so a row stores only its progress.

use countersign_protocol::UnixTime;
use countersign_protocol::secret::SecretHash;
use sqlx::Row;

use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::second_factors::{SpentCode, spend_step};
use crate::sessions::{NewSession, insert_session};
use crate::statement::statements;
use crate::transaction::transact;

statements! {
    FIND_SIGN_IN = "SELECT ended FROM sign_ins WHERE key_hash = $1";
    PASS_PASSWORD =
        "INSERT INTO sign_ins (key_hash, ended, expires_at) VALUES ($1, 0, $2) ON CONFLICT (key_hash) DO NOTHING";
    END_SIGN_IN = "INSERT INTO sign_ins (key_hash, ended, expires_at) VALUES ($1, 1, $2) \
         ON CONFLICT (key_hash) DO UPDATE SET ended = 1 WHERE sign_ins.ended = 0";
    DELETE_EXPIRED = "DELETE FROM sign_ins WHERE expires_at < $1";
}

/// The progress of a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No correct password yet.
    Begun,
    /// The password was correct. A one-time code is still needed.
    PasswordPassed,
    /// It became a session, or its user started over.
    Ended,
}

/// A sign-in, as stored.
#[derive(Clone, Copy, Debug)]
pub struct SignInKey {
    /// The hash of its ID, which the browser has.
    pub hash: SecretHash,
    /// When it expires.
    pub expires_at: UnixTime,
}

impl Change {
    /// Turns a sign-in into a session: ends the sign-in, spends the code, stores the session. Returns false if the sign-in had
    /// ended or the code was spent. The change must then be dropped. Of concurrent callers, one succeeds.
    pub async fn complete_sign_in(
        &mut self,
        key: &SignInKey,
        code: Option<&SpentCode>,
        session: &NewSession,
    ) -> Result<bool, StoreError> {
        let end = sqlx::query(END_SIGN_IN).bind(key.hash.as_bytes().to_vec()).bind(key.expires_at);
        if end.execute(&mut *self.transaction).await?.rows_affected() == 0 {
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
    /// Returns the progress of a sign-in.
    pub async fn find_sign_in(&self, key_hash: &SecretHash) -> Result<Progress, StoreError> {
        let query = sqlx::query(FIND_SIGN_IN).bind(key_hash.as_bytes().to_vec());
        Ok(match query.fetch_optional(self.reader()).await? {
            None => Progress::Begun,
            Some(row) if row.try_get::<i64, _>(0)? == 0 => Progress::PasswordPassed,
            Some(_) => Progress::Ended,
        })
    }

    /// Records that the password was correct.
    pub async fn pass_password(&self, key: &SignInKey) -> Result<(), StoreError> {
        self.note(PASS_PASSWORD, key).await
    }

    /// Ends a sign-in.
    pub async fn end_sign_in(&self, key: &SignInKey) -> Result<(), StoreError> {
        self.note(END_SIGN_IN, key).await
    }

    async fn note(&self, statement: &'static str, key: &SignInKey) -> Result<(), StoreError> {
        transact!(self, |transaction| {
            let note = sqlx::query(statement).bind(key.hash.as_bytes().to_vec()).bind(key.expires_at);
            note.execute(&mut **transaction).await?;
            Ok(())
        })
    }

    /// Deletes the sign-ins that expired before `before`. Returns their number.
    pub async fn delete_expired_sign_ins(&self, before: UnixTime) -> Result<u64, StoreError> {
        self.execute(DELETE_EXPIRED, &[before]).await
    }
}
