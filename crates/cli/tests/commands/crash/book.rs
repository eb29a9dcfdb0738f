//! The book: every change that callers sent, when it was acknowledged, and how its effect can be observed.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;

use serde_json::{Map, Value};

/// After every position in the disk's log: everything acknowledged counts.
pub(super) const NEVER_CUT: u64 = u64::MAX;

/// A question to a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    /// What the admin API returns for this path: null, or an object with at least these members.
    Shown(String),
    /// Whether a client authenticates with this secret.
    Secret { client: String, secret: String },
    /// Whether the user can sign in with this password.
    Password { login: String, password: String },
    /// Whether an access token is active.
    Token(String),
    /// Whether a browser with these session cookies is still signed in as this user.
    Session { login: String, cookies: BTreeMap<String, String> },
    /// Whether a refresh token is `fresh`, `spent`, or `ended` with its family.
    Refresh(String),
    /// The playground's settings.
    Settings,
    /// Whether a key is published, so that its tokens are valid.
    Key(String),
    /// Whether the user can sign in with this password and this one-time code. Asking spends the code.
    Code { login: String, password: String, code: String },
}

impl Question {
    /// The answer before any change.
    fn first_answer(&self) -> Value {
        match self {
            Self::Shown(_) | Self::Refresh(_) => Value::Null,
            // They exist from the start.
            Self::Settings => Value::Object(Map::new()),
            Self::Code { .. } => Value::Bool(true),
            _ => Value::Bool(false),
        }
    }
}

/// A question, and its answer after a change.
pub(super) type Fact = (Question, Value);

/// A change that was sent, with positions in the disk's log.
struct Change {
    sent: u64,
    acknowledged: Option<u64>,
    facts: Vec<Fact>,
    /// The smallest and largest number of audit records that it adds for the operator.
    records: (usize, usize),
}

/// Every change of a trial. Changes of the same object are sent one after another.
#[derive(Default)]
pub(super) struct Book {
    changes: Vec<Change>,
    /// The number of acknowledged changes that can be observed.
    pub(super) acknowledged: usize,
}

impl Book {
    /// Records a change that is about to be sent. Returns its index.
    pub(super) fn send(&mut self, facts: Vec<Fact>, records: (usize, usize), place: u64) -> usize {
        self.changes.push(Change { sent: place, acknowledged: None, facts, records });
        self.changes.len() - 1
    }

    /// Records a complete response that acknowledges the change.
    pub(super) fn acknowledge(&mut self, change: usize, place: u64) {
        let change = &mut self.changes[change];
        change.acknowledged = Some(place);
        self.acknowledged += usize::from(!change.facts.is_empty() || change.records != (0, 0));
    }

    /// Records a response that refuses the change, so its object is unchanged. Only the last audit record belongs to the refusal.
    pub(super) fn withdraw(&mut self, change: usize, place: u64) {
        let facts = take(&mut self.changes[change].facts);
        let facts = facts.into_iter().map(|(question, _)| (question.clone(), self.last(&question))).collect();
        let records = (0, self.changes[change].records.1.saturating_sub(1));
        self.changes[change] = Change { sent: place, acknowledged: Some(place), facts, records };
    }

    /// Records a fact that a response has just established, such as a token.
    pub(super) fn know(&mut self, fact: Fact, place: u64) {
        self.changes.push(Change { sent: place, acknowledged: Some(place), facts: vec![fact], records: (0, 0) });
    }

    /// The last answer to this question, assuming that every change was made.
    pub(super) fn last(&self, question: &Question) -> Value {
        let facts = self.changes.iter().rev().flat_map(|change| change.facts.iter().rev());
        facts
            .clone()
            .find(|(of, _)| of == question)
            .map_or_else(|| question.first_answer(), |(_, answer)| answer.clone())
    }

    /// Every access token in the questions.
    pub(super) fn tokens(&self) -> BTreeSet<String> {
        let facts = self.changes.iter().flat_map(|change| &change.facts);
        facts
            .filter_map(|(question, _)| if let Question::Token(token) = question { Some(token.clone()) } else { None })
            .collect()
    }

    /// Every question, with the valid answers after an end at this position, newest last: what was acknowledged by then, or what
    /// was in flight.
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

    /// The smallest and largest number of the operator's audit records after an end at this position.
    pub(super) fn records(&self, cut: u64) -> (usize, usize) {
        let sent = self.changes.iter().filter(|change| change.sent <= cut);
        let fewest = sent.clone().filter(|change| change.is_acknowledged(cut)).map(|change| change.records.0).sum();
        (fewest, sent.map(|change| change.records.1).sum())
    }

    /// Drops everything except the observed facts and the number of records.
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

/// True if everything expected was found. An object may have more members.
pub(super) fn fits(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().all(|(name, value)| found.get(name).is_some_and(|found| fits(value, found)))
        }
        _ => expected == found,
    }
}
