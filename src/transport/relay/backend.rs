//! Servers behind this one: a request to them, and their response. Each request has a connection of its own, so that nothing
//! that is left of one can be taken for a part of another.

use super::Relayed;
use super::body::Outgoing;
use super::client::Client;
use super::fault::Fault;
use super::head::{Framing, framed, framing, length_of, request_headers, response_head};
use super::pool::{Answered, Origin};
use crate::config::relay::{Backend, BackendAddress, RelayConfig, Target};
use crate::wire::request::{BodyLength, BodyReader, RequestHead};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Octets of a response's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Pieces of a body between both sides.
const PIECES: usize = 2;

/// How long until a Unix socket where too many wait is tried again.
const CROWDED_PAUSE: Duration = Duration::from_millis(5);

/// What is known of the other side.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) to: &'a Backend,
    pub(super) config: &'a RelayConfig,
    pub(super) relayed: &'a Relayed,
    pub(super) origin: &'a Origin,
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// The driver of a connection, which ends with it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn connect(to: &Backend) -> Result<Box<dyn Io>, Fault> {
    let connecting = async {
        Ok::<Box<dyn Io>, io::Error>(match &to.address {
            BackendAddress::Tcp(host, port) => {
                let host = host.trim_start_matches('[').trim_end_matches(']');
                let socket = TcpStream::connect((host, *port)).await?;
                // Without it small requests would wait for nothing.
                socket.set_nodelay(true)?;
                Box::new(socket)
            }
            BackendAddress::Unix(path) => Box::new(connect_unix(path).await?),
        })
    };
    match timeout(to.connect_timeout, connecting).await {
        Ok(Ok(io)) => Ok(io),
        Ok(Err(error)) => Err(Fault::told(502, format!("the server behind cannot be reached: {error}"))),
        Err(_) => Err(Fault::told(504, "the server behind cannot be reached in time")),
    }
}

/// Where too many wait already, connections to a Unix socket do not wait as those of TCP do: they are refused at once, and
/// nothing says when there is room.
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(CROWDED_PAUSE).await,
            connected => return connected,
        }
    }
}

/// The request as the other side gets it.
fn request(
    head: &RequestHead<'_>,
    headers: &[(&str, &[u8])],
    side: Side<'_>,
    body: Outgoing,
) -> Result<Request<Outgoing>, Fault> {
    let Side { to, relayed, origin, .. } = side;
    let rest = if to.path.is_empty() && relayed.rest.is_empty() { "/" } else { &relayed.rest };
    let query = head.query.map_or(String::new(), |query| format!("?{query}"));
    let built = Request::builder().method(head.method).uri(format!("{}{rest}{query}", to.path)).body(body);
    let mut request = built.map_err(|error| Fault::told(400, format!("this cannot be passed on: {error}")))?;
    *request.headers_mut() = request_headers(head, headers, to, origin);
    Ok(request)
}

/// Passes a request on, and its response back.
pub(super) async fn pass_on(
    client: &mut Client,
    (head, headers): (&RequestHead<'_>, &[(&str, &[u8])]),
    side: Side<'_>,
    answered: &mut Answered,
    leaving: watch::Receiver<bool>,
) -> Result<(), Fault> {
    let most = side.config.body_bytes_max.unwrap_or(usize::MAX);
    let mut reader = BodyReader::new(head.body, most)?;
    let (pieces, outgoing) = mpsc::channel(PIECES);
    let outgoing = match head.body {
        BodyLength::Absent => Outgoing::none(),
        BodyLength::Octets(octets) => Outgoing::new(outgoing, Some(octets)),
        BodyLength::Chunked => Outgoing::new(outgoing, None),
    };
    let request = request(head, headers, side, outgoing)?;
    if head.expects_continue && !reader.is_complete() && client.input.is_empty() {
        client.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    client.read_ahead(&mut reader).await?;
    let io = connect(side.to).await?;
    let unfit = |error: hyper::Error| Fault::told(502, format!("the server behind does not answer: {error}"));
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(io)).await.map_err(unfit)?;
    let _driver = Driver(tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to a server behind has failed");
        }
    }));
    let answer = sender.send_request(request);
    let (response, whole) = exchange(client, &mut reader, pieces, pin!(answer), side.config).await?;
    let response = response.map_err(unfit)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return tunnel(client, head, response, side, answered, leaving).await;
    }
    if matches!(side.config.target, Target::WebSocket(_)) && response.status().is_success() {
        return Err(Fault::told(502, "the server behind has not become one of WebSocket"));
    }
    respond(client, head, response, (side, whole), answered).await
}

