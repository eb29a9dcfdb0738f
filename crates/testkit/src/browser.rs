//! A browser in a story. It keeps cookies, and sends the XSRF pair like our pages.

use std::collections::BTreeMap;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::actor::{Actor, Answer};
use crate::server::TestServer;

/// A browser with its cookies.
#[derive(Clone, Debug)]
pub struct Browser {
    actor: Actor,
    /// Its cookies, which a story can tamper with.
    pub cookies: BTreeMap<String, String>,
}

impl TestServer {
    /// Returns a new browser.
    pub fn browser(&self) -> Browser {
        Browser::new(self.stranger())
    }

    /// Returns a browser where the demo user is signed in.
    pub async fn demo_browser(&self) -> Browser {
        let mut browser = self.browser();
        let demo = self.demo();
        let answer = browser.sign_in(&demo.username, demo.password.expose()).await;
        assert_eq!(answer.json()["Result"]["Summary"], "LoginSuccess", "{answer}");
        browser
    }
}

impl Browser {
    /// Returns a new browser that sends through this actor.
    pub fn new(actor: Actor) -> Self {
        Self { actor, cookies: BTreeMap::new() }
    }

    /// Returns the same browser, but sends through this actor.
    pub fn at(&self, actor: Actor) -> Self {
        Self { actor, cookies: self.cookies.clone() }
    }

    /// Returns a request with this browser's cookies and nothing else.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let request = self.actor.request(method, path);
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) }
    }

    /// Sends a request and stores the cookies of the response.
    pub async fn send(&mut self, request: RequestBuilder) -> Answer {
        let answer = self.actor.send(request).await;
        self.keep_cookies(&answer);
        answer
    }

    /// The same. Returns `None` if the server disconnects before the end of the response.
    pub async fn try_send(&mut self, request: RequestBuilder) -> Option<Answer> {
        let answer = self.actor.try_send(request).await?;
        self.keep_cookies(&answer);
        Some(answer)
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for (_, value) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = value.split(';').next().and_then(|pair| pair.split_once('=')).unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Returns a request like those of our pages, with the XSRF header.
    pub fn call(&self, method: &str, call: &str) -> RequestBuilder {
        let request = self.request(method, &format!("/api/{call}"));
        match self.cookies.get("XSRF-TOKEN") {
            Some(pair) => request.header("x-xsrf-token", pair),
            None => request,
        }
    }

    /// GET.
    pub async fn get(&mut self, call: &str) -> Answer {
        self.send(self.call("GET", call)).await
    }

    /// POST with JSON.
    pub async fn post(&mut self, call: &str, body: Value) -> Answer {
        self.send(self.call("POST", call).json(&body)).await
    }

    /// PUT with JSON.
    pub async fn put(&mut self, call: &str, body: Value) -> Answer {
        self.send(self.call("PUT", call).json(&body)).await
    }

    /// Begins a sign-in. The response is the package.
    pub async fn begin_auth(&mut self, login: &str) -> Answer {
        self.get("getUISettings").await;
        self.post("auth/beginAuth", json!({ "User": login, "Version": "1.0" })).await
    }

    /// Answers the challenge of a package.
    pub async fn answer(&mut self, package: &Answer, answer: &str) -> Answer {
        self.post("auth/advanceAuth", Self::step(package, answer)).await
    }

    /// Returns the body that answers the challenge of a package.
    pub fn step(package: &Answer, answer: &str) -> Value {
        let package = &package.json()["Result"];
        json!({
            "SessionId": package["SessionId"],
            "TenantId": package["TenantId"],
            "MechanismId": package["Challenges"][0]["Mechanisms"][0]["MechanismId"],
            "Action": "Answer",
            "Answer": answer,
        })
    }

    /// Signs in with a name and password. Returns the response to the password.
    pub async fn sign_in(&mut self, login: &str, password: &str) -> Answer {
        let package = self.begin_auth(login).await;
        self.answer(&package, password).await
    }

    /// Gets a token set by client credentials through the demo API.
    pub async fn token_set(&mut self) -> Value {
        let ask = json!({ "authFlow": "OAUTH", "grantType": "client_credentials" });
        let answer = self.post("tokenSet", ask).await;
        assert_eq!(answer.status, 200, "{answer}");
        answer.json()["Result"].clone()
    }
}

impl Answer {
    /// Returns the status and the `ErrorCode` of a complete envelope.
    pub fn fault(&self) -> (u16, String) {
        let envelope = self.json();
        let keys: Vec<&String> = envelope.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["Success", "Result", "ErrorMessage", "ErrorCode"], "{self}");
        assert_eq!((&envelope["Success"], &envelope["Result"]), (&Value::Bool(false), &Value::Null), "{self}");
        assert!(envelope["ErrorMessage"].as_str().is_some_and(|text| !text.is_empty()), "{self}");
        (self.status, self.text("ErrorCode"))
    }

    /// Returns the `Result` of a success envelope, which must match the guide's exactly.
    pub fn result(&self) -> Value {
        let mut envelope = self.json();
        let keys: Vec<String> = envelope.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["Success", "Result", "ErrorMessage"], "{self}");
        assert_eq!((self.status, &envelope["Success"], &envelope["ErrorMessage"]), (200, &true.into(), &Value::Null));
        envelope["Result"].take()
    }
}
