//! Exit codes: each kind of failure has its code and one line, which names the missing rights or the unreachable server.

use std::io::Read;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use countersign_testkit::{CertificateFiles, TestAuthority, TestDatabase};
use tempfile::TempDir;

use crate::process::{Serving, countersign};
use crate::team::{Done, Team, run};

/// The variables for a client.
fn client<'e>(id: &'e str, secret: &'e str, issuer: &'e str) -> [(&'e str, &'e str); 3] {
    [("COUNTERSIGN_CLIENT_ID", id), ("COUNTERSIGN_CLIENT_SECRET", secret), ("COUNTERSIGN_ISSUER", issuer)]
}

#[test]
fn an_invalid_combination_is_a_usage_error_that_names_the_flag() {
    let directory = TempDir::new().unwrap();
    let environment = [("COUNTERSIGN_DATA_DIR", directory.path().to_str().unwrap())];
    for (line, named) in [
        ("api create billing", "--audience"),
        ("api create billing --audience a:b --lifetime 1week", "--lifetime"),
        ("api create ../x --audience a:b", "<ID>"),
        ("api create", "<ID>"),
        ("scope create billing x", "--rule"),
        ("scope update billing x --default maybe", "--default"),
        ("secret create job --expires tomorrow", "--expires"),
        ("secret create job --not-before 2026-02-30T00:00:00Z", "--not-before"),
        ("secret rotate job --overlap -1h", "-1"),
        ("client create job --no-secret --env-file x", "--no-secret"),
        ("user update ada --enable --disable", "--enable"),
        ("client bogus", "bogus"),
        ("client", "--help"),
    ] {
        let failed = run(line, &environment, "").failed(line, 2);
        assert!(failed.starts_with("countersign: ") && failed.contains(named), "{failed}");
    }
    for subject in ["api", "scope", "client", "secret", "token", "key", "user", "audit", "refusal", "usage"] {
        let help = run(&format!("{subject} --help"), &[], "");
        assert_eq!(help.code, Some(0));
        let commands = help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
        let commands = commands.take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
        for verb in commands.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_whitespace().next()) {
            let help = run(&format!("{subject} {verb} --help"), &[], "");
            assert!(verb == "help" || help.stdout.contains("Example"), "{subject} {verb}: {help:?}");
        }
    }
}

#[test]
fn irreversible_actions_need_yes_without_a_terminal_and_make_no_request() {
    let environment = client("job", "x", "http://127.0.0.1:1");
    let verbs = [
        "api delete a",
        "scope delete a s",
        "client disable c",
        "client revoke c",
        "client delete c",
        "secret end c s",
        "token revoke t",
        "key rotate",
        "key revoke k",
        "user update u --disable",
        "user delete u",
        "user revoke u",
        "user reset-second-factor u",
        "user end-session u s",
    ];
    for line in verbs {
        let failed = run(line, &environment, "y\n").failed(line, 2);
        assert!(failed.contains("--yes"), "{failed}");
        run(&format!("{line} --yes"), &environment, "").failed(line, 6);
    }
    run("client list --yes", &environment, "").failed("accepted everywhere", 6);
}

