//! A server that is killed, loses power or runs out of disk space loses nothing acknowledged, applies nothing partially, and
//! starts again without a flag. `cargo xtask crash --rounds N` runs more rounds than these tests.

mod book;
mod caller;
mod check;
mod dice;
mod disk;
mod people;
mod stories;

use std::mem::take;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_testkit::{Browser, TestDatabase};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::process::{Serving, demo_json, read};

use self::book::{Book, NEVER_CUT, Question};
use self::caller::Shared;
use self::check::check;
use self::dice::{Dice, rounds};
pub(crate) use self::disk::Disk;

/// The rounds per database. After them, a new database keeps the number of questions and records small.
const ROUNDS_OF_A_DATABASE: usize = 25;
/// The number of known facts to check again in later rounds.
const KEPT: usize = 60;
/// The number of power failures per recording.
const CUTS: usize = 6;
/// How long callers work before the end, at most.
const WORK_MS: usize = 800;

/// The largest number of bytes left when the disk begins to fill up.
const MOST_ROOM: usize = 300_000;
/// The number of changes that a full disk refuses in each round, and of changes made afterwards.
const REFUSED: usize = 30;
const AGAIN: usize = 20;

/// A database, the address that always serves it, and the facts that must hold.
struct Trial {
    database: TestDatabase,
    listen: String,
    book: Arc<Mutex<Book>>,
    names: Arc<AtomicUsize>,
}

impl Trial {
    fn new() -> Self {
        // The port is free again, so the issuer, which contains it, stays the same.
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        Self { database: TestDatabase::fresh(), listen, book: Arc::default(), names: Arc::default() }
    }

    /// Creates a database. A refresh can be retried for as long as the checks may take.
    async fn begin() -> Self {
        let trial = Self::new();
        let serving = trial.serve(&trial.database, None).await;
        let shared = trial.share(&serving, &trial.database, None).await;
        let longer = json!({ "refresh_retry_s": 120 });
        shared.administer("PATCH", "/apis/oauthclient", longer, vec![]).await.unwrap();
        serving.stop();
        trial
    }

    /// Starts a server without a recovery flag, and waits until it is ready.
    async fn serve(&self, database: &TestDatabase, disk: Option<&Disk>) -> Serving {
        let environment = disk.map(Disk::environment).unwrap_or_default();
        let serving = Serving::start(database, &["--demo", "--listen", &self.listen], &environment);
        serving.ready().await;
        if database.url.is_none() {
            let file = database.directory.path().join("data/countersign.db");
            assert_eq!(TestDatabase::check_integrity(&file), "ok");
        }
        serving
    }

    /// The context for callers of the server.
    async fn share(&self, serving: &Serving, database: &TestDatabase, disk: Option<&Disk>) -> Arc<Shared> {
        let [operator, demo] = files(database);
        let operator =
            serving.actor(operator["client_id"].as_str().unwrap(), operator["client_secret"].as_str().unwrap());
        let text = |member: &str| demo[member].as_str().unwrap().to_owned();
        let audience = format!("{}/admin", serving.issuer);
        let asked = [("grant_type", "client_credentials"), ("resource", &*audience)];
        let token = operator.token(&asked).await.text("access_token");
        let mut browser = Browser::new(serving.actor("", ""));
        let signed_in = browser.sign_in(&text("username"), &text("password")).await;
        assert_eq!(signed_in.status, 200, "{signed_in}");
        Arc::new(Shared {
            operator,
            token,
            service: serving.demo_service(&demo),
            login: text("username"),
            password: text("password"),
            browser,
            book: self.book.clone(),
            log: disk.map(|disk| disk.log.clone()),
            names: self.names.clone(),
            is_over: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
        })
    }

    /// Lets callers work for a random time and kills the server. Returns the number of acknowledged changes.
    async fn work_and_kill(&self, serving: Serving, shared: Arc<Shared>, dice: &mut Dice) -> usize {
        let callers = begin_work(&shared);
        sleep(Duration::from_millis(dice.below(WORK_MS) as u64)).await;
        serving.signal("KILL");
        shared.is_over.store(true, Ordering::Release);
        callers.join_all().await;
        serving.wait();
        shared.book().acknowledged
    }

    /// The directory after a random power failure, and its position in the log.
    fn cut(&self, disk: &Disk, dice: &mut Dice) -> (TestDatabase, u64) {
        let after = TestDatabase::fresh();
        let (cuts, by_chance) = (disk.cuts(), dice.below(4) > 0);
        // The last position is after everything acknowledged.
        let at = if by_chance { dice.pick(&cuts) } else { cuts[cuts.len() - 1] };
        disk.cut(at, after.directory.path(), dice);
        (after, at)
    }

    /// Simulates a random power failure, and checks what was acknowledged before it.
    async fn check_cut(&self, disk: &Disk, dice: &mut Dice) {
        let (after, at) = self.cut(disk, dice);
        let serving = self.serve(&after, None).await;
        let shared = self.share(&serving, &after, None).await;
        let book = take(&mut *self.book.lock().unwrap());
        check(&shared, &book, at).await;
        *self.book.lock().unwrap() = book;
        serving.stop();
    }

    /// Checks all facts, and keeps some of them for later.
    async fn check_and_settle(&self, shared: &Shared, dice: &mut Dice) {
        let book = take(&mut *self.book.lock().unwrap());
        let (mut seen, records) = check(shared, &book, NEVER_CUT).await;
        // If wrong passwords were tried in every round, their users would be delayed. A code is spent when it is tried.
        seen.retain(|(question, answer)| match question {
            Question::Password { .. } => *answer == true,
            Question::Code { .. } => false,
            _ => true,
        });
        while seen.len() > KEPT {
            seen.swap_remove(dice.below(seen.len()));
        }
        self.book.lock().unwrap().settle(seen, records);
    }
}

