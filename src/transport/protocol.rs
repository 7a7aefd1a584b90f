//! What the octets of a connection mean.
use super::connection::Connection;
use crate::config::RuntimeConfig;
use crate::router::{Ending, Link};
use crate::wire::frame::Frame;

#[derive(Debug)]
pub(super) enum Signal<'a> {
    Reply(Frame),
    Opened(Link),
    Message(&'a [u8]),
    Close(Option<Frame>),
    Fault { reason: &'a str, close: Option<Frame> },
}

#[derive(Debug)]
pub(super) struct Protocol;

impl Protocol {
    pub(super) fn new(config: &RuntimeConfig) -> Protocol {
        let _ = config;
        Protocol
    }
    pub(super) fn feed(&mut self, input: &mut [u8], mut signal: impl FnMut(Signal<'_>) -> bool) {
        signal(Signal::Reply(Frame::new(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".as_slice().into(),
            bytes::Bytes::new(),
        )));
        signal(Signal::Close(None));
        let _ = input;
    }
    pub(super) fn close_frame(c: &Connection, e: Ending) -> Option<Frame> {
        let _ = (c, e);
        None
    }
}
