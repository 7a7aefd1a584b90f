//! TLS: the certificates of a listener, read from files.

use crate::auth::TlsPeer;
use crate::config::tls::{CertificateConfig, TlsConfig};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedCipherSuite};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The label of RFC 9266; its context is empty.
const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

/// Why TLS cannot be had.
#[derive(Debug, Error)]
#[error("TLS: {path}: {reason}")]
pub struct TlsError {
    path: String,
    reason: String,
}

fn wrong(path: &Path, reason: impl fmt::Display) -> TlsError {
    TlsError { path: path.display().to_string(), reason: reason.to_string() }
}

/// TLS of a listener.
#[derive(Debug)]
pub struct Tls {
    server: Arc<ServerConfig>,
    /// Of the files that it was read from.
    digest: [u8; 32],
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// One cannot be read, holds nothing of its kind, or a key does not belong to its certificate.
    pub fn load(config: &TlsConfig) -> Result<Tls, TlsError> {
        // First: if they change meanwhile, they are others than these.
        let digest = digest(config)?;
        Ok(Tls { server: Arc::new(read(config)?), digest })
    }

    /// What the next handshake is done with.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.server.clone())
    }

    /// True if the files of a configuration hold something else than when this was read. What cannot be read does not
    /// count.
    #[must_use]
    pub fn is_outdated(&self, config: &TlsConfig) -> bool {
        digest(config).is_ok_and(|digest| digest != self.digest)
    }
}

/// What a finished handshake has found out.
pub(super) fn found_out(session: &ServerConnection) -> TlsPeer {
    let certificate = session.peer_certificates().and_then(|list| list.first()).map(|first| first.to_vec());
    let version = session.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    let suite = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or_default();
    let exporter = session.export_keying_material([0; 32], EXPORTER, Some(&[])).ok();
    TlsPeer { certificate, exporter, protocol: format!("{version} {suite}").into() }
}

/// The digest of what all files of a configuration hold.
fn digest(config: &TlsConfig) -> Result<[u8; 32], TlsError> {
    let mut hash = Sha256::new();
    let own = config.certificates.iter().flat_map(|own| own.chain.iter().chain([&own.certificate, &own.key]));
    for path in own.chain(&config.client_authorities) {
        let octets = fs::read(path).map_err(|error| wrong(path, error))?;
        hash.update((octets.len() as u64).to_le_bytes());
        hash.update(octets);
    }
    Ok(hash.finalize().into())
}

fn read(config: &TlsConfig) -> Result<ServerConfig, TlsError> {
    let mut provider = ring::default_provider();
    if let Some(ciphers) = &config.ciphers {
        let version13 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        provider.cipher_suites.retain(|suite| version13(suite) || ciphers.contains(&suite.suite()));
    }
    let provider = Arc::new(provider);
    let read = |certificate| read_certificate(certificate, &provider);
    let resolver = ByName(config.certificates.iter().map(read).collect::<Result<_, _>>()?);
    // What is said of the whole is said of its first file.
    let first = config.certificates.first().map_or(Path::new("no certificate"), |first| &*first.certificate);
    if resolver.0.is_empty() {
        return Err(wrong(first, "is needed"));
    }
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| wrong(first, error))?;
    let builder = match config.client_authorities.first() {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            for path in &config.client_authorities {
                for certificate in read_chain(path)? {
                    roots.add(certificate).map_err(|error| wrong(path, error))?;
                }
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if config.client_optional { verifier.allow_unauthenticated() } else { verifier };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(authority, error))?)
        }
    };
    let mut server = builder.with_cert_resolver(Arc::new(resolver));
    // Without it, TLS 1.2 lets somebody in between make two connections that look alike (RFC 7627).
    server.require_ems = true;
    // Clients that come back, perhaps all at once, need no second signature of ours.
    server.ticketer = ring::Ticketer::new().map_err(|error| wrong(first, error))?;
    Ok(server)
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let list = CertificateDer::pem_file_iter(path).map_err(|error| wrong(path, error))?;
    let list: Vec<_> = list.collect::<Result<_, _>>().map_err(|error| wrong(path, error))?;
    if list.is_empty() { Err(wrong(path, "holds no certificate in PEM")) } else { Ok(list) }
}

