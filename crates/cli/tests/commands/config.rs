//! Precedence of flags, environment, file and defaults. Errors name the key.

use countersign_testkit::TestDatabase;
use tempfile::TempDir;

use crate::process::{Serving, failed_line, run};

fn show(more: &[&str], environment: &[(&str, &str)], key: &str) -> String {
    let arguments = [&["config", "show"], more].concat();
    let output = run(&arguments, environment);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let row = text.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap_or_else(|| panic!("{text}"));
    row.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_source_overrides_the_next_and_is_shown() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("c.toml").display().to_string();
    std::fs::write(&file, "listen = \"127.0.0.1:1\"\n[registry]\nmax_age_s = 20\n").unwrap();
    let variable = [("COUNTERSIGN_LISTEN", "127.0.0.1:2")];
    let with_file = ["--config", &file];
    assert_eq!(show(&[], &[], "listen"), "127.0.0.1:8080 default");
    assert_eq!(show(&with_file, &[], "listen"), format!("127.0.0.1:1 {file}"));
    assert_eq!(show(&with_file, &variable, "listen"), "127.0.0.1:2 COUNTERSIGN_LISTEN");
    let all = [&with_file[..], &["--listen", "127.0.0.1:3"]].concat();
    assert_eq!(show(&all, &variable, "listen"), "127.0.0.1:3 --listen");
    assert_eq!(show(&with_file, &[], "registry.max_age_s"), format!("20 {file}"));
    let proxies = [("COUNTERSIGN_PROXY_TRUSTED", "10.0.0.0/8, ::1")];
    assert_eq!(show(&[], &proxies, "proxy.trusted"), "[\"10.0.0.0/8\", \"::1/128\"] COUNTERSIGN_PROXY_TRUSTED");
}

