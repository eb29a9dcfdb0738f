//! Flags above environment above file above defaults; nonsense is named.

use tempfile::TempDir;

use crate::process::{failed_line, run};

fn show(more: &[&str], environment: &[(&str, &str)], key: &str) -> String {
    let arguments = [&["config", "show"], more].concat();
    let output = run(&arguments, environment);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let row = text.lines().find(|line| line.starts_with(&format!("{key} "))).unwrap_or_else(|| panic!("{text}"));
    row.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_source_stands_above_the_next_and_is_named() {
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
fn nonsense_stops_with_one_line_that_names_the_key() {
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
        ("[registry]\nmax_age_s = 0", "registry.max_age_s"),
        ("[registry]\nmin_age_s = 1", "registry.min_age_s"),
        ("[nothing]\nx = 1", "nothing"),
        ("[nothing]", "nothing"),
        ("[proxy]\ntrusted = [\"10.0.0.0/99\"]", "proxy.trusted"),
        ("listen = 5", "listen"),
        ("listen = ", "line 1"),
        ("\n\nx = [", "line 3"),
    ];
    for (text, named) in rows {
        let line = in_file(text);
        assert!(line.contains(named) && line.contains(&file) || named == "registry.max_age_s", "{text}: {line}");
        assert!(line.contains(named), "{text}: {line}");
    }
    let secret = in_file("database = \"postgres://u:hunter2@h/x\"");
    assert!(secret.contains("database") && !secret.contains("hunter2"), "{secret}");
    let variable = |name, value| failed_line(&run(&["config", "check"], &[(name, value)]));
    assert!(variable("COUNTERSIGN_LISTNE", "x").contains("COUNTERSIGN_LISTNE"));
    assert!(variable("COUNTERSIGN_LISTEN", "x").contains("COUNTERSIGN_LISTEN"));
    assert!(variable("COUNTERSIGN_REGISTRY_MAX_AGE_S", "ten").contains("COUNTERSIGN_REGISTRY_MAX_AGE_S"));
    assert!(variable("COUNTERSIGN_INSECURE_HTTP", "yes").contains("COUNTERSIGN_INSECURE_HTTP"));
    let missing = failed_line(&run(&["config", "check", "--config", "/nowhere.toml"], &[]));
    assert!(missing.contains("/nowhere.toml"), "{missing}");
    let good = run(&["config", "check"], &[("COUNTERSIGN_CLIENT_SECRET", "the SDK's"), ("NO_COLOR", "1")]);
    assert!(good.status.success());
}

#[test]
fn what_cannot_be_typed_is_a_usage_error() {
    for arguments in [&["serve", "--bogus"][..], &["nothing"], &[], &["serve", "--listen", "x"]] {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1, "{arguments:?}");
    }
    let help = run(&["serve", "--help"], &[]);
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("Examples:"));
}
