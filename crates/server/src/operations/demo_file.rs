//! `demo.json` in the data directory: what `--demo` created, with readable secrets.

use countersign_protocol::secret::Secret;
use serde::{Deserialize, Serialize, Serializer};

/// The name of the file.
pub const FILE: &str = "demo.json";

/// `demo.json`: everything needed to try both flows. It is private (0600).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the file")]
pub struct DemoFile {
    pub issuer: String,
    pub token_endpoint: String,
    pub api: String,
    pub audience: String,
    pub scopes: Vec<String>,
    pub client_id: String,
    #[serde(serialize_with = "expose")]
    pub client_secret: Secret,
    pub username: String,
    #[serde(serialize_with = "expose")]
    pub password: Secret,
}

/// Serializes the secrets in readable form, because users need them.
fn expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}
