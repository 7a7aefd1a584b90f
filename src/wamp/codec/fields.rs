//! The elements of each message: which there are, in which order, of which type (specification, "Messages").

use super::DecodeError;
use super::elements::{Elements, Kind};
use crate::wamp::message::{
    Abort, Authenticate, Call, Cancel, Challenge, Error, Event, EventReceived, Goodbye, Hello, Interrupt, Invocation,
    Publish, Published, Register, Registered, Result as Result_, Subscribe, Subscribed, Unregister, Unregistered,
    Unsubscribe, Unsubscribed, Welcome, Yield,
};
use crate::wamp::{
    Dict, Message, MessageType, Payload, PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId, Uri,
};
use smallvec::{SmallVec, smallvec};

/// Takes the elements of a message one after the other.
struct Fields<'e, 'a> {
    elements: &'e Elements<'a>,
    name: &'static str,
    next: usize,
}

impl Fields<'_, '_> {
    fn error(&self, field: &str, wanted: &str, found: Option<Kind>) -> DecodeError {
        let name = self.name;
        match found {
            None => DecodeError::new(format!("{name}.{field} is missing")),
            Some(kind) => DecodeError::new(format!("{name}.{field} must be {wanted}, not a {}", kind.name())),
        }
    }

    fn take(&mut self) -> Option<super::elements::Element> {
        let element = self.elements.list.get(self.next).copied();
        self.next += 1;
        element
    }

    fn id<T>(&mut self, field: &str, make: fn(u64) -> Option<T>) -> Result<T, DecodeError> {
        let element = self.take();
        let value = match element.map(|element| (element, element.kind)) {
            Some((_, Kind::Uint(value))) => Some(value),
            Some((element, Kind::Float)) => self.elements.whole(element),
            _ => None,
        };
        let Some(value) = value else {
            return Err(self.error(field, "an id", element.map(|element| element.kind)));
        };
        let name = self.name;
        make(value).ok_or_else(|| DecodeError::new(format!("{name}.{field} is {value}, not an id from 1 to 2^53")))
    }

    fn request(&mut self) -> Result<RequestId, DecodeError> {
        self.id("Request", RequestId::new)
    }

    fn dict(&mut self, field: &str) -> Result<Dict, DecodeError> {
        match self.take() {
            Some(element) if element.kind == Kind::Dict => self.elements.dict(element, self.name, field),
            other => Err(self.error(field, "a dict", other.map(|element| element.kind))),
        }
    }

    fn text(&mut self, field: &str) -> Result<Box<str>, DecodeError> {
        match self.take() {
            Some(element) if element.kind == Kind::Str => Ok(self.elements.text(element)?.into()),
            other => Err(self.error(field, "a string", other.map(|element| element.kind))),
        }
    }

    fn uri(&mut self, field: &str) -> Result<Uri, DecodeError> {
        match self.take() {
            Some(element) if element.kind == Kind::Str => Ok(Uri::from(&*self.elements.text(element)?)),
            other => Err(self.error(field, "a string", other.map(|element| element.kind))),
        }
    }

    /// The realm of a HELLO. As Crossbar.io has it, a client may leave it to the router, and name none.
    fn realm(&mut self) -> Result<Uri, DecodeError> {
        let left = self.elements.list.get(self.next).is_some_and(|element| element.kind == Kind::Null);
        if left {
            self.next += 1;
            return Ok(Uri::from(""));
        }
        self.uri("Realm")
    }

    fn payload(&mut self, transparent: bool) -> Result<Payload, DecodeError> {
        let payload = self.elements.payload(self.next, self.name, transparent)?;
        self.next = self.elements.list.len();
        Ok(payload.map_or(Payload::NONE, Payload::new))
    }

    /// The details of a revocation, which answers no request.
    fn revocation(&mut self, request: RequestId) -> Result<Option<Dict>, DecodeError> {
        let there = self.next < self.elements.list.len();
        if there || request.get() == 0 { self.dict("Details").map(Some) } else { Ok(None) }
    }
}

