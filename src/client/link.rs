//! A connection to a router: the socket, the opening handshake, messages to octets and back.

use super::address::{Address, host_header};
use super::error::{ConnectError, RequestError};
use super::tls::{self, Certificate, Trust};
use crate::wamp::codec::{self, DecodeLimits, TranscodeError};
use crate::wamp::{Message, Serializer, error};
use crate::wire::dial::{Upgrade, rawsocket_reply, rawsocket_request};
use crate::wire::frame::{FrameBuilder, Framing, mask_frames, ping_frame};
use crate::wire::handshake::Subprotocol;
use crate::wire::rawsocket::RawReader;
use crate::wire::websocket::{Accepts, Sender, WsMode, WsReader};
use crate::wire::{Inbound, Reader, WireEvent};
use socket2::{SockRef, TcpKeepalive};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// A router that has not answered so many probes of TCP is gone.
const TCP_PROBES: u32 = 3;

/// The half that is read from.
pub(super) type Input = Box<dyn AsyncRead + Send + Unpin>;
/// The half that is written to.
pub(super) type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// How messages travel on a connection.
pub(super) struct Link {
    pub(super) serializer: Serializer,
    framing: Framing,
    /// Octets of the largest message that is sent: the router takes no larger one.
    pub(super) sent_max: usize,
    reader: Reader,
    inbound: Inbound,
    builder: FrameBuilder,
    /// Masks are not secrets: they only must not be foreseen by who writes the messages.
    masks: fastrand::Rng,
}

/// What a connection wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) serializers: &'a [Serializer],
    pub(super) message_bytes_max: usize,
    pub(super) sent_message_bytes_max: usize,
    pub(super) trust: &'a Trust,
    /// The name of the router, if it is not its host.
    pub(super) server_name: Option<&'a str>,
    pub(super) certificate: Option<&'a Certificate>,
    /// TCP looks whether the router is there when nothing has come for so long; zero: never.
    pub(super) tcp_keepalive: Duration,
}

/// A connection that is open, with the octets that came behind the handshake.
pub(super) type Opened = (Link, Input, Output, Vec<u8>);

/// Opens a connection.
pub(super) async fn open(address: &Address, wish: Wish<'_>) -> Result<Opened, ConnectError> {
    match address {
        Address::WebSocket { tls, host, port, target } => {
            let (input, output) = dial(*tls, host, *port, wish).await?;
            let host = wish.server_name.unwrap_or(host);
            upgrade(input, output, &host_header(*tls, host, *port), target, wish).await
        }
        Address::RawSocket { tls, host, port } => {
            let (input, output) = dial(*tls, host, *port, wish).await?;
            shake_hands(input, output, wish).await
        }
        Address::Unix(path) => open_on(UnixStream::connect(path).await?, wish).await,
    }
}

/// Opens a connection on a socket that leads to a router already.
pub(super) async fn open_on(socket: UnixStream, wish: Wish<'_>) -> Result<Opened, ConnectError> {
    let (input, output) = socket.into_split();
    shake_hands(Box::new(input), Box::new(output), wish).await
}

async fn dial(tls: bool, host: &str, port: u16, wish: Wish<'_>) -> Result<(Input, Output), ConnectError> {
    let socket = TcpStream::connect((host, port)).await?;
    socket.set_nodelay(true)?;
    if !wish.tcp_keepalive.is_zero() {
        // TCP counts in seconds.
        let time = wish.tcp_keepalive.max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new().with_time(time).with_interval(time).with_retries(TCP_PROBES);
        SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
    }
    if tls {
        let name = wish.server_name.unwrap_or(host);
        let (input, output) = tokio::io::split(tls::wrap(socket, name, wish.trust, wish.certificate).await?);
        return Ok((Box::new(input), Box::new(output)));
    }
    let (input, output) = socket.into_split();
    Ok((Box::new(input), Box::new(output)))
}

async fn upgrade(
    mut input: Input,
    mut output: Output,
    host: &str,
    target: &str,
    wish: Wish<'_>,
) -> Result<Opened, ConnectError> {
    let offered = wish.serializers.iter().map(|serializer| Subprotocol { serializer: *serializer, batched: false });
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(std::io::Error::from)?;
    let upgrade = Upgrade::new(host, target, offered.collect(), nonce);
    output.write_all(upgrade.request()).await?;
    output.flush().await?;
    let mut octets = Vec::with_capacity(1024);
    let (chosen, length) = loop {
        if input.read_buf(&mut octets).await? == 0 {
            return Err(ConnectError::Handshake("the connection was closed within the handshake".into()));
        }
        let response = upgrade.response(&octets).map_err(|refused| ConnectError::Handshake(refused.0))?;
        if let Some(agreed) = response {
            break agreed;
        }
    };
    let accepts = if chosen.serializer.is_text() { Accepts::Text } else { Accepts::Binary };
    let message_bytes_max = wish.message_bytes_max;
    let mode = WsMode { accepts, batched: false, deflate: false, message_bytes_max, from: Sender::Server };
    let framing = Framing::WebSocket { batched: false, deflate: None, fragment: None };
    let link =
        Link::new(chosen.serializer, framing, wish.sent_message_bytes_max, Reader::WebSocket(WsReader::new(mode)));
    octets.drain(..length);
    Ok((link, input, output, octets))
}

