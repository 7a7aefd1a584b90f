//! HTTP as it is, and WAMP over long-polling on top of it.

use super::raw::{PATIENCE, connect, header, response_head, status};
use super::value::Value;
use super::wire::Serializer;
use serde_json::json;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connection that carries requests.
pub struct Http(pub TcpStream);

/// A response.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Fails unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Response {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.text());
        self
    }
}

/// A POST with a body.
pub fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

impl Http {
    pub fn connect(address: SocketAddr) -> Http {
        Http(connect(address))
    }

    /// Writes octets.
    #[track_caller]
    pub fn write(&mut self, octets: impl AsRef<[u8]>) {
        self.0.write_all(octets.as_ref()).expect("the router reads");
    }

    /// Reads a response.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.0.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let head = response_head(&mut self.0);
        let length = header(&head, "Content-Length").map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("a body");
        Response { status: status(&head), head, body }
    }

    /// Posts and reads the response.
    #[track_caller]
    pub fn post(&mut self, path: &str, body: &[u8]) -> Response {
        self.write(post(path, body));
        self.response()
    }

    /// Fails if something comes within the time.
    #[track_caller]
    pub fn expect_silence(&mut self, time: Duration) {
        self.0.set_read_timeout(Some(time)).expect("a socket option");
        let result = self.0.peek(&mut [0]);
        assert!(result.is_err(), "{result:?} octets in place of silence");
    }

    /// The router must have closed the connection, or do so soon.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(super::raw::read_to_end(&mut self.0, PATIENCE), b"");
    }
}

/// A client on the long-poll transport, with one connection for sending and one for receiving.
pub struct Poller {
    /// The path of its transport.
    pub path: String,
    pub sender: Http,
    pub receiver: Http,
    serializer: Serializer,
    batched: bool,
    waiting: VecDeque<Vec<Value>>,
    request: u64,
}

impl Poller {
    /// Opens a transport.
    #[track_caller]
    pub fn open(address: SocketAddr, serializer: Serializer, batched: bool) -> Poller {
        Poller::open_with(address, serializer, batched, "")
    }

    /// Opens a transport with more headers in the request.
    #[track_caller]
    pub fn open_with(address: SocketAddr, serializer: Serializer, batched: bool, headers: &str) -> Poller {
        let mut sender = Http::connect(address);
        let protocol = format!("{}{}", serializer.subprotocol(), if batched { ".batched" } else { "" });
        let request = post("/lp/open", json!({"protocols": [protocol]}).to_string().as_bytes());
        let request = String::from_utf8(request).expect("JSON");
        sender.write(request.replacen("\r\n", &format!("\r\n{headers}"), 1));
        let answer = sender.response().expect(200);
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(answer["protocol"], protocol);
        let path = format!("/lp/{}", answer["transport"].as_str().expect("an id"));
        let receiver = Http::connect(address);
        Poller { path, sender, receiver, serializer, batched, waiting: VecDeque::new(), request: 0 }
    }

    /// Opens a transport for JSON without batches and joins `realm1` on it.
    #[track_caller]
    pub fn join(address: SocketAddr) -> Poller {
        let mut poller = Poller::open(address, Serializer::Json, false);
        poller.hello();
        poller
    }

    /// Joins `realm1`.
    #[track_caller]
    pub fn hello(&mut self) {
        self.send(json!([1, "realm1", {"roles": {"callee": {}, "caller": {}, "publisher": {}, "subscriber": {}}}]));
        self.expect(2);
    }

    /// The shard that has the transport.
    pub fn shard(&self) -> u16 {
        let id = self.path.strip_prefix("/lp/").expect("a path");
        let octets = data_encoding::BASE64URL_NOPAD.decode(id.as_bytes()).expect("base64url");
        u16::from_be_bytes([octets[0], octets[1]])
    }

    /// The path of one of the transport's endpoints.
    pub fn at(&self, action: &str) -> String {
        format!("{}/{action}", self.path)
    }

    /// The body that carries these messages.
    pub fn body(&self, messages: &[serde_json::Value]) -> Vec<u8> {
        let mut body = Vec::new();
        for message in messages {
            let octets = self.serializer.encode(&Value::from(message.clone()));
            match (self.batched, self.serializer) {
                (false, _) => body.extend(octets),
                (true, Serializer::Json) => body.extend([octets, vec![0x1e]].concat()),
                (true, _) => {
                    body.extend(u32::try_from(octets.len()).expect("a short message").to_be_bytes());
                    body.extend(octets);
                }
            }
        }
        body
    }

    /// Sends a message.
    #[track_caller]
    pub fn send(&mut self, message: serde_json::Value) {
        let body = self.body(&[message]);
        let path = self.at("send");
        let answer = self.sender.post(&path, &body).expect(204);
        assert_eq!(answer.header("Content-Length"), None, "{}", answer.head);
    }

    /// Receives once.
    #[track_caller]
    pub fn receive(&mut self) -> Response {
        let path = self.at("receive");
        self.receiver.post(&path, b"")
    }

    /// The messages of a response.
    #[track_caller]
    pub fn messages(&self, response: &Response) -> Vec<Vec<Value>> {
        let json = self.serializer == Serializer::Json;
        let wanted = if json { "application/json" } else { "application/octet-stream" };
        assert_eq!(response.header("Content-Type"), Some(wanted));
        let mut rest = &response.body[..];
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let (message, next) = match (self.batched, json) {
                (false, _) => (rest, rest.len()),
                (true, true) => {
                    let end = rest.iter().position(|octet| *octet == 0x1e).expect("a separator behind each message");
                    (&rest[..end], end + 1)
                }
                (true, false) => {
                    let length = u32::from_be_bytes(rest[..4].try_into().expect("a length")) as usize;
                    (&rest[4..4 + length], 4 + length)
                }
            };
            messages.push(self.serializer.decode(message).list().to_vec());
            rest = &rest[next..];
        }
        messages
    }

    /// The next message.
    #[track_caller]
    pub fn recv(&mut self) -> Vec<Value> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return message;
            }
            let response = self.receive();
            if response.status != 204 {
                let response = response.expect(200);
                self.waiting.extend(self.messages(&response));
            }
        }
    }

    /// The next message, which must have this code.
    #[track_caller]
    pub fn expect(&mut self, code: u64) -> Vec<Value> {
        let message = self.recv();
        assert_eq!(message[0].uint(), code, "{message:?}");
        message
    }

    /// A new request id.
    pub fn next(&mut self) -> u64 {
        self.request += 1;
        self.request
    }

    /// Subscribes and gives the subscription's id.
    #[track_caller]
    pub fn subscribe(&mut self, topic: &str) -> u64 {
        let request = self.next();
        self.send(json!([32, request, {}, topic]));
        let message = self.expect(33);
        assert_eq!(message[1].uint(), request);
        message[2].uint()
    }

    /// Registers and gives the registration's id.
    #[track_caller]
    pub fn register(&mut self, procedure: &str) -> u64 {
        let request = self.next();
        self.send(json!([64, request, {}, procedure]));
        let message = self.expect(65);
        assert_eq!(message[1].uint(), request);
        message[2].uint()
    }
}

/// A request for what is at a path.
pub fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

impl Http {
    /// Reads the response to a request for a head.
    #[track_caller]
    pub fn head_only(&mut self) -> Response {
        let head = response_head(&mut self.0);
        Response { status: status(&head), head, body: Vec::new() }
    }

    /// Asks and reads the response.
    #[track_caller]
    pub fn get(&mut self, path: &str, headers: &str) -> Response {
        self.write(get(path, headers));
        self.response()
    }
}
