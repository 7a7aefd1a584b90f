//! A way to a router that can be cut, and made to pass nothing on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What happens to octets and connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// Connections stay, but nothing passes.
    Silent,
    /// Nothing passes on the connections that are there; new ones are open.
    Frozen,
    /// Connections are closed, new ones at once.
    Closed,
}

pub(crate) struct Relay {
    address: SocketAddr,
    way: watch::Sender<Way>,
    target: Arc<Mutex<SocketAddr>>,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    pub(crate) async fn new(target: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (way, watched) = watch::channel(Way::Open);
        let (target, connections) = (Arc::new(Mutex::new(target)), Arc::new(AtomicUsize::new(0)));
        let (to, count) = (target.clone(), connections.clone());
        let task = tokio::spawn(async move {
            let mut passing = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("a client");
                count.fetch_add(1, Ordering::Relaxed);
                let target = *to.lock().expect("no panic");
                passing.spawn(pass(client, target, watched.clone()));
            }
        });
        Relay { address, way, target, connections, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    pub(crate) fn raw_url(&self) -> String {
        format!("rs://{}", self.address)
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// Closes all connections, and lets new ones through.
    pub(crate) async fn cut(&self) {
        self.set(Way::Closed);
        // Each connection has to see it.
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        self.set(Way::Open);
    }

    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().expect("no panic") = target;
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut client: TcpStream, target: SocketAddr, mut way: watch::Receiver<Way>) {
    let born = *way.borrow();
    if born == Way::Closed {
        return;
    }
    let Ok(mut router) = TcpStream::connect(target).await else { return };
    let (mut up, mut down) = ([0; 16384], [0; 16384]);
    loop {
        let now = *way.borrow_and_update();
        match now {
            Way::Closed => return,
            Way::Frozen if born == Way::Frozen => {}
            Way::Silent | Way::Frozen => {
                let _ = way.changed().await;
                continue;
            }
            Way::Open => {}
        }
        tokio::select! {
            changed = way.changed() => if changed.is_err() { return },
            read = client.read(&mut up) => match read {
                Ok(count) if count > 0 => if router.write_all(&up[..count]).await.is_err() { return },
                _ => return,
            },
            read = router.read(&mut down) => match read {
                Ok(count) if count > 0 => if client.write_all(&down[..count]).await.is_err() { return },
                _ => return,
            },
        }
    }
}
