//! The long-poll transport: sessions that live on behind HTTP requests (specification, "HTTP Longpoll Transport").
//!
//! Two kinds of connections take part. A *socket* carries requests, one after the other: an
//! [`Exchange`](super::exchange::Exchange) reads them. A *transport* has no socket: it is what the core knows as a connection, it keeps the messages that wait
//! for the client, and the requests of any sockets act on it. A transport belongs to one shard for life. A socket whose
//! request is for a transport of another shard moves there, with what has been read of it.

mod alarms;
mod judge;
mod reply;
mod requests;
mod side;
mod sockets;
mod transports;

pub(super) use alarms::Entry;
pub(super) use judge::judge;
pub(super) use reply::ReplyTo;
pub(super) use side::{LongPoll, Side};
