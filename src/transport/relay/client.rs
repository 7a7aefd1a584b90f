//! The socket of a client while its request is passed on.

use super::fault::Fault;
use crate::shard::Socket;
use crate::transport::stream::Stream;
use crate::wire::request::BodyReader;
use std::future::{pending, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Octets of one read.
const READ_BYTES: usize = 32 * 1024;

/// Octets of further requests that are read while one is being answered.
const AHEAD_BYTES: usize = 64 * 1024;

/// How long a client that is told to go may take, and how much it may send meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// What is asked of a client while it sends a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long it may take to send or read something.
    pub(super) silence: Duration,
    /// Octets that are read before others are asked.
    pub(super) ahead: usize,
    /// Octets that have to come in each second that is waited for them, on average; 0: any.
    pub(super) rate_min: u64,
}

/// The socket, and what has been read from it and not been used.
#[derive(Debug)]
pub(super) struct Client {
    stream: Stream,
    pub(super) input: Vec<u8>,
    pace: Pace,
    /// For how long the body has been waited for, and how many octets of it have come.
    waited: Duration,
    come: u64,
}

impl Client {
    /// Makes the socket known to this thread.
    pub(super) async fn register(socket: Socket, acceptor: Option<TlsAcceptor>, pace: Pace) -> io::Result<Client> {
        let mut stream = Stream::register(socket, || acceptor)?;
        poll_fn(|cx| stream.poll_secured(cx)).await?;
        Ok(Client { stream, input: Vec::new(), pace, waited: Duration::ZERO, come: 0 })
    }

    /// Takes the socket out of this thread, with what has been read and not been used.
    pub(super) fn release(self) -> io::Result<(Socket, Vec<u8>)> {
        Ok((self.stream.release()?, self.input))
    }

    /// The next piece of the body; none at its end.
    pub(super) async fn piece(&mut self, reader: &mut BodyReader) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            let used = reader.feed(&self.input)?;
            self.input.drain(..used);
            let data = reader.take();
            if !data.is_empty() {
                return Ok(Some(data));
            }
            if reader.is_complete() {
                return Ok(None);
            }
            self.read_body().await?;
        }
    }

    /// Reads so much of a body that others need not wait for it, or all of it. While a client takes its time nobody else has to
    /// give any.
    pub(super) async fn read_ahead(&mut self, reader: &mut BodyReader) -> Result<(), Fault> {
        loop {
            let used = reader.feed(&self.input)?;
            self.input.drain(..used);
            if reader.is_complete() || reader.data().len() >= self.pace.ahead {
                return Ok(());
            }
            self.read_body().await?;
        }
    }

    /// Reads on in the body, which has to come fast enough.
    async fn read_body(&mut self) -> Result<(), Fault> {
        let Pace { silence, rate_min, .. } = self.pace;
        let earned = self.come.checked_div(rate_min).map_or(Duration::MAX, Duration::from_secs);
        let limit = silence.saturating_add(earned).saturating_sub(self.waited).min(silence);
        let mut octets = [0; READ_BYTES];
        let since = Instant::now();
        let read = timeout(limit, self.read_more(&mut octets)).await;
        self.waited += since.elapsed();
        match read {
            Ok(Ok(count)) if count > 0 => {
                self.come += count as u64;
                self.input.extend_from_slice(&octets[..count]);
                Ok(())
            }
            Ok(_) => Err(Fault::Client),
            Err(_) => Err(Fault::told(408, "the body did not come in time")),
        }
    }

    async fn read_more(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.stream.poll_read(cx, octets)).await
    }

    /// Waits until the client is gone. What it sends meanwhile is kept, up to a limit: then it is not looked at any longer.
    pub(super) async fn gone(&mut self) -> Fault {
        while self.input.len() < AHEAD_BYTES {
            let mut octets = [0; READ_BYTES];
            match self.read_more(&mut octets).await {
                Ok(count) if count > 0 => self.input.extend_from_slice(&octets[..count]),
                _ => return Fault::Client,
            }
        }
        pending().await
    }

    /// The next piece of the body. When there are no more, nobody but a client that is gone ends the waiting.
    pub(super) async fn piece_or_end(&mut self, reader: &mut BodyReader, told: bool) -> Result<Option<Vec<u8>>, Fault> {
        if told { Err(self.gone().await) } else { self.piece(reader).await }
    }

    /// Sends all of this.
    pub(super) async fn send(&mut self, octets: &[u8]) -> Result<(), Fault> {
        // Each time it takes something it has as long again.
        let mut rest = octets;
        while !rest.is_empty() {
            let patience = self.pace.silence;
            let count = timeout(patience, self.write(rest)).await.map_err(|_| Fault::Client)??;
            if count == 0 {
                return Err(Fault::Client);
            }
            rest = &rest[count..];
        }
        let patience = self.pace.silence;
        Ok(timeout(patience, self.flush()).await.map_err(|_| Fault::Client)??)
    }

    /// Tells the client that this was all, and waits a little until it has read it: a socket that is closed with input
    /// that nobody has read takes what it has sent with it.
    pub(super) async fn finish(mut self) {
        self.stream.finish();
        let drain = async {
            let (mut octets, mut all) = ([0; 4096], 0);
            while all < LINGER_BYTES {
                match self.read_more(&mut octets).await {
                    Ok(count) if count > 0 => all += count,
                    _ => return,
                }
            }
        };
        let _ = timeout(LINGER, drain).await;
    }

    /// Has the system look whether a silent client is still there.
    pub(super) fn keep_alive(&self) {
        // Not every kind of socket can.
        let _ = self.stream.keep_alive(self.pace.silence);
    }
}

impl AsyncRead for Client {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let client = self.get_mut();
        if !client.input.is_empty() {
            let count = client.input.len().min(buffer.remaining());
            buffer.put_slice(&client.input[..count]);
            client.input.drain(..count);
            return Poll::Ready(Ok(()));
        }
        let octets = buffer.initialize_unfilled();
        client.stream.poll_read(cx, octets).map_ok(|count| buffer.advance(count))
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().stream.poll_write(cx, &[IoSlice::new(octets)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.finish();
        Poll::Ready(Ok(()))
    }
}
