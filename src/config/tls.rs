//! TLS of a listener.

use rustls::CipherSuite;
use std::path::{Path, PathBuf};

/// TLS of a listener, versions 1.2 and 1.3. The files are read at the start, and again at each reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Certificates, of which the one that fits the name that the client asks for is used; the first one if none does.
    pub certificates: Vec<CertificateConfig>,
    /// Authorities, in PEM, by which client certificates are verified. None: clients are not asked for one.
    pub client_authorities: Vec<PathBuf>,
    /// Clients without a certificate are let in all the same; a certificate that is shown has to be good.
    pub client_optional: bool,
    /// Ciphers of TLS 1.2 that are offered; none: all. Those of TLS 1.3 are always offered.
    pub ciphers: Option<Vec<CipherSuite>>,
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateConfig {
    /// The certificate, and perhaps those between it and the authority, in PEM.
    pub certificate: PathBuf,
    /// More certificates between it and the authority, each in PEM.
    pub chain: Vec<PathBuf>,
    /// The key, in PEM.
    pub key: PathBuf,
}

impl TlsConfig {
    /// Takes relative paths as relative to `directory`.
    pub fn relative_to(&mut self, directory: &Path) {
        let own = self
            .certificates
            .iter_mut()
            .flat_map(|own| own.chain.iter_mut().chain([&mut own.certificate, &mut own.key]));
        for path in own.chain(&mut self.client_authorities) {
            *path = directory.join(&*path);
        }
    }
}
