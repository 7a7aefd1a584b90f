//! The WAMP protocol as data: identifiers, URIs, messages, payloads and their serializations.
//!
//! Nothing in here does IO, reads a clock, draws a random number or starts a thread.

pub mod codec;
pub mod error;
pub mod id;
pub mod link;
pub mod message;
pub mod payload;
pub mod serializer;
pub mod trace;
pub mod typed;
pub mod uri;
pub mod value;

pub use id::{PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId};
pub use message::{Message, MessageType};
pub use payload::{Payload, Raw, Shape};
pub use serializer::Serializer;
pub use trace::TraceContext;
pub use uri::{MatchPolicy, Uri, UriRules};
pub use value::{Dict, Value};