/// Makes a message of its elements.
pub(super) fn message(elements: &Elements<'_>) -> Result<Message, DecodeError> {
    let Some(first) = elements.list.first() else { return Err(DecodeError::new("the message is an empty list")) };
    let Kind::Uint(code) = first.kind else {
        let kind = first.kind.name();
        return Err(DecodeError::new(format!("the type of a message must be a non-negative integer, not a {kind}")));
    };
    let message_type =
        MessageType::from_code(code).ok_or_else(|| DecodeError::new(format!("unknown message type {code}")))?;
    let mut fields = Fields { elements, name: message_type.name(), next: 1 };
    let message = match message_type.code() {
        0..16 => session_message(message_type, &mut fields)?,
        _ => routed_message(message_type, &mut fields)?,
    };
    if fields.next < elements.list.len() {
        return Err(DecodeError::new(format!("{} has too many elements", fields.name)));
    }
    Ok(message)
}

fn session_message(message_type: MessageType, f: &mut Fields<'_, '_>) -> Result<Message, DecodeError> {
    Ok(match message_type {
        MessageType::Hello => Hello { realm: f.realm()?, details: f.dict("Details")? }.into(),
        MessageType::Welcome => {
            Welcome { session: f.id("Session", SessionId::new)?, details: f.dict("Details")? }.into()
        }
        MessageType::Abort => {
            Abort { details: f.dict("Details")?, reason: f.uri("Reason")?, payload: f.payload(false)? }.into()
        }
        MessageType::Challenge => Challenge { method: f.text("AuthMethod")?, extra: f.dict("Extra")? }.into(),
        MessageType::Authenticate => Authenticate { signature: f.text("Signature")?, extra: f.dict("Extra")? }.into(),
        MessageType::Goodbye => Goodbye { details: f.dict("Details")?, reason: f.uri("Reason")? }.into(),
        _ => {
            let request_type = f.id("REQUEST.Type", MessageType::from_code)?;
            Error {
                request_type,
                request: f.id("REQUEST.Request", RequestId::new)?,
                details: f.dict("Details")?,
                error: f.uri("Error")?,
                payload: f.payload(true)?,
            }
            .into()
        }
    })
}

fn routed_message(message_type: MessageType, f: &mut Fields<'_, '_>) -> Result<Message, DecodeError> {
    if message_type == MessageType::EventReceived {
        return Ok(EventReceived { publication: f.id("Publication", PublicationId::new)? }.into());
    }
    // Only a revocation, which a router sends, has the request id 0.
    let revocable = |value| if value == 0 { Some(RequestId::from_raw(0)) } else { RequestId::new(value) };
    let request = match message_type {
        MessageType::Unsubscribed | MessageType::Unregistered => f.id("Request", revocable)?,
        MessageType::Event => {
            return Ok(Event {
                subscription: f.id("Subscription", SubscriptionId::new)?,
                publication: f.id("Publication", PublicationId::new)?,
                details: f.dict("Details")?,
                payload: f.payload(true)?,
            }
            .into());
        }
        _ => f.request()?,
    };
    Ok(match message_type {
        MessageType::Publish => {
            Publish { request, options: f.dict("Options")?, topic: f.uri("Topic")?, payload: f.payload(true)? }.into()
        }
        MessageType::Published => Published { request, publication: f.id("Publication", PublicationId::new)? }.into(),
        MessageType::Subscribe => Subscribe { request, options: f.dict("Options")?, topic: f.uri("Topic")? }.into(),
        MessageType::Subscribed => {
            Subscribed { request, subscription: f.id("Subscription", SubscriptionId::new)? }.into()
        }
        MessageType::Unsubscribe => {
            Unsubscribe { request, subscription: f.id("Subscription", SubscriptionId::new)? }.into()
        }
        MessageType::Unsubscribed => Unsubscribed { request, details: f.revocation(request)? }.into(),
        MessageType::Call => {
            let (options, procedure) = (f.dict("Options")?, f.uri("Procedure")?);
            Call { request, options, procedure, payload: f.payload(true)? }.into()
        }
        MessageType::Cancel => Cancel { request, options: f.dict("Options")? }.into(),
        MessageType::Result => Result_ { request, details: f.dict("Details")?, payload: f.payload(true)? }.into(),
        MessageType::Register => {
            Register { request, options: f.dict("Options")?, procedure: f.uri("Procedure")? }.into()
        }
        MessageType::Registered => {
            Registered { request, registration: f.id("Registration", RegistrationId::new)? }.into()
        }
        MessageType::Unregister => {
            Unregister { request, registration: f.id("Registration", RegistrationId::new)? }.into()
        }
        MessageType::Unregistered => Unregistered { request, details: f.revocation(request)? }.into(),
        MessageType::Invocation => Invocation {
            request,
            registration: f.id("Registration", RegistrationId::new)?,
            details: f.dict("Details")?,
            payload: f.payload(true)?,
        }
        .into(),
        MessageType::Interrupt => Interrupt { request, options: f.dict("Options")? }.into(),
        _ => Yield { request, options: f.dict("Options")?, payload: f.payload(true)? }.into(),
    })
}