fn read_certificate(config: &CertificateConfig, provider: &CryptoProvider) -> Result<Named, TlsError> {
    let mut chain = read_chain(&config.certificate)?;
    for path in &config.chain {
        chain.extend(read_chain(path)?);
    }
    let names = chain.first().map_or_else(Vec::new, |own| names(own));
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| wrong(&config.key, error))?;
    let key = provider.key_provider.load_private_key(key).map_err(|error| wrong(&config.key, error))?;
    // Not by rustls, which looks into certificates of version 3 only. Others are not rare where people make their own.
    let (_, own) = X509Certificate::from_der(&chain[0]).map_err(|error| wrong(&config.certificate, error))?;
    if key.public_key().is_some_and(|key| *key != *own.public_key().raw) {
        return Err(wrong(&config.key, "is not the key of the certificate"));
    }
    Ok(Named { names, key: Arc::new(CertifiedKey::new(chain, key)) })
}

/// The names in a certificate, in lower case.
fn names(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    alternatives.value.general_names.iter().filter_map(name).collect()
}

/// A certificate and for which names it is.
#[derive(Debug)]
struct Named {
    names: Vec<String>,
    key: Arc<CertifiedKey>,
}

/// Chooses the certificate for the name that a client asks for.
#[derive(Debug)]
struct ByName(Vec<Named>);

impl ByName {
    fn choose(&self, name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let wanted = name.as_deref().and_then(|name| {
            let exact = self.0.iter().find(|known| known.names.iter().any(|own| own == name));
            // A star stands for exactly one label.
            let (_, parent) = name.split_once('.')?;
            let fits = |own: &String| own.strip_prefix("*.") == Some(parent);
            exact.or_else(|| self.0.iter().find(|known| known.names.iter().any(fits)))
        });
        wanted.or(self.0.first()).map(|found| &found.key)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Files {
            let folder = std::env::temp_dir().join(format!("corebar-tls-{}-{name}", std::process::id()));
            fs::create_dir_all(&folder).expect("a folder");
            Files(folder)
        }

        fn certificate(&self, file: &str, names: &[&str]) -> CertificateConfig {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
            let path = |kind: &str| self.0.join(format!("{file}.{kind}"));
            fs::write(path("pem"), own.cert.pem()).expect("a file");
            fs::write(path("key"), own.signing_key.serialize_pem()).expect("a file");
            CertificateConfig { certificate: path("pem"), chain: Vec::new(), key: path("key") }
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_certificate_fits_the_name() {
        let files = Files::new("names");
        let provider = ring::default_provider();
        let list = [
            files.certificate("one", &["one.example"]),
            files.certificate("star", &["*.two.example"]),
            files.certificate("sub", &["a.two.example"]),
        ];
        let names = ByName(list.iter().map(|one| read_certificate(one, &provider).expect("a certificate")).collect());
        let chosen = |name| names.choose(name).map(|key| names.0.iter().position(|known| Arc::ptr_eq(&known.key, key)));
        for (name, at) in [
            (Some("one.example"), 0),
            (Some("ONE.example"), 0),
            (Some("b.two.example"), 1),
            (Some("a.two.example"), 2),
            (Some("two.example"), 0),
            (Some("b.b.two.example"), 0),
            (Some("other"), 0),
            (None, 0),
        ] {
            assert_eq!(chosen(name), Some(Some(at)), "{name:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_files_is_told() {
        let files = Files::new("wrong");
        let (one, two) = (files.certificate("one", &["one.example"]), files.certificate("two", &["two.example"]));
        let with = |certificate: &CertificateConfig, authorities: Vec<PathBuf>| {
            let certificates = vec![certificate.clone()];
            Tls::load(&TlsConfig {
                certificates,
                client_authorities: authorities,
                client_optional: false,
                ciphers: None,
            })
        };
        assert!(with(&one, Vec::new()).is_ok());
        assert!(with(&one, vec![two.certificate.clone()]).is_ok());
        let message = |result: Result<Tls, TlsError>| result.expect_err("a fault").to_string();
        let missing = CertificateConfig { certificate: files.0.join("missing"), ..one.clone() };
        assert!(message(with(&missing, Vec::new())).contains("missing: "), "{}", message(with(&missing, Vec::new())));
        let swapped = CertificateConfig { key: two.key.clone(), ..one.clone() };
        assert!(message(with(&swapped, Vec::new())).contains("two.key"));
        let no_key = CertificateConfig { key: two.certificate.clone(), ..one.clone() };
        assert!(message(with(&no_key, Vec::new())).contains("two.pem"));
        assert!(message(with(&one, vec![one.key.clone()])).contains("holds no certificate in PEM"));
        assert!(message(Tls::load(&TlsConfig::default())).contains("is needed"));
    }
}
