//! Leases: what one node of many does at a time.

use countersign_protocol::UnixTime;

use crate::database::Store;
use crate::error::StoreError;
use crate::statement::statements;

statements! {
    TAKE = "INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE \
         SET holder = excluded.holder, expires_at = excluded.expires_at \
         WHERE leases.holder = excluded.holder OR leases.expires_at <= $4";
}

impl Store {
    /// Takes a lease until `until`, or holds it longer; false while another holds it.
    pub async fn take_lease(
        &self,
        name: &'static str,
        holder: &str,
        now: UnixTime,
        until: UnixTime,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin_write().await?;
        let take = sqlx::query(TAKE).bind(name).bind(holder.to_owned()).bind(until).bind(now);
        let taken = take.execute(&mut *transaction).await?.rows_affected() > 0;
        transaction.commit().await?;
        Ok(taken)
    }
}
