//! The callers in a story, and their responses.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate, Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::certificates::TestAuthority;

/// A caller that uses Basic credentials by default.
#[derive(Clone, Debug)]
pub struct Actor {
    http: Client,
    origin: String,
    address: SocketAddr,
    client_id: String,
    client_secret: String,
}

/// The protocol of an [`Actor`] over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body. A JSON body is without its final newline.
    pub body: String,
}

/// Returns a Basic `Authorization` header of exactly these bytes, not form-encoded.
pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

impl Actor {
    /// Returns a caller with these credentials for the server at this address.
    pub fn new(address: SocketAddr, client_id: &str, client_secret: &str) -> Self {
        // Without TLS, it needs no root certificates and starts faster.
        let http = Client::builder().redirect(reqwest::redirect::Policy::none()).tls_certs_only([]).build().unwrap();
        let (client_id, client_secret) = (client_id.to_owned(), client_secret.to_owned());
        Self { http, origin: format!("http://{address}"), address, client_id, client_secret }
    }

    /// Returns the same caller over TLS, with its own connections. It trusts only this authority.
    pub fn over_tls(self, authority: &TestAuthority, protocol: Protocol) -> Self {
        let root = Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let builder = Client::builder().redirect(reqwest::redirect::Policy::none()).tls_certs_only([root]);
        let builder = match protocol {
            Protocol::Http1 => builder.http1_only(),
            Protocol::Http2 => builder.http2_prior_knowledge(),
        };
        Self { http: builder.build().unwrap(), origin: format!("https://{}", self.address), ..self }
    }

    /// Returns a request without credentials, to modify and send.
    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, format!("{}{path}", self.origin))
    }

    /// Sends a request.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.exchange(request).await.unwrap()
    }

    /// Sends a request. Returns `None` if the server disconnects before the end of the response.
    pub async fn try_send(&self, request: RequestBuilder) -> Option<Answer> {
        self.exchange(request).await.ok()
    }

    async fn exchange(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        let mut body = response.text().await?;
        if body.ends_with("}\n") {
            body.pop();
        }
        Ok(Answer { status, headers, body })
    }

    /// Returns a form with Basic credentials, to modify and send.
    pub fn post_request(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        self.request("POST", path).basic_auth(&self.client_id, Some(&self.client_secret)).form(form)
    }

    /// Posts a form with Basic credentials.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(self.post_request(path, form)).await
    }

    /// Posts a form with Basic credentials. Returns `None` if the server disconnects before the end of the response.
    pub async fn try_post(&self, path: &str, form: &[(&str, &str)]) -> Option<Answer> {
        self.try_send(self.post_request(path, form)).await
    }

    /// Posts a form that contains the credentials.
    pub async fn post_with_secret_in_body(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        let credentials = [("client_id", self.client_id.as_str()), ("client_secret", self.client_secret.as_str())];
        self.send(self.request("POST", path).form(&[&credentials, form].concat())).await
    }

    /// Posts raw bytes as a form, with Basic credentials.
    pub async fn post_raw(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = self.request("POST", path).basic_auth(&self.client_id, Some(&self.client_secret));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(body.into())).await
    }

    /// Calls the token endpoint.
    pub async fn token(&self, form: &[(&str, &str)]) -> Answer {
        self.post("/oauth2/token", form).await
    }

    /// Gets a token set by client credentials with these scopes, or panics.
    pub async fn client_credentials(&self, scope: &str) -> Answer {
        let answer = self.token(&[("grant_type", "client_credentials"), ("scope", scope)]).await;
        assert_eq!(answer.status, 200, "{answer}");
        answer
    }

    /// Requests a token set with a user's password.
    pub async fn password(&self, username: &str, password: &str) -> Answer {
        self.token(&[("grant_type", "password"), ("username", username), ("password", password)]).await
    }

    /// Refreshes a token set.
    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// Calls the introspection endpoint.
    pub async fn introspect(&self, token: &str) -> Answer {
        self.post("/oauth2/introspect", &[("token", token)]).await
    }

    /// Calls the revocation endpoint.
    pub async fn revoke(&self, token: &str) -> Answer {
        self.post("/oauth2/revoke", &[("token", token)]).await
    }

    /// Fetches a URL without a token.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    /// Calls a resource with a bearer token.
    pub async fn call(&self, method: &str, path: &str, token: &str) -> Answer {
        self.send(self.request(method, path).bearer_auth(token)).await
    }

    /// Writes bytes to a new connection, and reads until it is closed.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        self.raw_in_pieces(&[bytes]).await
    }

    /// The same, with a pause after each piece, so that the server reads each one separately.
    pub async fn raw_in_pieces(&self, pieces: &[&[u8]]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            stream.write_all(piece).await.unwrap();
        }
        let mut answer = Vec::new();
        // A server that closes early resets the connection. What it sent before counts.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// Returns a text member of the body, or an empty text.
    pub fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_default().to_owned()
    }

    /// Returns a header, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Returns the body of an error without its request ID, which differs each time.
    pub fn body_without_id(&self) -> Value {
        let mut body = self.json();
        assert_eq!(body["request_id"], self.header("x-request-id"), "{self}");
        body.as_object_mut().unwrap().remove("request_id");
        body
    }

    /// Returns the status and the `error` in the body.
    pub fn refusal(&self) -> (u16, String) {
        (self.status, self.text("error"))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}
