//! A client that shows every message.

use super::raw::{PATIENCE, connect};
use super::value::Value;
use super::wire::{Serializer, Transport, Wire};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::{Message as Frame, WebSocket, WebSocketConfig};

/// A connection to the router, and a session once [`Client::join`] was called.
pub struct Client {
    link: Link,
    wire: Wire,
    session: u64,
    welcome: BTreeMap<String, Value>,
    request: u64,
}

enum Link {
    WebSocket(Box<WebSocket<TcpStream>>),
    RawSocket(TcpStream),
}

/// What came from the router.
#[derive(Debug)]
pub enum Incoming {
    /// A message: its code and all its elements.
    Message(Vec<Value>),
    /// Nothing within the time.
    Nothing,
    /// The end of the connection, with the WebSocket close code if there was one.
    End(Option<u16>),
}

impl Client {
    /// Connects and finishes the transport's handshake.
    pub fn connect(address: SocketAddr, wire: Wire) -> Client {
        let stream = connect(address);
        let link = match wire.transport {
            Transport::WebSocket => Link::WebSocket(Box::new(websocket(stream, address, wire.serializer))),
            Transport::RawSocket => Link::RawSocket(rawsocket(stream, wire.serializer, 15)),
        };
        Client { link, wire, session: 0, welcome: BTreeMap::new(), request: 0 }
    }

    /// Connects and joins `realm1` with all roles.
    pub fn join(address: SocketAddr, wire: Wire) -> Client {
        Client::join_with(address, wire, json!({"callee": {}, "caller": {}, "publisher": {}, "subscriber": {}}))
    }

    /// Connects and joins `realm1` with these roles.
    pub fn join_with(address: SocketAddr, wire: Wire, roles: serde_json::Value) -> Client {
        let mut client = Client::connect(address, wire);
        client.hello(json!({"roles": roles}));
        client
    }

    /// Joins `realm1` with these details.
    #[track_caller]
    pub fn hello(&mut self, details: serde_json::Value) {
        self.send(json!([1, "realm1", details]));
        let welcome = self.expect(2);
        self.session = welcome[1].uint();
        self.welcome = welcome[2].dict().clone();
    }

    /// Connects and joins `realm1` as a user with a ticket, with all roles and the features that tell of revocations
    /// and of calls in parts.
    #[track_caller]
    pub fn login(address: SocketAddr, wire: Wire, authid: &str, ticket: &str) -> Client {
        let mut client = Client::connect(address, wire);
        client.send(json!([1, "realm1", {
            "roles": {
                "callee": {"features": {
                    "progressive_call_invocations": true, "call_canceling": true, "registration_revocation": true,
                }},
                "caller": {"features": {"progressive_call_invocations": true, "call_canceling": true}},
                "publisher": {},
                "subscriber": {"features": {"subscription_revocation": true}},
            },
            "authid": authid,
            "authmethods": ["ticket"],
        }]));
        client.expect(4);
        client.send(json!([5, ticket, {}]));
        let welcome = client.expect(2);
        client.session = welcome[1].uint();
        client.welcome = welcome[2].dict().clone();
        client
    }

    /// The id of the session.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// `WELCOME.Details`.
    pub fn welcome(&self) -> &BTreeMap<String, Value> {
        &self.welcome
    }

