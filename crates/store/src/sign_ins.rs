//! How far sign-ins have come. What a sign-in is, is sealed into its id; a row says only what must not be forgotten.

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

/// How far a sign-in has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// No password was right yet.
    Begun,
    /// The password was right; a one-time code is asked.
    PasswordPassed,
    /// A session was made of it, or its owner started over.
    Ended,
}

/// A sign-in, as far as the database knows it.
#[derive(Clone, Copy, Debug)]
pub struct SignInKey {
    /// The hash of its id, which the browser holds.
    pub hash: SecretHash,
    /// When it ends unfinished.
    pub expires_at: UnixTime,
}

impl Change {
    /// Makes a session of a sign-in: ends the one, spends the code, stores the other. False, and the change must be dropped,
    /// if the sign-in had ended or the code was spent before. Of any number of callers one wins.
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
    /// How far the sign-in of this id has come.
    pub async fn find_sign_in(&self, key_hash: &SecretHash) -> Result<Progress, StoreError> {
        let query = sqlx::query(FIND_SIGN_IN).bind(key_hash.as_bytes().to_vec());
        Ok(match query.fetch_optional(self.reader()).await? {
            None => Progress::Begun,
            Some(row) if row.try_get::<i64, _>(0)? == 0 => Progress::PasswordPassed,
            Some(_) => Progress::Ended,
        })
    }

    /// Notes that the password was right.
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

    /// Forgets the sign-ins that ended before `before`; returns how many.
    pub async fn delete_expired_sign_ins(&self, before: UnixTime) -> Result<u64, StoreError> {
        self.execute(DELETE_EXPIRED, &[before]).await
    }
}
