//! Clients, their entitlements and their secrets. A client can have several, so that they can be rotated without an outage.

use countersign_testkit::{Actor, Administrator, TestServer};
use serde_json::{Value, json};

/// A client of the demo API with its first secret, created by the administrator.
async fn nightly(server: &TestServer, operator: &Administrator) -> (String, String) {
    let made = operator.post("/clients", json!({ "client_id": "nightly-job", "secret": { "label": "first" } })).await;
    assert_eq!(made.status, 201, "{made}");
    let entitlement = json!({ "scopes": ["all", "reports:read"], "grants": ["client_credentials"] });
    assert_eq!(operator.put("/clients/nightly-job/entitlements/oauthclient", entitlement).await.status, 200);
    let secret = made.json()["secret"].clone();
    assert_eq!(server.actor("nightly-job", text(&secret, "client_secret")).client_credentials("all").await.status, 200);
    (text(&secret, "secret_id").to_owned(), text(&secret, "client_secret").to_owned())
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap()
}

async fn works(actor: &Actor) -> bool {
    actor.token(&[("grant_type", "client_credentials")]).await.status == 200
}

#[tokio::test]
async fn a_client_is_created_shown_without_its_secret_changed_and_deleted_with_its_tokens() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let body = json!({ "client_id": "nightly-job", "name": "Nightly job", "owner": "ops@example.com", "secret": {} });
    let made = operator.post("/clients", body).await;
    assert_eq!((made.status, made.header("location")), (201, "/admin/v1/clients/nightly-job"));
    let secret = text(&made.json()["secret"], "client_secret").to_owned();
    assert!(secret.starts_with("cs_secret_"));
    let shown = operator.get("/clients/nightly-job").await;
    assert_eq!(
        shown.json(),
        json!({
            "client_id": "nightly-job", "name": "Nightly job", "owner": "ops@example.com", "status": "active",
            "auth_methods": ["client_secret_basic", "client_secret_post"], "entitlements": [],
            "tokens_per_minute": null, "tokens_per_day": null, "created_at": server.state.now(),
        })
    );
    let put = json!({ "scopes": ["all"], "grants": ["client_credentials"] });
    assert_eq!(operator.put("/clients/nightly-job/entitlements/oauthclient", put).await.status, 200);
    let job = server.actor("nightly-job", &secret);
    let token = job.client_credentials("all").await.text("access_token");
    let lives = async || server.demo_service().introspect(&token).await.json()["active"] == true;
    assert!(lives().await);

    let methods = json!({ "auth_methods": ["client_secret_post"], "owner": "" });
    assert_eq!(operator.patch("/clients/nightly-job", methods).await.status, 200);
    assert!(!works(&job).await, "Basic is no longer registered");
    assert_eq!(operator.patch("/clients/nightly-job", json!({ "status": "disabled" })).await.status, 200);
    assert!(!lives().await, "a disabled client's tokens are invalid");
    let active = json!({ "status": "active", "auth_methods": ["client_secret_basic"] });
    assert_eq!(operator.patch("/clients/nightly-job", active).await.status, 200);
    assert!(works(&job).await);
    assert_eq!(operator.delete("/clients/nightly-job").await.status, 204);
    assert!(!works(&job).await && !lives().await);

    // A client with the same ID is a different client. Nothing of the old one works.
    assert_eq!(operator.post("/clients", json!({ "client_id": "nightly-job" })).await.status, 201);
    assert!(!works(&job).await && !lives().await);
    for body in [operator.get("/audit?limit=1000").await.body, shown.body] {
        assert!(!body.contains(&secret) && !body.contains(&token), "no read returns a secret");
    }
}