    /// How it is connected.
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        match &self.link {
            Link::WebSocket(socket) => socket.get_ref(),
            Link::RawSocket(stream) => stream,
        }
    }

    /// A new request id.
    pub fn next(&mut self) -> u64 {
        self.request += 1;
        self.request
    }

    /// Sends a message.
    #[track_caller]
    pub fn send(&mut self, message: impl Into<Value>) {
        let octets = self.wire.serializer.encode(&message.into());
        self.send_octets(&octets);
    }

    /// Sends octets in place of a serialized message.
    #[track_caller]
    pub fn send_octets(&mut self, octets: &[u8]) {
        let text = self.wire.serializer == Serializer::Json;
        match &mut self.link {
            Link::WebSocket(socket) => {
                let frame = match std::str::from_utf8(octets) {
                    Ok(octets) if text => Frame::text(octets),
                    _ => Frame::binary(octets.to_vec()),
                };
                socket.send(frame).expect("the router reads");
            }
            Link::RawSocket(stream) => {
                let length = u32::try_from(octets.len()).expect("a short message");
                let mut frame = length.to_be_bytes().to_vec();
                frame.extend(octets);
                stream.write_all(&frame).expect("the router reads");
            }
        }
    }

    /// Sends a message to a router that may have gone: false if it has. Over WebSocket only.
    pub fn try_send(&mut self, message: impl Into<Value>) -> bool {
        let octets = self.wire.serializer.encode(&message.into());
        match (&mut self.link, std::str::from_utf8(&octets)) {
            (Link::WebSocket(socket), Ok(text)) => socket.send(Frame::text(text)).is_ok(),
            _ => panic!("this needs JSON over WebSocket"),
        }
    }

    /// What comes next within the time.
    #[track_caller]
    pub fn poll(&mut self, time: Duration) -> Incoming {
        self.stream().set_read_timeout(Some(time)).expect("a socket option");
        let octets = match &mut self.link {
            Link::WebSocket(socket) => loop {
                match socket.read() {
                    Ok(Frame::Text(text)) => {
                        assert_eq!(self.wire.serializer, Serializer::Json, "a text frame for a binary serializer");
                        break text.as_bytes().to_vec();
                    }
                    Ok(Frame::Binary(octets)) => {
                        assert_ne!(self.wire.serializer, Serializer::Json, "a binary frame for JSON");
                        break octets.to_vec();
                    }
                    Ok(Frame::Close(close)) => {
                        // Answers the close frame; the router may have gone already.
                        let _ = socket.flush();
                        return Incoming::End(close.map(|close| close.code.into()));
                    }
                    Ok(_) => {}
                    Err(error) => return websocket_end(error),
                }
            },
            Link::RawSocket(stream) => match rawsocket_message(stream, time) {
                Ok(Some(octets)) => octets,
                Ok(None) => return Incoming::End(None),
                Err(error) if is_timeout(&error) => return Incoming::Nothing,
                Err(error) if is_end(&error) => return Incoming::End(None),
                Err(error) => panic!("{error} while reading"),
            },
        };
        Incoming::Message(self.wire.serializer.decode(&octets).list().to_vec())
    }

    /// The next message.
    #[track_caller]
    pub fn recv(&mut self) -> Vec<Value> {
        match self.poll(PATIENCE) {
            Incoming::Message(message) => message,
            other => panic!("{other:?} in place of a message ({})", self.wire),
        }
    }

    /// The next message, which must have this code.
    #[track_caller]
    pub fn expect(&mut self, code: u64) -> Vec<Value> {
        let message = self.recv();
        assert_eq!(message[0].uint(), code, "{message:?} ({})", self.wire);
        message
    }

    /// The next message, which must be the ERROR of this request. Gives the whole message.
    #[track_caller]
    pub fn expect_error(&mut self, request_type: u64, request: u64, uri: &str) -> Vec<Value> {
        let message = self.expect(8);
        assert_eq!((message[1].uint(), message[2].uint()), (request_type, request), "{message:?}");
        assert_eq!(message[4].str(), uri, "{message:?} ({})", self.wire);
        message[3].dict();
        message
    }

    /// The next message must be an ABORT with this reason, and then the connection must end.
    #[track_caller]
    pub fn expect_abort(&mut self, reason: &str) -> Vec<Value> {
        let message = self.expect(3);
        assert_eq!(message[2].str(), reason, "{message:?} ({})", self.wire);
        self.expect_end();
        message
    }

    /// The connection must end next. Gives the WebSocket close code.
    #[track_caller]
    pub fn expect_end(&mut self) -> Option<u16> {
        match self.poll(PATIENCE) {
            Incoming::End(code) => code,
            other => panic!("{other:?} in place of the end of the connection ({})", self.wire),
        }
    }

    /// Nothing may come within the time.
    #[track_caller]
    pub fn expect_silence(&mut self, time: Duration) {
        let incoming = self.poll(time);
        assert!(matches!(incoming, Incoming::Nothing), "{incoming:?} in place of silence ({})", self.wire);
    }

    /// Subscribes and gives the subscription's id.
    #[track_caller]
    pub fn subscribe(&mut self, topic: &str) -> u64 {
        let request = self.next();
        self.send(json!([32, request, {}, topic]));
        let message = self.expect(33);
        assert_eq!((message.len(), message[1].uint()), (3, request), "{message:?}");
        id(&message[2])
    }

    /// Unsubscribes.
    #[track_caller]
    pub fn unsubscribe(&mut self, subscription: u64) {
        let request = self.next();
        self.send(json!([34, request, subscription]));
        let message = self.expect(35);
        assert_eq!(message[1].uint(), request, "{message:?}");
    }

    /// Publishes with an acknowledgement and gives the publication's id. `payload` holds the elements after the topic.
    #[track_caller]
    pub fn publish(&mut self, topic: &str, payload: &[Value]) -> u64 {
        let request = self.next();
        let mut message = Value::from(json!([16, request, {"acknowledge": true}, topic]));
        extend(&mut message, payload);
        self.send(message);
        let message = self.expect(17);
        assert_eq!((message.len(), message[1].uint()), (3, request), "{message:?}");
        id(&message[2])
    }

    /// Registers and gives the registration's id.
    #[track_caller]
    pub fn register(&mut self, procedure: &str) -> u64 {
        let request = self.next();
        self.send(json!([64, request, {}, procedure]));
        let message = self.expect(65);
        assert_eq!((message.len(), message[1].uint()), (3, request), "{message:?}");
        id(&message[2])
    }

    /// Unregisters.
    #[track_caller]
    pub fn unregister(&mut self, registration: u64) {
        let request = self.next();
        self.send(json!([66, request, registration]));
        let message = self.expect(67);
        assert_eq!(message[1].uint(), request, "{message:?}");
    }

    /// Sends a CALL and gives its request id.
    #[track_caller]
    pub fn call(&mut self, procedure: &str, payload: &[Value]) -> u64 {
        let request = self.next();
        let mut message = Value::from(json!([48, request, {}, procedure]));
        extend(&mut message, payload);
        self.send(message);
        request
    }

    /// The next message must be the RESULT of this request. Gives its payload elements.
    #[track_caller]
    pub fn expect_result(&mut self, request: u64) -> Vec<Value> {
        let message = self.expect(50);
        assert_eq!(message[1].uint(), request, "{message:?}");
        message[2].dict();
        message[3..].to_vec()
    }

    /// The next message must be an INVOCATION of this registration. Gives its request id and payload elements.
    #[track_caller]
    pub fn expect_invocation(&mut self, registration: u64) -> (u64, Vec<Value>) {
        let message = self.expect(68);
        assert_eq!(message[2].uint(), registration, "{message:?}");
        message[3].dict();
        (message[1].uint(), message[4..].to_vec())
    }

    /// The next message must be an EVENT of this subscription. Gives the publication's id and the payload elements.
    #[track_caller]
    pub fn expect_event(&mut self, subscription: u64) -> (u64, Vec<Value>) {
        let message = self.expect(36);
        assert_eq!(message[1].uint(), subscription, "{message:?}");
        message[3].dict();
        (id(&message[2]), message[4..].to_vec())
    }

    /// Leaves the realm in order.
    #[track_caller]
    pub fn leave(mut self) {
        self.send(json!([6, {}, "wamp.close.close_realm"]));
        assert_eq!(self.expect(6)[2].str(), "wamp.close.goodbye_and_out");
    }
}

