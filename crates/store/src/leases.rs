//! Leases: tasks that only one node runs at a time.

use countersign_protocol::UnixTime;

use crate::database::Store;
use crate::error::StoreError;
use crate::statement::statements;
use crate::transaction::transact;

statements! {
    TAKE = "INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE \
         SET holder = excluded.holder, expires_at = excluded.expires_at \
         WHERE leases.holder = excluded.holder OR leases.expires_at <= $4";
}

impl Store {
    /// Takes or extends a lease until `until`. Returns false if another node holds it.
    pub async fn take_lease(
        &self,
        name: &'static str,
        holder: &str,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<bool, StoreError> {
        transact!(self, |transaction| {
            let take = sqlx::query(TAKE).bind(name).bind(holder.to_owned()).bind(until).bind(now);
            Ok(take.execute(&mut **transaction).await?.rows_affected() > 0)
        })
    }
}
