//! A server does not start while other users of the machine can open its secrets.

use std::path::{Path, PathBuf};

use countersign_testkit::{CertificateFiles, TestAuthority, TestDatabase};

use crate::process::{Serving, failed_line, run, serve_arguments, set_mode};
use crate::team::{Team, run as run_line};

/// Expects a failing start.
fn fail(database: &TestDatabase) -> String {
    let arguments = serve_arguments(database);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    failed_line(&run(&arguments, &[("COUNTERSIGN_LISTEN", "127.0.0.1:0")]))
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_server_does_not_start_while_others_can_open_its_directory_or_its_secrets() {
    let database = TestDatabase::fresh();
    Serving::demo(&database).stop();
    let directory = database.directory.path().join("data");
    let mut open: Vec<(PathBuf, u32)> = [0o701, 0o702, 0o704, 0o755].map(|mode| (directory.clone(), mode)).into();
    let mut files = vec!["sealing.key", "operator.json", "demo.json"];
    if database.url.is_none() {
        std::fs::write(directory.join("countersign.db-journal"), "").unwrap();
        files.extend(["countersign.db", "countersign.db-journal"]);
    }
    open.extend(files.iter().flat_map(|name| [0o604, 0o602].map(|mode| (directory.join(name), mode))));
    set_mode(&directory, 0o700);
    files.iter().for_each(|name| set_mode(&directory.join(name), 0o600));
    for (path, exposed) in open {
        let private = mode(&path);
        set_mode(&path, exposed);
        let line = fail(&database);
        let told = format!(
            "countersign: {0}: is accessible to other users (mode {exposed:03o}); run: chmod o-rwx {0}",
            path.display()
        );
        assert_eq!(line, told);
        assert_eq!(mode(&path), exposed, "the server changes no permissions by itself");
        let words: Vec<&str> = line.split("run: ").nth(1).unwrap().split(' ').collect();
        assert!(std::process::Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{line}");
        Serving::demo(&database).stop();
        set_mode(&path, private);
    }
}

#[tokio::test]
async fn a_new_directory_and_its_files_are_private() {
    let database = TestDatabase::fresh();
    let serving = Serving::demo(&database);
    let directory = database.directory.path().join("data");
    assert_eq!(mode(&directory), 0o700);
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
    serving.stop();
}

#[tokio::test]
async fn group_access_causes_a_warning() {
    let team = Team::start().await;
    let Team { serving, database } = team;
    serving.stop();
    let directory = database.directory.path().join("data");
    set_mode(&directory, 0o750);
    set_mode(&directory.join("sealing.key"), 0o640);
    let serving = Serving::start(&database, &[], &[]);
    serving.ready().await;
    let data = directory.display().to_string();
    set_mode(&directory.join("operator.json"), 0o640);
    let told = |name: &str, mode: u32| {
        format!("{data}{name}: is accessible to its group (mode {mode:03o}); run: chmod g-rwx {data}{name}")
    };
    let asked = run_line("client list --quiet", &[("COUNTERSIGN_DATA_DIR", &data)], "");
    assert_eq!((asked.code, asked.stdout.as_str()), (Some(0), "operator\n"), "{asked:?}");
    assert_eq!(asked.stderr, format!("warning: {}\nwarning: {}\n", told("", 0o750), told("/operator.json", 0o640)));
    let url = database.url.as_ref().map(|url| format!("--database-url \"{url}\"")).unwrap_or_default();
    let doctor = run_line(&format!("doctor --data-dir {data} {url}"), &[], "");
    assert!(doctor.stdout.contains(&format!("warn  data directory  {}", told("", 0o750))), "{doctor:?}");
    let log = serving.stop();
    for told in [told("", 0o750), told("/sealing.key", 0o640)] {
        assert!(log.lines().any(|line| line.contains("WARN") && line.contains(&told)), "{told}: {log}");
    }
}

#[tokio::test]
async fn an_exposed_secret_outside_the_directory_causes_a_warning() {
    let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
    let files = CertificateFiles::of(&authority.certify("127.0.0.1"));
    Serving::demo(&database).stop();
    let key = database.directory.path().join("mounted.key");
    std::fs::rename(database.directory.path().join("data/sealing.key"), &key).unwrap();
    let doctor = |more: &str, environment: &[(&str, &str)]| {
        let data = database.directory.path().join("data").display().to_string();
        let url = database.url.as_ref().map(|url| format!("--database-url \"{url}\"")).unwrap_or_default();
        run_line(&format!("doctor --data-dir {data} {url} {more}"), environment, "").stdout
    };
    let named = key.display().to_string();
    let environment = [("COUNTERSIGN_SEALING_KEY_FILE", named.as_str())];
    assert!(doctor("", &environment).contains("ok    secret files"), "{}", doctor("", &environment));
    // As containers mount secrets.
    set_mode(&key, 0o444);
    set_mode(&files.key(), 0o640);
    let flags = files.flags();
    let serving = Serving::start(&database, &flags.each_ref().map(String::as_str), &environment);
    let told = [
        format!("{named}: is accessible to other users (mode 444)"),
        format!("{}: is accessible to its group", flags[3]),
    ];
    let found = doctor(&flags.join(" "), &environment);
    let line = found.lines().find(|line| line.starts_with("warn  secret files")).expect("a warning");
    assert!(told.iter().all(|told| line.contains(told)), "{line}");
    let log = serving.stop();
    assert!(told.iter().all(|told| log.lines().any(|line| line.contains("WARN") && line.contains(told))), "{log}");
    let url = database.directory.path().join("url");
    std::fs::write(&url, database.url.clone().unwrap_or("sqlite:///nowhere/x.db".to_owned())).unwrap();
    set_mode(&url, 0o604);
    let named = url.display().to_string();
    let found = doctor("", &[("COUNTERSIGN_DATABASE_URL_FILE", &named)]);
    assert!(found.contains(&format!("{named}: is accessible to other users (mode 604)")), "{found}");
}

#[tokio::test]
async fn a_command_does_not_use_an_operator_json_that_others_can_open() {
    let team = Team::start().await;
    let (directory, file) = (team.file("data"), team.file("data/operator.json"));
    for (path, open, private) in [(&directory, 0o707, 0o700), (&file, 0o644, 0o600)] {
        set_mode(path, open);
        let line = team.fail(4, "client list");
        assert!(line.contains(&format!("{0}: is accessible to other users", path.display())), "{line}");
        assert!(line.ends_with(&format!("run: chmod o-rwx {}", path.display())), "{line}");
        set_mode(path, private);
    }
    team.ok("client list");
    team.serving.stop();
}

#[tokio::test]
async fn nothing_is_restored_into_a_directory_that_others_can_open() {
    let team = Team::start().await;
    let path = |name: &str| team.file(name).display().to_string();
    let url = team.database.url.as_ref().map(|url| format!("--database-url \"{url}\"")).unwrap_or_default();
    let made = run_line(&format!("backup {} --data-dir {} {url}", path("backup"), path("data")), &[], "");
    assert_eq!(made.code, Some(0), "{made:?}");
    std::fs::create_dir(team.file("open")).unwrap();
    set_mode(&team.file("open"), 0o755);
    let line = format!("restore {} --data-dir {} {url} --yes", path("backup"), path("open"));
    let refused = run_line(&line, &[], "").failed(&line, 1);
    assert!(refused.contains(&format!("{}: is accessible to other users", path("open"))), "{refused}");
    assert_eq!(std::fs::read_dir(team.file("open")).unwrap().count(), 0);
    team.serving.stop();
}
