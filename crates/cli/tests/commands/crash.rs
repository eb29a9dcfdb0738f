//! Killed, cut off from its power, or out of room at any moment, a server loses nothing that it acknowledged, makes nothing by
//! half, and starts again without a flag. `cargo xtask crash --rounds N` plays more rounds than these tests.

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

/// Rounds of one database: then it begins anew, so that questions and records do not grow without bound.
const ROUNDS_OF_A_DATABASE: usize = 25;
/// What was seen in earlier rounds is asked again, as far as it is this much.
const KEPT: usize = 60;
/// Cuts of one recording.
const CUTS: usize = 6;
/// Callers work for less than this before the end.
const WORK_MS: usize = 800;

/// Bytes that there may still be room for when the disk begins to be full.
const MOST_ROOM: usize = 300_000;
/// Changes that a full disk refuses in each round, and changes that are made afterwards.
const REFUSED: usize = 30;
const AGAIN: usize = 20;

/// A database, the address at which it is always served, and what was promised of it.
struct Trial {
    database: TestDatabase,
    listen: String,
    book: Arc<Mutex<Book>>,
    names: Arc<AtomicUsize>,
}

impl Trial {
    fn new() -> Self {
        // The port is free again: the issuer, which names it, stays the same.
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        Self { database: TestDatabase::fresh(), listen, book: Arc::default(), names: Arc::default() }
    }

    /// One whose database was made, and repeats a refresh for as long as the questions after an end may take.
    async fn begin() -> Self {
        let trial = Self::new();
        let serving = trial.serve(&trial.database, None).await;
        let shared = trial.share(&serving, &trial.database, None).await;
        let longer = json!({ "refresh_retry_s": 120 });
        shared.administer("PATCH", "/apis/oauthclient", longer, vec![]).await.unwrap();
        serving.stop();
        trial
    }

    /// Starts a server without a flag of recovery, and waits until it is ready.
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

    /// What callers of the server need.
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

    /// Lets callers work for a time by chance, and kills the server; returns how many changes were acknowledged.
    async fn work_and_kill(&self, serving: Serving, shared: Arc<Shared>, dice: &mut Dice) -> usize {
        let callers = begin_work(&shared);
        sleep(Duration::from_millis(dice.below(WORK_MS) as u64)).await;
        serving.signal("KILL");
        shared.is_over.store(true, Ordering::Release);
        callers.join_all().await;
        serving.wait();
        shared.book().acknowledged
    }

    /// What is there after a cut by chance, and how far the log then was.
    fn cut(&self, disk: &Disk, dice: &mut Dice) -> (TestDatabase, u64) {
        let after = TestDatabase::fresh();
        let (cuts, by_chance) = (disk.cuts(), dice.below(4) > 0);
        // The last one is behind everything that was promised.
        let at = if by_chance { dice.pick(&cuts) } else { cuts[cuts.len() - 1] };
        disk.cut(at, after.directory.path(), dice);
        (after, at)
    }

    /// Cuts the power by chance, and checks what was acknowledged by then.
    async fn check_cut(&self, disk: &Disk, dice: &mut Dice) {
        let (after, at) = self.cut(disk, dice);
        let serving = self.serve(&after, None).await;
        let shared = self.share(&serving, &after, None).await;
        let book = take(&mut *self.book.lock().unwrap());
        check(&shared, &book, at).await;
        *self.book.lock().unwrap() = book;
        serving.stop();
    }

    /// Checks all that is in the book, and keeps a part of it for later.
    async fn check_and_settle(&self, shared: &Shared, dice: &mut Dice) {
        let book = take(&mut *self.book.lock().unwrap());
        let (mut seen, records) = check(shared, &book, NEVER_CUT).await;
        // Asked in every round, wrong passwords would make their users wait. A code is spent by the question.
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

/// The credentials that a start writes; both files must be whole.
fn files(database: &TestDatabase) -> [Value; 2] {
    let text = read(&database.directory.path().join("data/operator.json"));
    [serde_json::from_str(&text).unwrap(), demo_json(database)]
}

/// Each caller tells its story again and again.
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
async fn a_kill_loses_nothing_that_was_acknowledged() {
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
async fn a_power_cut_loses_nothing_that_was_acknowledged_on_sqlite() {
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
async fn a_first_start_that_a_power_cut_ends_begins_again_without_a_flag_on_sqlite() {
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
            assert!(at < ready || found == promised, "the files of a server that was ready are others");
            trial.share(&serving, &after, None).await;
            serving.stop();
            left -= 1;
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_changes_in_words_and_makes_none_by_half_on_sqlite() {
    let mut dice = Dice::of("full disk");
    // Each takes as long as several others, and meets many moments.
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
