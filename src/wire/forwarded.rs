//! What HTTP proxies say of the client's address: `Forwarded` (RFC 7239) and `X-Forwarded-For`.

use core::net::{IpAddr, SocketAddr};

/// The header that the trusted proxies set. A client can send the other one, so only this one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded`.
    Forwarded,
}

impl ForwardedHeader {
    /// Its name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        }
    }

    /// The one of this name, in whatever case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<ForwardedHeader> {
        let all = [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded];
        all.into_iter().find(|header| header.name().eq_ignore_ascii_case(name))
    }

    /// The client's address by the header's values, in their order: the last one that is not a trusted proxy. None: the
    /// headers do not tell.
    #[must_use]
    pub fn client(self, values: &[&str], trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let mut client = None;
        for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
            let node = match self {
                ForwardedHeader::XForwardedFor => hop.trim(),
                ForwardedHeader::Forwarded => node(hop)?,
            };
            // What lies before something that is no address was not said by anybody who is trusted.
            let address = address(node)?;
            client = Some(address);
            if !trusted(address) {
                break;
            }
        }
        client
    }
}

/// The value of `for` in one element of `Forwarded`.
fn node(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then(|| value.trim_matches('"'))
    })
}

/// An address, perhaps with a port; one of IPv6 in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_that_is_no_proxy_is_the_client() {
        let inside = |address: IpAddr| address.to_string().starts_with("10.");
        let plain =
            |values: &[&str]| ForwardedHeader::XForwardedFor.client(values, inside).map(|address| address.to_string());
        for (values, client) in [
            (&["192.0.2.7"][..], Some("192.0.2.7")),
            (&["1.1.1.1, 192.0.2.7, 10.0.0.1"], Some("192.0.2.7")),
            (&["1.1.1.1", "192.0.2.7,10.0.0.1"], Some("192.0.2.7")),
            (&["192.0.2.7:8080"], Some("192.0.2.7")),
            (&["[2001:db8::7]:80"], Some("2001:db8::7")),
            (&["2001:db8::7"], Some("2001:db8::7")),
            (&["10.0.0.2, 10.0.0.1"], Some("10.0.0.2")),
            (&["nonsense"], None),
            (&["1.1.1.1, nonsense, 10.0.0.1"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(plain(values).as_deref(), client, "{values:?}");
        }
        let standard =
            |values: &[&str]| ForwardedHeader::Forwarded.client(values, inside).map(|address| address.to_string());
        for (values, client) in [
            (&["for=192.0.2.7;proto=https;by=10.0.0.1"][..], Some("192.0.2.7")),
            (&["For=\"[2001:db8::7]:4711\", for=10.0.0.1"], Some("2001:db8::7")),
            (&["for=unknown"], None),
            (&["for=_hidden"], None),
            (&["proto=https"], None),
        ] {
            assert_eq!(standard(values).as_deref(), client, "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(values in prop::collection::vec("(for=)?[\"\\[\\]:;,=.0-9a-fé ]{0,24}", 0..4)) {
            let values: Vec<&str> = values.iter().map(|value| &**value).collect();
            for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
                let _ = header.client(&values, |address| address.is_loopback());
            }
        }
    }
}
