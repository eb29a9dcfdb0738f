//! The audit log: who changed what, with the state before and after. A chain of MACs reveals edits, gaps and
//! reordering.
//!
//! The key is derived from the sealing key. Only its owner can forge records. When the sealing key is replaced, the old
//! audit key is kept, to verify earlier records.

use aws_lc_rs::hmac;
use countersign_store::{AuditRecord, Change, NewAuditRecord, StoreError};
use serde_json::Value;

use crate::http::caller::Caller;
use crate::state::State;

/// The author of a change, as shown in the audit log.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The name of the author.
    pub(crate) name: String,
    /// The address. Empty for the server itself.
    pub address: String,
    /// The request ID. Empty for the server itself.
    pub request_id: String,
}

impl Actor {
    /// Returns the caller of a request as the author.
    pub fn new(name: impl Into<String>, caller: &Caller) -> Self {
        let (address, request_id) = (caller.address.to_string(), caller.request_id().to_owned());
        Self { name: name.into(), address, request_id }
    }
}

/// The record of a change: the action, the target, and its state before and after.
pub struct Entry {
    /// For example `client.create`.
    pub action: &'static str,
    /// For example `nightly-job`.
    pub target: String,
    /// `None` if the target did not exist.
    pub before: Option<Value>,
    /// `None` if the target was deleted.
    pub after: Option<Value>,
}

/// Writes the record of a change in its transaction.
pub async fn record(state: &State, actor: &Actor, change: &mut Change, entry: Entry) -> Result<(), StoreError> {
    let last = change.find_last_audit_record().await?;
    let (sequence, previous) = last.map_or((1, Vec::new()), |last| (last.said.sequence + 1, last.mac));
    let said = NewAuditRecord {
        sequence,
        at: state.now(),
        actor: actor.name.clone(),
        address: actor.address.clone(),
        request_id: actor.request_id.clone(),
        action: entry.action.to_owned(),
        target: entry.target,
        before: entry.before.map(|value| value.to_string()),
        after: entry.after.map(|value| value.to_string()),
    };
    let mac = hmac::sign(state.sealing_keys().audit_key(), &covered(&said, &previous)).as_ref().to_vec();
    change.insert_audit_record(&AuditRecord { said, mac }).await
}

/// Returns the bytes that a MAC covers: the previous MAC, and every field with its length, so that moving bytes between
/// fields changes them.
pub(super) fn covered(said: &NewAuditRecord, previous: &[u8]) -> Vec<u8> {
    let NewAuditRecord { sequence, at, actor, address, request_id, action, target, before, after } = said;
    let mut bytes = Vec::new();
    let mut put = |field: Option<&[u8]>| {
        bytes.push(u8::from(field.is_some()));
        let field = field.unwrap_or_default();
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field);
    };
    put(Some(&sequence.to_be_bytes()));
    put(Some(&at.to_be_bytes()));
    for text in [actor, address, request_id, action, target] {
        put(Some(text.as_bytes()));
    }
    for text in [before, after] {
        put(text.as_ref().map(String::as_bytes));
    }
    put(Some(previous));
    bytes
}
