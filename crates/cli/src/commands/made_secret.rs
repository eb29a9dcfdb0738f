//! A new secret: printed once, or written to a private file.

use std::path::PathBuf;

use countersign_client::Secret;
use serde_json::{Value, json};

use crate::commands::administration::Session;
use crate::env_file::{EnvFile, check_value};
use crate::output::Failure;
use crate::remote::Call;

/// Where to write a secret, decided before it is created.
pub(crate) struct MadeSecret {
    imported: Option<Secret>,
    env_file: Option<(PathBuf, EnvFile)>,
}

impl MadeSecret {
    /// Reads the imported secret, if there is one, and checks that the file can be written, if one is named. After
    /// this, nothing on this machine can fail before the secret is created.
    pub(crate) fn prepare(
        session: &mut Session<'_>,
        client_id: &str,
        (flag, import): (&str, Option<PathBuf>),
        env_file: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let imported = import.map(|path| session.read_secret(flag, &path)).transpose()?;
        match (&imported, &env_file) {
            (Some(secret), Some(_)) => check_value("imported secret", secret.expose())?,
            (None, None) => session.check_is_seen("add --env-file FILE or remove --quiet")?,
            _ => {}
        }
        let prepare = |path: PathBuf| EnvFile::prepare(&path, client_id).map(|file| (path, file));
        Ok(Self { imported, env_file: env_file.map(prepare).transpose()? })
    }

    /// The imported secret, in the format of the admin API.
    pub(crate) fn imported(&self) -> Option<Value> {
        self.imported.as_ref().map(|secret| secret.expose().into())
    }

    /// Prints the server's response, or writes it to the file. `--quiet` prints its member `id`.
    ///
    /// If that fails, nobody has the secret: it is revoked, and the old ones expire as they did before a rotation.
    pub(crate) async fn hand_over(self, session: &mut Session<'_>, id: &str, answer: &Value) -> Result<(), Failure> {
        let mut shown = json!({ "client_id": answer["client_id"], "secret_id": answer["secret_id"] });
        let made = answer["client_secret"].as_str();
        let secret = made.or_else(|| self.imported.as_ref().map(Secret::expose)).unwrap_or_default();
        if let Some((path, file)) = self.env_file {
            let client_id = answer["client_id"].as_str().unwrap_or_default();
            let issuer = session.remote.issuer().to_owned();
            if let Err(failure) = file.write(client_id, secret, &issuer) {
                return Err(take_back(session, failure.reason().unwrap_or_default(), answer).await);
            }
            session.note(&format!("Wrote the credentials to {}.", path.display()));
        } else if let Some(made) = made {
            shown["client_secret"] = made.into();
            session.show(id, &shown);
            if let Some(error) = session.take_lost() {
                return Err(take_back(session, &format!("the secret could not be printed: {error}"), answer).await);
            }
            session.note("Store the secret now. It is not shown again.");
            return Ok(());
        }
        session.show(id, &shown);
        Ok(())
    }
}

/// Revokes the new secret, and restores when the old ones expire. Returns the failure to report.
async fn take_back(session: &mut Session<'_>, reason: &str, answer: &Value) -> Failure {
    let word = |member: &str| answer[member].as_str().unwrap_or_default();
    let (client, secret) = (word("client_id"), word("secret_id"));
    for old in answer["old"]["previous"].as_array().into_iter().flatten() {
        let path = ["clients", client, "secrets", old["id"].as_str().unwrap_or_default()];
        let restore = Call::patch(&path, json!({ "expires_at": old["expires_at"] }));
        if session.remote.ask(restore).await.is_err() {
            return Failure::new(format!("{reason}; rotate again: countersign secret rotate {client} --again"));
        }
    }
    match session.remote.ask(Call::delete(&["clients", client, "secrets", secret])).await {
        Ok(_) => Failure::new(format!(
            "{reason}; the new secret was revoked, and the other secrets of {client} are as before"
        )),
        Err(_) => Failure::new(format!(
            "{reason}; the secret is lost, so revoke it: countersign secret end {client} {secret}"
        )),
    }
}
