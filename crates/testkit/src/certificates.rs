//! Certificates of an authority that only the test trusts, and TLS connections.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate authority for tests.
pub struct TestAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The certificate.
    pub cert: String,
    /// The private key.
    pub key: String,
}

/// The certificate and key files of a server.
#[derive(Debug)]
pub struct CertificateFiles {
    directory: TempDir,
}

impl Default for TestAuthority {
    fn default() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }
}

impl TestAuthority {
    /// The authority's own certificate, in PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate for this name or address, with a new key, that is valid for very long.
    pub fn certify(&self, name: &str) -> Certified {
        self.certify_for(name, 0, 32_503_680_000)
    }

    /// Issues a certificate that is valid between these times, in Unix seconds.
    pub fn certify_for(&self, name: &str, not_before: u64, not_after: u64) -> Certified {
        let at = |seconds| date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (at(not_before), at(not_after));
        Certified { cert: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    /// Opens a connection and offers these protocols in the handshake. The test controls every byte after it.
    pub async fn connect(&self, address: SocketAddr, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::from(address.ip()), stream).await
    }

    /// Returns the certificate that a new connection gets, in DER.
    pub async fn shown_at(&self, address: SocketAddr) -> Vec<u8> {
        let stream = self.connect(address, &[]).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

impl Certified {
    /// The certificate in DER.
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap().to_vec()
    }
}

impl CertificateFiles {
    /// Writes a certificate and key to new files.
    pub fn of(certified: &Certified) -> Self {
        let files = Self { directory: TempDir::new().unwrap() };
        files.write(certified);
        files
    }

    /// Replaces both files atomically.
    pub fn write(&self, certified: &Certified) {
        replace(&self.cert(), certified.cert.as_bytes());
        replace(&self.key(), certified.key.as_bytes());
    }

    /// The certificate's file.
    pub fn cert(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }

    /// The key's file.
    pub fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    /// Returns the flags of `serve` for both files.
    pub fn flags(&self) -> [String; 4] {
        let shown = |path: PathBuf| path.display().to_string();
        ["--tls-cert".to_owned(), shown(self.cert()), "--tls-key".to_owned(), shown(self.key())]
    }
}

fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(&new, path).unwrap();
}
