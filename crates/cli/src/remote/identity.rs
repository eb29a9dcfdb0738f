//! The server and the credentials: from the environment, or from the server's `operator.json`.

use std::io;
use std::path::Path;

use countersign_client::Secret;
use countersign_server::operations::exposure::{Exposure, Reach};
use countersign_server::{OPERATOR_FILE, OperatorFile};

use crate::output::Failure;

const CLIENT_ID: &str = "COUNTERSIGN_CLIENT_ID";
const CLIENT_SECRET: &str = "COUNTERSIGN_CLIENT_SECRET";
const ISSUER: &str = "COUNTERSIGN_ISSUER";

/// A client's credentials for a server.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The issuer, without a trailing slash.
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
}

impl Identity {
    /// Returns the client in the environment, with its secret and issuer, or `None` if the environment has no
    /// client ID. The issuer alone is a setting of the server.
    pub(crate) fn from_environment(environment: &[(String, String)]) -> Result<Option<Self>, Failure> {
        let Some(client_id) = find(environment, CLIENT_ID)? else {
            return Ok(None);
        };
        let needed = |name: &str| {
            let found = find(environment, name)?;
            found.ok_or_else(|| {
                Failure::usage(format!("{CLIENT_ID} is set, but {name} is not; set {name} or {name}_FILE"))
            })
        };
        let client_secret = Secret::new(needed(CLIENT_SECRET)?);
        let issuer = needed(ISSUER)?.trim_end_matches('/').to_owned();
        Ok(Some(Self { issuer, client_id, client_secret }))
    }

    /// Fails if every user of the machine can read or replace the operator's secret. A server does not start from
    /// such a directory either. Returns what the file's group can access.
    pub(crate) fn check_directory(directory: &Path) -> Result<Vec<Exposure>, Failure> {
        let found: Vec<Exposure> =
            [directory, &directory.join(OPERATOR_FILE)].into_iter().filter_map(Exposure::find).collect();
        match found.iter().find(|exposure| exposure.reach == Reach::Everybody) {
            Some(exposure) => Err(Failure::SignInNeeded(exposure.to_string())),
            None => Ok(found),
        }
    }

    /// Returns the operator of the server with this data directory.
    pub(crate) fn from_directory(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(OPERATOR_FILE);
        let shown = path.display();
        let text = std::fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::SignInNeeded(format!(
                "{shown}: no such file; set the data directory with --data-dir, or set {CLIENT_ID}, \
                 {CLIENT_SECRET} and {ISSUER}"
            )),
            _ => Failure::SignInNeeded(format!("{shown}: {error}")),
        })?;
        let file = serde_json::from_slice::<OperatorFile>(&text);
        let file = file.map_err(|_| {
            Failure::SignInNeeded(format!("{shown}: not a valid operator file; replace it with `serve --new-operator`"))
        })?;
        Ok(Self { issuer: file.issuer, client_id: file.client_id, client_secret: file.client_secret })
    }
}

/// Returns a variable, or the content of the file that its `_FILE` variant names. Empty means unset.
pub(crate) fn find(environment: &[(String, String)], name: &str) -> Result<Option<String>, Failure> {
    let twin = format!("{name}_FILE");
    let value = |name: &str| environment.iter().find(|(known, value)| known == name && !value.is_empty());
    match (value(name), value(&twin)) {
        (Some(_), Some(_)) => Err(Failure::usage(format!("{name} and {twin} are both set; unset one of them"))),
        (Some((_, value)), None) => Ok(Some(value.clone())),
        (None, Some((_, path))) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| Failure::usage(format!("{twin}: {path}: {error}")))?;
            match text.trim_end() {
                "" => Err(Failure::usage(format!("{twin}: {path}: is empty"))),
                text => Ok(Some(text.to_owned())),
            }
        }
        (None, None) => Ok(None),
    }
}
