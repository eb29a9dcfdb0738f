//! The audit log: who changed what, before and after, chained by MACs so that an edit, a gap or a reordering shows.
//!
//! The key is derived from the sealing key: who holds that can forge, and nobody else. When the sealing
//! key is replaced, the old audit key is kept, to verify what was written before.

use aws_lc_rs::hmac;
use countersign_store::{AuditRecord, Change, NewAuditRecord, StoreError};
use serde_json::Value;

use crate::http::caller::Caller;
use crate::state::State;

/// Who did something, as the audit log names them.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who.
    pub(crate) name: String,
    /// From where; empty for the server itself.
    pub address: String,
    /// Under which request id; empty for the server itself.
    pub request_id: String,
}

impl Actor {
    /// Somebody who calls.
    pub fn new(name: impl Into<String>, caller: &Caller) -> Self {
        let (address, request_id) = (caller.address.to_string(), caller.request_id().to_owned());
        Self { name: name.into(), address, request_id }
    }
}

/// What is written of a change: what was done, to what, and how that was before and is after.
pub struct Entry {
    /// Such as `client.create`.
    pub action: &'static str,
    /// Such as `nightly-job`.
    pub target: String,
    /// Nothing, if it was not there.
    pub before: Option<Value>,
    /// Nothing, if it is gone.
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

/// The bytes that a MAC covers: every field with its length, so that none can flow into the next, and the MAC before.
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
