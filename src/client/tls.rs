//! TLS on the client's side: which routers are trusted, and what the client shows of itself.

use super::error::ConnectError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whose certificates are believed when a router is reached by `wss` or `rss`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those that the authorities of this system have signed.
    #[default]
    System,
    /// Those that the authorities in this file have signed, and no others. In PEM.
    Authorities(PathBuf),
    /// All of them: whoever stands between may read and write along. For tests.
    Unchecked,
}

/// A certificate by which a client shows who it is, as the method `tls` wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, and behind it those between it and the authority, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

/// Lays TLS over a connection to `host`. Certificates are read anew each time, since they may have been renewed.
pub(super) async fn wrap(
    socket: TcpStream,
    host: &str,
    trust: &Trust,
    own: Option<&Certificate>,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| ConnectError::Tls(format!("'{host}' is no name of a server")))?;
    let (trust, own) = (trust.clone(), own.cloned());
    let config = tokio::task::spawn_blocking(move || config(&trust, own.as_ref())).await;
    let config = config.map_err(|why| ConnectError::Tls(why.to_string()))?.map_err(ConnectError::Tls)?;
    // What is wrong with a certificate comes as an error of the stream.
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    stream.map_err(|why| match why.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        true => ConnectError::Tls(wrong(&why.to_string())),
        false => ConnectError::Io(why),
    })
}

/// What is wrong with a certificate, for people.
fn wrong(why: &str) -> String {
    if why.contains("CaUsedAsEndEntity") {
        return "the certificate of the router is one of an authority (CA:TRUE), and so none of a server".into();
    }
    why.into()
}

fn config(trust: &Trust, own: Option<&Certificate>) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|why| why.to_string())?;
    let builder = match trust {
        Trust::Unchecked => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
        Trust::System => builder.with_root_certificates(system()?),
        Trust::Authorities(path) => builder.with_root_certificates(authorities(path)?),
    };
    let Some(own) = own else { return Ok(builder.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_file(&own.key).map_err(|why| format!("{}: {why}", own.key.display()))?;
    let certificates = certificates(&own.certificate)?;
    let built = builder.with_client_auth_cert(certificates, key);
    built.map_err(|why| format!("{} with {}: {why}", own.certificate.display(), own.key.display()))
}

fn system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err("this system has no authorities that it trusts".into()),
        false => Ok(roots),
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|why| format!("{}: {why}", path.display()))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: String| format!("{}: {why}", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(|why| wrong(why.to_string()))?;
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(|why| wrong(why.to_string()))?;
    match read.is_empty() {
        true => Err(wrong("it has no certificate".into())),
        false => Ok(read),
    }
}

/// Takes every certificate. Signatures are still checked, so that the handshake is a real one.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
