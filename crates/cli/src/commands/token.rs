//! `countersign token`

use clap::Subcommand;
use countersign_client::Secret;
use serde_json::json;

use crate::commands::administration::{Session, Verb};
use crate::output::Failure;
use crate::remote::Call;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Revoke any token. A refresh token takes its descendants with it
    #[command(after_help = "Examples:
  countersign token revoke - --yes < token.txt
  countersign token revoke -               (prompts for the token: it stays out of the process list and the shell history)
  countersign token revoke eyJ… --yes      (other users of this machine can see the token in the process list)")]
    Revoke {
        /// The token, or - to read it from a line of stdin
        token: String,
    },
}

impl Verb for TokenVerb {
    fn question(&self) -> Option<String> {
        Some("Revoke the token?".to_owned())
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let Self::Revoke { token } = self;
        let token = match token.as_str() {
            "-" => session.read_token("TOKEN")?,
            _ => Secret::new(token),
        };
        let call = Call::post(&["revocations"], json!({ "token": token.expose() })).naming("token", "TOKEN");
        let revoked = session.remote.ask(call).await?.body["revoked"].take();
        session.show("id", &revoked);
        Ok(())
    }
}
