//! What comes in front of the transport's handshake: the PROXY protocol header of a trusted proxy, then TLS.

use super::protocol::Arrival;
use super::reactor::Reactor;
use super::tls::{self, Tls, TlsError};
use crate::config::ListenerConfig;
use crate::shard::Crowded;
use crate::wire::forwarded::ForwardedHeader;
use crate::wire::proxy::ProxyReader;
use ipnet::IpNet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What all shards know of a listener.
#[derive(Debug)]
pub struct Entrance {
    /// TLS, if connections are encrypted.
    pub tls: Option<Tls>,
    /// Who begins with a PROXY protocol header.
    proxies: Vec<IpNet>,
    /// Whose word about addresses is believed, and where it stands.
    forwarded: (Vec<IpNet>, ForwardedHeader),
}

impl Entrance {
    /// The entrance of a listener.
    ///
    /// # Errors
    /// The files of TLS cannot be used.
    pub fn new(config: &ListenerConfig) -> Result<Entrance, TlsError> {
        let tls = config.tls.as_ref().map(Tls::load).transpose()?;
        let forwarded = (config.forwarded.clone(), config.forwarded_header);
        Ok(Entrance { tls, proxies: config.proxy_protocol.clone(), forwarded })
    }

    /// The address of a client that has come by a trusted HTTP proxy.
    pub(super) fn client(&self, proxy: Option<IpAddr>, headers: &[String]) -> Option<IpAddr> {
        let (trusted, header) = &self.forwarded;
        if headers.is_empty() || !holds(trusted, proxy) {
            return None;
        }
        let headers: Vec<&str> = headers.iter().map(|header| &**header).collect();
        header.client(&headers, |address| holds(trusted, Some(address)))
    }

    /// In which header proxies tell where a client is.
    pub(super) fn forwarded_header(&self) -> ForwardedHeader {
        self.forwarded.1
    }

    /// True if whoever connects from there is believed to connect for others.
    pub(super) fn is_proxy(&self, address: Option<IpAddr>) -> bool {
        holds(&self.proxies, address) || holds(&self.forwarded.0, address)
    }

    /// What a new connection from there begins with.
    pub(super) fn preamble(&self, address: Option<IpAddr>) -> Option<Preamble> {
        if holds(&self.proxies, address) {
            return Some(Preamble::Proxy(Box::default()));
        }
        self.tls.is_some().then_some(Preamble::Tls)
    }
}

/// True if the address is in one of the networks. What comes over a Unix socket is, if there is any.
fn holds(networks: &[IpNet], address: Option<IpAddr>) -> bool {
    match address {
        Some(address) => networks.iter().any(|net| net.contains(&address)),
        None => !networks.is_empty(),
    }
}

/// What has to come before the transport's handshake.
#[derive(Debug)]
pub(super) enum Preamble {
    /// The header of a proxy.
    Proxy(Box<ProxyReader>),
    /// The handshake of TLS.
    Tls,
}

impl Reactor {
    /// Notes what the handshake of a client has told.
    ///
    /// # Errors
    /// It is one too many from its address.
    pub(super) fn arrive(&mut self, key: usize, arrival: Arrival) -> Result<(), Crowded> {
        let connection = &mut self.connections[key];
        let entrance = &self.settings.premises.entrances[usize::from(connection.peer.listener)];
        let address = entrance.client(connection.peer.address, &arrival.forwarded);
        if let (Some(address), Some(ticket)) = (address, &mut connection.ticket) {
            ticket.comes_from(address)?;
        }
        let same = connection.peer.transport == arrival.transport && connection.peer.provenance == arrival.provenance;
        if !same || address.is_some() || arrival.cookie.is_some() {
            let peer = Arc::make_mut(&mut connection.peer);
            peer.transport = arrival.transport;
            peer.cookie = arrival.cookie;
            peer.provenance = arrival.provenance;
            if let Some(address) = address {
                peer.is_from(address);
            }
        }
        Ok(())
    }

    /// Goes on with what a connection begins with. Ready when that is complete, or the connection is gone.
    pub(super) fn prepare(&mut self, key: usize, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(preamble) = &mut self.connections[key].preamble {
            let done = match preamble {
                Preamble::Proxy(_) => ready!(self.read_proxy_header(key, cx)),
                Preamble::Tls => ready!(self.shake_hands(key, cx)),
            };
            if let Err(error) = done {
                self.tally.faults += 1;
                let peer = &*self.connections[key].peer.label;
                tracing::info!(peer, %error, "a connection was refused at its beginning");
                self.lose(key, "refused at the beginning");
                return Poll::Ready(());
            }
        }
        Poll::Ready(())
    }

    fn read_proxy_header(&mut self, key: usize, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = &mut self.connections[key];
        let (Some(stream), Some(Preamble::Proxy(reader))) = (&mut connection.stream, &mut connection.preamble) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let wanted = reader.wanted().min(self.read_buffer.len());
        let octets = ready!(stream.poll_read(cx, &mut self.read_buffer[..wanted]))?;
        if octets == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let Some(said) = reader.feed(&self.read_buffer[..octets]).map_err(io::Error::other)? else {
            return Poll::Ready(Ok(()));
        };
        if let Some(address) = said {
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            if let Some(ticket) = &mut connection.ticket
                && let Err(crowded) = ticket.comes_from(address.ip())
            {
                self.tally.crowded += 1;
                return Poll::Ready(Err(io::Error::other(crowded)));
            }
            Arc::make_mut(&mut connection.peer).is_at(address);
        }
        let secure = self.settings.premises.entrances[usize::from(connection.peer.listener)].tls.is_some();
        connection.preamble = secure.then_some(Preamble::Tls);
        Poll::Ready(Ok(()))
    }

    /// Signing takes about as long as writing to a hundred sockets; so where thousands come at once, others get their
    /// turn between them.
    fn shake_hands(&mut self, key: usize, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.greeted_for > self.settings.premises.config.write_slice {
            self.arm();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = self.settings.epoch.elapsed();
        let connection = &mut self.connections[key];
        let Some(mut stream) = connection.stream.take() else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if let Some(tls) = &self.settings.premises.entrances[usize::from(connection.peer.listener)].tls {
            stream = stream.secure(|| tls.acceptor());
        }
        let done = stream.poll_secured(cx);
        let found_out = stream.session().map(tls::found_out);
        connection.stream = Some(stream);
        self.greeted_for += self.settings.epoch.elapsed().saturating_sub(before);
        self.arm();
        ready!(done)?;
        let connection = &mut self.connections[key];
        Arc::make_mut(&mut connection.peer).tls = found_out.map(Box::new);
        connection.preamble = None;
        Poll::Ready(Ok(()))
    }
}
