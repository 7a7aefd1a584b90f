//! Transports as octets: what the hostile and the handshake tests need.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a test waits for what has to come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A connected socket that does not wait for ever.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the router accepts connections");
    stream.set_nodelay(true).expect("a socket option");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
    stream
}

/// The head of an HTTP response: status line and headers, without the empty line.
pub fn response_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        match stream.read(&mut octet) {
            Ok(1) => head.push(octet[0]),
            other => panic!("{other:?} in a response head, after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    String::from_utf8(head).expect("a response head is text").trim_end().to_string()
}

/// The value of a header of a response.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The status code of a response.
#[track_caller]
pub fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status in {head:?}"))
}

/// A WebSocket upgrade request for `path` with more header lines, each ended by CRLF.
pub fn upgrade_request(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// A WebSocket connection that speaks frames by hand.
pub fn upgraded(address: SocketAddr, headers: &str) -> (TcpStream, String) {
    let mut stream = connect(address);
    stream.write_all(upgrade_request("/", headers).as_bytes()).expect("the request can be sent");
    let head = response_head(&mut stream);
    assert_eq!(status(&head), 101, "{head}");
    (stream, head)
}

/// A WebSocket connection for JSON that speaks frames by hand.
pub fn upgraded_json(address: SocketAddr) -> TcpStream {
    upgraded(address, "Sec-WebSocket-Protocol: wamp.2.json\r\n").0
}

/// A frame from a client: `first` is its first octet (FIN, RSV and opcode).
pub fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame_head(first, payload.len() as u64);
    let mask = [0x12, 0x34, 0x56, 0x78];
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask));
    frame
}

/// The head of a client's frame that announces so many octets.
pub fn frame_head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        0..126 => head.push(0x80 | length as u8),
        126..0x1_0000 => {
            head.push(0x80 | 126);
            head.extend((length as u16).to_be_bytes());
        }
        _ => {
            head.push(0x80 | 127);
            head.extend(length.to_be_bytes());
        }
    }
    head.extend([0x12, 0x34, 0x56, 0x78]);
    head
}

/// The next frame from the server: its first octet and its payload.
#[track_caller]
pub fn server_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a frame");
    assert_eq!(head[1] & 0x80, 0, "a server does not mask");
    let length = match head[1] {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            u64::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            stream.read_exact(&mut length).expect("a length");
            u64::from_be_bytes(length)
        }
        length => u64::from(length),
    };
    let mut payload = vec![0; usize::try_from(length).expect("a small frame")];
    stream.read_exact(&mut payload).expect("a payload");
    (head[0], payload)
}

/// Reads until the router closes the connection, in order or by reset, and gives what came.
#[track_caller]
pub fn read_to_end(stream: &mut TcpStream, time_max: Duration) -> Vec<u8> {
    let start = Instant::now();
    let mut octets = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let left = time_max.saturating_sub(start.elapsed()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).expect("a socket option");
        match stream.read(&mut buffer) {
            Ok(0) => return octets,
            Ok(count) => octets.extend(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return octets,
            Err(error) => panic!("not closed within {time_max:?}: {error}"),
        }
        assert!(start.elapsed() < time_max, "not closed within {time_max:?}, but still sending");
    }
}

/// Writes until all is written or the router has closed the connection.
pub fn write_or_closed(stream: &mut TcpStream, octets: &[u8]) -> bool {
    match stream.write_all(octets) {
        Ok(()) => true,
        Err(error) => {
            let closed = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
            assert!(closed, "{error} while writing");
            false
        }
    }
}
