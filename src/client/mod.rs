//! The client: sessions with any WAMP router, over WebSocket, RawSocket or Unix sockets.
//!
//! Data flows one way here too: a [`Session`] gives orders to the `driver` of its connection, the driver turns them into
//! messages and the `link` into octets; what comes back is handed to whoever waits for it.

mod address;
mod driver;
mod error;
mod link;
mod order;
mod queue;
mod session;
mod tls;

pub use address::{Address, AddressError};
pub use error::{CallError, ConnectError, RequestError};
pub use session::{Connect, Event, Invocation, Outcome, Registration, Results, Session, Subscription};
pub use tls::{Certificate, Trust};
