//! The curl lines, run by `sh` with a one-line curl that repeats its arguments, and with the real curl if it is installed.

use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_client::{Client, ClientAuthMethod, Endpoints, PreparedRequest, Secret};
use countersign_protocol::client_authentication::parse;
use countersign_protocol::form::Form;
use proptest::prelude::*;

use crate::server::Server;

/// Prints each argument, ended by a NUL.
const ECHO: &str = r#"curl() { for word in "$@"; do printf '%s\0' "$word"; done; }; "#;

const HOSTILE: [&str; 12] = [
    "ann",
    "o'brien",
    "'; exit 7; '",
    "$(id)`id`${HOME}",
    "a&b=c;d|e>f",
    "back\\slash\\'",
    "\"double\"",
    "josé 名前",
    "@/etc/passwd",
    "-o x",
    "two\nlines\r\x1b[2J",
    "turned \u{202E}around",
];

fn client(url: &str, id: &str, secret: &str) -> Client<()> {
    Client::new(Endpoints::explicit(url, url, url).expect("an address"), id, Secret::new(secret), ())
}

fn run(line: &str, secrets: [&str; 4]) -> Output {
    let names = ["CLIENT_SECRET", "PASSWORD", "TOKEN", "REFRESH_TOKEN"];
    Command::new("sh").args(["-c", line]).envs(names.into_iter().zip(secrets)).output().expect("a shell")
}

/// What curl would send for these arguments: `Authorization` (or empty), form, URL.
fn interpret(output: &Output) -> (String, String, String) {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    let mut words = text.strip_suffix('\0').expect("words").split('\0');
    let (mut authorization, mut form, mut url) = (String::new(), Vec::new(), String::new());
    while let Some(word) = words.next() {
        match word {
            "-u" => authorization = format!("Basic {}", STANDARD.encode(words.next().expect("a pair"))),
            "-H" => assert_eq!(words.next(), Some("Accept: application/json")),
            "-d" => form.push(words.next().expect("a field").to_owned()),
            "--data-urlencode" => {
                let (name, value) = words.next().and_then(|field| field.split_once('=')).expect("a field");
                form.push(url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish());
            }
            "-g" => {}
            other => assert!(std::mem::replace(&mut url, other.to_owned()).is_empty(), "{text:?}"),
        }
    }
    (authorization, form.join("&"), url)
}

/// The shell's arguments are the bytes of the request.
fn check(prepared: &PreparedRequest, secrets: [&str; 4]) {
    let line = prepared.to_curl();
    assert!(!line.contains(char::is_control), "{line:?}");
    let (authorization, form, url) = interpret(&run(&format!("{ECHO}{line}"), secrets));
    let request = prepared.to_http();
    assert_eq!(form.as_bytes(), request.body().as_slice(), "{line}");
    assert_eq!(url, request.uri().to_string());
    let sent = request.headers().get("authorization").map(|value| value.to_str().expect("ASCII"));
    if !line.contains("od -An") {
        assert_eq!(authorization, sent.unwrap_or_default(), "{line}");
    }
    assert_eq!(presented(&authorization, &form), presented(sent.unwrap_or_default(), &form));
}

/// The client that a server identifies.
fn presented(authorization: &str, form: &str) -> (String, String) {
    let headers: &[&[u8]] = if authorization.is_empty() { &[] } else { &[authorization.as_bytes()] };
    let presented = parse(headers, &Form::parse(form.as_bytes()).expect("a form")).expect("authenticates");
    (presented.client_id, presented.secret.expose().to_owned())
}

