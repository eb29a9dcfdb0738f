//! Several APIs: which one a request means, and what each client may request.

use countersign_protocol::client::ClientAuthMethods;
use countersign_protocol::grant_type::GrantType::{ClientCredentials, Password};
use countersign_protocol::ids::ClientId;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::status::Status;
use countersign_testkit::{MayAsk, NewTestApi, NewTestClient, TestServer};

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