/// Sends the body until the response begins; says also whether all of the body has been sent.
async fn exchange<F>(
    client: &mut Client,
    reader: &mut BodyReader,
    pieces: mpsc::Sender<Option<Bytes>>,
    mut answer: Pin<&mut F>,
    config: &RelayConfig,
) -> Result<(hyper::Result<Response<Incoming>>, bool), Fault>
where
    F: Future<Output = hyper::Result<Response<Incoming>>>,
{
    let late = || Fault::told(504, "the server behind does not answer in time");
    let mut told = false;
    loop {
        let piece = tokio::select! {
            biased;
            response = &mut answer => return Ok((response, told)),
            piece = client.piece_or_end(reader, told) => piece?,
            () = sleep(config.timeout), if told => return Err(late()),
        };
        told = piece.is_none();
        tokio::select! {
            biased;
            response = &mut answer => return Ok((response, told)),
            // A server that wants no more of the body has not to be told; its response comes.
            sent = pieces.send(piece.map(Bytes::from)) => told |= sent.is_err(),
            () = sleep(config.timeout) => return Err(late()),
        }
    }
}

/// Passes a response back.
async fn respond(
    client: &mut Client,
    head: &RequestHead<'_>,
    response: Response<Incoming>,
    (side, whole): (Side<'_>, bool),
    answered: &mut Answered,
) -> Result<(), Fault> {
    let (parts, mut body) = response.into_parts();
    let length = length_of(&parts.headers).map_err(|why| Fault::told(502, why))?;
    let framing = framing(head, parts.status.as_u16(), length.is_some());
    let keep = head.keep_alive && whole && framing != Framing::Close;
    let hsts = side.relayed.hsts.as_deref();
    answered.status = parts.status.as_u16();
    client.send(&response_head(parts.status, &parts.headers, framing, (hsts, !keep))).await?;
    if framing != Framing::Bodyless {
        loop {
            let next = tokio::select! {
                biased;
                next = timeout(side.config.timeout, body.frame()) => next,
                fault = client.gone() => return Err(fault),
            };
            let frame = match next.map_err(|_| Fault::Broken("it does not go on in time".into()))? {
                None => break,
                Some(frame) => frame.map_err(|error| Fault::Broken(error.to_string()))?,
            };
            if let Some(piece) = frame.data_ref().filter(|piece| !piece.is_empty()) {
                answered.octets += piece.len() as u64;
                client.send(&framed(piece, framing)).await?;
            }
        }
        if framing == Framing::Chunked {
            client.send(b"0\r\n\r\n").await?;
        }
    }
    answered.keep = keep;
    Ok(())
}

/// Passes octets on in both directions until one side ends, or the router does.
async fn tunnel(
    client: &mut Client,
    head: &RequestHead<'_>,
    mut response: Response<Incoming>,
    side: Side<'_>,
    answered: &mut Answered,
    mut leaving: watch::Receiver<bool>,
) -> Result<(), Fault> {
    if !head.upgrade {
        return Err(Fault::told(502, "the server behind takes the connection over without being asked"));
    }
    let upgraded = hyper::upgrade::on(&mut response);
    let hsts = side.relayed.hsts.as_deref();
    answered.status = response.status().as_u16();
    client.send(&response_head(response.status(), response.headers(), Framing::Bodyless, (hsts, false))).await?;
    let mut upgraded = TokioIo::new(upgraded.await.map_err(|error| Fault::Broken(error.to_string()))?);
    client.keep_alive();
    tokio::select! {
        passed = copy_bidirectional(client, &mut upgraded) => {
            answered.octets = passed.map_or(0, |(_, octets)| octets);
        }
        _ = leaving.wait_for(|leaving| *leaving) => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, SockAddr, Socket, Type};

    #[test]
    fn where_too_many_wait_others_wait_too() {
        let path = std::env::temp_dir().join(format!("corebar-crowded-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let at = SockAddr::unix(&path).expect("an address");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        listener.bind(&at).expect("a free path");
        listener.listen(1).expect("a listener");
        let mut waiting = Vec::new();
        loop {
            let one = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
            one.set_nonblocking(true).expect("a socket option");
            match one.connect(&at) {
                Ok(()) => waiting.push(one),
                Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        let Target::Http(mut backend) = RelayConfig::http("back", 80).target else { panic!("HTTP") };
        backend.address = BackendAddress::Unix(path.clone());
        backend.connect_timeout = Duration::from_secs(60);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connecting = pin!(connect(&backend));
            tokio::select! {
                biased;
                early = &mut connecting => panic!("it has not waited, and is there: {}", early.is_ok()),
                () = sleep(CROWDED_PAUSE * 2) => {}
            }
            waiting.iter().for_each(|_| drop(listener.accept().expect("one that waits")));
            assert!(connecting.await.is_ok(), "there is room now");
        });
        let _ = std::fs::remove_file(path);
    }
}
