//! `countersign user`

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::commands::administration::{Session, USER_HELP, Verb};
use crate::output::Failure;
use crate::remote::{Call, changes, members, parse_id};
use crate::table::Column;

const COLUMNS: [Column; 6] = [
    ("login", "LOGIN"),
    ("id", "ID"),
    ("roles", "ROLES"),
    ("status", "STATUS"),
    ("second_factor", "SECOND FACTOR"),
    ("created_at", "CREATED"),
];
const SESSION_COLUMNS: [Column; 6] = [
    ("id", "ID"),
    ("created_at", "SIGNED IN"),
    ("last_seen_at", "LAST SEEN"),
    ("expires_at", "EXPIRES"),
    ("address", "ADDRESS"),
    ("user_agent", "BROWSER"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum UserVerb {
    /// Create a user. A generated password is shown once
    #[command(after_help = "Examples:
  countersign user create ada --role administrator
  countersign user create ada --password-file - < password.txt")]
    Create {
        /// The login name
        #[arg(value_parser = parse_id)]
        login: String,
        /// A role: administrator. Can be repeated
        #[arg(long, value_name = "ROLE")]
        role: Vec<String>,
        /// Read the password from this file (- for stdin) instead of generating one
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// List the users, oldest first
    #[command(after_help = "Example:\n  countersign user list")]
    List,
    /// Show a user
    #[command(after_help = "Example:\n  countersign user show ada")]
    Show {
        #[arg(value_parser = parse_id, help = USER_HELP)]
        login: String,
    },
    /// Change a user. A new password revokes their tokens and ends their sessions
    #[command(after_help = "Examples:
  countersign user update ada --password-file - < password.txt
  countersign user update ada --no-role
  countersign user update ada --disable --yes")]
    Update(Changes),
    /// Delete a user, revoke their tokens and end their sessions
    #[command(after_help = "Example:\n  countersign user delete ada --yes")]
    Delete {
        #[arg(value_parser = parse_id, help = USER_HELP)]
        login: String,
    },
    /// Remove the second factor of a user who has lost it
    #[command(after_help = "Example:\n  countersign user reset-second-factor ada --yes")]
    ResetSecondFactor {
        #[arg(value_parser = parse_id, help = USER_HELP)]
        login: String,
    },
    /// Show a user's failed passwords, and whether the user is locked
    #[command(after_help = "Example:\n  countersign user attempts ada")]
    Attempts {
        #[arg(value_parser = parse_id, help = USER_HELP)]
        login: String,
    },
    /// Unlock a user, and reset their counts of failed passwords and one-time codes
    #[command(after_help = "Example:\n  countersign user unlock ada")]
    Unlock {
        #[arg(value_parser = parse_id, help = USER_HELP)]
        login: String,
    },
    /// List a user's sessions
    #[command(after_help = "Example:\n  countersign user sessions ada")]
    Sessions {
        #[arg(value_parser = parse_id, help = USER_HELP)]
        login: String,
    },
    /// End a session, and revoke the last 100 tokens requested through it
    #[command(after_help = "Example:\n  countersign user end-session ada SESSION --yes")]
    EndSession {
        #[arg(value_parser = parse_id, help = USER_HELP)]
        login: String,
        /// The session's ID, from `user sessions`
        #[arg(value_parser = parse_id)]
        session: String,
    },
    /// Revoke all tokens and end all sessions of a user
    #[command(after_help = "Example:\n  countersign user revoke ada --yes")]
    Revoke {
        #[arg(value_parser = parse_id, help = USER_HELP)]
        login: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Changes {
    #[arg(value_parser = parse_id, help = USER_HELP)]
    login: String,
    /// A role that replaces the existing roles: administrator. Can be repeated
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// Remove all roles
    #[arg(long, conflicts_with = "role")]
    no_role: bool,
    /// Read the new password from this file (- for stdin)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Enable the user
    #[arg(long, conflicts_with = "disable")]
    enable: bool,
    /// Disable the user, revoke their tokens and end their sessions
    #[arg(long)]
    disable: bool,
}

impl Verb for UserVerb {
    fn question(&self) -> Option<String> {
        match self {
            Self::Update(Changes { login, disable: true, .. }) => {
                Some(format!("Disable the user {login}, revoke their tokens and end their sessions?"))
            }
            Self::Delete { login } => {
                Some(format!("Delete the user {login}, revoke their tokens and end their sessions?"))
            }
            Self::ResetSecondFactor { login } => Some(format!("Remove the second factor of the user {login}?")),
            Self::EndSession { login, session } => Some(format!("End the session {session} of {login}?")),
            Self::Revoke { login } => Some(format!("Revoke all tokens and end all sessions of the user {login}?")),
            _ => None,
        }
    }

    async fn perform(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::Create { login, role, password_file } => create(session, &login, &role, password_file).await,
            Self::Update(changes) => update(session, changes).await,
            Self::List => {
                let users = session.remote.list(Call::get(&["users"]), None).await?;
                session.list("id", &COLUMNS, &users);
                Ok(())
            }
            Self::Show { login } => {
                let user = session.remote.ask(Call::get(&["users", &login])).await?.body;
                session.show("id", &user);
                Ok(())
            }
            Self::Sessions { login } => {
                let sessions = session.remote.list(Call::get(&["users", &login, "sessions"]), None).await?;
                session.list("id", &SESSION_COLUMNS, &sessions);
                Ok(())
            }
            Self::Delete { login } => session.finish(Call::delete(&["users", &login]), "deleted", &login).await,
            Self::ResetSecondFactor { login } => {
                let call = Call::delete(&["users", &login, "second-factor"]);
                let sentence = format!("{login} can now sign in without a second factor.");
                session.finish_saying(call, "reset", &login, &sentence).await
            }
            Self::Attempts { login } => {
                let attempts = session.remote.ask(Call::get(&["users", &login, "failed-attempts"])).await?.body;
                session.show("failures", &attempts);
                Ok(())
            }
            Self::Unlock { login } => {
                let call = Call::delete(&["users", &login, "failed-attempts"]);
                let sentence =
                    format!("{login} is unlocked. The counts of failed passwords and codes have been reset.");
                session.finish_saying(call, "unlocked", &login, &sentence).await
            }
            Self::EndSession { login, session: id } => {
                session.finish(Call::delete(&["users", &login, "sessions", &id]), "ended", &id).await
            }
            Self::Revoke { login } => {
                let call = Call::post(&["revocations"], json!({ "user": login }));
                let sentence = format!("All tokens of {login} have been revoked, and all sessions have ended.");
                session.finish_saying(call, "revoked", &login, &sentence).await
            }
        }
    }
}

async fn create(
    session: &mut Session<'_>,
    login: &str,
    roles: &[String],
    password_file: Option<PathBuf>,
) -> Result<(), Failure> {
    if password_file.is_none() {
        session.check_is_seen("add --password-file FILE or remove --quiet")?;
    }
    let password = read_password(session, password_file)?;
    let new = members([("login", Some(json!(login))), ("roles", Some(json!(roles))), ("password", password)]);
    let user = session.remote.ask(Call::post(&["users"], new).naming("login", "LOGIN")).await?.body;
    session.show("id", &user);
    if !user["password"].is_string() {
        return Ok(());
    }
    match session.take_lost() {
        Some(error) => Err(Failure::new(format!(
            "the password could not be printed: {error}; set another one: countersign user update {login} --password-file -"
        ))),
        None => {
            session.note("Store the password now. It is not shown again.");
            Ok(())
        }
    }
}

async fn update(session: &mut Session<'_>, asked: Changes) -> Result<(), Failure> {
    let Changes { login, role, no_role, password_file, enable, disable } = asked;
    let status = if enable { Some("active") } else { disable.then_some("disabled") };
    let password = read_password(session, password_file)?;
    let fields = [
        ("status", status.map(Into::into)),
        ("roles", (no_role || !role.is_empty()).then(|| json!(role))),
        ("password", password),
    ];
    let user = session.remote.ask(Call::patch(&["users", &login], changes(fields)?)).await?.body;
    session.show("id", &user);
    Ok(())
}

fn read_password(session: &mut Session<'_>, path: Option<PathBuf>) -> Result<Option<Value>, Failure> {
    let read = path.map(|path| session.read_secret("--password-file", &path)).transpose()?;
    Ok(read.map(|password| password.expose().into()))
}
