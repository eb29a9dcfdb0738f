//! The change counter: how every node learns of every change within a second.

use countersign_protocol::UnixTime;
use countersign_protocol::api::Api;
use countersign_protocol::client::Client;
use countersign_protocol::user::User;
use sqlx::{Any, Row, Transaction};

use crate::database::Store;
use crate::error::StoreError;
use crate::keys::StoredKey;
use crate::notes::Notes;
use crate::playground::PlaygroundSettings;
use crate::reading::in_time;
use crate::removals::TouchedRights;
use crate::sealing_keys::StoredSealingKeys;
use crate::statement::statements;

statements! {
    RAISE_BOTH =
        "UPDATE change_counter SET change = change + 1, registry_change = change + 1 WHERE id = 1 RETURNING change";
    RAISE_CHANGE = "UPDATE change_counter SET change = change + 1 WHERE id = 1 RETURNING change";
    READ_COUNTERS = "SELECT change, registry_change FROM change_counter WHERE id = 1";
}

/// How far the database has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// The last change of any kind.
    pub change: i64,
    /// The last change of what the registry holds.
    pub registry_change: i64,
}

/// Everything that the registry is built from, as of one moment.
#[derive(Debug)]
pub struct RegistryRows {
    /// The change counters of that moment.
    pub counters: Counters,
    /// Every Api.
    pub apis: Vec<Api>,
    /// Every client.
    pub clients: Vec<Client>,
    /// Every user.
    pub users: Vec<User>,
    /// Since when each of them is there.
    pub notes: Notes,
    /// The settings of the playground.
    pub playground: PlaygroundSettings,
    /// Every signing key that is not retired.
    pub keys: Vec<StoredKey>,
    /// What those, and more, are sealed with.
    pub sealing_keys: StoredSealingKeys,
}

/// A transaction that changes what the registry holds. Dropped without [`Change::commit`], it changes nothing.
#[derive(Debug)]
pub struct Change {
    pub(crate) transaction: Transaction<'static, Any>,
    pub(crate) number: i64,
    pub(crate) now: UnixTime,
    pub(crate) rights: TouchedRights,
}

impl Change {
    /// The number of this change: the epoch of whatever it creates or raises.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Makes the change durable, with a removal for each right that it took away.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.store_removals().await?;
        Ok(self.transaction.commit().await?)
    }
}

impl Store {
    /// Begins a change at `now`; the row lock that it takes orders all changes.
    pub async fn begin_change(&self, now: UnixTime) -> Result<Change, StoreError> {
        let mut transaction = self.begin_write().await?;
        let row = sqlx::query(RAISE_BOTH).fetch_one(&mut *transaction).await?;
        Ok(Change { number: row.try_get(0)?, transaction, now, rights: TouchedRights::default() })
    }

    /// Begins what is audited and changes nothing that the registry holds. It takes the same lock as [`Store::begin_change`],
    /// and makes no node load its registry again.
    pub async fn begin_event(&self, now: UnixTime) -> Result<Change, StoreError> {
        let mut transaction = self.begin_write().await?;
        let number = raise_change(&mut transaction).await?;
        Ok(Change { number, transaction, now, rights: TouchedRights::default() })
    }

    /// How far the database has come.
    pub async fn read_counters(&self) -> Result<Counters, StoreError> {
        let row = sqlx::query(READ_COUNTERS).fetch_one(self.follower()).await?;
        Ok(Counters { change: row.try_get(0)?, registry_change: row.try_get(1)? })
    }

    /// Reads everything that the registry holds, as of one moment.
    pub async fn load_registry(&self) -> Result<RegistryRows, StoreError> {
        let mut snapshot = self.begin_snapshot().await?;
        let row = in_time("the change counter", sqlx::query(READ_COUNTERS).fetch_one(&mut *snapshot)).await?;
        let counters = Counters { change: row.try_get(0)?, registry_change: row.try_get(1)? };
        let mut removals = crate::removals::load(&mut snapshot).await?;
        let rows = RegistryRows {
            counters,
            apis: crate::apis::load(&mut snapshot, &mut removals).await?,
            clients: crate::clients::load(&mut snapshot, &mut removals).await?,
            users: crate::users::load(&mut snapshot).await?,
            notes: crate::notes::load(&mut snapshot).await?,
            playground: crate::playground::load(&mut snapshot).await?,
            keys: crate::keys::load(&mut snapshot).await?,
            sealing_keys: crate::sealing_keys::load(&mut snapshot).await?,
        };
        snapshot.commit().await?;
        Ok(rows)
    }
}

/// Counts a revocation; returns the number of the change.
pub(crate) async fn raise_change(transaction: &mut Transaction<'static, Any>) -> Result<i64, StoreError> {
    Ok(sqlx::query(RAISE_CHANGE).fetch_one(&mut **transaction).await?.try_get(0)?)
}
