//! TLS over a TCP stream that does not block, and which servers are trusted.

use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use mio::net::TcpStream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How to reach a server by TLS.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Client {
    /// A client of the server `host`: it trusts the certificates of the file `ca`, or else those that the system
    /// trusts; or with `insecure` every server.
    ///
    /// # Errors
    /// If there are no certificates to trust, or the host's name is none.
    pub(crate) fn new(host: &str, ca: Option<&Path>, insecure: bool) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().context("no version of TLS")?;
        let config = match insecure {
            true => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
            false => builder.with_root_certificates(trusted(ca)?),
        };
        let name = ServerName::try_from(host.to_owned()).with_context(|| format!("{host:?} is no name of a server"))?;
        Ok(Self { config: Arc::new(config.with_no_client_auth()), name })
    }

    /// Lays TLS over a connection; the handshake goes on while it is read and written.
    ///
    /// # Errors
    /// If the library refuses.
    pub(crate) fn wrap(&self, tcp: TcpStream) -> Result<Tls> {
        let session = ClientConnection::new(self.config.clone(), self.name.clone()).context("cannot begin TLS")?;
        Ok(Tls { tcp, session })
    }
}

fn trusted(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let certificates = CertificateDer::pem_file_iter(path);
            for certificate in certificates.with_context(|| format!("cannot read {}", path.display()))? {
                let certificate = certificate.with_context(|| format!("in {}", path.display()))?;
                roots.add(certificate).with_context(|| format!("in {}", path.display()))?;
            }
            ensure!(!roots.is_empty(), "{} has no certificate", path.display());
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            ensure!(!roots.is_empty(), "this system trusts no certificates; see --ca and --insecure");
        }
    }
    Ok(roots)
}

/// A TCP stream with TLS over it.
pub(crate) struct Tls {
    pub(crate) tcp: TcpStream,
    session: ClientConnection,
}

impl Tls {
    fn read_records(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Many servers end without the alert that TLS wants; WAMP's messages have their own lengths.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            self.session.read_tls(&mut self.tcp)?;
            let state = self.session.process_new_packets();
            // Answers of the handshake, or the alert that says what was wrong; if they cannot go now, they go later.
            let _ = self.push();
            state.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    /// Sends the records that wait, as far as the socket takes them.
    fn push(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Read for Tls {
    /// Fills the buffer, as far as there is something: a long message would otherwise come in parts of one record.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_records(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(len) => filled += len,
                // What went wrong shows again when there is nothing before it.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only when all that was taken before has left is there room, and only when that would block will the socket
        // tell that it can go on.
        self.push()?;
        let len = self.session.writer().write(bytes)?;
        match self.push() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            // Until the handshake is over, little is taken.
            _ if len == 0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(len),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.push()
    }
}

/// Takes every certificate, as `--insecure` says. Signatures are still checked, so that the handshake is a real one.
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
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;
    use std::time::{Duration, Instant};

    use ::rustls::pki_types::PrivateKeyDer;
    use ::rustls::{ServerConfig, ServerConnection, StreamOwned};

    /// A server that reads nothing after the handshake until it is told, then everything; gives how much.
    fn lazy_server(listener: TcpListener, told: std::sync::mpsc::Receiver<()>) -> thread::JoinHandle<usize> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("they fit");
        thread::spawn(move || {
            let (socket, _) = listener.accept().expect("a client");
            let session = ServerConnection::new(Arc::new(config)).expect("a session");
            let mut stream = StreamOwned::new(session, socket);
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock).expect("a handshake");
            }
            told.recv().expect("told");
            stream.sock.set_read_timeout(Some(Duration::from_millis(500))).expect("set");
            let mut buffer = [0; 65536];
            let mut total = 0;
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                total += len;
            }
            total
        })
    }

    #[test]
    fn all_that_was_taken_leaves_once_the_socket_has_room() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let tcp = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (tell, told) = std::sync::mpsc::channel();
        let server = lazy_server(listener, told);
        tcp.set_nonblocking(true).expect("set");
        let client = Client::new("localhost", None, true).expect("a client");
        let mut stream = client.wrap(TcpStream::from_std(tcp)).expect("a stream");
        let start = Instant::now();
        let mut taken = 0;
        let mut refused = 0;
        // Refused for long: not the handshake, but a socket that is full.
        while refused < 100 {
            assert!(start.elapsed() < Duration::from_secs(20), "the socket fills");
            let _ = stream.read(&mut [0; 16]);
            match stream.write(&[7; 100_000]) {
                Ok(len) => (taken, refused) = (taken + len, 0),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                    refused += 1;
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
        assert!(stream.session.wants_write(), "something waits");
        tell.send(()).expect("it waits");
        while stream.flush().is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "the socket has room again");
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(server.join().expect("it ended"), taken);
    }
}
