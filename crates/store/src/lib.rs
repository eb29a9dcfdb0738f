//! Persistence in SQLite (default) or PostgreSQL (for many nodes), behind one [`Store`].
//!
//! Every change of the registry is a [`Change`], which raises the change counter in the same transaction. Acknowledged
//! changes are durable.

mod apis;
mod audit;
mod binary_row;
#[cfg(feature = "bulk")]
mod bulk;
mod change_counter;
mod changes;
mod client_rows;
mod clients;
mod credential_uses;
mod database;
mod entry;
mod error;
mod failures;
mod group_commit;
mod identity;
mod keys;
mod leases;
mod list_column;
mod listing;
mod lists;
mod load;
mod nodes;
mod playground;
mod reading;
mod refresh_tokens;
mod refusals;
mod removals;
mod restore;
mod revocations;
mod sealing_keys;
mod second_factors;
mod sessions;
mod settings;
mod sign_ins;
mod statement;
mod token_counts;
mod transaction;
mod transfer;
mod users;
mod write_queue;

pub use audit::{AuditRecord, NewAuditRecord};
pub use change_counter::Counters;
pub use changes::Change;
pub use clients::NewClient;
pub use credential_uses::{CredentialHistory, CredentialUse};
pub use database::inspection::{Migrated, ReadOnlyCause};
pub use database::url::{Connections, DatabaseUrl, SQLITE_FILE};
pub use database::{Store, install_drivers};
pub use entry::{EntryKind, Ids, Note, Stored};
pub use error::StoreError;
pub use failures::{DeviceKind, FailureSummary, KnownDevice, NewPasswordFailure, NewSuccess, PasswordFailures};
pub use keys::{KeyState, StoredKey};
pub use listing::BrokenRow;
pub use lists::Place;
pub use load::{Entries, KeyRows, Load, Page, Touched};
pub use nodes::Node;
pub use playground::{PlaygroundSettings, Saved};
pub use refresh_tokens::{NewRefreshToken, Spend};
pub use refusals::{RefusalCount, StoredRefusal};
pub use revocations::StoredRevocation;
pub use sealing_keys::{PreviousSealingKey, SEALING_KEY_CHECK, SealedKind, SealedValue, StoredSealingKeys};
pub use second_factors::{NewSecondFactor, SpentCode, StoredSecondFactor};
pub use sessions::{Ended, MAX_SESSION_TOKENS, NewSession, SessionToken, StoredSession};
pub use settings::MOVED_TO;
pub use sign_ins::{Progress, SignInKey};
pub use token_counts::{EntitlementUse, TokenCount, TokenCountQuery};
pub use transaction::Tries;
pub use transfer::{CopiedTable, CopyError, HeldWrites, TableHash, Transfer};
pub use users::{NewUser, StoredPassword};

/// Every statement of this crate. A test prepares each on both engines.
pub fn statements() -> Vec<&'static str> {
    [
        apis::STATEMENTS,
        audit::STATEMENTS,
        #[cfg(feature = "bulk")]
        bulk::STATEMENTS,
        change_counter::STATEMENTS,
        changes::STATEMENTS,
        clients::STATEMENTS,
        credential_uses::STATEMENTS,
        failures::STATEMENTS,
        identity::STATEMENTS,
        keys::STATEMENTS,
        leases::STATEMENTS,
        lists::STATEMENTS,
        load::STATEMENTS,
        nodes::STATEMENTS,
        playground::STATEMENTS,
        refresh_tokens::STATEMENTS,
        refusals::STATEMENTS,
        removals::STATEMENTS,
        restore::STATEMENTS,
        revocations::STATEMENTS,
        sealing_keys::STATEMENTS,
        second_factors::STATEMENTS,
        sessions::STATEMENTS,
        settings::STATEMENTS,
        sign_ins::STATEMENTS,
        token_counts::STATEMENTS,
        transfer::STATEMENTS,
        users::STATEMENTS,
    ]
    .concat()
}
