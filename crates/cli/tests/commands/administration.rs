//! What a team does: an API, a client, a rotation without an outage, a revoked leak, and the record of it all.

use serde_json::json;

use crate::team::{Team, status};

#[tokio::test]
async fn a_team_creates_an_api_and_a_client_that_gets_a_token() {
    let team = Team::start().await;
    let api = team.json("api create billing --audience https://billing.example --lifetime 15m --name \"The bills\"");
    let members = ["id", "audience", "name", "grants", "access_token_lifetime_s", "algorithm"];
    let values = members.map(|member| api[member].to_string()).join(" ");
    assert_eq!(values, r#""billing" "https://billing.example" "The bills" ["client_credentials"] 900 "ES256""#);
    assert!(api["created_at"].is_i64());
    let scope =
        team.json("scope create billing invoices:read --rule \"GET /invoices(/.*)?\" --description \"Read invoices\"");
    let expected = json!({
        "name": "invoices:read", "description": "Read invoices", "rules": ["GET /invoices(/.*)?"], "default": false,
    });
    assert_eq!(scope, expected);
    let table = team.ok("scope test billing get /invoices/7");
    assert_eq!(table, "SCOPE          RULE\ninvoices:read  GET /invoices(/.*)?\n");
    let client = team.json("client create nightly-job --name \"Nightly job\" --owner ops@example.com");
    let members: Vec<&String> = client.as_object().unwrap().keys().collect();
    assert_eq!(members, ["client_id", "secret_id", "client_secret"]);
    assert_eq!(client["client_id"], "nightly-job");
    assert!(client["secret_id"].as_str().unwrap().starts_with("cred_"), "{client}");
    let secret = client["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("cs_secret_"));
    team.ok("client allow nightly-job billing --scope invoices:read --grant client_credentials");
    let job = team.serving.actor("nightly-job", secret);
    let answer = job.client_credentials("invoices:read").await;
    assert_eq!((answer.status, answer.json()["expires_in"].as_i64()), (200, Some(900)));
    team.serving.stop();
}

#[tokio::test]
async fn client_allow_adds_to_the_entitlement_also_concurrently() {
    let team = Team::start().await;
    team.create_billing();
    let entitlement = |scopes: &[&str], grants: &[&str], introspect: bool| json!({ "api": "billing", "scopes": scopes, "grants": grants, "introspect": introspect });
    let cc = &["client_credentials"][..];
    let both = ["invoices:read", "invoices:write"];
    assert_eq!(
        team.json("client allow nightly-job billing --scope invoices:write --grant client_credentials"),
        entitlement(&both, cc, false)
    );
    assert_eq!(team.json("client allow nightly-job billing --introspect"), entitlement(&both, cc, true));
    team.ok("client create reader --no-secret");
    let only = team.json("client allow reader billing --introspect");
    assert_eq!(only, entitlement(&[], &[], true));
    assert_eq!(
        team.json("client allow reader billing --scope invoices:read --grant client_credentials"),
        entitlement(&both[..1], cc, true)
    );
    for scope in ["a", "b"] {
        team.ok(&format!("scope create billing {scope} --rule \"GET /{scope}\""));
    }
    std::thread::scope(|threads| {
        for scope in ["a", "b"] {
            let team = &team;
            threads.spawn(move || {
                team.ok(&format!("client allow reader billing --scope {scope} --grant client_credentials"))
            });
        }
    });
    let shown = team.json("client show reader");
    assert_eq!(shown["entitlements"][0]["scopes"], json!(["a", "b", "invoices:read"]));
    let line = team.fail(1, "client allow reader billing --scope nothing --grant client_credentials");
    assert_eq!(line, "countersign: --scope: `nothing` is not a scope of billing");
    assert!(team.fail(2, "client allow reader billing").contains("--scope"));
    assert!(team.fail(2, "client allow reader billing --scope invoices:read").contains("--grant"));
    team.fail(3, "client allow nobody billing --introspect");
    team.fail(3, "client allow reader nothing --introspect");
    let unasked = team.fail(2, "client disallow reader billing");
    let question = "Remove the entitlement of reader to billing, and revoke its tokens for billing?";
    assert!(unasked.contains(question) && unasked.contains("add --yes"), "{unasked}");
    assert_eq!(
        team.json("client disallow reader billing --scope a --scope b --yes"),
        entitlement(&both[..1], cc, true),
        "only a part of it"
    );
    let typo = team.fail(1, "client disallow reader billing --scope c --yes");
    assert_eq!(typo, "countersign: reader has no c for billing");
    let last = team.fail(1, "client disallow reader billing --grant client_credentials --yes");
    assert!(last.contains("`countersign client disallow reader billing`"), "{last}");
    team.ok("client disallow reader billing --yes");
    assert_eq!(team.json("client show reader")["entitlements"], json!([]));
    team.fail(3, "client disallow reader billing --yes");
    team.serving.stop();
}

#[tokio::test]
async fn a_rotation_causes_no_outage_and_shows_in_the_list() {
    let team = Team::start().await;
    let old = team.create_billing();
    assert_eq!(status(&old, "").await, 400, "the API has no default scope");
    assert_eq!(status(&old, "invoices:read").await, 200);
    let made = team.json("secret rotate nightly-job --overlap 1h --label after-the-leak");
    let members: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(members, ["client_id", "secret_id", "client_secret"]);
    let new = team.serving.actor("nightly-job", made["client_secret"].as_str().unwrap());
    assert_eq!(status(&old, "invoices:read").await, 200);
    assert_eq!(status(&new, "invoices:read").await, 200);
    let secrets = team.json("secret list nightly-job");
    let rows = secrets.as_array().unwrap();
    for row in rows {
        let mut members: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        let expected =
            ["created_at", "expires_at", "id", "label", "last_used_at", "last_used_from", "not_before", "use_count"];
        assert_eq!(members, expected);
    }
    assert_eq!((&rows[0]["use_count"], &rows[1]["use_count"]), (&json!(3), &json!(1)));
    assert_eq!(rows[0]["last_used_from"], "127.0.0.1");
    assert_eq!((&rows[1]["id"], &rows[1]["label"]), (&made["secret_id"], &json!("after-the-leak")));
    assert!(rows[1]["expires_at"].is_null());
    let lasts = rows[0]["expires_at"].as_i64().unwrap() - rows[1]["created_at"].as_i64().unwrap();
    assert_eq!(lasts, 3600);
    let first = rows[0]["id"].as_str().unwrap();
    let line = team.fail(1, &format!("secret end nightly-job {first} --yes"));
    assert!(line.contains("was used ") && line.contains("127.0.0.1"), "{line}");
    assert_eq!(team.ok(&format!("secret end nightly-job {first} --force --yes --quiet")).trim(), first);
    assert_eq!(status(&old, "invoices:read").await, 401);
    assert_eq!(status(&new, "invoices:read").await, 200);
    team.fail(3, &format!("secret end nightly-job {first} --yes"));
    let twice = team.fail(1, "secret rotate nightly-job");
    assert!(twice.contains(" s ago; use that secret, or rotate again with"), "{twice}");
    let again = team.json("secret rotate nightly-job --again");
    let new = team.serving.actor("nightly-job", again["client_secret"].as_str().unwrap());
    assert_eq!(status(&new, "invoices:read").await, 200);
    let bad = team.fail(1, "secret rotate nightly-job --overlap 91d");
    assert_eq!(bad, "countersign: --overlap: must be from 0 to 7776000 seconds");
    team.serving.stop();
}

#[tokio::test]
async fn leaked_credentials_are_revoked_and_clients_enabled_and_disabled() {
    let team = Team::start().await;
    let job = team.create_billing();
    let is_active = async |token: &str| job.introspect(token).await.json()["active"] == true;
    let token = job.client_credentials("invoices:read").await.text("access_token");
    assert!(is_active(&token).await);
    let done = team.run_with("token revoke - --yes --output json", &[], &format!("{token}\n"));
    let revoked: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, &revoked["kind"]), (Some(0), &json!("token")));
    assert!(!is_active(&token).await);
    for (stdin, why) in [("", "is empty"), (" \r\n", "is empty"), ("eyJ\nabc\n", "must contain one token on one line")]
    {
        let refused = team.run_with("token revoke - --yes", &[], stdin).failed(stdin, 2);
        assert!(refused.ends_with(&format!("TOKEN: stdin {why}")), "{refused}");
    }
    let unasked = team.run_with("token revoke -", &[], &token).failed("without --yes", 2);
    assert!(unasked.contains("add --yes"), "{unasked}");
    assert!(team.fail(1, "token revoke nonsense --yes").starts_with("countersign: TOKEN: is not a token"));
    let token = job.client_credentials("invoices:read").await.text("access_token");
    assert_eq!(team.ok("client revoke nightly-job --yes"), "All tokens of nightly-job have been revoked.\n");
    assert!(!is_active(&token).await);
    assert_eq!(team.json("client disable nightly-job --yes")["status"], "disabled");
    assert_eq!(status(&job, "invoices:read").await, 401);
    assert_eq!(team.json("client enable nightly-job")["status"], "active");
    let token = job.client_credentials("invoices:read").await.text("access_token");
    let keys = team.json("key list");
    let key = keys.as_array().unwrap().iter().find(|key| key["state"] == "active").unwrap();
    let key = key["id"].as_str().unwrap();
    let shown = team.json(&format!("key show {key} --pem"));
    assert_eq!((shown["jwk"]["kid"].as_str(), shown["state"].as_str()), (Some(key), Some("active")));
    let pem = team.ok(&format!("key show {key} --pem"));
    assert_eq!(shown["pem"], pem.as_str());
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && pem.ends_with("\n-----END PUBLIC KEY-----\n"), "{pem}");
    assert_eq!(team.ok(&format!("key revoke {key} --yes --quiet")).trim(), key);
    assert_eq!(team.json(&format!("key show {key}"))["jwk"], json!(null));
    assert!(team.fail(1, &format!("key show {key} --pem")).contains("is retired"));
    assert!(!is_active(&token).await);
    assert_eq!(team.ok(&format!("key revoke {key} --yes")), format!("{key} is already retired.\n"));
    assert_eq!(team.json(&format!("key revoke {key} --yes")), json!({ "revoked": key }));
    assert_eq!(team.fail(3, "key revoke nothing --yes"), "countersign: there is no key nothing");
    assert_eq!(team.json("key rotate --yes")[0]["state"], "pending");
    let line = team.run("key rotate --yes");
    assert_eq!((line.code, line.stderr.lines().count()), (Some(1), 2), "{line:?}");
    assert!(team.fail(1, "key rotate ES256 --yes").contains("has a pending key"));
    assert!(team.fail(1, "key rotate none --yes").starts_with("countersign: ALGORITHM: must be one of"));
    team.serving.stop();
}