#[test]
fn a_password_in_the_database_url_is_never_shown() {
    let directory = TempDir::new().unwrap();
    let secret = directory.path().join("url").display().to_string();
    std::fs::write(&secret, "postgres://u:hunter2@db.example/x\n").unwrap();
    for environment in [
        ("COUNTERSIGN_DATABASE_URL", "postgres://u:hunter2@db.example/x"),
        ("COUNTERSIGN_DATABASE_URL_FILE", secret.as_str()),
    ] {
        let output = run(&["config", "show", "--output", "json"], &[environment]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("postgres://********") && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn an_invalid_value_fails_with_one_line_that_names_the_key() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("c.toml").display().to_string();
    let in_file = |text: &str| {
        std::fs::write(&file, text).unwrap();
        failed_line(&run(&["config", "check", "--config", &file], &[]))
    };
    let rows = [
        ("lisen = \"x\"", "lisen"),
        ("[log]\nlevel = \"loud\"", "log.level"),
        ("[registry]\nmax_age_s = \"ten\"", "registry.max_age_s"),
        ("[registry]\nmax_age_s = \"ten\"", "must be a whole number"),
        ("[http]\nmax_connections = -1", "must be a whole number"),
        ("[proxy]\ntrusted = \"10.0.0.0/8\"", "must be a list of strings"),
        ("insecure_http = \"yes\"", "must be true or false"),
        ("playground = true", "is a section; write [playground]"),
        ("listen = \"8081\"", "write it as 127.0.0.1:8081"),
        ("[registry]\nmax_age_s = 0", "registry.max_age_s"),
        ("[registry]\nmin_age_s = 1", "registry.min_age_s"),
        ("[nothing]\nx = 1", "nothing"),
        ("[nothing]", "nothing"),
        ("[proxy]\ntrusted = [\"10.0.0.0/99\"]", "proxy.trusted"),
        ("[http]\ncors_origins = [\"https://app.example/x\"]", "http.cors_origins"),
        ("[http]\ncors_origins = [\"*\"]", "is not an origin"),
        ("listen = 5", "listen"),
        ("listen = ", "line 1"),
        ("\n\nx = [", "line 3"),
    ];
    for (text, named) in rows {
        let line = in_file(text);
        assert!(line.contains(named) && line.contains(&file), "{text}: {line}");
        assert!(!line.contains("expected struct") && !line.contains("i64"), "{text}: {line}");
    }
    let secret = in_file("database = \"postgres://u:hunter2@h/x\"");
    assert!(secret.contains("database") && !secret.contains("hunter2"), "{secret}");
    let variable = |name, value| failed_line(&run(&["config", "check"], &[(name, value)]));
    let typo = variable("COUNTERSIGN_LISTNE", "x");
    assert!(typo.contains("COUNTERSIGN_LISTNE: unknown setting; did you mean COUNTERSIGN_LISTEN?"), "{typo}");
    assert!(variable("COUNTERSIGN_LOG_LEVLE", "x").contains("did you mean COUNTERSIGN_LOG_LEVEL?"));
    assert!(variable("COUNTERSIGN_LISTEN", "8081").contains("COUNTERSIGN_LISTEN): `8081` is not an address and"));
    assert!(variable("COUNTERSIGN_REGISTRY_MAX_AGE_S", "0").contains("COUNTERSIGN_REGISTRY_MAX_AGE_S"));
    assert!(variable("COUNTERSIGN_REGISTRY_MAX_AGE_S", "ten").contains("COUNTERSIGN_REGISTRY_MAX_AGE_S"));
    assert!(variable("COUNTERSIGN_INSECURE_HTTP", "yes").contains("COUNTERSIGN_INSECURE_HTTP"));
    let missing = failed_line(&run(&["config", "check", "--config", "/nowhere.toml"], &[]));
    assert!(missing.contains("/nowhere.toml"), "{missing}");
    let good = run(&["config", "check"], &[("COUNTERSIGN_CLIENT_SECRET", "the SDK's"), ("NO_COLOR", "1")]);
    assert!(good.status.success());
}

#[test]
fn the_schema_in_contrib_is_what_the_binary_prints() {
    let output = run(&["config", "schema"], &[]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, include_str!("../../../../contrib/countersign.schema.json"), "run `cargo xtask docs`");
}

#[test]
fn the_schema_and_config_check_accept_the_same_files() {
    let printed = run(&["config", "schema"], &[]).stdout;
    let schema = jsonschema::validator_for(&serde_json::from_slice(&printed).unwrap()).unwrap();
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("c.toml").display().to_string();
    for (text, is_valid) in [
        ("", true),
        ("listen = \"0.0.0.0:8080\"\nissuer = \"https://auth.example.com\"", true),
        ("[http]\nhosts = [\"auth.internal\"]\nmax_connections = 500\nmax_connections_per_address = 50", true),
        ("[log]\nformat = \"json\"\nlevel = \"debug\"\n[playground]\nenabled = true", true),
        ("[proxy]\ntrusted = [\"10.0.0.0/8\", \"::1\"]", true),
        ("lisen = \"0.0.0.0:8080\"", false),
        ("listen = 8080", false),
        ("insecure_http = \"yes\"", false),
        ("playground = true", false),
        ("[http]\nmax_conections = 500", false),
        ("[http]\nmax_connections = -1", false),
        ("[http]\nhosts = \"auth.internal\"", false),
        ("[log]\nlevel = \"loud\"", false),
        ("[nothing]", false),
    ] {
        std::fs::write(&file, text).unwrap();
        let checked = run(&["config", "check", "--config", &file], &[]).status.success();
        let edited: serde_json::Value = toml::from_str(text).unwrap();
        assert_eq!((checked, schema.is_valid(&edited)), (is_valid, is_valid), "{text}");
    }
}

#[test]
fn a_typo_is_a_usage_error_with_a_suggestion() {
    for arguments in [&["serve", "--bogus"][..], &["nothing"], &[], &["serve", "--listen", "x"]] {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1, "{arguments:?}");
    }
    let words = |arguments: &[&str]| String::from_utf8(run(arguments, &[]).stderr).unwrap();
    for (arguments, said) in [
        (&["serve", "--dmo"][..], "a similar argument exists: '--demo'"),
        (&["serv"], "some similar subcommands exist: 'secret', 'user', 'serve'"),
        (&["clinet"], "a similar subcommand exists: 'client'"),
        (&["serve", "--listen", "8081"], "write it as 127.0.0.1:8081"),
        (&["config"], "`countersign config --help`"),
        (&[], "`countersign --help`"),
    ] {
        assert!(words(arguments).contains(said), "{arguments:?}: {}", words(arguments));
    }
    let help = run(&["serve", "--help"], &[]);
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("Examples:"));
}

#[tokio::test]
async fn only_the_variables_that_kubernetes_sets_are_ignored_with_one_warning() {
    let theirs = [
        ("COUNTERSIGN_SERVICE_HOST", "10.0.0.7"),
        ("COUNTERSIGN_SERVICE_PORT", "8080"),
        ("COUNTERSIGN_SERVICE_PORT_HTTP", "8080"),
        ("COUNTERSIGN_PORT", "tcp://10.0.0.7:8080"),
        ("COUNTERSIGN_PORT_8080_TCP", "tcp://10.0.0.7:8080"),
        ("COUNTERSIGN_PORT_8080_TCP_PROTO", "tcp"),
        ("COUNTERSIGN_PORT_8080_TCP_PORT", "8080"),
        ("COUNTERSIGN_PORT_8080_TCP_ADDR", "10.0.0.7"),
    ];
    let log = Serving::start(&TestDatabase::fresh(), &[], &theirs).stop();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("Kubernetes")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(theirs.iter().all(|(name, _)| warnings[0].contains(name)), "{log}");
    for (name, value) in [
        ("COUNTERSIGN_PORT", "8080"),
        ("COUNTERSIGN_PORT_8080", "x"),
        ("COUNTERSIGN_PORT_8080_TCP_NAME", "x"),
        ("COUNTERSIGN_SERVICE", "x"),
    ] {
        assert!(failed_line(&run(&["config", "check"], &[(name, value)])).contains("unknown setting"), "{name}");
    }
}
