//! `GET /resource/whoami`: the subject of the token.

use axum::response::Response;
use countersign_guard::VerifiedToken;
use countersign_server::http::answer::json_response;
use http::StatusCode;
use serde_json::json;

/// Returns the verified claims of the caller's token.
pub(crate) async fn whoami(VerifiedToken(claims): VerifiedToken) -> Response {
    let body = json!({
        "sub": claims.subject,
        "unique_name": claims.unique_name,
        "client_id": claims.client_id,
        "scope": claims.scope.to_string(),
        "aud": claims.audiences.first(),
        "iss": claims.issuer,
        "exp": claims.expires_at,
    });
    json_response(StatusCode::OK, body.to_string())
}
