//! `demo.json` in the data directory: what `--demo` has made, with secrets in the clear, to try everything with.

use countersign_protocol::secret::Secret;
use serde::{Deserialize, Serialize, Serializer};

/// Its name.
pub const FILE: &str = "demo.json";

/// `demo.json`: all that is needed to try both flows. It is private (0600).
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

/// The one file that holds secrets in the clear, because its reader needs them.
fn expose<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}
