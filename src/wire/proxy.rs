//! The PROXY protocol, versions 1 and 2: what a proxy says in front of a connection about the client's address.
//!
//! The header is read in exact portions, so that nothing behind it (a TLS handshake perhaps) is touched.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The shortest header of version 1 is as long.
const SHORTEST: usize = "PROXY UNKNOWN\r\n".len();

/// Octets of a header of version 1, with the line end.
const LINE_MAX: usize = 107;

/// Octets behind the fixed part of version 2. The addresses take 216 at most; the rest is for others to read.
const BODY_MAX: usize = 4096;

/// Octets of the fixed part of version 2.
const FIXED: usize = 16;

/// Why something is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY protocol header: {0}")]
pub struct ProxyError(&'static str);

/// Reads one header.
#[derive(Debug, Default)]
pub struct ProxyReader(Vec<u8>);

impl ProxyReader {
    /// How many octets to read next, at most; less is fine.
    #[must_use]
    pub fn wanted(&self) -> usize {
        let have = self.0.len();
        if have < SHORTEST {
            return SHORTEST - have;
        }
        if !self.0.starts_with(SIGNATURE) {
            return 1;
        }
        match self.0.get(..FIXED) {
            None => FIXED - have,
            Some(fixed) => FIXED + body_length(fixed) - have,
        }
    }

    /// Takes what has been read. `None`: there is more to come. `Some(None)`: the proxy speaks for itself, or does not
    /// know.
    ///
    /// # Errors
    /// This is no header.
    #[allow(clippy::option_option, reason = "whether it is complete, and what it says")]
    pub fn feed(&mut self, octets: &[u8]) -> Result<Option<Option<SocketAddr>>, ProxyError> {
        self.0.extend_from_slice(octets);
        let begins = |with: &[u8]| {
            let both = with.len().min(self.0.len());
            self.0[..both] == with[..both]
        };
        if begins(SIGNATURE) {
            return self.second();
        }
        if begins(b"PROXY ") {
            return self.first();
        }
        Err(ProxyError("it begins differently"))
    }

    #[allow(clippy::option_option, reason = "as with feed")]
    fn first(&self) -> Result<Option<Option<SocketAddr>>, ProxyError> {
        let Some(line) = self.0.strip_suffix(b"\r\n") else {
            return if self.0.len() < LINE_MAX { Ok(None) } else { Err(ProxyError("the line is too long")) };
        };
        let line = str::from_utf8(line).map_err(|_| ProxyError("the line is no text"))?;
        let words: Vec<&str> = line.split(' ').collect();
        let address = match words[..] {
            ["PROXY", "UNKNOWN", ..] => return Ok(Some(None)),
            ["PROXY", "TCP4", from, to, port, to_port] => {
                let address = from.parse::<Ipv4Addr>().ok().zip(to.parse::<Ipv4Addr>().ok());
                address.map(|(from, _)| IpAddr::V4(from)).zip(numbers(port, to_port))
            }
            ["PROXY", "TCP6", from, to, port, to_port] => {
                let address = from.parse::<Ipv6Addr>().ok().zip(to.parse::<Ipv6Addr>().ok());
                address.map(|(from, _)| IpAddr::V6(from)).zip(numbers(port, to_port))
            }
            _ => None,
        };
        let (address, port) = address.ok_or(ProxyError("the line makes no sense"))?;
        Ok(Some(Some(SocketAddr::new(address, port))))
    }

    #[allow(clippy::option_option, reason = "as with feed")]
    fn second(&self) -> Result<Option<Option<SocketAddr>>, ProxyError> {
        let Some(fixed) = self.0.get(..FIXED) else { return Ok(None) };
        let (version, family, length) = (fixed[12], fixed[13], body_length(fixed));
        if version >> 4 != 2 || version & 0xf > 1 {
            return Err(ProxyError("another version or command"));
        }
        if length > BODY_MAX {
            return Err(ProxyError("it is too long"));
        }
        let body = &self.0[FIXED..];
        if body.len() < length {
            return Ok(None);
        }
        let port = |at: usize| body.get(at..at + 2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]));
        let address = match (version & 0xf, family) {
            // LOCAL: a health check, for example.
            (0, _) => return Ok(Some(None)),
            (_, 0x11) if length >= 12 => {
                let from = body.first_chunk::<4>().map(|octets| IpAddr::from(*octets));
                from.zip(port(8))
            }
            (_, 0x21) if length >= 36 => {
                let from = body.first_chunk::<16>().map(|octets| IpAddr::from(*octets));
                from.zip(port(32))
            }
            (_, 0x11 | 0x21) => None,
            // Unspecified, a Unix socket, or no stream.
            _ => return Ok(Some(None)),
        };
        let (address, port) = address.ok_or(ProxyError("the addresses are cut short"))?;
        Ok(Some(Some(SocketAddr::new(address, port))))
    }
}

