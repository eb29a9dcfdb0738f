//! What a client and a user have received from a server, to use again after an operation on its database.

use countersign_testkit::{Browser, TestDatabase};
use serde_json::Value;

use crate::process::{Serving, demo_json, run};

/// Everything that was issued.
pub(crate) struct Issued {
    /// The address of every server.
    pub(crate) address: String,
    demo: Value,
    access_token: String,
    refresh_token: String,
    /// The browser where the demo user is signed in.
    browser: Browser,
}

impl Issued {
    /// Gets it from a first start, which is then stopped.
    pub(crate) async fn by_first_start(database: &TestDatabase) -> Self {
        let serving = Serving::demo(database);
        serving.ready().await;
        let issued = Self::by(&serving, demo_json(database)).await;
        serving.stop();
        issued
    }

    /// Gets it from a server with the demo.
    pub(crate) async fn by(serving: &Serving, demo: Value) -> Self {
        let service = serving.demo_service(&demo);
        let password = demo["password"].as_str().unwrap();
        let set = service.password("demo", password).await;
        let (access_token, refresh_token) = (set.text("access_token"), set.text("refresh_token"));
        let revoked = service.client_credentials("all").await.text("access_token");
        assert_eq!(service.revoke(&revoked).await.status, 200);
        let mut browser = Browser::new(serving.actor("", ""));
        assert_eq!(browser.sign_in("demo", password).await.result()["Summary"], "LoginSuccess");
        Self { address: serving.address().to_string(), demo, access_token, refresh_token, browser }
    }

    /// Starts a server with these arguments and variables, and asserts that everything is still valid.
    pub(crate) async fn goes_on(&mut self, database: &TestDatabase) {
        let serving = Serving::start(database, &["--demo", "--listen", &self.address], &[]);
        serving.ready().await;
        self.is_good_at(&serving).await;
        let directory = database.directory.path().join("data").display().to_string();
        let audit = run(&["audit", "verify", "--data-dir", &directory], &[]);
        assert!(audit.status.success(), "{audit:?}");
        serving.stop();
    }

    /// Uses everything with a server.
    pub(crate) async fn is_good_at(&mut self, serving: &Serving) {
        let service = serving.demo_service(&self.demo);
        assert_eq!(service.introspect(&self.access_token).await.json()["active"], true);
        assert_eq!(service.call("GET", "/resource/whoami", &self.access_token).await.status, 200);
        let next = service.refresh(&self.refresh_token).await;
        assert_eq!(next.status, 200, "{next}");
        self.refresh_token = next.text("refresh_token");
        service.client_credentials("all").await;
        assert_eq!(service.password("demo", self.demo["password"].as_str().unwrap()).await.status, 200);
        // With its session, its original XSRF pair, and the secret in the playground's settings.
        self.browser = self.browser.at(serving.actor("", ""));
        self.browser.token_set().await;
    }
}