#[tokio::test]
async fn what_takes_something_away_says_from_whom_and_asks() {
    let team = Team::start().await;
    team.create_billing();
    team.ok("api update billing --add-grant password");
    for client in ["ada", "bob"] {
        team.ok(&format!("client create {client} --no-secret"));
    }
    team.ok("client allow ada billing --scope invoices:read --grant password");
    team.ok("client allow bob billing --scope invoices:write --grant client_credentials");
    for (line, question) in [
        ("api update billing --remove-grant password", "billing will no longer allow password. Affects 1 client: ada."),
        (
            "api update billing --set-grant password",
            "billing will no longer allow client_credentials. Affects 2 clients: bob, nightly-job.",
        ),
        (
            "scope update billing invoices:write --set-rule \"PUT /x\"",
            "invoices:write will no longer allow POST,PUT /invoices(/.*)?. Affects 1 client: bob.",
        ),
        (
            "client update ada --set-auth-method client_secret_basic",
            "ada will no longer be able to authenticate with client_secret_post.",
        ),
        ("api update billing --audience https://b.example", "revoke all tokens with the old one?"),
        ("scope update billing invoices:read --default false", "that request no scope?"),
        ("secret rotate nightly-job --overlap 10s", "let the others expire in 10 seconds?"),
    ] {
        let unasked = team.fail(2, line);
        assert!(unasked.contains(question) && unasked.contains("add --yes"), "{line}: {unasked}");
    }
    let listed = |filter: &str| team.ok(&format!("client list --quiet {filter}"));
    assert_eq!(listed("--api billing --grant password"), "ada\n");
    assert_eq!(listed("--api billing --scope invoices:write"), "bob\n");
    assert_eq!(listed("--api billing"), "ada\nbob\nnightly-job\n");
    assert!(team.fail(1, "client list --api billing --scope x").contains("`x` is not a scope of billing"));
    assert!(team.fail(2, "client list --grant password").contains("--api"));
    assert_eq!(team.json("api update billing --remove-grant password --yes")["grants"], json!(["client_credentials"]));
    assert_eq!(listed("--api billing --grant password"), "ada\n", "its entitlement stays, but is of no use");
    let typo = team.fail(1, "api update billing --add-grant passwort");
    assert!(typo.starts_with("countersign: --add-grant: `passwort` is not one of"), "{typo}");
    team.serving.stop();
}

