//! What callers were promised: each change that they sent, when it was acknowledged, and by what it can be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;

use serde_json::{Map, Value};

/// Later than every place in the log of a disk: all that was acknowledged counts.
pub(super) const NEVER_CUT: u64 = u64::MAX;

/// What can be asked of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    /// What the admin API shows at this path: null, or an object with at least these members.
    Shown(String),
    /// Whether a client authenticates with this secret.
    Secret { client: String, secret: String },
    /// Whether the user can sign in with this password.
    Password { login: String, password: String },
    /// Whether an access token is active.
    Token(String),
    /// Whether a browser with these cookies of a session, in which this user signed in, still is.
    Session { login: String, cookies: BTreeMap<String, String> },
    /// Whether a refresh token is `fresh`, `spent`, or `ended` with its family.
    Refresh(String),
    /// What the playground's settings are.
    Settings,
    /// Whether a key is published, so that its tokens are accepted.
    Key(String),
    /// Whether the user can sign in with this password and this one-time code. Who asks has spent it.
    Code { login: String, password: String, code: String },
}

impl Question {
    /// The answer before anything was done.
    fn first_answer(&self) -> Value {
        match self {
            Self::Shown(_) | Self::Refresh(_) => Value::Null,
            // They are there from the start.
            Self::Settings => Value::Object(Map::new()),
            Self::Code { .. } => Value::Bool(true),
            _ => Value::Bool(false),
        }
    }
}

/// A question, and its answer once a change is made.
pub(super) type Fact = (Question, Value);

/// A change that was sent, with places in the log of the disk.
struct Change {
    sent: u64,
    acknowledged: Option<u64>,
    facts: Vec<Fact>,
    /// The fewest and the most records that it adds to the audit log under the operator's name.
    records: (usize, usize),
}

/// Every change of a trial. Changes of one thing are sent one after the other.
#[derive(Default)]
pub(super) struct Book {
    changes: Vec<Change>,
    /// How many were acknowledged, of those that can be seen.
    pub(super) acknowledged: usize,
}

impl Book {
    /// Notes what is about to be sent; returns how to name it later.
    pub(super) fn send(&mut self, facts: Vec<Fact>, records: (usize, usize), place: u64) -> usize {
        self.changes.push(Change { sent: place, acknowledged: None, facts, records });
        self.changes.len() - 1
    }

    /// The whole answer has come, and says that it was done.
    pub(super) fn acknowledge(&mut self, change: usize, place: u64) {
        let change = &mut self.changes[change];
        change.acknowledged = Some(place);
        self.acknowledged += usize::from(!change.facts.is_empty() || change.records != (0, 0));
    }

    /// The answer says that it was not done: what it is about is as it was before. Only the last of its records is of that.
    pub(super) fn withdraw(&mut self, change: usize, place: u64) {
        let facts = take(&mut self.changes[change].facts);
        let facts = facts.into_iter().map(|(question, _)| (question.clone(), self.last(&question))).collect();
        let records = (0, self.changes[change].records.1.saturating_sub(1));
        self.changes[change] = Change { sent: place, acknowledged: Some(place), facts, records };
    }

    /// Something that is so since an answer that came just now, such as a token.
    pub(super) fn know(&mut self, fact: Fact, place: u64) {
        self.changes.push(Change { sent: place, acknowledged: Some(place), facts: vec![fact], records: (0, 0) });
    }

    /// The last answer of this question that counts on everything that was sent.
    pub(super) fn last(&self, question: &Question) -> Value {
        let facts = self.changes.iter().rev().flat_map(|change| change.facts.iter().rev());
        facts
            .clone()
            .find(|(of, _)| of == question)
            .map_or_else(|| question.first_answer(), |(_, answer)| answer.clone())
    }

    /// Every access token that is asked about.
    pub(super) fn tokens(&self) -> BTreeSet<String> {
        let facts = self.changes.iter().flat_map(|change| &change.facts);
        facts
            .filter_map(|(question, _)| if let Question::Token(token) = question { Some(token.clone()) } else { None })
            .collect()
    }

    /// Every question, with the answers that are right after an end at this place, the newest last: what was acknowledged by
    /// then, or what was under way.
    pub(super) fn right_answers(&self, cut: u64) -> BTreeMap<Question, Vec<Value>> {
        let mut right: BTreeMap<Question, Vec<Value>> = BTreeMap::new();
        for change in self.changes.iter().filter(|change| change.sent <= cut) {
            for (question, answer) in &change.facts {
                let answers = right.entry(question.clone()).or_insert_with(|| vec![question.first_answer()]);
                if change.is_acknowledged(cut) {
                    answers.clear();
                }
                answers.push(answer.clone());
            }
        }
        right
    }

    /// The fewest and the most records of the audit log under the operator's name after an end at this place.
    pub(super) fn records(&self, cut: u64) -> (usize, usize) {
        let sent = self.changes.iter().filter(|change| change.sent <= cut);
        let fewest = sent.clone().filter(|change| change.is_acknowledged(cut)).map(|change| change.records.0).sum();
        (fewest, sent.map(|change| change.records.1).sum())
    }

    /// Forgets all but what was seen to be so, and how many records there are.
    pub(super) fn settle(&mut self, seen: Vec<Fact>, records: usize) {
        let settled = Change { sent: 0, acknowledged: Some(0), facts: seen, records: (records, records) };
        *self = Self { changes: vec![settled], acknowledged: 0 };
    }
}

impl Change {
    fn is_acknowledged(&self, cut: u64) -> bool {
        self.acknowledged.is_some_and(|place| place <= cut)
    }
}

/// True if all that is expected was found; an object may have more members.
pub(super) fn fits(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().all(|(name, value)| found.get(name).is_some_and(|found| fits(value, found)))
        }
        _ => expected == found,
    }
}