#[tokio::test]
async fn an_invalid_client_is_refused_with_the_field_and_nothing_changes() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let before = operator.get("/clients").await.body;
    for (body, field) in [
        (json!({}), "client_id"),
        (json!({ "client_id": "a b" }), "client_id"),
        (json!({ "client_id": "a:b" }), "client_id"),
        (json!({ "client_id": "a/b" }), "client_id"),
        (json!({ "client_id": "..", }), "client_id"),
        (json!({ "client_id": "usr_1" }), "client_id"),
        (json!({ "client_id": "Countersign" }), "client_id"),
        (json!({ "client_id": "é" }), "client_id"),
        (json!({ "client_id": "x".repeat(101) }), "client_id"),
        (json!({ "client_id": "x", "auth_methods": [] }), "auth_methods"),
        (json!({ "client_id": "x", "auth_methods": ["none"] }), "auth_methods"),
        (json!({ "client_id": "x", "owner": "a\tb" }), "owner"),
        (json!({ "client_id": "x", "epoch": 0 }), "epoch"),
        (json!({ "client_id": "x", "entitlements": [] }), "entitlements"),
        (json!({ "client_id": "x", "secret": { "import": "too short" } }), "import"),
        (json!({ "client_id": "x", "secret": { "hash": "x" } }), "secret.hash"),
        (json!({ "client_id": "x", "secret": [] }), "secret"),
        (json!({ "client_id": "x", "secret": { "label": 7 } }), "secret.label"),
        (json!({ "client_id": "x", "name": " " }), "name"),
        (json!({ "client_id": "x", "secret": { "expires_at": 1 } }), "expires_at"),
    ] {
        let answer = operator.post("/clients", body.clone()).await;
        assert_eq!(answer.problem(), (400, "invalid".to_owned(), field.to_owned()), "{body}: {answer}");
    }
    for taken in ["demo-service", "DEMO-SERVICE", "demo", "Operator"] {
        assert_eq!(operator.post("/clients", json!({ "client_id": taken })).await.status, 409, "{taken}");
    }
    let unlike = operator.patch("/clients/demo-service", json!({ "client_id": "other" })).await;
    assert_eq!(unlike.problem().2, "client_id");
    assert_eq!(operator.patch("/clients/demo-service", json!({ "status": "asleep" })).await.problem().2, "status");
    assert_eq!(operator.patch("/clients/nobody", json!({})).await.problem().1, "not-found");
    for (what, field) in [
        (json!({ "scopes": ["nothing"], "grants": ["client_credentials"] }), "scopes"),
        (json!({ "scopes": ["all"], "grants": ["implicit"] }), "grants"),
        (json!({ "scopes": ["all"] }), "grants"),
        (json!({ "grants": ["password"] }), "scopes"),
        (json!({}), "scopes"),
    ] {
        let answer = operator.put("/clients/demo-service/entitlements/oauthclient", what.clone()).await;
        assert_eq!(answer.problem().2, field, "{what}: {answer}");
    }
    let password = json!({ "scopes": ["apis:read"], "grants": ["password"] });
    assert_eq!(operator.put("/clients/demo-service/entitlements/admin-api", password).await.problem().2, "grants");
    assert_eq!(operator.put("/clients/demo-service/entitlements/nothing", json!({})).await.status, 404);
    assert_eq!(operator.get("/clients").await.body, before);
}

