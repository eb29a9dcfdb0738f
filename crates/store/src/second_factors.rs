//! Second factors: what a user must present besides the password.

use countersign_protocol::UnixTime;
use countersign_protocol::ids::UserId;
use sqlx::{Any, Row, Transaction};

use crate::changes::Change;
use crate::database::Store;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    INSERT_SECOND_FACTOR = "INSERT INTO second_factors (id, user_id, kind, sealed_seed, created_at, last_step) \
         VALUES ($1, $2, $3, $4, $5, $6)";
    DELETE_SECOND_FACTORS = "DELETE FROM second_factors WHERE user_id = $1";
    FIND_SECOND_FACTOR = "SELECT id, sealed_seed, last_step FROM second_factors WHERE user_id = $1 AND kind = $2";
    SPEND_STEP = "UPDATE second_factors SET last_step = $1 WHERE id = $2 AND last_step < $3";
}

/// A second factor to insert.
#[derive(Clone, Debug)]
pub struct NewSecondFactor {
    /// Its ID, which its seed is sealed with.
    pub id: String,
    /// Its user.
    pub user_id: UserId,
    /// Its kind. A user has at most one of each.
    pub kind: &'static str,
    /// Its sealed seed.
    pub sealed_seed: Vec<u8>,
    /// When it was added.
    pub created_at: UnixTime,
    /// The time step of the code that confirmed it.
    pub last_step: i64,
}

/// A stored second factor.
#[derive(Clone, Debug)]
pub struct StoredSecondFactor {
    /// Its ID, which its seed is sealed with.
    pub id: String,
    /// Its sealed seed.
    pub sealed_seed: Vec<u8>,
    /// The time step of the last accepted code.
    pub last_step: i64,
}

/// An accepted one-time code, to be spent.
#[derive(Clone, Debug)]
pub struct SpentCode {
    /// The second factor.
    pub factor_id: String,
    /// The code's time step.
    pub step: i64,
}

impl Change {
    /// Inserts a second factor. [`StoreError::Taken`] if the user has one of this kind.
    pub async fn insert_second_factor(&mut self, new: &NewSecondFactor) -> Result<(), StoreError> {
        sqlx::query(INSERT_SECOND_FACTOR)
            .bind(new.id.as_str())
            .bind(new.user_id.as_str())
            .bind(new.kind)
            .bind(new.sealed_seed.clone())
            .bind(new.created_at)
            .bind(new.last_step)
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// Spends a code. Returns false if it or a later one was already spent.
    pub async fn spend_code(&mut self, code: &SpentCode) -> Result<bool, StoreError> {
        spend_step(&mut self.transaction, &code.factor_id, code.step).await
    }

    /// Deletes every second factor of a user.
    pub async fn delete_second_factors(&mut self, user: &UserId) -> Result<(), StoreError> {
        sqlx::query(DELETE_SECOND_FACTORS).bind(user.as_str()).execute(&mut *self.transaction).await?;
        Ok(())
    }
}

impl Store {
    /// Finds a user's second factor of a kind.
    pub async fn find_second_factor(
        &self,
        user: &UserId,
        kind: &'static str,
    ) -> Result<Option<StoredSecondFactor>, StoreError> {
        let query = sqlx::query(FIND_SECOND_FACTOR).bind(user.as_str()).bind(kind);
        let Some(row) = query.fetch_optional(self.reader()).await? else {
            return Ok(None);
        };
        Ok(Some(StoredSecondFactor { id: row.try_get(0)?, sealed_seed: row.try_get(1)?, last_step: row.try_get(2)? }))
    }
}

/// Spends a time step in the caller's transaction. Returns false if it or a later one was already spent.
pub(crate) async fn spend_step(
    transaction: &mut Transaction<'static, Any>,
    factor: &str,
    step: i64,
) -> Result<bool, StoreError> {
    let spend = sqlx::query(SPEND_STEP).bind(step).bind(factor.to_owned()).bind(step);
    Ok(spend.execute(&mut **transaction).await?.rows_affected() > 0)
}
