//! Administrators in a story.

use std::collections::BTreeSet;

use countersign_server::OperatorFile;
use serde_json::Value;

use crate::actor::{Actor, Answer};
use crate::openapi::{Met, check_documented};
use crate::server::TestServer;

/// A client with a token for `admin-api`. Every response is checked against the OpenAPI document.
#[derive(Clone, Debug)]
pub struct Administrator {
    actor: Actor,
    token: String,
    met: Met,
}

impl TestServer {
    /// Returns the operator, who may do everything.
    pub async fn operator(&self) -> Administrator {
        let text = std::fs::read(self.directory().join(countersign_server::OPERATOR_FILE)).unwrap();
        let file: OperatorFile = serde_json::from_slice(&text).unwrap();
        self.administrator(&file.client_id, file.client_secret.expose()).await
    }

    /// Returns a client with all its scopes of `admin-api`.
    pub async fn administrator(&self, client_id: &str, client_secret: &str) -> Administrator {
        let actor = self.actor(client_id, client_secret);
        let audience = format!("{}/admin", self.state.issuer);
        let answer = actor.token(&[("grant_type", "client_credentials"), ("resource", &audience)]).await;
        assert_eq!(answer.status, 200, "{answer}");
        Administrator { actor, token: answer.text("access_token"), met: self.met.clone() }
    }

    /// Returns every response that administrators of this server have received, as `METHOD PATH STATUS`.
    pub fn met_answers(&self) -> BTreeSet<String> {
        self.met.to_set()
    }
}

impl Administrator {
    /// Returns a caller with this token, valid or not.
    pub fn with_token(server: &TestServer, token: &str) -> Self {
        Self { actor: server.stranger(), token: token.to_owned(), met: server.met.clone() }
    }

    /// Makes a call with a body of any type.
    pub async fn call_raw(&self, method: &str, path: &str, content_type: &str, body: Vec<u8>) -> Answer {
        let request = self.actor.request(method, &format!("/admin/v1{path}")).bearer_auth(&self.token);
        let answer = self.actor.send(request.header("content-type", content_type).body(body)).await;
        check_documented(&self.met, method, path, None, &answer);
        answer
    }

    /// Makes a call: a path below `/admin/v1`, an optional body, and headers.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.actor.request(method, &format!("/admin/v1{path}")).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.actor.send(request).await;
        check_documented(&self.met, method, path, body, &answer);
        answer
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None, &[]).await
    }

    /// POST.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(&body), &[]).await
    }

    /// PUT.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(&body), &[]).await
    }

    /// PATCH.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call("PATCH", path, Some(&body), &[]).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None, &[]).await
    }

    /// Returns the items of a list without pages.
    pub async fn list_whole(&self, path: &str) -> Vec<Value> {
        self.get(path).await.json()["items"].as_array().unwrap().clone()
    }

    /// Returns the items of a list, from all its pages.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let (mut items, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}?limit=1000{after}")).await;
            assert_eq!(page.status, 200, "{page}");
            let page = page.json();
            items.extend(page["items"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return items,
            }
        }
    }
}

impl Answer {
    /// Returns the status, the last segment of a problem's type, and the field.
    pub fn problem(&self) -> (u16, String, String) {
        let kind = self.text("type");
        (self.status, kind.rsplit(':').next().unwrap_or_default().to_owned(), self.text("field"))
    }
}
