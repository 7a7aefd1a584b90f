//! The client: sessions with any WAMP router, over WebSocket, RawSocket or Unix sockets.
//!
//! ```no_run
//! use corebar::client::Connect;
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Connect::new("ws://127.0.0.1:8080/ws", "realm1").reconnecting().open().await?;
//! session.event("com.example.hello").arg("Hello!").send().await?;
//! let sum: i64 = session.ask("com.example.add").arg(2).arg(3).result().await?;
//! # Ok(()) }
//! ```
//!
//! Data flows one way here too: a [`Session`] gives orders to its `driver`, the driver turns them into messages and the `link`
//! into octets; what comes back is handed to whoever waits for it. Around the driver the `keeper` finds one connection after
//! the other. What outlives connections is known by numbers of the session's own: subscriptions (`attached`, with `gap` for
//! what was missed) and registrations (`offered`).

mod address;
mod aloud;
mod app;
mod attached;
mod call;
mod connect;
mod content;
mod driver;
mod error;
mod gap;
mod handler;
mod hearing;
mod history;
mod keeper;
mod link;
mod offered;
mod order;
mod outbox;
mod parameter;
mod passing;
mod queue;
mod reconnect;
mod registration;
mod session;
mod settings;
mod state;
mod subscription;
mod tls;
mod waiter;

pub use address::{Address, AddressError};
pub use app::{App, AppError, Running};
pub use call::{Arguments, Ask, CancelMode, Outcome, Results};
pub use connect::Connect;
pub use error::{CallError, ConnectError, RequestError};
pub use handler::{Either, Failure, Handle, Handler, Many, One, Progress, Reply, Route, Several};
pub use history::History;
pub use parameter::{Incoming, Named, Origin, Parameter, Rest, Shared};
pub use passing::{
    Acknowledgement, CallGatherer, EventGatherer, Gathered, GatheredCalls, GatheredEvents, Gatherer, Held, PassedCall,
    PassedEvent,
};
pub use reconnect::Reconnect;
pub use registration::{Invocation, Invoke, Offer, Registration};
pub use session::{Session, TestamentScope};
pub use settings::Load;
pub use state::{Hook, State};
pub use subscription::{Event, Listen, Publication, Subscription};
pub use tls::{Certificate, Trust};

/// The programs of the documentation are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/client.md")]
struct Documentation;