fn body_length(fixed: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([fixed[14], fixed[15]]))
}

fn numbers(port: &str, to_port: &str) -> Option<u16> {
    let plain = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    let _: u16 = to_port.parse().ok().filter(|_| plain(to_port))?;
    port.parse().ok().filter(|_| plain(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads in the portions that are asked for; gives what it says and how much it has taken.
    fn read(input: &[u8]) -> Result<(Option<Option<SocketAddr>>, usize), ProxyError> {
        let mut reader = ProxyReader::default();
        let mut at = 0;
        loop {
            let wanted = reader.wanted();
            assert!(wanted > 0);
            let end = (at + wanted).min(input.len());
            if at == end {
                return Ok((None, at));
            }
            let said = reader.feed(&input[at..end])?;
            at = end;
            if said.is_some() {
                return Ok((said, at));
            }
        }
    }

    fn second(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &length, body].concat()
    }

    #[test]
    fn headers_are_read_and_no_octet_more() {
        let at = |text: &str| Some(Some(text.parse::<SocketAddr>().unwrap()));
        let four = second(1, 0x11, &[192, 0, 2, 1, 198, 51, 100, 1, 0x1f, 0x90, 0, 80, 4, 0, 1, 9]);
        let six = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 16], &[0, 9, 0, 1]].concat();
        for (header, said) in [
            (b"PROXY TCP4 192.0.2.1 198.51.100.1 8080 80\r\n".to_vec(), at("192.0.2.1:8080")),
            (b"PROXY TCP6 2001:db8::7 ::1 9 1\r\n".to_vec(), at("[2001:db8::7]:9")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Some(None)),
            (b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n".to_vec(), Some(None)),
            (four, at("192.0.2.1:8080")),
            (second(1, 0x21, &six), at("[2001:db8::7]:9")),
            (second(0, 0x11, &[1; 12]), Some(None)),
            (second(0, 0, &[]), Some(None)),
            (second(1, 0x31, &[0; 216]), Some(None)),
        ] {
            let behind = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(read(&behind), Ok((said, header.len())), "{header:?}");
            for cut in 0..header.len() {
                assert_eq!(read(&header[..cut]), Ok((None, cut)), "{header:?} up to {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for input in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            vec![0x7f, 0xf1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            b"PROXY TCP4 192.0.2.1 198.51.100.1 80800 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.1 +80 80\r\n".to_vec(),
            b"PROXY TCP4 ::1 198.51.100.1 80 80\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 198.51.100.1 80\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 198.51.100.1 80 80\r\n".to_vec(),
            [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat(),
            second(2, 0x11, &[1; 12]),
            second(1, 0x11, &[1; 11]),
            second(1, 0x21, &[1; 35]),
            second(1, 0x11, &[1; 5000]),
        ] {
            assert!(read(&input).is_err(), "{:?}", String::from_utf8_lossy(&input));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(mut input: Vec<u8>, kind in 0..3_u8) {
            let start: &[u8] = match kind {
                0 => b"",
                1 => b"PROXY TCP4 ",
                _ => SIGNATURE,
            };
            input.splice(0..0, start.iter().copied());
            let _ = read(&input);
        }
    }
}
