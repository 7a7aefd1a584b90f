//! The 25 messages of WAMP (specification, "Messages"), one struct each.
//!
//! A message holds its elements as they are on the wire. URIs are not checked here, ids are in range, and the payload
//! is valid in its serialization.

use super::id::{PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId};
use super::payload::Payload;
use super::uri::Uri;
use super::value::Dict;

macro_rules! message_types {
    ($($name:ident = $code:literal $text:literal),* $(,)?) => {
        /// The type of a message: the first element of its list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        #[allow(missing_docs, reason = "named as in the specification; see the struct of that name")]
        pub enum MessageType {
            $($name = $code),*
        }

        impl MessageType {
            /// Every type of message.
            pub const ALL: &[MessageType] = &[$(MessageType::$name),*];

            /// The type with this code.
            #[must_use]
            pub const fn from_code(code: u64) -> Option<MessageType> {
                match code {
                    $($code => Some(MessageType::$name),)*
                    _ => None,
                }
            }

            /// The name in the specification's spelling, for example `PUBLISH`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(MessageType::$name => $text,)*
                }
            }
        }

        /// Any message.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "named as in the specification; see the struct of that name")]
        pub enum Message {
            $($name($name)),*
        }

        impl Message {
            /// The type of this message.
            #[must_use]
            pub const fn message_type(&self) -> MessageType {
                match self {
                    $(Message::$name(_) => MessageType::$name,)*
                }
            }
        }

        $(impl From<$name> for Message {
            fn from(message: $name) -> Message {
                Message::$name(message)
            }
        })*
    };
}

message_types! {
    Hello = 1 "HELLO",
    Welcome = 2 "WELCOME",
    Abort = 3 "ABORT",
    Challenge = 4 "CHALLENGE",
    Authenticate = 5 "AUTHENTICATE",
    Goodbye = 6 "GOODBYE",
    Error = 8 "ERROR",
    Publish = 16 "PUBLISH",
    Published = 17 "PUBLISHED",
    Subscribe = 32 "SUBSCRIBE",
    Subscribed = 33 "SUBSCRIBED",
    Unsubscribe = 34 "UNSUBSCRIBE",
    Unsubscribed = 35 "UNSUBSCRIBED",
    Event = 36 "EVENT",
    EventReceived = 337 "EVENT_RECEIVED",
    Call = 48 "CALL",
    Cancel = 49 "CANCEL",
    Result = 50 "RESULT",
    Register = 64 "REGISTER",
    Registered = 65 "REGISTERED",
    Unregister = 66 "UNREGISTER",
    Unregistered = 67 "UNREGISTERED",
    Invocation = 68 "INVOCATION",
    Interrupt = 69 "INTERRUPT",
    Yield = 70 "YIELD",
}

impl MessageType {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// Opens a session: client to router.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// The realm to join.
    pub realm: Uri,
    /// Roles, features and authentication.
    pub details: Dict,
}

/// Accepts a session: router to client.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// The new session.
    pub session: SessionId,
    /// Roles, features and identity.
    pub details: Dict,
}

/// Refuses or ends a session at once, without an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Abort {
    /// May hold a human readable `message`.
    pub details: Dict,
    /// Why.
    pub reason: Uri,
    /// More about why.
    pub payload: Payload,
}

/// Asks for authentication: router to client.
#[derive(Clone, Debug, PartialEq)]
pub struct Challenge {
    /// The authentication method.
    pub method: Box<str>,
    /// What the method needs.
    pub extra: Dict,
}

/// Answers a challenge: client to router.
#[derive(Clone, Debug, PartialEq)]
pub struct Authenticate {
    /// The answer.
    pub signature: Box<str>,
    /// What the method adds.
    pub extra: Dict,
}

/// Closes a session in order; answered with another.
#[derive(Clone, Debug, PartialEq)]
pub struct Goodbye {
    /// May hold a human readable `message`.
    pub details: Dict,
    /// Why.
    pub reason: Uri,
}

/// Says that a request failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// The type of the request that failed.
    pub request_type: MessageType,
    /// That request.
    pub request: RequestId,
    /// Details of the failure.
    pub details: Dict,
    /// What went wrong.
    pub error: Uri,
    /// More about it.
    pub payload: Payload,
}

/// Publishes an event: client to router.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// The client's request.
    pub request: RequestId,
    /// How to publish.
    pub options: Dict,
    /// The topic.
    pub topic: Uri,
    /// The event.
    pub payload: Payload,
}

