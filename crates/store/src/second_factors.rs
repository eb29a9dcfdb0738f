//! Second factors: what a user must show beside the password.

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

/// A second factor to be added.
#[derive(Clone, Debug)]
pub struct NewSecondFactor {
    /// Its id, to which the seed is sealed.
    pub id: String,
    /// Whose it is.
    pub user_id: UserId,
    /// Of which kind; a user has one of each.
    pub kind: &'static str,
    /// Its seed, sealed.
    pub sealed_seed: Vec<u8>,
    /// When it was added.
    pub created_at: UnixTime,
    /// The step whose code proved it.
    pub last_step: i64,
}

/// A second factor as it is stored.
#[derive(Clone, Debug)]
pub struct StoredSecondFactor {
    /// Its id, to which the seed is sealed.
    pub id: String,
    /// Its seed, sealed.
    pub sealed_seed: Vec<u8>,
    /// The last step of which a code was accepted.
    pub last_step: i64,
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
    /// Adds a second factor; [`StoreError::Taken`] if the user has one of this kind.
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

    /// Spends a code; false if it, or a later one, was spent before.
    pub async fn spend_code(&mut self, code: &SpentCode) -> Result<bool, StoreError> {
        spend_step(&mut self.transaction, &code.factor_id, code.step).await
    }

    /// Takes every second factor from a user.
    pub async fn delete_second_factors(&mut self, user: &UserId) -> Result<(), StoreError> {
        sqlx::query(DELETE_SECOND_FACTORS).bind(user.as_str()).execute(&mut *self.transaction).await?;
        Ok(())
    }
}

impl Store {
    /// A user's second factor of a kind.
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

/// Spends a step, in the caller's transaction; false if it, or a later one, was spent before.
pub(crate) async fn spend_step(
    transaction: &mut Transaction<'static, Any>,
    factor: &str,
    step: i64,
) -> Result<bool, StoreError> {
    let spend = sqlx::query(SPEND_STEP).bind(step).bind(factor.to_owned()).bind(step);
    Ok(spend.execute(&mut **transaction).await?.rows_affected() > 0)
}
