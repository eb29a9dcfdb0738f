//! Every way a call can fail. Nothing here shows a secret of ours.

use countersign_protocol::jose::jws::JwsError;

use crate::endpoints::EndpointFault;
use crate::transport::TransportError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// An address is not one that a secret may be sent to.
    #[error("the {name} {fault}")]
    Endpoint {
        /// Which of the addresses.
        name: &'static str,
        /// What is wrong with it.
        fault: EndpointFault,
    },
    /// There was no answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server refused, in OAuth's words (RFC 6749 §5.2).
    #[error("the server returned {status} {error}{}", describe(.description.as_deref()))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `error` code.
        error: String,
        /// The `error_description`.
        description: Option<String>,
        /// `Retry-After`, where it is a number of seconds.
        retry_after_s: Option<u64>,
    },
    /// The server answered with a status that means nothing here, without an OAuth error.
    #[error("unexpected status {status}")]
    UnexpectedStatus {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, where it is a number of seconds.
        retry_after_s: Option<u64>,
    },
    /// The server's answer is not what the RFC says it is.
    #[error("malformed response: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// A text is no JWT.
    #[error("not a JWT: {0}")]
    NotAJwt(JwsError),
}

impl ClientError {
    /// The HTTP status, where there was an answer that is an error by its status.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::UnexpectedStatus { status, .. } => Some(*status),
            Self::Transport(TransportError::Redirect { status }) => Some(*status),
            _ => None,
        }
    }

    /// The OAuth error code.
    pub fn oauth_error(&self) -> Option<&str> {
        match self {
            Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }

    /// What the server says about its refusal.
    pub fn description(&self) -> Option<&str> {
        match self {
            Self::Refused { description, .. } => description.as_deref(),
            _ => None,
        }
    }

    /// After how many seconds the server wants to be asked again, where it says so.
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
