//! One of several callers: makes changes one after the other, and writes down what is acknowledged.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use countersign_testkit::{Actor, Answer, Browser, RequestBuilder};
use serde_json::{Map, Value, json};

use super::book::{Book, Fact, Question};

/// What a full disk is called, to machines and to people.
const FULL: &str = "the disk of the database is full";
/// Members of a body that are not shown afterwards.
const NOT_SHOWN: [&str; 4] = ["password", "import", "secret", "overlap_s"];

/// What all callers of a server share.
pub(super) struct Shared {
    pub(super) operator: Actor,
    /// A token for all of `admin-api`.
    pub(super) token: String,
    /// The demo's client, and its user.
    pub(super) service: Actor,
    pub(super) login: String,
    pub(super) password: String,
    /// A browser in which the demo's user, an administrator, is signed in.
    pub(super) browser: Browser,
    pub(super) book: Arc<Mutex<Book>>,
    /// The log of the disk, where one is kept.
    pub(super) log: Option<PathBuf>,
    /// So that names are used once.
    pub(super) names: Arc<AtomicUsize>,
    /// True once callers are to begin nothing more.
    pub(super) is_over: AtomicBool,
    /// True while the disk may be full: 503 then means that nothing was done.
    pub(super) is_full: AtomicBool,
    /// How many changes were refused so.
    pub(super) refused: AtomicUsize,
}

impl Shared {
    /// A name that was not used yet.
    pub(super) fn name(&self, kind: &str) -> String {
        format!("{kind}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// True every other time.
    pub(super) fn flip(&self) -> bool {
        self.names.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
    }

    /// Makes a change by the admin API; `None` if it is not known to be done. `path` is what it changes, and then shows `body`.
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

    /// Does something by the admin API.
    pub(super) async fn administer(&self, method: &str, path: &str, body: Value, facts: Vec<Fact>) -> Option<Answer> {
        let request = self.operator.request(method, &format!("/admin/v1{path}")).bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.json(&body) };
        self.send(request, facts, (1, 1), &[200, 201, 204]).await
    }

    /// Posts a form as the demo's client.
    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)], facts: Vec<Fact>) -> Option<Answer> {
        self.send(self.service.post_request(path, form), facts, (0, 0), &[200]).await
    }

    /// Calls the demo API as one of our pages does.
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

    /// Sends what may change something; `None` if it is not known to be done.
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

    /// Notes what an answer that came just now says.
    pub(super) fn know(&self, fact: Fact) {
        self.book().know(fact, self.place());
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// How far the disk is: what comes behind it was done later.
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
