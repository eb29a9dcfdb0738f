//! The demo: first start, later start, another port, a lost file, the wrong directory.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use countersign_testkit::TestDatabase;

use crate::process::{Serving, demo_json, failed_line, run, serve_arguments};

fn mode(database: &TestDatabase, file: &str) -> u32 {
    let path = database.directory.path().join("data").join(file);
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_banner_has_everything_to_get_started_and_its_curl_line_works() {
    let database = TestDatabase::fresh();
    let serving = Serving::demo(&database);
    serving.ready().await;
    let demo = demo_json(&database);
    let members: Vec<&String> = demo.as_object().unwrap().keys().collect();
    let expected =
        ["issuer", "token_endpoint", "api", "audience", "scopes", "client_id", "client_secret", "username", "password"];
    assert_eq!(members, expected);
    assert_eq!(demo["issuer"], serving.issuer.as_str());
    assert_eq!(demo["audience"], format!("{}/resource", serving.issuer));
    assert_eq!(demo["password"].as_str().unwrap().len(), 20);
    let sign_in = format!("{} / {}", demo["username"].as_str().unwrap(), demo["password"].as_str().unwrap());
    assert!(serving.banner.iter().any(|line| line.ends_with(&sign_in)), "{:?}", serving.banner);
    assert_eq!(serving.banner.last().unwrap(), &format!("Ready: {}", serving.issuer));
    let curl: Vec<&String> = serving.banner.iter().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(curl.len(), 1);
    let pasted = Command::new("sh").args(["-c", &format!("{} --silent", curl[0])]).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&pasted.stdout).unwrap();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&"Bearer".into(), &7200.into()));
    let token = answer["access_token"].as_str().unwrap();
    assert_eq!(serving.actor("", "").call("GET", "/resource/whoami", token).await.status, 200);
    assert_eq!(
        (mode(&database, ""), mode(&database, "demo.json"), mode(&database, "sealing.key")),
        (0o700, 0o600, 0o600)
    );
    if database.url.is_none() {
        assert_eq!((mode(&database, "countersign.db"), mode(&database, "countersign.db-wal")), (0o600, 0o600));
    }
    serving.stop();
}

#[tokio::test]
async fn a_later_start_prints_the_same_also_on_another_port() {
    let database = TestDatabase::fresh();
    let serving = Serving::demo(&database);
    let (address, banner) = (serving.address().to_string(), serving.banner.clone());
    let first = demo_json(&database);
    serving.stop();
    let again = Serving::start(&database, &["--demo", "--listen", &address], &[]);
    assert_eq!(again.banner, banner);
    again.stop();
    let moved = Serving::demo(&database);
    moved.ready().await;
    let second = demo_json(&database);
    assert_ne!(second["issuer"], first["issuer"]);
    assert_eq!(second["audience"], format!("{}/resource", moved.issuer));
    assert_eq!((&second["client_secret"], &second["password"]), (&first["client_secret"], &first["password"]));
    let service = moved.demo_service(&second);
    let token = service.client_credentials("all").await.text("access_token");
    assert_eq!(service.introspect(&token).await.json()["aud"], second["audience"]);
    assert_eq!(service.call("GET", "/resource/whoami", &token).await.status, 200);
    moved.stop();
}

#[tokio::test]
async fn a_lost_or_wrong_demo_json_is_recreated_with_a_new_password() {
    let database = TestDatabase::fresh();
    Serving::demo(&database).stop();
    let old = demo_json(&database);
    std::fs::remove_file(database.directory.path().join("data/demo.json")).unwrap();
    let serving = Serving::demo(&database);
    serving.ready().await;
    assert!(serving.banner[0].contains("demo.json was missing"), "{:?}", serving.banner);
    let new = demo_json(&database);
    let service = serving.demo_service(&new);
    let password = |demo: &serde_json::Value| demo["password"].as_str().unwrap().to_owned();
    assert_eq!(service.password("demo", &password(&new)).await.status, 200);
    assert_eq!(service.password("demo", &password(&old)).await.status, 400);
    assert_ne!(new["client_secret"], old["client_secret"]);
    serving.stop();
    for (content, why) in [("{", "was damaged"), (&old.to_string(), "had the wrong secret")] {
        std::fs::write(database.directory.path().join("data/demo.json"), content).unwrap();
        let serving = Serving::demo(&database);
        assert!(serving.banner[0].contains(why), "{:?}", serving.banner);
        serving.ready().await;
        let demo = demo_json(&database);
        assert_eq!(serving.demo_service(&demo).password("demo", &password(&demo)).await.status, 200);
        serving.stop();
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn two_nodes_that_start_the_demo_concurrently_both_serve_it() {
    let first = TestDatabase::fresh();
    assert!(first.url.is_some(), "with SQLite, only one process can use a data directory");
    let key = first.directory.path().join("sealing.key").display().to_string();
    std::fs::write(&key, "A".repeat(43) + "\n").unwrap();
    let second = TestDatabase { directory: TestDatabase::fresh().directory, url: first.url.clone() };
    let start = |database: TestDatabase, key: String| {
        std::thread::spawn(move || {
            let key = [("COUNTERSIGN_SEALING_KEY_FILE", key.as_str())];
            Serving::start(&database, &["--demo", "--new-database"], &key).stop();
            database
        })
    };
    let nodes = [start(first, key.clone()), start(second, key)];
    // Keep both directories until both servers have stopped, because one contains the key.
    let ended: Vec<_> = nodes.into_iter().map(std::thread::JoinHandle::join).collect();
    assert!(ended.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_directory_created_without_the_demo_never_becomes_one() {
    let database = TestDatabase::fresh();
    let serving = Serving::start(&database, &[], &[]);
    assert_eq!(serving.banner.len(), 2, "{:?}", serving.banner);
    assert!(serving.banner[0].starts_with("Nothing is registered yet."), "{:?}", serving.banner);
    serving.ready().await;
    assert_eq!(serving.actor("", "").get("/resource/whoami").await.status, 404);
    serving.stop();
    let mut arguments = serve_arguments(&database);
    arguments.push("--demo".to_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let line = failed_line(&run(&arguments, &[("COUNTERSIGN_LISTEN", "127.0.0.1:0")]));
    assert!(line.contains("was created without --demo"), "{line}");
}