#[tokio::test]
async fn a_secret_is_replaced_without_an_outage_and_the_list_shows_uses_of_the_old_one() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let (old_id, old) = nightly(&server, &operator).await;
    let now = server.state.now();
    let rotated =
        operator.post("/clients/nightly-job/secrets/rotate", json!({ "overlap_s": 3600, "label": "next" })).await;
    assert_eq!(rotated.status, 201, "{rotated}");
    let new = rotated.json();
    let previous = json!([{ "id": old_id, "expires_at": null }]);
    assert_eq!(new["old"], json!({ "ids": [old_id], "expires_at": now + 3600, "previous": previous }));
    let (by_old, by_new) =
        (server.actor("nightly-job", &old), server.actor("nightly-job", text(&new, "client_secret")));
    assert!(works(&by_old).await && works(&by_new).await);

    server.advance(60).await;
    assert!(works(&by_old).await);
    let rows = operator.list("/clients/nightly-job/secrets").await;
    let seen: Vec<_> = rows.iter().map(|row| (text(row, "label"), row["use_count"].clone())).collect();
    assert_eq!(seen, [("first", json!(3)), ("next", json!(1))]);
    assert_eq!((&rows[0]["last_used_at"], &rows[0]["last_used_from"]), (&json!(now + 60), &json!("127.0.0.1")));
    assert_eq!((&rows[0]["expires_at"], &rows[1]["expires_at"]), (&json!(now + 3600), &Value::Null));
    let whole = operator.get("/clients/nightly-job/secrets").await.body;
    assert!(!whole.contains(&old) && !whole.contains(text(&new, "client_secret")));

    let planned = operator.post("/clients/nightly-job/secrets", json!({ "not_before": now + 7200 })).await.json();
    let rotated = operator.post("/clients/nightly-job/secrets/rotate", json!({ "overlap_s": 3600 })).await.json();
    assert!(
        !rotated["old"]["ids"].as_array().unwrap().contains(&planned["secret_id"]),
        "a secret that is not valid yet is not changed"
    );
    for id in [&planned["secret_id"], &rotated["secret_id"]] {
        let path = format!("/clients/nightly-job/secrets/{}", id.as_str().unwrap());
        assert_eq!(operator.delete(&path).await.status, 204);
    }
    let at_once = operator.post("/clients/nightly-job/secrets/rotate", json!({ "overlap_s": 0, "again": true })).await;
    assert_eq!((at_once.status, at_once.text("detail").contains("was used 0 s ago")), (409, true), "{at_once}");
    let path = format!("/clients/nightly-job/secrets/{old_id}");
    let still_used = operator.delete(&path).await;
    assert_eq!(still_used.status, 409, "used within the hour");
    assert!(still_used.text("detail").contains("127.0.0.1"), "{still_used}");
    server.advance(3540).await;
    assert!(!works(&by_old).await, "it has expired");
    assert!(works(&by_new).await);
    assert_eq!(operator.delete(&path).await.status, 401, "the administrator's own token was valid for ten minutes");
    let operator = server.operator().await;
    server.advance(61).await;
    assert_eq!(operator.delete(&path).await.status, 204, "the last use was an hour ago");
    assert_eq!(operator.get(&path).await.status, 404);

    let restarted = server.restart().await;
    let kept = restarted.operator().await.list("/clients/nightly-job/secrets").await;
    assert_eq!((kept.len(), kept[0]["label"].as_str()), (1, Some("next")));
}

#[tokio::test]
async fn of_fifteen_concurrent_rotations_one_succeeds_and_its_secret_works() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let (_, old) = nightly(&server, &operator).await;
    let path = "/clients/nightly-job/secrets";
    // A secret that was only added in the same minute does not count as a rotation.
    assert_eq!(operator.post(path, json!({ "label": "added" })).await.status, 201);
    let rotate = || operator.post("/clients/nightly-job/secrets/rotate", json!({}));
    let answers = futures_util::future::join_all((0..15).map(|_| rotate())).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!((made.len(), refused.len()), (1, 14));
    for answer in refused {
        assert_eq!(answer.problem().0, 409, "{answer}");
        let detail = answer.text("detail");
        assert!(detail.contains("were rotated 0 s ago") && detail.contains("`--again`"), "{answer}");
    }
    assert_eq!(operator.list(path).await.len(), 3, "the first, the added one and the new one");
    assert!(works(&server.actor("nightly-job", &made[0].text("client_secret"))).await);
    assert!(works(&server.actor("nightly-job", &old)).await, "its overlap has not ended");

    server.advance(59).await;
    assert_eq!(rotate().await.status, 409);
    let again = operator.post("/clients/nightly-job/secrets/rotate", json!({ "again": true })).await;
    assert_eq!(again.status, 201, "the first response may have been lost: {again}");
    assert_eq!(rotate().await.status, 409, "the last rotation counts, with or without `again`");
    server.advance(60).await;
    let later = operator.post("/clients/nightly-job/secrets/rotate", json!({})).await;
    assert_eq!(later.status, 201, "{later}");
    assert!(works(&server.actor("nightly-job", &later.text("client_secret"))).await);
}