#[test]
fn the_simple_case_reads_as_if_typed_by_hand() {
    let client = client("http://127.0.0.1:8080/OAuth2/Token/app", "demo-service", "cs_secret_1");
    assert_eq!(
        client.prepare_client_credentials(Some("all")).to_curl(),
        "curl -u \"demo-service:$CLIENT_SECRET\" -H 'Accept: application/json' -d grant_type=client_credentials \
         -d scope=all http://127.0.0.1:8080/OAuth2/Token/app"
    );
    let password = client.prepare_password("o'brien", &Secret::new("x"), None).to_curl();
    assert!(password.contains(r#"--data-urlencode 'username=o'\''brien' --data-urlencode "password=$PASSWORD""#));
    let post = client.with_auth_method(ClientAuthMethod::ClientSecretPost);
    assert!(post.prepare_revoke(&Secret::new("x")).to_curl().starts_with(
        "curl -H 'Accept: application/json' --data-urlencode \"token=$TOKEN\" -d client_id=demo-service \
         --data-urlencode \"client_secret=$CLIENT_SECRET\" "
    ));
    let refresh = post.prepare_refresh(&Secret::new("x"), None).to_curl();
    assert!(refresh.contains(r#"--data-urlencode "refresh_token=$REFRESH_TOKEN""#), "{refresh}");
}

#[test]
fn no_name_scope_or_url_is_interpreted_by_the_shell() {
    for hostile in HOSTILE {
        let url = format!("https://auth.example/t[1-2]{{a,b}}?x='$HOME;`id`&y={}", hostile.replace(['\n', '\r'], ""));
        let client = client(&url, hostile, "s3cret").with_resource(hostile);
        check(&client.prepare_password(hostile, &Secret::new("p"), Some(hostile)), ["s3cret", "p", "", ""]);
        let post = client.with_auth_method(ClientAuthMethod::ClientSecretPost);
        check(&post.prepare_client_credentials(Some(hostile)), ["s3cret", "", "", ""]);
    }
}

#[test]
fn a_secret_may_be_any_text_and_is_never_in_the_line() {
    for secret in HOSTILE {
        let client = client("https://auth.example/t", "job", secret);
        let secrets = [secret; 4];
        check(&client.prepare_password("ann", &Secret::new(secret), None), secrets);
        check(&client.prepare_refresh(&Secret::new(secret), None), secrets);
        let post = client.with_auth_method(ClientAuthMethod::ClientSecretPost);
        check(&post.prepare_introspect(&Secret::new(secret)), secrets);
    }
    let hidden = Secret::new("hunter2 +'");
    let line = client("https://auth.example/t", "job", "hunter2 %").prepare_password("ann", &hidden, None).to_curl();
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn the_real_curl_sends_what_the_client_would() {
    Command::new("curl").arg("--version").output().expect("this test needs curl");
    let server = Server::answering("200 OK", "", "{}");
    for hostile in HOSTILE {
        let client = client(&server.url("/t?[a]={b}"), hostile, "s+%: é");
        let prepared = client.prepare_password(hostile, &Secret::new(hostile), Some(hostile));
        let output =
            run(&format!("{} --silent --max-time 10 --noproxy '*'", prepared.to_curl()), ["s+%: é", hostile, "", ""]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "{}", "{output:?}");
        let heard = server.next().expect("a request");
        let (head, body) = heard.split_once("\r\n\r\n").expect("headers");
        let request = prepared.to_http();
        assert!(head.starts_with(&format!("POST {} HTTP/1.1", request.uri().path_and_query().expect("a path"))));
        let header =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_default();
        assert_eq!(header("Accept"), "application/json");
        assert_eq!(header("Content-Type"), "application/x-www-form-urlencoded");
        let form = |bytes: &[u8]| url::form_urlencoded::parse(bytes).into_owned().collect::<Vec<_>>();
        assert_eq!(form(body.as_bytes()), form(request.body()));
        assert_eq!(presented(header("Authorization"), body), (hostile.to_owned(), "s+%: é".to_owned()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_is_one_shell_word(id in "[^\0]{1,12}", name in "[^\0]{1,12}", secret in "[^\0]{1,12}") {
        let client = client("https://auth.example/t", &id, &secret);
        check(&client.prepare_password(&name, &Secret::new(secret.as_str()), Some(&name)), [&secret, &secret, "", ""]);
    }
}
