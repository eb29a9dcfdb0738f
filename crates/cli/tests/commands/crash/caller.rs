//! A caller: makes changes one after another, and records which are acknowledged.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use countersign_testkit::{Actor, Answer, Browser, RequestBuilder};
use serde_json::{Map, Value, json};

use super::book::{Book, Fact, Question};

/// The code and the message for a full disk.
const FULL: &str = "the disk of the database is full";
/// Body members that are not shown afterwards.
const NOT_SHOWN: [&str; 4] = ["password", "import", "secret", "overlap_s"];

/// The context that all callers of a server share.
pub(super) struct Shared {
    pub(super) operator: Actor,
    /// A token with all scopes of `admin-api`.
    pub(super) token: String,
    /// The demo's client and user.
    pub(super) service: Actor,
    pub(super) login: String,
    pub(super) password: String,
    /// A browser where the demo user, an administrator, is signed in.
    pub(super) browser: Browser,
    pub(super) book: Arc<Mutex<Book>>,
    /// The disk's log, if there is one.
    pub(super) log: Option<PathBuf>,
    /// Makes names unique.
    pub(super) names: Arc<AtomicUsize>,
    /// True once callers must begin nothing more.
    pub(super) is_over: AtomicBool,
    /// True while the disk may be full. A 503 then means that nothing was changed.
    pub(super) is_full: AtomicBool,
    /// The number of changes that a full disk refused.
    pub(super) refused: AtomicUsize,
}

impl Shared {
    /// Returns a new name.
    pub(super) fn name(&self, kind: &str) -> String {
        format!("{kind}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns true every other time.
    pub(super) fn flip(&self) -> bool {
        self.names.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
    }

    /// Makes a change through the admin API. Returns `None` if the outcome is unknown. Afterwards, `path` shows `body`.
    pub(super) async fn change(&self, method: &str, path: &str, body: Value, more: Vec<Fact>) -> Option<Answer> {
        let collection = path.rsplit_once('/').map_or(path, |(collection, _)| collection);
        let shown = Question::Shown(path.to_owned());
        let (at, answer) = match method {
            "POST" => (collection, merge(json!({}), &body)),
            "DELETE" => (path, Value::Null),
            _ => (path, merge(self.book().last(&shown), &body)),
        };
        let facts = [vec![(shown, answer)], more].concat();
        self.administer(method, at, body, facts).await
    }

    /// Performs an action of the admin API.
    pub(super) async fn administer(&self, method: &str, path: &str, body: Value, facts: Vec<Fact>) -> Option<Answer> {
        let request = self.operator.request(method, &format!("/admin/v1{path}")).bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.json(&body) };
        self.send(request, facts, (1, 1), &[200, 201, 204]).await
    }

    /// Posts a form as the demo's client.
    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)], facts: Vec<Fact>) -> Option<Answer> {
        self.send(self.service.post_request(path, form), facts, (0, 0), &[200]).await
    }

    /// Calls the demo API like our pages.
    pub(super) async fn call(
        &self,
        browser: &mut Browser,
        method: &str,
        call: &str,
        body: Value,
        facts: Vec<Fact>,
    ) -> Option<Answer> {
        let request = browser.call(method, call).json(&body);
        let change = self.book().send(facts, (0, 0), self.place());
        let answer = browser.try_send(request).await;
        self.judge(change, answer, &[200])
    }

    /// Sends a request that may change something. Returns `None` if its outcome is unknown.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        facts: Vec<Fact>,
        records: (usize, usize),
        done: &[u16],
    ) -> Option<Answer> {
        let change = self.book().send(facts, records, self.place());
        let answer = self.operator.try_send(request).await;
        self.judge(change, answer, done)
    }

    fn judge(&self, change: usize, answer: Option<Answer>, done: &[u16]) -> Option<Answer> {
        let answer = answer?;
        if done.contains(&answer.status) {
            self.book().acknowledge(change, self.place());
            return Some(answer);
        }
        assert_eq!(answer.status, 503, "{answer}");
        if self.is_full.load(Ordering::Acquire) {
            assert!(answer.body.contains(FULL), "{answer}");
            self.refused.fetch_add(1, Ordering::Relaxed);
            self.book().withdraw(change, self.place());
        }
        None
    }

    /// Records a fact from a response that just arrived.
    pub(super) fn know(&self, fact: Fact) {
        self.book().know(fact, self.place());
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// The disk's position. Later records belong to later changes.
    fn place(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| std::fs::metadata(log).unwrap().len())
    }
}

fn merge(before: Value, body: &Value) -> Value {
    let mut members: Map<String, Value> = before.as_object().cloned().unwrap_or_default();
    let shown = body.as_object().into_iter().flatten().filter(|(name, _)| !NOT_SHOWN.contains(&name.as_str()));
    members.extend(shown.map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(members)
}