/// The credentials that a start writes. Both files must be complete.
fn files(database: &TestDatabase) -> [Value; 2] {
    let text = read(&database.directory.path().join("data/operator.json"));
    [serde_json::from_str(&text).unwrap(), demo_json(database)]
}

/// Each caller repeats its story.
fn begin_work(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for story in 0..8 {
        let shared = shared.clone();
        callers.spawn(async move {
            while !shared.is_over.load(Ordering::Acquire) {
                let told = match story {
                    0 => stories::apis(&shared).await,
                    1 => stories::clients(&shared).await,
                    2 => people::people(&shared).await,
                    3 => people::codes(&shared).await,
                    4 => stories::keys(&shared).await,
                    5 => stories::others(&shared).await,
                    _ => stories::tokens(&shared).await,
                };
                if told.is_none() {
                    sleep(Duration::from_millis(5)).await;
                }
            }
        });
    }
    callers
}

#[tokio::test]
async fn a_kill_loses_nothing_acknowledged() {
    let mut dice = Dice::of("kill");
    let (mut left, mut acknowledged) = (rounds(12), 0);
    while left > 0 {
        let trial = Trial::begin().await;
        let mut serving = trial.serve(&trial.database, None).await;
        let mut shared = trial.share(&serving, &trial.database, None).await;
        for _ in 0..left.min(ROUNDS_OF_A_DATABASE) {
            acknowledged += trial.work_and_kill(serving, shared, &mut dice).await;
            serving = trial.serve(&trial.database, None).await;
            shared = trial.share(&serving, &trial.database, None).await;
            trial.check_and_settle(&shared, &mut dice).await;
            left -= 1;
        }
        serving.stop();
    }
    println!("{acknowledged} changes were acknowledged");
}

#[tokio::test]
async fn a_power_failure_loses_nothing_acknowledged_on_sqlite() {
    let mut dice = Dice::of("power cut");
    let (mut left, mut acknowledged) = (rounds(2 * CUTS), 0);
    while left > 0 {
        let trial = Trial::begin().await;
        for _ in 0..ROUNDS_OF_A_DATABASE.min(left.div_ceil(CUTS)) {
            let room = tempfile::tempdir().unwrap();
            let disk = Disk::new(trial.database.directory.path(), room.path());
            let serving = trial.serve(&trial.database, Some(&disk)).await;
            let shared = trial.share(&serving, &trial.database, Some(&disk)).await;
            let records = check::count_records(&shared).await;
            trial.book.lock().unwrap().settle(Vec::new(), records);
            acknowledged += trial.work_and_kill(serving, shared, &mut dice).await;
            for _ in 0..left.min(CUTS) {
                trial.check_cut(&disk, &mut dice).await;
                left -= 1;
            }
        }
    }
    println!("{acknowledged} changes were acknowledged");
}

#[tokio::test]
async fn a_first_start_interrupted_by_a_power_failure_restarts_without_a_flag_on_sqlite() {
    let mut dice = Dice::of("first start");
    let mut left = rounds(2 * CUTS);
    while left > 0 {
        let (trial, room) = (Trial::new(), tempfile::tempdir().unwrap());
        let disk = Disk::new(trial.database.directory.path(), room.path());
        let serving = trial.serve(&trial.database, Some(&disk)).await;
        let ready = std::fs::metadata(&disk.log).unwrap().len();
        let promised = files(&trial.database);
        serving.signal("KILL");
        serving.wait();
        for _ in 0..left.min(CUTS) {
            let (after, at) = trial.cut(&disk, &mut dice);
            let serving = trial.serve(&after, None).await;
            let found = files(&after);
            assert!(at < ready || found == promised, "a server that was ready has other files");
            trial.share(&serving, &after, None).await;
            serving.stop();
            left -= 1;
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_changes_with_a_message_and_applies_none_partially_on_sqlite() {
    let mut dice = Dice::of("full disk");
    // Each of these takes as long as several others, and covers many moments.
    for _ in 0..rounds(30).div_ceil(10) {
        let (trial, room) = (Trial::begin().await, tempfile::tempdir().unwrap());
        let disk = Disk::new(trial.database.directory.path(), room.path());
        let serving = trial.serve(&trial.database, Some(&disk)).await;
        let shared = trial.share(&serving, &trial.database, None).await;
        let callers = begin_work(&shared);
        sleep(Duration::from_millis(dice.below_or_edge(WORK_MS) as u64)).await;
        shared.is_full.store(true, Ordering::Release);
        disk.fill(dice.below(MOST_ROOM) as u64);
        while shared.refused.load(Ordering::Acquire) < REFUSED {
            assert_eq!(serving.actor("", "").get("/readyz").await.status, 200);
            shared.service.client_credentials("all").await;
            sleep(Duration::from_millis(20)).await;
        }
        disk.make_room();
        let before = shared.book().acknowledged;
        while shared.book().acknowledged < before + AGAIN {
            sleep(Duration::from_millis(20)).await;
        }
        shared.is_over.store(true, Ordering::Release);
        callers.join_all().await;
        trial.check_and_settle(&shared, &mut dice).await;
        serving.signal("KILL");
        serving.wait();
        let serving = trial.serve(&trial.database, None).await;
        let shared = trial.share(&serving, &trial.database, None).await;
        trial.check_and_settle(&shared, &mut dice).await;
        serving.stop();
    }
}
