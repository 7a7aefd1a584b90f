//! What handlers can have as parameters.

use super::content::traced;
use super::error::CallError;
use super::handler::{Progress, States};
use super::registration::Invocation;
use super::session::Session;
use super::subscription::Event;
use crate::wamp::id::{PublicationId, SessionId};
use crate::wamp::typed::TypeError;
use crate::wamp::{Dict, Uri, Value, error};
use serde::de::DeserializeOwned;
use std::ops::Deref;
use std::sync::Arc;

/// An event or a call on its way into a handler.
pub struct Incoming {
    session: Session,
    uri: Uri,
    args: std::vec::IntoIter<Value>,
    /// Arguments that have been taken.
    taken: usize,
    kwargs: Dict,
    details: Dict,
    publication: Option<PublicationId>,
    progress: Option<Progress>,
    states: Arc<States>,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("uri", &self.uri).field("details", &self.details).finish_non_exhaustive()
    }
}

impl Incoming {
    pub(super) fn event(session: Session, event: Event, states: Arc<States>) -> Incoming {
        let Event { topic: uri, publication, args, kwargs, details } = event;
        let (args, publication) = (args.into_iter(), Some(publication));
        Incoming { session, uri, args, taken: 0, kwargs, details, publication, progress: None, states }
    }

    pub(super) fn nothing(session: Session, states: Arc<States>) -> Incoming {
        let (uri, args, kwargs, details) = (Uri::from(""), Vec::new().into_iter(), Dict::new(), Dict::new());
        Incoming { session, uri, args, taken: 0, kwargs, details, publication: None, progress: None, states }
    }

    pub(super) fn call(
        session: Session,
        invocation: &mut Invocation,
        progress: Progress,
        states: Arc<States>,
    ) -> Incoming {
        let args = std::mem::take(&mut invocation.args).into_iter();
        let (kwargs, details) = (std::mem::take(&mut invocation.kwargs), invocation.details.clone());
        let (uri, progress) = (invocation.procedure.clone(), Some(progress));
        Incoming { session, uri, args, taken: 0, kwargs, details, publication: None, progress, states }
    }
}

/// What a handler can have as a parameter: the next argument, as any type that can be deserialized; all that follow
/// ([`Rest`]); those by name ([`Named`]); what handlers share ([`Shared`]); the [`Session`]; the [`Origin`]; and where
/// a procedure gives results on the way, [`Progress`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a handler",
    note = "parameters are owned (`String`, not `&str`) and implement `serde::de::DeserializeOwned`, or are one of `Named`, `Rest`, \
            `Shared`, `Session`, `Origin`, `Progress`"
)]
pub trait Parameter: Sized + Send {
    /// Takes it.
    ///
    /// # Errors
    /// It is not there, or does not fit.
    fn take(from: &mut Incoming) -> Result<Self, CallError>;
}

impl<T: DeserializeOwned + Send> Parameter for T {
    fn take(from: &mut Incoming) -> Result<T, CallError> {
        from.taken += 1;
        let value = from.args.next();
        let absent = value.is_none();
        value.unwrap_or(Value::Null).to().map_err(|TypeError(why)| match absent {
            true => TypeError(format!("argument {} is missing", from.taken).into()).into(),
            false => TypeError(format!("argument {}: {why}", from.taken).into()).into(),
        })
    }
}

/// All arguments that follow.
#[derive(Clone, Debug, PartialEq)]
pub struct Rest<T = Value>(pub Vec<T>);

impl<T: DeserializeOwned + Send> Parameter for Rest<T> {
    fn take(from: &mut Incoming) -> Result<Rest<T>, CallError> {
        let mut rest = Vec::with_capacity(from.args.len());
        while from.args.len() > 0 {
            rest.push(T::take(from)?);
        }
        Ok(Rest(rest))
    }
}

/// The arguments by name, as a struct or a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T = Dict>(pub T);

impl<T: DeserializeOwned + Send> Parameter for Named<T> {
    fn take(from: &mut Incoming) -> Result<Named<T>, CallError> {
        let all = Value::Dict(std::mem::take(&mut from.kwargs));
        Ok(Named(all.to().map_err(|TypeError(why)| TypeError(format!("arguments by name: {why}").into()))?))
    }
}

/// What handlers share; see [`App::share`](super::App::share).
#[derive(Debug)]
pub struct Shared<S>(pub Arc<S>);

impl<S> Deref for Shared<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

impl<S: Send + Sync + 'static> Parameter for Shared<S> {
    fn take(from: &mut Incoming) -> Result<Shared<S>, CallError> {
        from.states.get().map(Shared).ok_or_else(|| {
            let why = format!("the application shares no {}", std::any::type_name::<S>());
            CallError::new(error::INTERNAL_ERROR, why)
        })
    }
}

impl Parameter for Session {
    fn take(from: &mut Incoming) -> Result<Session, CallError> {
        Ok(from.session.clone())
    }
}

impl Parameter for Progress {
    fn take(from: &mut Incoming) -> Result<Progress, CallError> {
        from.progress.clone().ok_or_else(|| CallError::new(error::INTERNAL_ERROR, "events have no results"))
    }
}

/// Where an event or a call comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The topic or procedure.
    pub uri: Uri,
    /// The publication, if it is an event.
    pub publication: Option<PublicationId>,
    /// `EVENT.Details` or `INVOCATION.Details`.
    pub details: Dict,
}

traced!(Origin);

impl Origin {
    /// The session that publishes or calls, if that is disclosed.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        let key = if self.publication.is_some() { "publisher" } else { "caller" };
        self.details.uint(key).ok().flatten().and_then(SessionId::new)
    }

    /// Who publishes or calls, if that is disclosed.
    #[must_use]
    pub fn authid(&self) -> Option<&str> {
        let key = if self.publication.is_some() { "publisher_authid" } else { "caller_authid" };
        self.details.str(key).ok().flatten()
    }
}

impl Parameter for Origin {
    fn take(from: &mut Incoming) -> Result<Origin, CallError> {
        Ok(Origin { uri: from.uri.clone(), publication: from.publication, details: from.details.clone() })
    }
}