async fn shake_hands(mut input: Input, mut output: Output, wish: Wish<'_>) -> Result<Opened, ConnectError> {
    // RawSocket offers one serializer alone.
    let serializer = wish.serializers.first().copied().unwrap_or(Serializer::Cbor);
    let request = rawsocket_request(serializer, wish.message_bytes_max);
    output.write_all(&request).await?;
    output.flush().await?;
    let mut reply = [0; 4];
    input.read_exact(&mut reply).await?;
    let accepted = rawsocket_reply(request, reply).map_err(|refused| ConnectError::Handshake(refused.0))?;
    let reader = Reader::RawSocket(RawReader::new(&accepted));
    let sent_max = wish.sent_message_bytes_max.min(accepted.peer_max);
    Ok((Link::new(serializer, Framing::RawSocket, sent_max, reader), input, output, Vec::new()))
}

/// A message cannot be sent.
pub(super) enum Unsendable {
    /// It has more octets than the router takes, or than are sent.
    TooLarge(usize),
    /// Its arguments cannot be said.
    Payload(TranscodeError),
}

impl std::fmt::Display for Unsendable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unsendable::TooLarge(max) => write!(f, "messages have up to {max} octets"),
            Unsendable::Payload(why) => why.fmt(f),
        }
    }
}

impl Unsendable {
    /// What a caller is told whose answer it was.
    pub(super) const fn error(&self) -> &'static str {
        match self {
            Unsendable::TooLarge(_) => error::PAYLOAD_SIZE_EXCEEDED,
            Unsendable::Payload(_) => error::INVALID_PAYLOAD,
        }
    }
}

impl From<Unsendable> for RequestError {
    fn from(why: Unsendable) -> RequestError {
        RequestError::Unsendable(why.to_string())
    }
}

impl Link {
    fn new(serializer: Serializer, framing: Framing, sent_max: usize, reader: Reader) -> Link {
        let (inbound, builder, masks) = (Inbound::default(), FrameBuilder::default(), fastrand::Rng::new());
        Link { serializer, framing, sent_max, reader, inbound, builder, masks }
    }

    /// Appends a message to what has to be written.
    pub(super) fn send(&mut self, message: &Message, out: &mut Vec<u8>) -> Result<(), Unsendable> {
        let octets = codec::encode_to_vec(self.serializer, message).map_err(Unsendable::Payload)?;
        if octets.len() > self.sent_max {
            return Err(Unsendable::TooLarge(self.sent_max));
        }
        let frame = self.builder.build(self.serializer, self.framing, &octets, None);
        self.append(&frame.parts().concat(), out);
        Ok(())
    }

    /// True if the router can be asked whether it is there.
    pub(super) fn is_pinged(&self, rawsocket: bool) -> bool {
        rawsocket || matches!(self.framing, Framing::WebSocket { .. })
    }

    /// Asks the router whether it is there.
    pub(super) fn ping(&mut self, out: &mut Vec<u8>) {
        let websocket = matches!(self.framing, Framing::WebSocket { .. });
        self.append(&ping_frame(websocket, 0), out);
    }

    /// Appends whole frames, masked where they have to be.
    fn append(&mut self, frames: &[u8], out: &mut Vec<u8>) {
        match self.framing {
            Framing::WebSocket { .. } => {
                let masks = &mut self.masks;
                mask_frames(frames, || masks.u32(..).to_be_bytes(), out);
            }
            _ => out.extend_from_slice(frames),
        }
    }

    /// Reads messages from octets, and appends what has to be answered. False: the router has closed.
    pub(super) fn receive(
        &mut self,
        octets: &mut [u8],
        out: &mut Vec<u8>,
        mut message: impl FnMut(Message),
    ) -> Result<bool, String> {
        let (mut at, mut answers, mut open) = (0, Vec::new(), true);
        while open {
            let (used, event) = self
                .reader
                .feed(&mut octets[at..], &mut self.inbound, &mut answers)
                .map_err(|error| error.to_string())?;
            at += used;
            match event {
                None => break,
                Some(WireEvent::Pong) => {}
                Some(WireEvent::Closed) => open = false,
                Some(WireEvent::Message { data, .. }) => {
                    let limits = DecodeLimits::default();
                    message(codec::decode(self.serializer, data, limits).map_err(|error| error.to_string())?);
                }
            }
        }
        if !answers.is_empty() {
            self.append(&answers, out);
        }
        Ok(open)
    }
}
