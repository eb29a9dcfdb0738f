//! Several APIs: which one a request means, and what each client may request.

use countersign_protocol::audience::Audience;
use countersign_protocol::client::ClientAuthMethods;
use countersign_protocol::grant_type::GrantType::{ClientCredentials, Password};
use countersign_protocol::ids::{ApiId, ClientId};
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::status::Status;
use countersign_testkit::{Answer, MayAsk, NewTestApi, NewTestClient, TestServer};
use serde_json::json;

const SECRET: &str = "a secret that was made elsewhere, long";

/// Two APIs, and clients that are entitled to one, to both, to none, or only by the other grant.
async fn server() -> TestServer {
    let server = TestServer::start().await;
    for (id, grants) in [("billing", &[ClientCredentials][..]), ("stock", &[ClientCredentials, Password][..])] {
        let scopes = &["read", "write"];
        server.add_api(NewTestApi { id, scopes, grants, algorithm: Algorithm::Es256 }).await;
    }
    let client = |id, may_ask| NewTestClient { id, secret: SECRET, may_ask, may_introspect: &[] };
    server.add_client(client("one", &[("billing", "read", &[ClientCredentials])])).await;
    let both: &[MayAsk<'_>] = &[("billing", "read", &[ClientCredentials]), ("stock", "write", &[ClientCredentials])];
    server.add_client(client("both", both)).await;
    server.add_client(client("none", &[])).await;
    server.add_client(client("other-grant", &[("stock", "read", &[Password])])).await;
    let mixed: &[MayAsk<'_>] = &[("stock", "read", &[Password]), ("billing", "read", &[ClientCredentials])];
    server.add_client(client("mixed", mixed)).await;
    server
}

#[tokio::test]
async fn a_request_is_for_the_named_api_or_the_only_possible_one() {
    let server = server().await;
    let ask = async |id: &str, more: &[(&str, &str)]| {
        let form = [&[("grant_type", "client_credentials")], more].concat();
        server.actor(id, SECRET).token(&form).await
    };
    let billing = ("resource", "https://billing.example");
    let stock = ("resource", "https://stock.example");
    assert_eq!(ask("one", &[]).await.text("scope"), "read");
    assert_eq!(ask("mixed", &[]).await.text("scope"), "read", "this grant does not allow the other API");
    assert_eq!(ask("both", &[billing]).await.text("scope"), "read");
    let rows = [
        ("both", vec![], "invalid_target"),
        ("both", vec![stock], "invalid_scope"), // the client is not entitled to its default scope
        ("both", vec![billing, ("scope", "write")], "invalid_scope"),
        ("one", vec![stock], "unauthorized_client"),
        ("none", vec![], "unauthorized_client"),
        ("none", vec![billing], "unauthorized_client"),
        ("other-grant", vec![], "unauthorized_client"),
        ("other-grant", vec![stock], "unauthorized_client"),
    ];
    for (id, more, error) in rows {
        assert_eq!(ask(id, &more).await.refusal(), (400, error.to_owned()), "{id} {more:?}");
    }
    let path = async |id: &str, path, more: &[(&str, &str)]| {
        let form = [&[("grant_type", "client_credentials")], more].concat();
        server.actor(id, SECRET).post(path, &form).await
    };
    assert_eq!(path("both", "/OAuth2/Token/billing", &[]).await.status, 200);
    assert_eq!(path("both", "/OAuth2/Token/billing", &[billing]).await.status, 200);
    let disagree = path("both", "/OAuth2/Token/billing", &[stock]).await;
    assert_eq!(disagree.refusal(), (400, "invalid_target".to_owned()));
}

#[tokio::test]
async fn an_audience_can_be_spelled_in_equivalent_ways_and_the_token_has_the_registered_one() {
    let server = server().await;
    let operator = server.operator().await;
    let ask = async |resources: &[&str]| {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(resources.iter().map(|resource| ("resource", *resource)));
        server.actor("both", SECRET).token(&form).await
    };
    server.add_client(NewTestClient { id: "api", secret: SECRET, may_ask: &[], may_introspect: &["billing"] }).await;
    let audience = async |answer: &Answer| {
        server.actor("api", SECRET).introspect(&answer.text("access_token")).await.json()["aud"].clone()
    };
    for resources in [
        &["https://billing.example/"][..],
        &["HTTPS://Billing.Example:443"],
        &["https://billing.example", "https://billing.example/"],
    ] {
        let answer = ask(resources).await;
        assert_eq!(answer.status, 200, "{resources:?}: {answer}");
        assert_eq!(audience(&answer).await, "https://billing.example");
    }
    for resources in [
        &["http://billing.example"][..],
        &["https://billing.example/x"],
        &["https://billing.example", "https://stock.example/"],
    ] {
        assert_eq!(ask(resources).await.refusal(), (400, "invalid_target".to_owned()), "{resources:?}");
    }
    let taken = operator.post("/apis", json!({ "id": "other", "audience": "https://BILLING.example:443/" })).await;
    let why = "equivalent to https://billing.example, the audience of billing";
    assert_eq!((taken.status, taken.problem().2), (409, "audience".to_owned()));
    assert!(taken.text("detail").contains(why), "{taken}");
    let taken = operator.patch("/apis/stock", json!({ "audience": "https://billing.example/" })).await;
    assert!(taken.status == 409 && taken.text("detail").contains(why), "{taken}");
    let own = operator.patch("/apis/billing", json!({ "audience": "https://billing.example/" })).await;
    assert_eq!(own.status, 200, "an API may change its own spelling: {own}");
    assert_eq!(audience(&ask(&["https://billing.example"]).await).await, "https://billing.example/");
}

#[tokio::test]
async fn equivalent_audiences_of_an_older_version_are_each_reached_as_written() {
    let server = server().await;
    let operator = server.operator().await;
    let (stock, twin) = (ApiId::parse("stock").unwrap(), Audience::parse("https://BILLING.example").unwrap());
    server.change(async |change| change.set_audience(&stock, &twin).await.unwrap()).await;
    let ask = async |resource: &str| {
        let form = [("grant_type", "client_credentials"), ("resource", resource)];
        server.actor("both", SECRET).token(&form).await
    };
    assert_eq!(ask("https://billing.example").await.text("scope"), "read");
    // This client is not entitled to the default scope of the other one, which is therefore the one that was found.
    assert_eq!(ask("https://BILLING.example").await.refusal(), (400, "invalid_scope".to_owned()));
    assert_eq!(ask("https://billing.example/").await.refusal(), (400, "invalid_target".to_owned()));
    let renamed = operator.patch("/apis/stock", json!({ "name": "Stock" })).await;
    assert_eq!(renamed.status, 200, "other changes are possible: {renamed}");
    assert_eq!(operator.patch("/apis/stock", json!({ "audience": "https://stock.example" })).await.status, 200);
    assert_eq!(ask("https://billing.example/").await.status, 200, "now it is unambiguous");
}

#[tokio::test]
async fn the_password_grant_requires_that_api_and_client_allow_it() {
    let server = server().await;
    server.add_user("ada", "correct horse").await;
    let by_password = async |id: &str, api: &str| {
        let form = [("grant_type", "password"), ("username", "ada"), ("password", "correct horse")];
        server.actor(id, SECRET).post(&format!("/OAuth2/Token/{api}"), &form).await
    };
    assert_eq!(by_password("one", "billing").await.refusal(), (400, "unauthorized_client".to_owned()));
    assert_eq!(by_password("both", "stock").await.refusal(), (400, "unauthorized_client".to_owned()));
    let granted = by_password("other-grant", "stock").await;
    assert_eq!(granted.status, 200, "{granted}");
    assert_eq!(granted.text("refresh_token"), "", "the API does not allow refresh");
}

#[tokio::test]
async fn a_disabled_client_gets_nothing_and_its_tokens_end() {
    let server = TestServer::start().await;
    let service = server.demo_service();
    let token = service.client_credentials("all").await.text("access_token");
    let id = ClientId::parse("demo-service").expect("an id");
    server.change(async |change| change.set_client_status(&id, Status::Disabled).await.expect("changes")).await;
    assert_eq!(
        service.token(&[("grant_type", "client_credentials")]).await.refusal(),
        (401, "invalid_client".to_owned())
    );
    assert_eq!(service.call("GET", "/resource/whoami", &token).await.status, 401);
    server.change(async |change| change.set_client_status(&id, Status::Active).await.expect("changes")).await;
    assert_eq!(service.call("GET", "/resource/whoami", &token).await.status, 401, "for good");
}

#[tokio::test]
async fn reusing_a_client_id_restores_no_token() {
    let server = server().await;
    let first = server.actor("one", SECRET).client_credentials("read").await.text("access_token");
    let id = ClientId::parse("one").expect("an id");
    server.change(async |change| change.delete_client(&id).await.expect("changes")).await;
    assert_eq!(server.actor("one", SECRET).token(&[]).await.status, 400);
    let may_ask: &[MayAsk<'_>] = &[("billing", "read", &[ClientCredentials])];
    server.add_client(NewTestClient { id: "one", secret: SECRET, may_ask, may_introspect: &["billing"] }).await;
    let again = server.actor("one", SECRET);
    assert_eq!(again.introspect(&first).await.body, r#"{"active":false}"#);
    let second = again.client_credentials("read").await.text("access_token");
    assert_eq!(again.introspect(&second).await.json()["active"], true);
}

#[tokio::test]
async fn client_ids_and_login_names_share_one_case_insensitive_namespace() {
    let server = server().await;
    server.add_user("ada", "correct horse").await;
    let taken = async |name: &str| {
        let mut change = server.state.store.begin_change(0).await.expect("begins");
        let client = countersign_store::NewClient {
            id: ClientId::parse(name).expect("an id"),
            name: String::new(),
            owner: String::new(),
            auth_methods: ClientAuthMethods::default(),
        };
        change.insert_client(&client).await.is_err()
    };
    assert!(taken("ADA").await && taken("One").await && taken("DEMO").await);
    assert!(!taken("somebody").await);
}
