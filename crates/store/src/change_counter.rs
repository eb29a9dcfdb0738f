//! The change counter: how every node learns of every change within a second.

use sqlx::{Any, Row, Transaction};

use crate::error::StoreError;
use crate::statement::statements;

statements! {
    RAISE_BOTH =
        "UPDATE change_counter SET change = change + 1, registry_change = change + 1 WHERE id = 1 RETURNING change";
    RAISE_CHANGE = "UPDATE change_counter SET change = change + 1 WHERE id = 1 RETURNING change";
}

/// How far the database has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// The last change of any kind.
    pub change: i64,
    /// The last change of what the registry holds.
    pub registry_change: i64,
}

/// Counts a change of what the registry holds; returns its number. The row lock that this takes orders all changes.
pub(crate) async fn raise_both(transaction: &mut Transaction<'static, Any>) -> Result<i64, StoreError> {
    Ok(sqlx::query(RAISE_BOTH).fetch_one(&mut **transaction).await?.try_get(0)?)
}

/// Counts a revocation, or what is only audited; returns the number of the change.
pub(crate) async fn raise_change(transaction: &mut Transaction<'static, Any>) -> Result<i64, StoreError> {
    Ok(sqlx::query(RAISE_CHANGE).fetch_one(&mut **transaction).await?.try_get(0)?)
}
