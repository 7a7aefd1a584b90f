//! Who is allowed something, by address.

use core::net::IpAddr;
use ipnet::IpNet;
use std::str::FromStr;

/// Addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Those of this machine, and whoever comes by a Unix socket.
    Loopback,
    /// All.
    Any,
    /// Those of these networks.
    Networks(Vec<IpNet>),
}

impl Allowed {
    /// True if this says who is allowed something.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        text.parse::<Allowed>().is_ok()
    }

    /// True if it is allowed for an address; none: that of a Unix socket.
    #[must_use]
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        let address = address.map(|address| address.to_canonical());
        match self {
            Allowed::Any => true,
            Allowed::Loopback => address.is_none_or(|address| address.is_loopback()),
            Allowed::Networks(networks) => {
                address.is_some_and(|address| networks.iter().any(|network| network.contains(&address)))
            }
        }
    }
}

impl FromStr for Allowed {
    type Err = ();

    /// Reads `loopback`, `any`, or networks and addresses with commas between them.
    fn from_str(text: &str) -> Result<Allowed, ()> {
        match text {
            "loopback" => Ok(Allowed::Loopback),
            "any" => Ok(Allowed::Any),
            list => {
                let network = |part: &str| {
                    let single = || part.parse::<IpAddr>().map(IpNet::from);
                    part.parse::<IpNet>().or_else(|_| single()).map_err(|_| ())
                };
                list.split(',').map(|part| network(part.trim())).collect::<Result<_, _>>().map(Allowed::Networks)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_allowed() {
        let admits = |text: &str, address: &str| {
            let address = (!address.is_empty()).then(|| address.parse().expect("an address"));
            text.parse::<Allowed>().expect("it says who").admits(address)
        };
        assert!(admits("loopback", "127.0.0.9") && admits("loopback", "::1") && admits("loopback", ""));
        assert!(admits("loopback", "::ffff:127.0.0.1") && !admits("loopback", "10.0.0.1"));
        assert!(admits("any", "192.0.2.1") && admits("any", ""));
        assert!(admits("10.0.0.0/8, 192.0.2.1", "10.1.2.3") && admits("10.0.0.0/8,192.0.2.1", "192.0.2.1"));
        assert!(!admits("10.0.0.0/8", "127.0.0.1") && !admits("10.0.0.0/8", ""));
        for wrong in ["", "lo", "10.0.0.0/33", "10.0.0.1,,"] {
            assert!(!Allowed::is_one(wrong), "{wrong}");
        }
    }
}
