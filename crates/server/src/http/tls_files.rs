//! The two files of a certificate: read completely, up to a limit, and checked before use.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use countersign_protocol::UnixTime;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, ServerConfig};
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use crate::limits::MAX_TLS_FILE_BYTES;

/// The ALPN name of HTTP/2 (RFC 9113 §3.2).
pub(crate) const HTTP2: &[u8] = b"h2";
/// The ALPN name of HTTP/1.1 (RFC 7301 §6).
const HTTP1: &[u8] = b"http/1.1";

/// Why a certificate or key cannot be used. The message begins with the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file does not exist, or cannot be read.
    #[error("{0}: {1}")]
    Unreadable(String, io::Error),
    /// The file is a directory or a pipe, which could not be read again.
    #[error("{0}: not a regular file")]
    NotAFile(String),
    /// The file is larger than any certificate.
    #[error("{0}: too large for a certificate or key")]
    TooLarge(String),
    /// The file is not a PEM file, or is malformed.
    #[error("{0}: not a PEM file: {1}")]
    NotPem(String, String),
    /// The file contains no certificate.
    #[error("{0}: contains no certificate")]
    NoCertificate(String),
    /// The file contains a malformed certificate.
    #[error("{0}: contains a malformed certificate")]
    MalformedCertificate(String),
    /// The file contains no private key.
    #[error("{0}: contains no private key")]
    NoKey(String),
    /// The private key is encrypted.
    #[error("{0}: the private key is encrypted; decrypt it first")]
    EncryptedKey(String),
    /// The private key cannot be used.
    #[error("{0}: unusable private key: {1}")]
    UnusableKey(String, String),
    /// The key belongs to another certificate.
    #[error("{key}: does not match the first certificate in {cert}")]
    Mismatch {
        /// The key's file.
        key: String,
        /// The certificate's file.
        cert: String,
    },
    /// The certificate has expired.
    #[error("{0}: the certificate expired at {1}")]
    Expired(String, String),
    /// The certificate is not valid yet.
    #[error("{0}: the certificate is not valid before {1}")]
    NotYetValid(String, String),
}

/// The content of both files.
pub(super) struct Contents {
    cert_file: String,
    cert: Vec<u8>,
    key_file: String,
    key: Zeroizing<Vec<u8>>,
}

/// A certificate and its key, ready for use.
#[derive(Debug)]
pub(super) struct Pair {
    /// The configuration for handshakes.
    pub server: Arc<ServerConfig>,
    /// When the certificate expires.
    pub(super) not_after: UnixTime,
    certificate: CertificateDer<'static>,
}

impl Contents {
    pub(super) fn read(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let (cert_file, key_file) = (cert.display().to_string(), key.display().to_string());
        Ok(Self { cert: read(cert)?.to_vec(), cert_file, key: read(key)?, key_file })
    }

    /// Returns a hash that detects changes, without keeping a second copy of the key.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(&self.cert.len().to_be_bytes());
        context.update(&self.cert);
        context.update(&self.key);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// Returns the pair if clients could accept it now.
    pub(super) fn judge(&self, now: UnixTime) -> Result<Pair, TlsError> {
        let chain = self.parse_chain()?;
        let key = self.parse_key()?;
        let certificate = chain.first().cloned().ok_or_else(|| TlsError::NoCertificate(self.cert_file.clone()))?;
        let not_after = self.judge_time(&certificate, now)?;
        let certified = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                TlsError::Mismatch { key: self.key_file.clone(), cert: self.cert_file.clone() }
            }
            Error::InvalidCertificate(_) => TlsError::MalformedCertificate(self.cert_file.clone()),
            other => self.unusable_key(&other),
        })?;
        let server = server_config(certified).map_err(|error| self.unusable_key(&error))?;
        Ok(Pair { server: Arc::new(server), not_after, certificate })
    }

    fn parse_chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.cert).collect();
        let chain = chain.map_err(|error| TlsError::NotPem(self.cert_file.clone(), describe(&error)))?;
        if chain.is_empty() {
            return Err(match has_pem(&self.cert) {
                true => TlsError::NoCertificate(self.cert_file.clone()),
                false => TlsError::NotPem(self.cert_file.clone(), NO_BEGIN.to_owned()),
            });
        }
        Ok(chain)
    }

    fn parse_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let file = || self.key_file.clone();
        PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| match error {
            PemError::NoItemsFound if !has_pem(&self.key) => TlsError::NotPem(file(), NO_BEGIN.to_owned()),
            PemError::NoItemsFound if contains(&self.key, b"ENCRYPTED PRIVATE KEY") => TlsError::EncryptedKey(file()),
            PemError::NoItemsFound => TlsError::NoKey(file()),
            // The old way to encrypt a key puts headers inside, which are not base64.
            _ if contains(&self.key, b"Proc-Type: 4,ENCRYPTED") => TlsError::EncryptedKey(file()),
            error => TlsError::NotPem(file(), describe(&error)),
        })
    }

    /// Returns when the certificate expires, if it is valid now (RFC 5280 §4.1.2.5).
    fn judge_time(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<UnixTime, TlsError> {
        let malformed = || TlsError::MalformedCertificate(self.cert_file.clone());
        let (_, parsed) = parse_x509_certificate(certificate).map_err(|_| malformed())?;
        let validity = parsed.validity();
        if now < validity.not_before.timestamp() {
            return Err(TlsError::NotYetValid(self.cert_file.clone(), validity.not_before.to_string()));
        }
        if now > validity.not_after.timestamp() {
            return Err(TlsError::Expired(self.cert_file.clone(), validity.not_after.to_string()));
        }
        Ok(validity.not_after.timestamp())
    }

    fn unusable_key(&self, error: &Error) -> TlsError {
        TlsError::UnusableKey(self.key_file.clone(), error.to_string())
    }
}

impl Pair {
    /// True if the certificate is valid for this host (RFC 6125), as a client would decide.
    pub(super) fn names(&self, host: &str) -> bool {
        let parsed = ParsedCertificate::try_from(&self.certificate);
        match (parsed, ServerName::try_from(host)) {
            (Ok(parsed), Ok(name)) => verify_server_name(&parsed, &name).is_ok(),
            _ => false,
        }
    }
}

/// Configures TLS 1.2 and 1.3 with aws-lc-rs, passed in explicitly. No provider is installed for the process.
///
/// Each pair has its own configuration, and therefore its own sessions. A client that tries to resume a session of an
/// old certificate makes a full handshake and sees the new one.
fn server_config(certified: CertifiedKey) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(config)
}

/// Reads a whole file. Refuses files that could block or never end, so that a start fails in time.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let shown = || path.display().to_string();
    let unreadable = |error| TlsError::Unreadable(shown(), error);
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(TlsError::NotAFile(shown()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_TLS_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_TLS_FILE_BYTES {
        return Err(TlsError::TooLarge(shown()));
    }
    Ok(bytes)
}

const NO_BEGIN: &str = "no line begins with -----BEGIN";

fn has_pem(bytes: &[u8]) -> bool {
    contains(bytes, b"-----BEGIN ")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Returns what is wrong with a PEM file, without its bytes, which may be a key.
fn describe(error: &PemError) -> String {
    match error {
        PemError::MissingSectionEnd { .. } => "missing -----END line",
        PemError::IllegalSectionStart { .. } => "malformed -----BEGIN line",
        PemError::Base64Decode(_) => "malformed base64",
        _ => "malformed PEM",
    }
    .to_owned()
}