#[tokio::test]
async fn a_job_that_rotates_its_secret_every_day_never_reaches_the_limit() {
    let server = TestServer::start().await;
    nightly(&server, &server.operator().await).await;
    for day in 1..=12 {
        let rotated = server.operator().await.post("/clients/nightly-job/secrets/rotate", json!({})).await;
        assert_eq!(rotated.status, 201, "day {day}: {rotated}");
        assert!(works(&server.actor("nightly-job", text(&rotated.json(), "client_secret"))).await, "day {day}");
        server.advance(86_400).await;
    }
    let kept = server.operator().await.list("/clients/nightly-job/secrets").await;
    assert!(kept.len() < 10 && kept.iter().filter(|one| one["expires_at"].is_null()).count() == 1, "{kept:?}");
}

#[tokio::test]
async fn a_secret_is_changed_only_if_unchanged_since_it_was_read_but_uses_do_not_count() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    nightly(&server, &operator).await;
    let made = operator.post("/clients/nightly-job/secrets", json!({ "label": "next" })).await;
    let (tag, next) = (made.header("etag").to_owned(), made.json());
    let path = format!("/clients/nightly-job/secrets/{}", text(&next, "secret_id"));
    assert!(works(&server.actor("nightly-job", text(&next, "client_secret"))).await);
    assert_eq!(operator.get(&path).await.header("etag"), tag, "a use is no change");
    let label = |label: &str| Some(json!({ "label": label }));
    let matching = [("if-match", tag.as_str())];
    assert_eq!(operator.call("PATCH", &path, label("one").as_ref(), &matching).await.status, 200);
    assert_eq!(operator.call("PATCH", &path, label("two").as_ref(), &matching).await.status, 412);
    assert_eq!(operator.call("DELETE", &format!("{path}?force=true"), None, &matching).await.status, 412);
    assert_eq!(text(&operator.get(&path).await.json(), "label"), "one");

    let client = operator.post("/clients", json!({ "client_id": "another", "secret": {} })).await;
    let matching = [("if-match", client.header("etag"))];
    let renamed = operator.call("PATCH", "/clients/another", Some(&json!({ "name": "A" })), &matching).await;
    assert_eq!(renamed.status, 200, "the ETag of the creation is the client's, not its secret's");
    let entitlement = json!({ "scopes": ["all"], "grants": ["client_credentials"] });
    let path = "/clients/another/entitlements/oauthclient";
    assert_eq!(
        operator.call("PUT", path, Some(&entitlement), &[("if-match", "*")]).await.status,
        412,
        "no entitlement exists"
    );
}

#[tokio::test]
async fn a_leaked_secret_is_revoked_immediately_with_the_tokens_of_its_client() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let (id, secret) = nightly(&server, &operator).await;
    let job = server.actor("nightly-job", &secret);
    let ends = async |token: &str| server.demo_service().introspect(token).await.json()["active"] == false;

    let token = job.client_credentials("all").await.text("access_token");
    let other = operator.post("/clients/nightly-job/secrets", json!({})).await.json();
    assert_eq!(operator.delete(&format!("/clients/nightly-job/secrets/{id}?force=true")).await.status, 204);
    assert!(!works(&job).await && !ends(&token).await, "revoking only a secret revokes no token");

    let (other_id, job) = (text(&other, "secret_id"), server.actor("nightly-job", text(&other, "client_secret")));
    let token = job.client_credentials("all").await.text("access_token");
    let path = format!("/clients/nightly-job/secrets/{other_id}?for_cause=true");
    assert_eq!(operator.delete(&path).await.status, 409, "it was just used, perhaps by a thief");
    assert_eq!(operator.delete(&format!("{path}&force=true")).await.status, 204);
    assert!(!works(&job).await && ends(&token).await);
    assert_eq!(operator.delete(&format!("{path}&force=perhaps")).await.problem().2, "force");
}