#[tokio::test]
async fn the_identity_comes_from_the_environment_or_operator_json() {
    let team = Team::start().await;
    let (issuer, secret) = (team.serving.issuer.clone(), team.operator_secret());
    let ids = |environment: &[(&str, &str)], flags: &str| run(&format!("client list --quiet {flags}"), environment, "");
    let by_environment = ids(&client("operator", &secret, &issuer), "--data-dir /nowhere");
    assert_eq!((by_environment.code, by_environment.stdout.as_str()), (Some(0), "operator\n"));
    let (secret_file, issuer_file) = (team.file("secret"), team.file("issuer"));
    std::fs::write(&secret_file, format!("{secret}\n")).unwrap();
    std::fs::write(&issuer_file, format!("{issuer}/\n")).unwrap();
    let twins = [
        ("COUNTERSIGN_CLIENT_ID", "operator"),
        ("COUNTERSIGN_CLIENT_SECRET_FILE", secret_file.to_str().unwrap()),
        ("COUNTERSIGN_ISSUER_FILE", issuer_file.to_str().unwrap()),
    ];
    assert_eq!(ids(&twins, "").code, Some(0));
    let both = [&twins[..], &[("COUNTERSIGN_CLIENT_SECRET", "x")]].concat();
    assert!(ids(&both, "").failed("both", 2).contains("COUNTERSIGN_CLIENT_SECRET_FILE"));
    assert!(ids(&twins[..2], "").failed("no issuer", 2).contains("COUNTERSIGN_ISSUER"));
    let data = team.file("data").display().to_string();
    assert_eq!(ids(&[("COUNTERSIGN_ISSUER", "http://127.0.0.1:1")], &format!("--data-dir {data}")).code, Some(0));
    std::fs::write(team.file("c.toml"), format!("data_dir = \"{data}\"\n")).unwrap();
    assert_eq!(ids(&[], &format!("--config {}", team.file("c.toml").display())).code, Some(0));
    let missing = ids(&[], "--data-dir /nowhere").failed("no operator.json", 4);
    assert!(missing.contains("/nowhere/operator.json") && missing.contains("COUNTERSIGN_CLIENT_ID"), "{missing}");
    let wrong = ids(&client("operator", "cs_secret_wrong", &issuer), "").failed("a wrong secret", 4);
    assert!(wrong.contains("refused the credentials of operator") && !wrong.contains("cs_secret"), "{wrong}");
    let elsewhere = ids(&client("operator", &secret, "http://auth.example"), "").failed("in the clear", 1);
    assert!(elsewhere.contains("https://"), "{elsewhere}");
    let other_name = issuer.replace("127.0.0.1", "localhost");
    let spelled = ids(&client("operator", &secret, &other_name), "").failed("another name", 1);
    assert!(spelled.contains("spelled"), "{spelled}");
    // The commands' variables cause no warning in a server's environment.
    let serves = run("config check", &both, "");
    assert_eq!(serves.code, Some(0), "{serves:?}");
    team.serving.stop();
}

#[tokio::test]
async fn an_administrator_with_few_scopes_is_told_which_one_is_missing() {
    let team = Team::start().await;
    let made = team.json("client create narrow");
    let secret = made["client_secret"].as_str().unwrap();
    let (issuer, mine) = (team.serving.issuer.clone(), |line: &str| -> Done {
        run(line, &client("narrow", secret, &team.serving.issuer), "")
    });
    let none = mine("client list").failed("no entitlement", 5);
    assert!(none.contains("narrow has no access to admin-api") && none.contains(&issuer), "{none}");
    team.ok("client allow narrow admin-api --scope clients:read --grant client_credentials");
    assert_eq!(mine("client list --quiet").stdout, "operator\nnarrow\n");
    let line = mine("client create other").failed("clients:read only", 5);
    assert_eq!(line, "countersign: narrow lacks the scope clients:write of admin-api");
    assert!(mine("audit list").failed("clients:read only", 5).contains("audit:read"));
    team.ok("client allow narrow admin-api --scope clients:write --grant client_credentials");
    assert!(mine("client create other").failed("no secrets:write", 5).contains("secrets:write"));
    assert_eq!(mine("client create other --no-secret").code, Some(0));
    let more = mine("client allow narrow admin-api --scope apis:write --grant client_credentials")
        .failed("more than it has", 5);
    assert!(more.contains("--scope") && more.contains("apis:write"), "{more}");
    team.serving.stop();
}

#[tokio::test]
async fn a_stopped_server_is_unreachable_and_an_interrupt_ends_the_wait() {
    let team = Team::start().await;
    let environment = [("COUNTERSIGN_DATA_DIR", team.file("data").display().to_string())];
    team.serving.stop();
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let down = run("client list", &environment, "").failed("down", 6);
    assert!(down.contains("refused"), "{down}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", silent.local_addr().unwrap());
    let child = countersign(&["client", "list"]).envs(client("job", "x", &issuer)).spawn().unwrap();
    let (mut stream, _) = silent.accept().unwrap();
    assert!(stream.read(&mut [0; 64]).unwrap() > 0);
    assert!(Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(130), 0, 0), "{output:?}");
}

