//! Gets, refreshes, introspects and revokes tokens at any OAuth 2 server.
//!
//! [`Client`] prepares a request as a pure value, sends it through a [`Transport`] and parses the response. What
//! [`PreparedRequest`] displays is what is sent. Secrets have the type [`Secret`], which is redacted in `Debug` and
//! wiped on drop.
//!
#![cfg_attr(feature = "reqwest", doc = "```no_run")]
#![cfg_attr(not(feature = "reqwest"), doc = "```ignore")]
//! # async fn job(secret: countersign_client::Secret) -> Result<(), countersign_client::ClientError> {
//! use countersign_client::{Client, Endpoints, HttpTransport};
//!
//! let endpoints = Endpoints::tenant("https://auth.example", "oauthclient")?;
//! let client = Client::new(endpoints, "job", secret, HttpTransport::new()?);
//! let token = client.request_token_with_client_credentials(Some("reports:read")).await?;
//! println!("{} for {:?} s", token.token_type, token.expires_in);
//! # Ok(())
//! # }
//! ```

mod answer;
mod claims;
mod client;
mod curl;
mod endpoints;
mod error;
mod exchange;
#[cfg(feature = "reqwest")]
mod http_transport;
mod token_response;
mod transport;

pub use claims::{UnverifiedClaims, claims};
pub use client::Client;
pub use countersign_protocol::client::ClientAuthMethod;
pub use countersign_protocol::secret::Secret;
pub use endpoints::{EndpointFault, Endpoints};
pub use error::ClientError;
pub use exchange::{MaskedRequest, PreparedRequest, Shown};
#[cfg(feature = "reqwest")]
pub use http_transport::{Bounds, HttpTransport};
pub use token_response::TokenResponse;
pub use transport::{Transport, TransportError};
