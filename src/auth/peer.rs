//! What is known of the other end of a connection before it says anything in WAMP.

use super::reach::Reach;
use crate::wamp::{Dict, Uri};
use crate::wire::provenance::Provenance;
use core::net::{IpAddr, SocketAddr};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The other end of a connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peer {
    /// Which transport of the configuration it has come by: it decides how the client may say who it is.
    pub transport: u16,
    /// Which listener of the configuration has accepted it.
    pub listener: u16,
    /// Its address; none over a Unix socket.
    pub address: Option<IpAddr>,
    /// Its address for people and authenticators: `tcp4:192.0.2.1:5000`, `tcp6:[2001:db8::1]:5000`, `unix`.
    pub label: Box<str>,
    /// Which pages it may be.
    pub provenance: Provenance,
    /// What TLS has found out.
    pub tls: Option<Box<TlsPeer>>,
    /// The cookie of its browser.
    pub cookie: Option<Box<Cookie>>,
    /// It is part of the router's own process.
    pub inside: Option<Box<Inside>>,
}

/// A session of the router's own process: who it is, which it need not show, and where it may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Its name.
    pub authid: Box<str>,
    /// Its role.
    pub authrole: Box<str>,
    /// It may do everything, and the realm need not have its role.
    pub trusted: bool,
    /// The only realm that it may join.
    pub realm: Uri,
    /// The namespace of that.
    pub reach: Reach,
}

/// An address as clients are counted by it: IPv4 as it is, IPv6 by its network of 64 bits, which one client can have to
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(u64);

impl Network {
    /// No network of IPv6 begins like this: 8000::/16 is not given to anybody.
    const FOUR: u64 = 1 << 63;

    /// The network of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(address) => Network(Network::FOUR | u64::from(address.to_bits())),
            IpAddr::V6(address) => Network((address.to_bits() >> 64) as u64),
        }
    }
}

/// The cookie of a browser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cookie {
    /// Its value, which is as good as a password.
    pub id: Box<str>,
    /// Who has logged in with it.
    pub known: Option<Known>,
}

/// Somebody who has logged in before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The user.
    pub authid: Box<str>,
    /// The role.
    pub authrole: Box<str>,
    /// The method.
    pub authmethod: Box<str>,
    /// The realm.
    pub realm: Box<str>,
}

impl Peer {
    /// True for a session of the router's own process that may do everything.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.inside.as_ref().is_some_and(|inside| inside.trusted)
    }

    /// Notes where the client is, as far as a proxy tells.
    pub fn is_from(&mut self, address: IpAddr) {
        self.place(address, &address);
    }

    /// Notes where the client is.
    pub fn is_at(&mut self, address: SocketAddr) {
        self.place(address.ip(), &address);
    }

    fn place(&mut self, address: IpAddr, shown: &dyn fmt::Display) {
        let family = if address.is_ipv4() { "tcp4" } else { "tcp6" };
        self.label = format!("{family}:{shown}").into();
        self.address = Some(address);
    }

    /// What authenticators and the meta API are told of it.
    #[must_use]
    pub fn details(&self) -> Dict {
        let mut details = Dict::new().with("peer", &*self.label);
        if let Some(tls) = &self.tls {
            details.push("secure", true);
            details.push("tls", &*tls.protocol);
        }
        details
    }

    /// Its certificate in DER, if it has shown one.
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        self.tls.as_deref()?.certificate.as_deref()
    }
}

/// What TLS has found out about the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsPeer {
    /// The client's certificate in DER, verified against the transport's authorities.
    pub certificate: Option<Vec<u8>>,
    /// Channel binding `tls-exporter` (RFC 9266): 32 octets that both ends know and nobody else does.
    /// None: this connection has no such thing.
    pub exporter: Option<[u8; 32]>,
    /// The version and cipher suite, for people.
    pub protocol: Box<str>,
}
