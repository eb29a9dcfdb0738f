//! TLS: loads a certificate and its key from two files, checks them, and replaces them without interrupting
//! connections.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use countersign_protocol::UnixTime;
use countersign_protocol::issuer::Issuer;
use rustls::ServerConfig;

pub use crate::http::tls_files::TlsError;
use crate::http::tls_files::{Contents, Pair};
use crate::limits::{CERTIFICATE_WARNING_EACH_S, CERTIFICATE_WARNING_S};

/// The certificate for new handshakes, and its files.
#[derive(Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    /// The issuer's host, which the certificate should be valid for.
    host: String,
    current: ArcSwap<Pair>,
    known: Mutex<Known>,
}

/// What was read last, valid or not, so that each change is logged once, and when a warning about the expiry was
/// logged.
#[derive(Debug)]
struct Known {
    contents: Result<[u8; 32], String>,
    /// It was checked, and is not used.
    is_refused: bool,
    warned_at: Option<UnixTime>,
}

/// The result of a reload.
#[derive(Debug)]
pub enum Reread {
    /// The files have not changed.
    Same,
    /// New handshakes use the new content.
    Replaced,
    /// The files have changed, but are invalid. The previous content is kept.
    Refused(TlsError),
}

impl Tls {
    /// Reads both files. Returns `None` if none are configured.
    pub fn read(files: Option<(&Path, &Path)>, issuer: &Issuer, now: UnixTime) -> Result<Option<Arc<Self>>, TlsError> {
        let Some((cert, key)) = files else {
            return Ok(None);
        };
        let contents = Contents::read(cert, key)?;
        let known = Known { contents: Ok(contents.digest()), is_refused: false, warned_at: None };
        Ok(Some(Arc::new(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            host: issuer.authority().0,
            current: ArcSwap::from_pointee(contents.judge(now)?),
            known: Mutex::new(known),
        })))
    }

    /// Reads the files again, and uses them if they are a different, valid pair.
    pub fn reread(&self, now: UnixTime) -> Reread {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let read = Contents::read(&self.cert, &self.key);
        let found = read.as_ref().map(Contents::digest).map_err(ToString::to_string);
        let is_known = found == known.contents;
        // A refused pair is checked again, because a certificate that was not valid yet may be valid now.
        if is_known && !known.is_refused {
            return Reread::Same;
        }
        known.contents = found;
        let judged = read.and_then(|contents| contents.judge(now));
        known.is_refused = judged.is_err();
        match judged {
            Ok(pair) => {
                self.current.store(Arc::new(pair));
                known.warned_at = None;
                Reread::Replaced
            }
            Err(_) if is_known => Reread::Same,
            Err(error) => Reread::Refused(error),
        }
    }

    /// Returns the configuration for a new handshake.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.current.load().server.clone()
    }

    /// Returns the certificate's file for display.
    pub fn shown(&self) -> String {
        self.cert.display().to_string()
    }

    /// Returns the issuer's host if the certificate is not valid for it. Clients that use the issuer will then refuse
    /// the connection.
    pub fn unnamed_host(&self) -> Option<&str> {
        (!self.current.load().names(&self.host)).then_some(self.host.as_str())
    }

    /// Returns the seconds until the certificate expires, if it is time for a warning: once a day, starting 14 days
    /// before.
    pub fn ending_s(&self, now: UnixTime) -> Option<i64> {
        let left_s = self.current.load().not_after - now;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = known.warned_at.is_none_or(|at| now - at >= CERTIFICATE_WARNING_EACH_S);
        if left_s > CERTIFICATE_WARNING_S || !is_due {
            return None;
        }
        known.warned_at = Some(now);
        Some(left_s)
    }
}
