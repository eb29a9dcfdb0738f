//! The change counter, which every node polls.

use sqlx::{Any, Row, Transaction};

use crate::error::StoreError;
use crate::statement::statements;

statements! {
    RAISE_BOTH =
        "UPDATE change_counter SET change = change + 1, registry_change = change + 1 WHERE id = 1 RETURNING change";
    RAISE_CHANGE = "UPDATE change_counter SET change = change + 1 WHERE id = 1 RETURNING change";
}

/// The change counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// The last change of any kind.
    pub change: i64,
    /// The last change of the registry.
    pub registry_change: i64,
}

/// Counts a change of the registry and returns its number. Its row lock serializes all changes.
pub(crate) async fn raise_both(transaction: &mut Transaction<'static, Any>) -> Result<i64, StoreError> {
    Ok(sqlx::query(RAISE_BOTH).fetch_one(&mut **transaction).await?.try_get(0)?)
}

/// Counts a revocation or a change that is only audited, and returns its number.
pub(crate) async fn raise_change(transaction: &mut Transaction<'static, Any>) -> Result<i64, StoreError> {
    Ok(sqlx::query(RAISE_CHANGE).fetch_one(&mut **transaction).await?.try_get(0)?)
}
