//! The bare side: axum as in its manual, with the same parsing and the same signature, and nothing else.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use countersign_protocol::access_token::MEDIA_TYPE;
use countersign_protocol::form::Form;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::jws::{UnverifiedJwt, encode_header, sign};
use countersign_protocol::jose::key::{SigningKey, VerifyingKey};
use countersign_protocol::refusal::Refusal;
use countersign_protocol::token_request::TokenRequest;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::Outcome;

/// The state of the endpoints: a key, and a payload of the same size as countersign's.
struct Bare {
    key: SigningKey,
    verifying: VerifyingKey,
    encoded_header: String,
    payload: Vec<u8>,
}

#[derive(Serialize)]
struct TokenResponse<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    scope: &'static str,
}

/// Serves the bare endpoints until the process is ended.
pub(crate) fn run(address: &str, algorithm: &str, payload: &Path) -> Outcome<()> {
    let algorithm = Algorithm::parse(algorithm).ok_or("unknown algorithm")?;
    let key = SigningKey::from_pkcs8(algorithm, &SigningKey::generate(algorithm)?)?;
    let bare = Bare {
        verifying: VerifyingKey::from_jwk(key.jwk())?,
        encoded_header: encode_header(&key, MEDIA_TYPE),
        payload: std::fs::read(payload)?,
        key,
    };
    let router = Router::new()
        .route("/oauth2/token", post(token))
        .route("/oauth2/introspect", post(introspect))
        .route("/readyz", get(async || "ready"))
        .with_state(Arc::new(bare));
    // The same runtime as countersign.
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(address).await?.tap_io(|stream| drop(stream.set_nodelay(true)));
        Ok(axum::serve(listener, router).await?)
    })
}

async fn token(State(bare): State<Arc<Bare>>, body: Bytes) -> Response {
    let parsed = Form::parse(&body).and_then(|form| TokenRequest::parse(&form));
    let signed = sign(&bare.key, &bare.encoded_header, &bare.payload);
    let (Ok(_), Ok(access_token)) = (parsed, signed) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let response =
        TokenResponse { access_token: &access_token, token_type: "Bearer", expires_in: 3600, scope: "reports:read" };
    json(serde_json::to_string(&response))
}

async fn introspect(State(bare): State<Arc<Bare>>, body: Bytes) -> Response {
    let verified = Form::parse(&body).and_then(|form| {
        let token = form.find("token").ok_or(Refusal::MissingParameter("token"))?;
        let jwt = UnverifiedJwt::parse(token).map_err(|error| Refusal::Internal(error.to_string()))?;
        jwt.verify(&bare.verifying).map_err(|error| Refusal::Internal(error.to_string()))
    });
    match verified {
        // The claims are about as long as countersign's response.
        Ok(claims) => json(serde_json::to_string(&claims)),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn json(body: serde_json::Result<String>) -> Response {
    match body {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