#[tokio::test]
async fn secrets_have_dates_and_limits_and_can_be_imported() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    nightly(&server, &operator).await;
    let now = server.state.now();
    let path = "/clients/nightly-job/secrets";
    for (body, field) in [
        (json!({ "import": "x".repeat(31) }), "import"),
        (json!({ "import": "x".repeat(513) }), "import"),
        (json!({ "import": format!("{}\n", "x".repeat(40)) }), "import"),
        (json!({ "expires_at": now }), "expires_at"),
        (json!({ "not_before": now + 10, "expires_at": now + 10 }), "expires_at"),
        (json!({ "expires_at": i64::MAX }), "expires_at"),
        (json!({ "not_before": -1 }), "not_before"),
        (json!({ "label": "a\nb" }), "label"),
        (json!({ "client_secret": "x" }), "client_secret"),
        (json!({ "expires_at": true }), "expires_at"),
    ] {
        assert_eq!(operator.post(path, body.clone()).await.problem().2, field, "{body}");
    }
    for overlap_s in [-1, 7_776_001] {
        let answer = operator.post(&format!("{path}/rotate"), json!({ "overlap_s": overlap_s })).await;
        assert_eq!(answer.problem().2, "overlap_s");
    }
    let imported = "imported, of 32 characters or so";
    let body = json!({ "import": imported, "not_before": now + 10, "expires_at": now + 20 });
    let made = operator.post(path, body).await;
    assert_eq!((made.status, made.json()["client_secret"].clone()), (201, Value::Null), "the caller already knows it");
    let id = text(&made.json(), "secret_id").to_owned();
    assert_eq!(
        operator.post(path, json!({ "import": imported })).await.status,
        409,
        "revoking one would leave the other"
    );
    let job = server.actor("nightly-job", imported);
    assert!(!works(&job).await, "not yet");
    server.advance(10).await;
    assert!(works(&job).await);
    let forever = operator.patch(&format!("{path}/{id}"), json!({ "expires_at": null, "label": "kept" })).await;
    assert_eq!((forever.status, forever.json()["expires_at"].clone()), (200, Value::Null));
    server.advance(10).await;
    assert!(works(&job).await);
    let end = async |operator: &Administrator, expires_at: i64| {
        operator.patch(&format!("{path}/{id}"), json!({ "expires_at": expires_at })).await.status
    };
    assert_eq!(end(&operator, now + 20).await, 409, "its recent user would have no secret left");
    server.advance(3600).await;
    let operator = server.operator().await;
    assert_eq!(end(&operator, now + 9).await, 400, "it was not valid before");
    assert_eq!(end(&operator, now + 3620).await, 200);
    assert!(!works(&job).await);

    for _ in 2..11 {
        assert_eq!(operator.post(path, json!({})).await.status, 201, "the expired one leaves room for the tenth");
    }
    assert_eq!(operator.post(path, json!({})).await.status, 409, "ten is the limit");
    assert_eq!(operator.post(&format!("{path}/rotate"), json!({})).await.status, 409);
    assert_eq!(operator.get(&format!("{path}/cred_unknown")).await.status, 404);
    assert_eq!(operator.get("/clients/demo-service/secrets/cred_unknown").await.status, 404);
    let foreign = operator.get(&format!("/clients/demo-service/secrets/{id}")).await;
    assert_eq!(foreign.problem().1, "not-found", "a secret is only found under its own client");
}

#[tokio::test]
async fn lists_are_paged_with_the_oldest_first() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    for number in [3, 1, 2] {
        assert_eq!(operator.post("/clients", json!({ "client_id": format!("c{number}") })).await.status, 201);
    }
    let first = operator.get("/clients?limit=3").await.json();
    let ids = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|one| text(one, "client_id").to_owned()).collect()
    };
    assert_eq!(
        (ids(&first), &first["next"]),
        (["operator", "demo-service", "c3"].map(str::to_owned).to_vec(), &json!("c3"))
    );
    let second = operator.get("/clients?limit=3&after=c3").await.json();
    assert_eq!((ids(&second), &second["next"]), (["c1", "c2"].map(str::to_owned).to_vec(), &Value::Null));
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("after=nobody", "after"),
        ("page=2", "page"),
        ("limit=1&limit=2", "query"),
    ] {
        assert_eq!(operator.get(&format!("/clients?{query}")).await.problem().2, field, "{query}");
    }
}