/// An element to write.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item<'m> {
    Uint(u64),
    Str(&'m str),
    Dict(&'m Dict),
}

/// The elements of a message up to its payload.
pub(super) fn items(message: &Message) -> SmallVec<[Item<'_>; 6]> {
    use Item::{Dict as D, Str as S, Uint as U};
    let code = U(u64::from(message.message_type().code()));
    let revocable = |request: RequestId, details| {
        let mut items: SmallVec<[Item<'_>; 6]> = smallvec![code, U(request.get())];
        items.extend(Option::map(details, D));
        items
    };
    match message {
        Message::Hello(m) => smallvec![code, S(&m.realm), D(&m.details)],
        Message::Welcome(m) => smallvec![code, U(m.session.get()), D(&m.details)],
        Message::Abort(m) => smallvec![code, D(&m.details), S(&m.reason)],
        Message::Challenge(m) => smallvec![code, S(&m.method), D(&m.extra)],
        Message::Authenticate(m) => smallvec![code, S(&m.signature), D(&m.extra)],
        Message::Goodbye(m) => smallvec![code, D(&m.details), S(&m.reason)],
        Message::Error(m) => {
            let request_type = U(u64::from(m.request_type.code()));
            smallvec![code, request_type, U(m.request.get()), D(&m.details), S(&m.error)]
        }
        Message::Publish(m) => smallvec![code, U(m.request.get()), D(&m.options), S(&m.topic)],
        Message::Published(m) => smallvec![code, U(m.request.get()), U(m.publication.get())],
        Message::Subscribe(m) => smallvec![code, U(m.request.get()), D(&m.options), S(&m.topic)],
        Message::Subscribed(m) => smallvec![code, U(m.request.get()), U(m.subscription.get())],
        Message::Unsubscribe(m) => smallvec![code, U(m.request.get()), U(m.subscription.get())],
        Message::Unsubscribed(m) => revocable(m.request, m.details.as_ref()),
        Message::Event(m) => smallvec![code, U(m.subscription.get()), U(m.publication.get()), D(&m.details)],
        Message::EventReceived(m) => smallvec![code, U(m.publication.get())],
        Message::Call(m) => smallvec![code, U(m.request.get()), D(&m.options), S(&m.procedure)],
        Message::Cancel(m) => smallvec![code, U(m.request.get()), D(&m.options)],
        Message::Result(m) => smallvec![code, U(m.request.get()), D(&m.details)],
        Message::Register(m) => smallvec![code, U(m.request.get()), D(&m.options), S(&m.procedure)],
        Message::Registered(m) => smallvec![code, U(m.request.get()), U(m.registration.get())],
        Message::Unregister(m) => smallvec![code, U(m.request.get()), U(m.registration.get())],
        Message::Unregistered(m) => revocable(m.request, m.details.as_ref()),
        Message::Invocation(m) => smallvec![code, U(m.request.get()), U(m.registration.get()), D(&m.details)],
        Message::Interrupt(m) => smallvec![code, U(m.request.get()), D(&m.options)],
        Message::Yield(m) => smallvec![code, U(m.request.get()), D(&m.options)],
    }
}
