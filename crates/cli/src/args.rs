//! The command-line arguments.

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

/// OAuth 2 for machines: an authorization server, a resource server, and tools to manage them
#[derive(Debug, Parser)]
#[command(name = "countersign", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server until SIGTERM or SIGINT
    #[command(after_help = "Examples:
  countersign serve --demo
  countersign serve --listen 0.0.0.0:8443 --tls-cert fullchain.pem --tls-key key.pem --issuer https://auth.example:8443
  countersign serve --listen 0.0.0.0:8080 --issuer https://auth.example
  COUNTERSIGN_DATABASE_URL=postgres://… countersign serve --config /etc/countersign.toml")]
    Serve(Serve),
    /// Check or show the configuration that `serve` would use
    Config(ConfigArgs),
    /// Check the configuration, data directory, database, keys, clock and reachability; fail if there is a problem
    #[command(after_help = "Examples:
  countersign doctor
  countersign doctor --config /etc/countersign.toml --output json")]
    Doctor(Doctor),
    /// Write a consistent copy of the database, the sealing key and the configuration, even while the server is running
    #[command(after_help = "Examples:
  countersign backup /mnt/elsewhere/countersign-2026-11-25
  countersign backup --config /etc/countersign.toml /mnt/elsewhere/countersign-2026-11-25")]
    Backup(Backup),
    /// Restore a backup, and revoke all tokens and sessions
    #[command(after_help = "Examples:
  countersign restore /mnt/elsewhere/countersign-2026-11-25 --data-dir /var/lib/countersign
  countersign restore /mnt/elsewhere/countersign-2026-11-25 --replace --yes
  countersign restore /mnt/elsewhere/countersign-2026-11-25 --data-dir /tmp/drill --database-url postgres://app@db.example/drill")]
    Restore(Restore),
    /// Copy the database to another SQLite or PostgreSQL database, while no server is running
    #[command(after_help = "Examples:
  countersign migrate --data-dir /var/lib/countersign --to-file /run/secrets/database_url
  countersign migrate --database-url postgres://… --to sqlite:///var/lib/countersign/countersign.db")]
    Migrate(Migrate),
    /// Create or rotate the key that encrypts secrets in the database
    SealingKey(SealingKey),
    /// Manage APIs
    Api(Administration<ApiVerb>),
    /// Manage the scopes of an API, and test which scopes allow a request
    Scope(Administration<ScopeVerb>),
    /// Manage clients and their entitlements
    Client(Administration<ClientVerb>),
    /// Create, rotate and revoke a client's secrets
    Secret(Administration<SecretVerb>),
    /// Revoke tokens
    Token(Administration<TokenVerb>),
    /// List, rotate and revoke signing keys
    Key(Administration<KeyVerb>),
    /// Manage users and their sessions
    User(Administration<UserVerb>),
    /// Show and verify the audit log
    Audit(Administration<AuditVerb>),
    /// Explain why a request was refused, and how to fix it
    #[command(after_help = "Example:\n  countersign explain 6d2fc0a1b3e44c58")]
    Explain(Alone<Explain>),
    /// List recent refusals
    Refusal(Administration<RefusalVerb>),
    /// Show how many tokens were issued, and which clients, secrets and entitlements are unused
    Usage(Administration<UsageVerb>),
    /// Print a completion script for a shell
    #[command(after_help = "Examples:
  countersign completions bash > /etc/bash_completion.d/countersign
  countersign completions zsh > \"${fpath[1]}/_countersign\"")]
    Completions(Completions),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Create a demo API, client and user
    #[arg(long)]
    pub(crate) demo: bool,
    /// Revoke the operator's secrets and tokens, and write a new operator.json
    #[arg(long)]
    pub(crate) new_operator: bool,
    /// Serve a database that `migrate` has copied elsewhere. Tokens that one copy issues are unknown to the other
    #[arg(long)]
    pub(crate) force: bool,
    /// Accept an empty database, or a sealing key that was created elsewhere. Use it for a single start
    #[arg(long)]
    pub(crate) new_database: bool,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// Flags that override environment variables, which override the configuration file.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SettingsArgs {
    /// Read the configuration from this TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Listen on this address [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_listen)]
    pub(crate) listen: Option<SocketAddr>,
    /// The issuer: the origin that clients use to reach this server [default: the listen address with http://, or with
    /// https:// if TLS is on]
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    /// The directory for the database, the sealing key and the lock file [default: ./countersign-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The database. If the URL contains a password, use `COUNTERSIGN_DATABASE_URL_FILE` to keep it out of the process
    /// list [default: SQLite in the data directory]
    #[arg(long, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Serve TLS with the certificate chain in this PEM file
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
}

/// The location of a server's files, for commands that access them directly.
#[derive(Debug, clap::Args)]
pub(crate) struct PlaceArgs {
    /// Read the server's configuration from this TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The server's data directory [default: ./countersign-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The server's database. If the URL contains a password, use `COUNTERSIGN_DATABASE_URL_FILE` to keep it out of the
    /// process list [default: SQLite in the data directory]
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

impl PlaceArgs {
    /// Returns these arguments as flags of `serve`.
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
    /// Validate the configuration, and name the first invalid key
    Check {
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Print every key with its value and source
    Show {
        #[command(flatten)]
        settings: SettingsArgs,
        /// Output format
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