/// Acknowledges a publication.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// The PUBLISH.
    pub request: RequestId,
    /// The publication.
    pub publication: PublicationId,
}

/// Asks for the events of a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// The client's request.
    pub request: RequestId,
    /// How to match.
    pub options: Dict,
    /// The topic or pattern.
    pub topic: Uri,
}

/// Acknowledges a subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribed {
    /// The SUBSCRIBE.
    pub request: RequestId,
    /// The subscription.
    pub subscription: SubscriptionId,
}

/// Ends a subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsubscribe {
    /// The client's request.
    pub request: RequestId,
    /// The subscription.
    pub subscription: SubscriptionId,
}

/// Acknowledges the end of a subscription, or revokes it (request 0, with details).
#[derive(Clone, Debug, PartialEq)]
pub struct Unsubscribed {
    /// The UNSUBSCRIBE, or 0.
    pub request: RequestId,
    /// Which subscription is revoked, and why.
    pub details: Option<Dict>,
}

/// An event: router to subscriber.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The subscription it matched.
    pub subscription: SubscriptionId,
    /// The publication.
    pub publication: PublicationId,
    /// About the event.
    pub details: Dict,
    /// The event.
    pub payload: Payload,
}

/// A subscriber's acknowledgement of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventReceived {
    /// The publication.
    pub publication: PublicationId,
}

/// Calls a procedure: caller to router.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The caller's request.
    pub request: RequestId,
    /// How to call.
    pub options: Dict,
    /// The procedure.
    pub procedure: Uri,
    /// The arguments.
    pub payload: Payload,
}

/// Cancels a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Cancel {
    /// The CALL.
    pub request: RequestId,
    /// How to cancel.
    pub options: Dict,
}

/// The result of a call: router to caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Result {
    /// The CALL.
    pub request: RequestId,
    /// About the result.
    pub details: Dict,
    /// The result.
    pub payload: Payload,
}

/// Offers a procedure: callee to router.
#[derive(Clone, Debug, PartialEq)]
pub struct Register {
    /// The callee's request.
    pub request: RequestId,
    /// How to match and share.
    pub options: Dict,
    /// The procedure or pattern.
    pub procedure: Uri,
}

/// Acknowledges a registration.
#[derive(Clone, Debug, PartialEq)]
pub struct Registered {
    /// The REGISTER.
    pub request: RequestId,
    /// The registration.
    pub registration: RegistrationId,
}

/// Withdraws a procedure.
#[derive(Clone, Debug, PartialEq)]
pub struct Unregister {
    /// The callee's request.
    pub request: RequestId,
    /// The registration.
    pub registration: RegistrationId,
}

/// Acknowledges the end of a registration, or revokes it (request 0, with details).
#[derive(Clone, Debug, PartialEq)]
pub struct Unregistered {
    /// The UNREGISTER, or 0.
    pub request: RequestId,
    /// Which registration is revoked, and why.
    pub details: Option<Dict>,
}

/// Invokes a procedure: router to callee.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// The router's request.
    pub request: RequestId,
    /// The registration.
    pub registration: RegistrationId,
    /// About the call.
    pub details: Dict,
    /// The arguments.
    pub payload: Payload,
}

/// Asks a callee to stop working on an invocation.
#[derive(Clone, Debug, PartialEq)]
pub struct Interrupt {
    /// The INVOCATION.
    pub request: RequestId,
    /// How.
    pub options: Dict,
}

/// The result of an invocation: callee to router.
#[derive(Clone, Debug, PartialEq)]
pub struct Yield {
    /// The INVOCATION.
    pub request: RequestId,
    /// About the result.
    pub options: Dict,
    /// The result.
    pub payload: Payload,
}

impl Message {
    /// The payload, for the types that have one.
    #[must_use]
    pub const fn payload(&self) -> Option<&Payload> {
        match self {
            Message::Abort(m) => Some(&m.payload),
            Message::Error(m) => Some(&m.payload),
            Message::Publish(m) => Some(&m.payload),
            Message::Event(m) => Some(&m.payload),
            Message::Call(m) => Some(&m.payload),
            Message::Result(m) => Some(&m.payload),
            Message::Invocation(m) => Some(&m.payload),
            Message::Yield(m) => Some(&m.payload),
            _ => None,
        }
    }
}
