//! `countersign key`

use clap::Subcommand;
use countersign_protocol::jose::jwk::Jwk;
use countersign_protocol::jose::key::VerifyingKey;
use serde_json::{Value, json};

use crate::commands::administration::{Session, Verb};
use crate::output::Failure;
use crate::remote::{Call, parse_id};
use crate::table::Column;

const COLUMNS: [Column; 6] = [
    ("id", "ID"),
    ("algorithm", "ALGORITHM"),
    ("state", "STATE"),
    ("since", "SINCE"),
    ("signs_at", "SIGNS FROM"),
    ("ends_at", "ENDS"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    /// List the signing keys, oldest first
    #[command(after_help = "Example:\n  countersign key list")]
    List,
    /// Show a signing key, or its public key as PEM
    #[command(after_help = "Examples:
  countersign key show KEY_ID
  countersign key show KEY_ID --pem > countersign.pem")]
    Show {
        /// The key's ID, from `key list`
        #[arg(value_parser = parse_id, allow_hyphen_values = true)]
        key_id: String,
        /// Print only the public key, as PEM
        #[arg(long)]
        pem: bool,
    },
    /// Create successors of the current signing keys. They start to sign once clients have had time to load them
    #[command(after_help = "Examples:
  countersign key rotate --yes
  countersign key rotate ES256 --yes")]
    Rotate {
        /// ES256, RS256 or EdDSA [default: all algorithms in use]
        algorithm: Option<String>,
    },
    /// Revoke a key, and every token that it signed
    #[command(after_help = "Example:\n  countersign key revoke KEY_ID --yes")]
    Revoke {
        /// The key's ID, from `key list`
        #[arg(value_parser = parse_id, allow_hyphen_values = true)]
        key_id: String,
    },
}

impl Verb for KeyVerb {
    fn question(&self) -> Option<String> {
        match self {
            Self::List | Self::Show { .. } => None,
            Self::Rotate { algorithm: Some(algorithm) } => Some(format!("Create a successor of the {algorithm} key?")),
            Self::Rotate { algorithm: None } => Some("Create a successor of every key that signs?".to_owned()),
            Self::Revoke { key_id } => Some(format!("Revoke the key {key_id} and every token that it signed?")),
        }
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::List => {
                let keys = session.remote.list_at_once(Call::get(&["keys"])).await?;
                session.list("id", &COLUMNS, &keys);
            }
            Self::Show { key_id, pem } => {
                let mut key = session.remote.ask(Call::get(&["keys", &key_id])).await?.body;
                if pem {
                    let text = to_pem(&key)?;
                    key["pem"] = json!(text);
                    session.lines(&text, &key);
                } else {
                    session.show("id", &key);
                }
            }
            Self::Rotate { algorithm: Some(algorithm) } => {
                let key = session.remote.ask(rotate(&algorithm)).await?.body;
                session.show("id", &key);
            }
            Self::Rotate { algorithm: None } => return rotate_all(session).await,
            Self::Revoke { key_id } => {
                let call = Call::new(http::Method::POST, &["keys", &key_id, "revoke"]);
                // For a key that is already retired, the server returns the key.
                let done = if session.remote.ask(call).await?.body.is_null() { "revoked" } else { "already retired" };
                session.say("revoked", &key_id, &format!("{key_id} is {done}."));
            }
        }
        Ok(())
    }
}

/// Returns the public key as PEM, for libraries that do not read key sets.
fn to_pem(key: &Value) -> Result<String, Failure> {
    let members =
        key["jwk"].as_object().ok_or_else(|| Failure::new("the key is retired, and its public key deleted"))?;
    let jwk = Jwk::parse(members).ok_or_else(|| Failure::new("this version cannot read the key"))?;
    VerifyingKey::from_jwk(&jwk).and_then(|key| key.to_pem()).map_err(Failure::new)
}

fn rotate(algorithm: &str) -> Call {
    Call::post(&["keys", "rotate"], json!({ "algorithm": algorithm })).naming("algorithm", "ALGORITHM")
}

/// Returns every algorithm whose signing key has no successor yet. Fails if there is none.
async fn rotate_all(session: &mut Session<'_>) -> Result<(), Failure> {
    let keys = session.remote.list_at_once(Call::get(&["keys"])).await?;
    let of = |state: &'static str| {
        let keys = keys.iter().filter(move |key| key["state"] == state);
        keys.filter_map(|key| key["algorithm"].as_str())
    };
    let mut made = Vec::new();
    for algorithm in of("active") {
        if of("pending").any(|pending| pending == algorithm) {
            session.note(&format!("{algorithm} already has a pending key."));
        } else {
            made.push(session.remote.ask(rotate(algorithm)).await?.body);
        }
    }
    if made.is_empty() {
        return Err(Failure::new("no key needs a successor"));
    }
    session.list("id", &COLUMNS, &made);
    Ok(())
}
