//! A new secret in a private file: written completely or not at all, checked before the server is called, printed nowhere.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::process::read;
use crate::team::{Team, status};

#[tokio::test]
async fn the_credentials_are_only_in_the_file() {
    let team = Team::start().await;
    let file = team.file("job.env");
    let made = team.run(&format!("client create job --output json --env-file {}", file.display()));
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(!made.stdout.contains("cs_secret_") && !made.stderr.contains("cs_secret_"), "{made:?}");
    assert!(made.stdout.contains("\"client_id\":\"job\"") && made.stdout.contains("cred_"), "{made:?}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = read(&file);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0], text.ends_with('\n')), (3, "COUNTERSIGN_CLIENT_ID=job", true));
    assert_eq!(lines[2], format!("COUNTERSIGN_ISSUER={}", team.serving.issuer));
    let secret = lines[1].strip_prefix("COUNTERSIGN_CLIENT_SECRET=").unwrap().to_owned();
    // Authenticated, but without any entitlement.
    assert_eq!(status(&team.serving.actor("job", &secret), "x").await, 400);
    team.ok(&format!("secret rotate job --quiet --env-file {}", file.display()));
    assert!(!read(&file).contains(&secret) && read(&file).lines().count() == 3, "our own file is replaced");
    team.ok(&format!("secret create job --env-file {}", team.file("second.env").display()));
    let left: Vec<_> = std::fs::read_dir(team.database.directory.path()).unwrap().flatten().collect();
    let mut names: Vec<_> = left.iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["data", "job.env", "second.env"]);
    team.serving.stop();
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_reported_before_a_secret_is_created() {
    let team = Team::start().await;
    let of_others = "PATH=/bin\nCOUNTERSIGN_CLIENT_ID=x\n";
    std::fs::write(team.file("others.env"), of_others).unwrap();
    symlink(team.file("others.env"), team.file("link.env")).unwrap();
    let of_another = "COUNTERSIGN_CLIENT_ID=other\nCOUNTERSIGN_CLIENT_SECRET=x\n";
    std::fs::write(team.file("another.env"), of_another).unwrap();
    for (name, why) in [
        ("another.env", "contains the secret of other"),
        ("others.env", "contains something else"),
        ("link.env", "not a regular file"),
        ("data", "not a regular file"),
        ("none/x.env", "No such file or directory"),
    ] {
        let line = team.fail(1, &format!("client create job --env-file {}", team.file(name).display()));
        assert!(line.starts_with("countersign: --env-file: ") && line.contains(why), "{line}");
    }
    assert_eq!(read(&team.file("another.env")), of_another);
    assert_eq!(read(&team.file("others.env")), of_others);
    assert_eq!(team.ok("client list --quiet"), "operator\n");
    // A refusal by the server leaves no file.
    team.fail(1, &format!("client create operator --env-file {}", team.file("new.env").display()));
    team.fail(3, &format!("secret rotate nobody --env-file {}", team.file("new.env").display()));
    assert_eq!(std::fs::read_dir(team.database.directory.path()).unwrap().count(), 4);
    for line in ["client create job --quiet", "secret create job --quiet", "secret rotate job --quiet"] {
        assert!(team.fail(2, line).contains("--env-file"), "{line}");
    }
    team.serving.stop();
}

#[tokio::test]
async fn an_imported_secret_is_not_shown() {
    let team = Team::start().await;
    let secret = "made-elsewhere-0123456789-0123456789";
    std::fs::write(team.file("secret"), format!("{secret}\r\n")).unwrap();
    let file = team.file("secret").display().to_string();
    let made = team.json(&format!("client create job --import-secret-file {file}"));
    let members: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(members, ["client_id", "secret_id"]);
    assert_eq!(status(&team.serving.actor("job", secret), "x").await, 400);
    let env_file = team.file("job.env").display().to_string();
    let again = team.fail(1, &format!("secret create job --import-file {file} --env-file {env_file}"));
    assert_eq!(again, "countersign: --import-file: job already has this secret");
    let secret = "also-made-elsewhere-0123456789-01234";
    std::fs::write(team.file("secret"), secret).unwrap();
    team.ok(&format!("secret create job --import-file {file} --env-file {env_file}"));
    assert!(read(&team.file("job.env")).contains(&format!("COUNTERSIGN_CLIENT_SECRET={secret}\n")));
    let short = team.run_with("client create other --import-secret-file -", &[], "short\n").failed("short", 1);
    assert!(short.starts_with("countersign: --import-secret-file: must have 32 to 512"), "{short}");
    let short = team.run_with("secret create job --import-file -", &[], "short").failed("short", 1);
    assert!(short.starts_with("countersign: --import-file: must have"), "{short}");
    let line = format!("secret create job --import-file - --env-file {env_file}");
    let spaced = team.run_with(&line, &[], "a secret with spaces, of 32 and more characters").failed("spaces", 2);
    assert!(spaced.contains("--env-file"), "{spaced}");
    assert_eq!(team.json("secret list job").as_array().unwrap().len(), 2);
    assert!(team.fail(2, "client create other --import-secret-file /nowhere").contains("/nowhere"));
    team.serving.stop();
}