#[tokio::test]
async fn objects_are_changed_by_name_and_deleted_only_if_nothing_depends_on_them() {
    let team = Team::start().await;
    team.create_billing();
    let api =
        team.json("api update billing --lifetime 5m --refresh-idle 1d --refresh-absolute 20d --add-grant password");
    let values = [&api["access_token_lifetime_s"], &api["refresh_idle_s"], &api["refresh_absolute_s"]];
    assert_eq!(values, [&json!(300), &json!(86_400), &json!(1_728_000)]);
    let both = json!(["client_credentials", "password"]);
    assert_eq!((&api["grants"], &api["audience"]), (&both, &json!("https://billing.example")));
    let rules = "--set-rule \"GET /a\" --set-rule \"GET /b\"";
    let scope = team.json(&format!("scope update billing invoices:read {rules} --default true --yes"));
    assert_eq!((&scope["rules"], &scope["default"]), (&json!(["GET /a", "GET /b"]), &json!(true)));
    assert_eq!(team.json("scope show billing invoices:read"), scope);
    let line = "client update nightly-job --owner x@example.com --remove-auth-method client_secret_basic --yes";
    let client = team.json(line);
    let owner_and_methods = (&client["owner"], &client["auth_methods"]);
    assert_eq!(owner_and_methods, (&json!("x@example.com"), &json!(["client_secret_post"])));
    for thing in ["api update billing", "scope update billing invoices:read", "client update nightly-job"] {
        assert!(team.fail(2, thing).contains("no change specified"), "{thing}");
    }
    assert!(team.fail(1, "scope delete billing invoices:read --yes").contains("nightly-job"));
    assert!(team.fail(1, "api delete billing --yes").contains("nightly-job"));
    assert_eq!(team.json("client delete nightly-job --yes"), json!({ "deleted": "nightly-job" }));
    assert_eq!(team.ok("scope delete billing invoices:read --yes"), "invoices:read is deleted.\n");
    assert_eq!(team.ok("api delete billing --yes --quiet"), "billing\n");
    team.fail(3, "api show billing");
    team.serving.stop();
}