/// The elements of a list, for use as the payload of a message.
pub fn payload(elements: serde_json::Value) -> Vec<Value> {
    Value::from(elements).list().to_vec()
}

#[track_caller]
pub(super) fn id(value: &Value) -> u64 {
    let id = value.uint();
    assert!((1..=1 << 53).contains(&id), "{id} is not an id");
    id
}

pub(super) fn extend(message: &mut Value, payload: &[Value]) {
    if let Value::List(elements) = message {
        elements.extend_from_slice(payload);
    }
}

fn websocket(stream: TcpStream, address: SocketAddr, serializer: Serializer) -> WebSocket<TcpStream> {
    let mut request = format!("ws://{address}/").into_client_request().expect("a good URL");
    let subprotocol = serializer.subprotocol();
    request.headers_mut().insert("Sec-WebSocket-Protocol", subprotocol.parse().expect("a header value"));
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let (socket, response) = tungstenite::client::client_with_config(request, stream, Some(config))
        .unwrap_or_else(|error| panic!("the handshake failed: {error}"));
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], subprotocol);
    socket
}

/// Performs the RawSocket handshake; `length` is the exponent of the largest message that the client takes, less 9.
pub fn rawsocket(mut stream: TcpStream, serializer: Serializer, length: u8) -> TcpStream {
    stream.write_all(&[0x7f, length << 4 | serializer.rawsocket_id(), 0, 0]).expect("the router reads");
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).expect("an answer to the handshake");
    assert_eq!(answer[0], 0x7f, "{answer:?}");
    assert_eq!(answer[1] & 0x0f, serializer.rawsocket_id(), "{answer:?}");
    assert_eq!(answer[2..], [0, 0], "{answer:?}");
    stream
}

/// Reads a message, answering pings; none at the end of the stream.
fn rawsocket_message(stream: &mut TcpStream, time: Duration) -> std::io::Result<Option<Vec<u8>>> {
    loop {
        let mut head = [0; 4];
        stream.set_read_timeout(Some(time))?;
        if stream.peek(&mut head)? == 0 {
            return Ok(None);
        }
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        match head[0] {
            0 => return Ok(Some(payload)),
            1 => {
                head[0] = 2;
                stream.write_all(&head)?;
                stream.write_all(&payload)?;
            }
            2 => {}
            kind => panic!("a RawSocket frame of type {kind}"),
        }
    }
}

fn websocket_end(error: tungstenite::Error) -> Incoming {
    match error {
        tungstenite::Error::Io(error) if is_timeout(&error) => Incoming::Nothing,
        tungstenite::Error::Io(error) if is_end(&error) => Incoming::End(None),
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => Incoming::End(None),
        tungstenite::Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            Incoming::End(None)
        }
        error => panic!("{error} while reading"),
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Reset, or closed within a frame: what becomes of a connection that the router gives up.
fn is_end(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof)
}
