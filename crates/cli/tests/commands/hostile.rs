//! A hostile or compromised server cannot attack an administrator's terminal with its text.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::set_mode;
use crate::team::{Done, run};

/// Sequences that would set the title and the clipboard, clear the screen, move up, reverse text and hide text.
const HOSTILE: &str = "a\u{1b}]0;owned\u{7}\u{1b}]52;c;eA==\u{7}\u{9b}2J\u{1b}[1A\r\n\u{202e}txt\u{2066}\u{200b}\u{feff}\u{7f}\u{85}\u{2028}\u{e0041}z";
const SHOWN: &str = "a\\u{1b}]0;owned\\u{7}";

/// Starts a server that responds to every request with such text, for as long as the test runs. Returns its issuer.
fn serve(answer: fn(&str) -> (u16, Value)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || answer_all(stream, answer));
        }
    });
    issuer
}

fn answer_all(mut stream: TcpStream, answer: fn(&str) -> (u16, Value)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut path, mut length) = (String::new(), 0);
        for line in reader.by_ref().lines() {
            let line = line.unwrap_or_default();
            if line.is_empty() {
                break;
            }
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        if path.is_empty() {
            return;
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        let token = json!({ "access_token": "t", "token_type": "Bearer", "expires_in": 60, "scope": "x" });
        let (status, body) = if path == "/oauth2/token" { (200, token) } else { answer(&path) };
        let (body, kind) = (body.to_string(), "application/json");
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
        if stream.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
    }
}

fn ask(issuer: &str, line: &str) -> Done {
    let environment =
        [("COUNTERSIGN_CLIENT_ID", "ada"), ("COUNTERSIGN_CLIENT_SECRET", "s"), ("COUNTERSIGN_ISSUER", issuer)];
    run(line, &environment, "")
}

/// Asserts that the text only contains lines of visible characters, whatever terminal shows them.
fn check_plain(done: &Done) {
    for text in [&done.stdout, &done.stderr] {
        let bad = text.chars().find(|character| {
            HOSTILE.replace(['a', 'z', '\n'], "").contains(*character) && !character.is_ascii_graphic()
        });
        assert!(bad.is_none() && !text.contains('\r'), "{bad:?} in {done:?}");
    }
}

#[test]
fn tables_details_ids_and_messages_escape_control_characters() {
    let issuer = serve(|path| {
        let thing = json!({
            "id": HOSTILE, "client_id": HOSTILE, "name": HOSTILE, HOSTILE: HOSTILE, "scopes": [{ "name": HOSTILE, HOSTILE: 1 }],
            "request_id": HOSTILE, "reason": HOSTILE, "presented": { HOSTILE: [HOSTILE] }, "head": HOSTILE, "path": HOSTILE,
            "revoked": { "id": HOSTILE, "kind": HOSTILE }, "kept": [HOSTILE], "sequence": HOSTILE,
        });
        let is_list = ["/clients?", "/apis?", "/users?", "/keys", "/audit?", "/usage", "/refusals?"];
        match path.ends_with("/refusals") || is_list.iter().any(|list| path.contains(list)) {
            true => (200, json!({ "items": [thing], "next": null })),
            false => (200, thing),
        }
    });
    for line in [
        "client list",
        "client show x",
        "client list --quiet",
        "client show x --quiet",
        "api list",
        "api show x",
        "user list",
        "user show x --quiet",
        "audit list",
        "audit list --quiet",
        "audit head",
        "explain r",
        "refusal list",
        "token revoke t --yes",
        "token revoke t --yes --quiet",
        "key list --quiet",
        "secret create x --label l",
    ] {
        let done = ask(&issuer, line);
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
        check_plain(&done);
        assert!(done.stdout.contains(SHOWN), "{line}: {done:?}");
        assert_eq!(done.stdout.lines().filter(|line| line.starts_with("txt")).count(), 0, "{line}: {done:?}");
    }
    for line in ["client list", "client show x", "explain r", "audit head", "token revoke t --yes"] {
        let done = ask(&issuer, &format!("{line} --output json"));
        check_plain(&done);
        let value: Value =
            serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{line}: {error}: {done:?}"));
        let thing = value.get(0).unwrap_or(&value);
        assert!(thing.as_object().unwrap().values().any(|member| member == HOSTILE), "the value is unchanged: {value}");
    }
}

#[test]
fn a_servers_error_message_stays_on_one_line() {
    let issuer = serve(|_| (400, json!({ "detail": HOSTILE, "field": HOSTILE, "title": HOSTILE })));
    let done = ask(&issuer, "client list");
    check_plain(&done);
    assert!(done.stderr.contains(SHOWN), "{done:?}");
    done.failed("client list", 1);
    let directory = TempDir::new().unwrap();
    set_mode(directory.path(), 0o700);
    let file =
        json!({ "issuer": serve(|_| (200, json!({ "issuer": HOSTILE }))), "client_id": "a", "client_secret": "s" });
    let path = directory.path().join("operator.json");
    std::fs::write(&path, file.to_string()).unwrap();
    set_mode(&path, 0o600);
    let done = run(&format!("doctor --data-dir {}", directory.path().display()), &[], "");
    check_plain(&done);
    assert!(done.stdout.contains(SHOWN), "{done:?}");
}

#[test]
fn a_server_cannot_write_commands_into_an_env_file() {
    let issuer = serve(|_| {
        (
            201,
            json!({ "client_id": "job", "secret_id": "cred_1", "client_secret": "s\nPATH=/tmp/evil; $(touch /tmp/owned)" }),
        )
    });
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("job.env");
    let done = ask(&issuer, &format!("secret create job --env-file {}", file.display()));
    check_plain(&done);
    assert!(done.failed("secret create", 1).contains("the secret contains characters"));
    assert!(!file.exists());
    let typed =
        ask(&issuer, &format!("secret create job$(id) --env-file {}", file.display())).failed("secret create", 2);
    assert!(typed.contains("the client ID contains characters"), "{typed}");
}
