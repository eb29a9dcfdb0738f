//! `countersign token`: tokens that were issued

use clap::Subcommand;
use countersign_client::Secret;
use serde_json::json;

use crate::commands::administration::{Session, Verb};
use crate::output::Failure;
use crate::remote::Call;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// End a token, whoever's it is; a refresh token with all that came of it
    #[command(after_help = "Examples:
  countersign token revoke - --yes < token.txt
  countersign token revoke -               (asks for it: it is in no process list and no shell history)
  countersign token revoke eyJ… --yes      (other users of this machine can see it in the process list)")]
    Revoke {
        /// The token, or - to read it from stdin, as one line
        token: String,
    },
}

impl Verb for TokenVerb {
    fn question(&self) -> Option<String> {
        Some("End the token?".to_owned())
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
