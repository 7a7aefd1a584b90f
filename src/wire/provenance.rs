//! From where a client of HTTP comes, as far as its browser or a proxy tells: pages of anybody can send requests to any
//! address that the browser can reach, and a name of theirs can be made to mean such an address ("DNS rebinding").

use super::forwarded::ForwardedHeader;
use super::origin::Origins;
use core::net::IpAddr;

/// From where a client comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provenance {
    /// It is no page, or one of this listener; and it names the listener in a way that nobody else can have made: by an
    /// address, as `localhost`, or by a name of the configuration.
    #[default]
    Near,
    /// Likewise, but it has another name for the listener, or has come by a proxy.
    Named,
    /// It is a page from elsewhere.
    Foreign,
}

/// Headers of proxies.
const PROXY: [&str; 5] = ["via", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded"];

/// True for headers that proxies add.
#[must_use]
pub fn is_of_proxy(header: &str) -> bool {
    PROXY.iter().any(|known| header.eq_ignore_ascii_case(known)) || ForwardedHeader::by_name(header).is_some()
}

impl Provenance {
    /// Reads the headers `Origin` and `Host`; `hosts` are the names of the configuration, `proxied` says that a proxy has
    /// left its traces.
    #[must_use]
    pub fn of(origin: Option<&str>, host: Option<&str>, proxied: bool, hosts: &[Box<str>]) -> Provenance {
        let own = Origins { patterns: None, null: false };
        if !own.allow(origin, host) {
            return Provenance::Foreign;
        }
        if !proxied && host.is_some_and(|host| is_known(host, hosts)) { Provenance::Near } else { Provenance::Named }
    }
}

/// True if a `Host` is an address, `localhost`, or one of these names.
fn is_known(host: &str, hosts: &[Box<str>]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let named = |known: &str| name.eq_ignore_ascii_case(known.strip_suffix('.').unwrap_or(known));
    name.parse::<IpAddr>().is_ok() || named("localhost") || hosts.iter().any(|known| named(known))
}

#[cfg(test)]
mod tests {
    use super::Provenance::{Foreign, Named, Near};
    use super::*;

    #[test]
    fn pages_are_told_apart() {
        let hosts = ["ops.example".into()];
        for (origin, host, expected) in [
            (None, Some("127.0.0.1:8080"), Near),
            (None, Some("evil.example:8080"), Named),
            (None, None, Named),
            (Some("http://127.0.0.1:8080"), Some("127.0.0.1:8080"), Near),
            (Some("http://LOCALHOST:8080"), Some("localhost:8080"), Near),
            (Some("http://[::1]:8080"), Some("[::1]:8080"), Near),
            (Some("https://ops.example"), Some("ops.example"), Near),
            (Some("https://OPS.example"), Some("Ops.Example"), Near),
            // A name that was made to mean this address.
            (Some("http://evil.example:8080"), Some("evil.example:8080"), Named),
            (Some("http://127.0.0.1.evil.example"), Some("127.0.0.1.evil.example"), Named),
            (Some("http://localhost.evil.example"), Some("localhost.evil.example"), Named),
            (Some("http://127.0.0.1:8081"), Some("127.0.0.1:8080"), Foreign),
            (Some("http://localhost:8080"), Some("127.0.0.1:8080"), Foreign),
            (Some("https://evil.example"), Some("127.0.0.1:8080"), Foreign),
            (Some("https://evil.example"), None, Foreign),
            (Some("null"), Some("127.0.0.1:8080"), Foreign),
            (Some("null"), Some("null"), Foreign),
            (Some(""), Some(""), Foreign),
            (Some("chrome-extension://abcdef"), Some("127.0.0.1:8080"), Foreign),
        ] {
            assert_eq!(Provenance::of(origin, host, false, &hosts), expected, "{origin:?} {host:?}");
        }
        assert_eq!(Provenance::of(None, Some("127.0.0.1"), true, &hosts), Named);
        assert!(is_of_proxy("X-Forwarded-For") && is_of_proxy("Via") && !is_of_proxy("Host"));
    }
}
