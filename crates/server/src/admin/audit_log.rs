//! Lists and verifies the audit log.

use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::extract;
use axum::response::Response;
use countersign_protocol::jose::{base64url, from_base64url};
use countersign_store::AuditRecord;
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use crate::admin::answer::Answer;
use crate::admin::audit::covered;
use crate::admin::change_error::ChangeError;
use crate::admin::page::{Query, list};
use crate::admin::rights::Operator;
use crate::http::answer::json_response;
use crate::state::State;

/// The number of records to read at once during verification.
const BATCH: i64 = 500;
/// The head of an empty log.
const EMPTY_HEAD: &str = "0";

/// `GET audit`: oldest first. `after` is a sequence number.
pub(crate) async fn records(extract::State(state): extract::State<Arc<State>>, _: Operator, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["after", "limit"])?;
    let limit = query.limit()?;
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let records = state.store.list_audit_records(query.number("after")?.unwrap_or(0), wanted).await?;
    let next = records.get(limit).and(records.get(limit - 1)).map(|last| last.said.sequence.to_string());
    Ok(list(records.iter().take(limit).map(show).collect(), next.as_deref()))
}

/// `GET audit/head`: the number and the MAC of the last record. If an administrator stores it elsewhere, it later
/// reveals that records were removed from the end.
pub(crate) async fn head(extract::State(state): extract::State<Arc<State>>, _: Operator) -> Answer {
    let last = state.store.find_last_audit_record().await?;
    let text =
        last.map_or_else(|| EMPTY_HEAD.to_owned(), |last| format!("{}.{}", last.said.sequence, base64url(&last.mac)));
    Ok(json_response(StatusCode::OK, json!({ "head": text }).to_string()))
}

/// `GET audit/verify`: returns 200 with `intact`, and with the first fault if there is one.
pub(crate) async fn verify(extract::State(state): extract::State<Arc<State>>, _: Operator, uri: Uri) -> Answer {
    let query = Query::parse(&uri, &["head"])?;
    let head = query.find("head").map(parse_head).transpose()?;
    let mut verifying = Verifying { state: &state, sequence: 0, mac: Vec::new(), head };
    Ok(match verifying.run().await? {
        None => verdict(true, verifying.sequence, None),
        Some(what) => verdict(false, verifying.sequence, Some(what)),
    })
}

fn verdict(intact: bool, records: i64, fault: Option<String>) -> Response {
    let body = json!({ "intact": intact, "records": records, "fault": fault });
    json_response(StatusCode::OK, body.to_string())
}

/// Parses `SEQUENCE.MAC`, as printed by `audit head`.
fn parse_head(text: &str) -> Result<(i64, Vec<u8>), ChangeError> {
    if text == EMPTY_HEAD {
        return Ok((0, Vec::new()));
    }
    let parsed = text.split_once('.').and_then(|(sequence, mac)| sequence.parse().ok().zip(from_base64url(mac)));
    parsed.ok_or_else(|| ChangeError::invalid("head", "must be the output of `audit head`"))
}

/// A verification of the chain.
struct Verifying<'s> {
    state: &'s State,
    sequence: i64,
    mac: Vec<u8>,
    head: Option<(i64, Vec<u8>)>,
}

impl Verifying<'_> {
    /// Returns the first fault.
    async fn run(&mut self) -> Result<Option<String>, ChangeError> {
        let first = self.state.store.list_audit_records(i64::MIN, 1).await?;
        if let Some(before) = first.first().filter(|first| first.said.sequence < 1) {
            return Ok(Some(format!("record {} has a number below the first one", before.said.sequence)));
        }
        loop {
            let records = self.state.store.list_audit_records(self.sequence, BATCH).await?;
            // This node now has the keys of all earlier sealing keys.
            self.state.follow().await?;
            if records.is_empty() {
                return Ok(self.check_tail());
            }
            for record in records {
                if let Some(fault) = self.step(record) {
                    return Ok(Some(fault));
                }
            }
        }
    }

    fn step(&mut self, record: AuditRecord) -> Option<String> {
        let expected = self.sequence + 1;
        if record.said.sequence != expected {
            return Some(format!("record {expected} is missing"));
        }
        let (keys, covered) = (self.state.sealing_keys(), covered(&record.said, &self.mac));
        let Some(key) = keys.audit_key_at(expected) else {
            return Some(format!(
                "record {expected} cannot be verified, because its key from an earlier sealing key is damaged"
            ));
        };
        if hmac::verify(key, &covered, &record.mac).is_err() {
            return Some(format!("record {expected} or the one before it was changed"));
        }
        let is_other = |(sequence, mac): &(i64, Vec<u8>)| *sequence == expected && *mac != record.mac;
        if self.head.as_ref().is_some_and(is_other) {
            return Some(format!("record {expected} does not match the head"));
        }
        (self.sequence, self.mac) = (expected, record.mac);
        None
    }

    fn check_tail(&self) -> Option<String> {
        let (head, _) = self.head.as_ref()?;
        (*head > self.sequence).then(|| {
            format!("the log ends at {}, before the head {head}; the last records were removed", self.sequence)
        })
    }
}

fn show(record: &AuditRecord) -> Value {
    let said = &record.said;
    let parse = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "sequence": said.sequence,
        "at": said.at,
        "actor": said.actor,
        "address": said.address,
        "request_id": said.request_id,
        "action": said.action,
        "target": said.target,
        "before": parse(&said.before),
        "after": parse(&said.after),
        "mac": base64url(&record.mac),
    })
}
