//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use countersign_server::config::parse_listen;

use crate::commands::administration::{Administration, Alone};
use crate::commands::api::ApiVerb;
use crate::commands::audit::AuditVerb;
use crate::commands::backup::Backup;
use crate::commands::client::ClientVerb;
use crate::commands::completions::Completions;
use crate::commands::doctor::Doctor;
use crate::commands::explain::Explain;
use crate::commands::key::KeyVerb;
use crate::commands::migrate::Migrate;
use crate::commands::refusal::RefusalVerb;
use crate::commands::restore::Restore;
use crate::commands::scope::ScopeVerb;
use crate::commands::sealing_key::SealingKey;
use crate::commands::secret::SecretVerb;
use crate::commands::token::TokenVerb;
use crate::commands::usage::UsageVerb;
use crate::commands::user::UserVerb;

/// OAuth 2 for machines: an authorization server, a resource server, and the tools around them.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve, until SIGTERM or SIGINT
    #[command(after_help = "Examples:
  countersign serve --demo
  countersign serve --listen 0.0.0.0:8443 --tls-cert fullchain.pem --tls-key key.pem --issuer https://auth.example:8443
  countersign serve --listen 0.0.0.0:8080 --issuer https://auth.example
  COUNTERSIGN_DATABASE_URL=postgres://… countersign serve --config /etc/countersign.toml")]
    Serve(Serve),
    /// Check or show the configuration that `serve` would use
    Config(ConfigArgs),
    /// Look for what is wrong: configuration, data directory, database, keys, clock, reachability; fail if something is
    #[command(after_help = "Examples:
  countersign doctor
  countersign doctor --config /etc/countersign.toml --output json")]
    Doctor(Doctor),
    /// Write a consistent copy of database, sealing key and configuration, also beside a server that lives
    #[command(after_help = "Examples:
  countersign backup /mnt/elsewhere/countersign-2026-11-25
  countersign backup --config /etc/countersign.toml /mnt/elsewhere/countersign-2026-11-25")]
    Backup(Backup),
    /// Bring back a backup; what was issued before is dead
    #[command(after_help = "Examples:
  countersign restore /mnt/elsewhere/countersign-2026-11-25 --data-dir /var/lib/countersign
  countersign restore /mnt/elsewhere/countersign-2026-11-25 --replace --yes
  countersign restore /mnt/elsewhere/countersign-2026-11-25 --data-dir /tmp/drill --database-url postgres://app@db.example/drill")]
    Restore(Restore),
    /// Copy the database into another, SQLite or PostgreSQL, while no server is alive; tokens and secrets go on
    #[command(after_help = "Examples:
  countersign migrate --data-dir /var/lib/countersign --to-file /run/secrets/database_url
  countersign migrate --database-url postgres://… --to sqlite:///var/lib/countersign/countersign.db")]
    Migrate(Migrate),
    /// Replace the key that secrets are sealed with at rest
    SealingKey(SealingKey),
    /// Administer the APIs that tokens are for
    Api(Administration<ApiVerb>),
    /// Administer the scopes of an API, and see which one opens a request
    Scope(Administration<ScopeVerb>),
    /// Administer clients, and what they may ask
    Client(Administration<ClientVerb>),
    /// Make, rotate and end the secrets of a client
    Secret(Administration<SecretVerb>),
    /// End tokens
    Token(Administration<TokenVerb>),
    /// See, rotate and revoke signing keys
    Key(Administration<KeyVerb>),
    /// Administer users and their sessions
    User(Administration<UserVerb>),
    /// See who changed what, and whether the record of it is intact
    Audit(Administration<AuditVerb>),
    /// Say why a request was refused, and what would make it pass
    #[command(after_help = "Example:\n  countersign explain 6d2fc0a1b3e44c58")]
    Explain(Alone<Explain>),
    /// See what was refused lately
    Refusal(Administration<RefusalVerb>),
    /// See how many tokens were issued for what, and what is unused
    Usage(Administration<UsageVerb>),
    /// Print what a shell needs to complete commands and flags
    #[command(after_help = "Examples:
  countersign completions bash > /etc/bash_completion.d/countersign
  countersign completions zsh > \"${fpath[1]}/_countersign\"")]
    Completions(Completions),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Create an API, a client and a user to try everything with
    #[arg(long)]
    pub(crate) demo: bool,
    /// End the operator's secrets and tokens, and write a new operator.json
    #[arg(long)]
    pub(crate) new_operator: bool,
    /// Serve a database that `migrate` has copied elsewhere: what either issues from now on is unknown to the other
    #[arg(long)]
    pub(crate) force: bool,
    /// Begin with an empty database where there was another one, or with a sealing key that was made elsewhere. Give it for
    /// one start only
    #[arg(long)]
    pub(crate) new_database: bool,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// Flags that stand above the environment, which stands above the file.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SettingsArgs {
    /// Read the configuration from a TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Accept connections here [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_listen)]
    pub(crate) listen: Option<SocketAddr>,
    /// The origin by which clients know this server [default: http://, or https:// with TLS, and the listen address]
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    /// Keep the database, the sealing key and the lock here [default: ./countersign-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Use this database; keep a URL with a password out of the process list by `COUNTERSIGN_DATABASE_URL_FILE` [default:
    /// SQLite in the data directory]
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Serve TLS with the certificate of this PEM file, its chain behind it
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
}

/// Where a server's things are, for commands beside it.
#[derive(Debug, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Read the server's configuration from this TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The server's data directory [default: ./countersign-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The server's database; keep a URL with a password out of the process list by `COUNTERSIGN_DATABASE_URL_FILE`
    /// [default: SQLite in the data directory]
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

impl PlaceArgs {
    /// The same as flags of `serve`.
    pub(crate) fn settings(&self) -> SettingsArgs {
        let Self { config, data_dir, database_url } = self;
        SettingsArgs {
            config: config.clone(),
            data_dir: data_dir.clone(),
            database_url: database_url.clone(),
            listen: None,
            issuer: None,
            tls_cert: None,
            tls_key: None,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Say whether the configuration is good; name the first key that is not
    Check {
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Print every key with its value and where it comes from
    Show {
        #[command(flatten)]
        settings: SettingsArgs,
        /// How to print it
        #[arg(long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Print the JSON Schema of the configuration file, for editors
    #[command(after_help = "Example:
  countersign config schema > countersign.schema.json
  and as the first line of countersign.toml, for editors that use Taplo:
  #:schema ./countersign.schema.json")]
    Schema,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}
