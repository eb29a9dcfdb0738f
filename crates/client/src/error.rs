//! Every way a call can fail. Errors never contain our secrets.

use countersign_protocol::jose::jws::JwsError;

use crate::endpoints::EndpointFault;
use crate::transport::TransportError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A URL must not receive a secret.
    #[error("the {name} {fault}")]
    Endpoint {
        /// Which URL.
        name: &'static str,
        /// What is wrong with it.
        fault: EndpointFault,
    },
    /// There was no response.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server refused with an OAuth error (RFC 6749 §5.2).
    #[error("the server returned {status} {error}{}", describe(.description.as_deref()))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `error` code.
        error: String,
        /// The `error_description`.
        description: Option<String>,
        /// `Retry-After`, if it is a number of seconds.
        retry_after_s: Option<u64>,
    },
    /// The server returned an unexpected status without an OAuth error.
    #[error("unexpected status {status}")]
    UnexpectedStatus {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, if it is a number of seconds.
        retry_after_s: Option<u64>,
    },
    /// The response does not conform to the RFC.
    #[error("malformed response: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The text is not a JWT.
    #[error("not a JWT: {0}")]
    NotAJwt(JwsError),
}

impl ClientError {
    /// Returns the HTTP status, if there was a response with an error status.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::UnexpectedStatus { status, .. } => Some(*status),
            Self::Transport(TransportError::Redirect { status }) => Some(*status),
            _ => None,
        }
    }

    /// Returns the OAuth error code.
    pub fn oauth_error(&self) -> Option<&str> {
        match self {
            Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Returns the server's description of the error.
    pub fn description(&self) -> Option<&str> {
        match self {
            Self::Refused { description, .. } => description.as_deref(),
            _ => None,
        }
    }

    /// Returns after how many seconds the server wants to be called again, if it says so.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Refused { retry_after_s, .. } | Self::UnexpectedStatus { retry_after_s, .. } => *retry_after_s,
            _ => None,
        }
    }
}

fn describe(description: Option<&str>) -> String {
    description.map(|text| format!(": {text}")).unwrap_or_default()
}