#[tokio::test]
async fn users_are_created_changed_and_deleted() {
    let team = Team::start().await;
    let user = team.json("user create ada --role administrator");
    assert_eq!((&user["login"], &user["roles"]), (&json!("ada"), &json!(["administrator"])));
    assert_eq!(user["password"].as_str().unwrap().len(), 20);
    let made = team.run_with("user create bob --password-file - --output json", &[], "a password of bob's\n");
    assert!(made.code == Some(0) && !made.stdout.contains("password") && made.stderr.is_empty(), "{made:?}");
    let ids: Vec<String> = team.ok("user list --quiet").lines().map(str::to_owned).collect();
    assert_eq!((ids.len(), ids[0].as_str()), (2, user["id"].as_str().unwrap()));
    let changed = team.json("user update ada --no-role --disable --yes");
    assert_eq!((&changed["roles"], &changed["status"]), (&json!([]), &json!("disabled")));
    assert_eq!(team.json("user update ada --enable")["status"], "active");
    std::fs::write(team.file("pw"), "another one, of ada's\n").unwrap();
    team.ok(&format!("user update ada --password-file {}", team.file("pw").display()));
    let short = team.run_with("user update ada --password-file -", &[], "short").failed("a short password", 1);
    assert!(short.starts_with("countersign: --password-file: must have"), "{short}");
    assert_eq!(team.json("user sessions ada"), json!([]));
    team.fail(3, "user end-session ada nothing --yes");
    assert!(team.fail(1, "user reset-second-factor ada --yes").contains("no second factor"));
    assert_eq!(team.json("user attempts ada")["locked"], json!(false));
    assert!(team.ok("user unlock ada").contains("ada is unlocked"));
    assert!(team.fail(3, "user unlock nobody").contains("nobody"));
    assert_eq!(team.json("user revoke ada --yes"), json!({ "revoked": "ada" }));
    assert_eq!(team.json("user delete ada --yes"), json!({ "deleted": "ada" }));
    assert_eq!(team.fail(3, "user show ada"), "countersign: there is no user ada");
    team.serving.stop();
}
