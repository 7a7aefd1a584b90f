//! A tunnel that adds TLS, or a header of a proxy: what clients send into it in the clear arrives at the router as they
//! want it to.

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What is put in front of each connection.
#[derive(Clone, Default)]
pub struct Tunnel {
    /// Octets that are sent first.
    pub first: Vec<u8>,
    /// TLS, and the name that is asked for.
    pub tls: Option<(Arc<ClientConfig>, &'static str)>,
    /// The certificates that the router has shown, each in DER.
    pub shown: Arc<Mutex<Vec<Vec<u8>>>>,
    /// What both ends of each connection know and nobody else does (RFC 9266).
    pub exported: Arc<Mutex<Vec<[u8; 32]>>>,
}

impl Tunnel {
    /// Opens the tunnel; it is there until the process ends.
    pub fn open(&self, to: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let tunnel = self.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(tunnel.clone().carry(client, to));
                }
            });
        });
        address
    }

    async fn carry(self, mut client: TcpStream, to: SocketAddr) {
        // A connection that breaks is noticed by the test.
        let Ok(mut router) = TcpStream::connect(to).await else { return };
        let _ = client.set_nodelay(true).and_then(|()| router.set_nodelay(true));
        let _ = router.write_all(&self.first).await;
        let Some((config, name)) = self.tls else {
            let _ = copy_bidirectional(&mut client, &mut router).await;
            return;
        };
        let name = ServerName::try_from(name).expect("a name");
        let Ok(mut router) = TlsConnector::from(config).connect(name, router).await else { return };
        let session: &ClientConnection = router.get_ref().1;
        if let Some([first, ..]) = session.peer_certificates() {
            self.shown.lock().expect("nobody panics here").push(first.to_vec());
        }
        let exported = session.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[]));
        self.exported.lock().expect("nobody panics here").extend(exported);
        let _ = copy_bidirectional(&mut client, &mut router).await;
    }
}
