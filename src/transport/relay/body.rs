//! The body of a request on its way to a server, piece by piece.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc::Receiver;

/// The body. Its end has to be told: if whoever sends it is gone before, it is broken, and not short.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// None: nothing follows.
    pieces: Option<Receiver<Option<Bytes>>>,
    /// Octets that are left, if that is known.
    left: Option<u64>,
}

impl Outgoing {
    /// No body at all.
    pub(super) fn none() -> Outgoing {
        Outgoing { pieces: None, left: Some(0) }
    }

    /// A body of such pieces, of so many octets if that is known.
    pub(super) fn new(pieces: Receiver<Option<Bytes>>, octets: Option<u64>) -> Outgoing {
        Outgoing { pieces: Some(pieces), left: octets }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(pieces) = &mut self.pieces else { return Poll::Ready(None) };
        match ready!(pieces.poll_recv(cx)) {
            Some(Some(piece)) => {
                self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Some(None) => {
                self.pieces = None;
                Poll::Ready(None)
            }
            None => {
                self.pieces = None;
                Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