#[tokio::test]
async fn a_server_with_a_private_authority_is_only_trusted_with_its_file() {
    let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
    let files = CertificateFiles::of(&authority.certify("127.0.0.1"));
    let serving = Serving::over_tls(&database, &files);
    let file = |name: &str, text: &str| {
        let path = database.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let data = database.directory.path().join("data").display().to_string();
    let data = ("COUNTERSIGN_DATA_DIR", data.as_str());
    let (ours, others) = (file("ca.pem", authority.pem()), file("other.pem", TestAuthority::default().pem()));
    let good = run(&format!("client list --quiet --ca-file {ours}"), &[data], "");
    assert!(good.code == Some(0) && good.stdout.contains("operator"), "{good:?}");
    assert_eq!(run("client list", &[data, ("COUNTERSIGN_CA_FILE", &ours)], "").code, Some(0));
    run("client list", &[data], "").failed("the system's authorities", 6);
    run(&format!("client list --ca-file {others}"), &[data], "").failed("another authority", 6);
    let bad = run(&format!("client list --ca-file {}", file("bad.pem", "x")), &[data], "").failed("no PEM", 1);
    assert!(bad.contains("--ca-file"), "{bad}");
    run("client list --ca-file /nowhere.pem", &[data], "").failed("no file", 2);
    serving.stop();
}

#[tokio::test]
async fn a_result_that_cannot_be_printed_is_a_failure_and_a_key_id_may_begin_with_a_hyphen() {
    let team = Team::start().await;
    let data = team.file("data").display().to_string();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = countersign(&["client", "list", "--output", "json", "--data-dir", &data]);
    let done = command.stdout(full()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        done.status.code() == Some(1) && said.contains("the command succeeded, but its result could not be printed"),
        "{said}"
    );
    assert!(team.fail(3, "key revoke -abc --yes").contains("there is no key -abc"));
    team.serving.stop();
}

#[tokio::test]
async fn a_secret_that_cannot_be_printed_is_revoked_and_the_old_ones_expire_as_before() {
    let team = Team::start().await;
    team.create_billing();
    let data = team.file("data").display().to_string();
    let print_to = |arguments: &[&str], stdout: Stdio| {
        let done = countersign(&[arguments, &["--data-dir", &data, "--yes"]].concat()).stdout(stdout).output().unwrap();
        assert_eq!(done.status.code(), Some(1), "{done:?}");
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    // A pipe whose reader has gone, such as `| head -0`.
    let closed = || {
        let mut gone = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
        let pipe = gone.stdin.take().unwrap();
        gone.wait().unwrap();
        Stdio::from(pipe)
    };
    let secrets = || {
        let listed = team.json("secret list nightly-job");
        let listed = listed.as_array().unwrap().iter();
        listed.map(|secret| (secret["id"].clone(), secret["expires_at"].clone())).collect::<Vec<_>>()
    };
    let before = secrets();
    assert_eq!(before.len(), 1);
    for arguments in [
        &["secret", "rotate", "nightly-job", "--again", "--overlap", "1h"][..],
        &["secret", "rotate", "nightly-job", "--again", "--overlap", "0s"],
        &["secret", "create", "nightly-job"],
    ] {
        for stdout in [full(), closed()] {
            let said = print_to(arguments, stdout);
            let told = "the new secret was revoked, and the other secrets of nightly-job are as before";
            assert!(said.contains("the secret could not be printed: ") && said.contains(told), "{said}");
            assert!(!said.contains("Store the secret now"), "{said}");
            assert_eq!(secrets(), before, "{arguments:?}");
        }
    }
    print_to(&["client", "create", "job"], closed());
    assert_eq!(team.ok("secret list job --quiet"), "");
    let said = print_to(&["user", "create", "ada"], closed());
    assert!(said.contains("the password could not be printed: ") && said.contains("user update ada"), "{said}");
    team.serving.stop();
}
