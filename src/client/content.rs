//! What events, calls and results carry, as types of the application.

use super::error::RequestError;
use crate::wamp::link::FORWARD_FOR;
use crate::wamp::trace::{TRACEPARENT, TRACESTATE, TraceContext};
use crate::wamp::typed::TypeError;
use crate::wamp::{Dict, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The argument at a place, counted from 0. What is not there is null, which an `Option` can be read from.
pub(super) fn arg<T: DeserializeOwned>(args: &[Value], at: usize) -> Result<T, TypeError> {
    let value = args.get(at).cloned();
    let absent = value.is_none();
    value.unwrap_or(Value::Null).to().map_err(|why| match absent {
        true => TypeError(format!("argument {} is missing", at + 1).into()),
        false => TypeError(format!("argument {}: {why}", at + 1).into()),
    })
}

/// The argument of a name.
pub(super) fn kwarg<T: DeserializeOwned>(kwargs: &Dict, name: &str) -> Result<T, TypeError> {
    let value = kwargs.get(name).cloned();
    let absent = value.is_none();
    value.unwrap_or(Value::Null).to().map_err(|why| match absent {
        true => TypeError(format!("argument '{name}' is missing").into()),
        false => TypeError(format!("argument '{name}': {why}").into()),
    })
}

/// For whom a message has been passed on, as its details say.
pub(super) fn whom(details: &Dict) -> &[Value] {
    match details.get(FORWARD_FOR) {
        Some(Value::List(whom)) => whom,
        _ => &[],
    }
}

/// Gives a type with `args` and `kwargs` ways to read them.
macro_rules! readable {
    ($type:ty) => {
        impl $type {
            /// The argument at a place, counted from 0, as a type of the application. What is not there is null, which an
            /// `Option` can be read from.
            ///
            /// # Errors
            /// It does not fit.
            pub fn arg<T: serde::de::DeserializeOwned>(&self, at: usize) -> Result<T, crate::wamp::typed::TypeError> {
                super::content::arg(&self.args, at)
            }

            /// The argument of a name, as a type of the application. What is not there is null.
            ///
            /// # Errors
            /// It does not fit.
            pub fn kwarg<T: serde::de::DeserializeOwned>(
                &self,
                name: &str,
            ) -> Result<T, crate::wamp::typed::TypeError> {
                super::content::kwarg(&self.kwargs, name)
            }
        }
    };
}
pub(super) use readable;

/// What is about to be said: arguments, and options of the message.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) args: Vec<Value>,
    pub(super) kwargs: Dict,
    pub(super) options: Dict,
    /// The first type that cannot be said.
    wrong: Option<TypeError>,
}

impl Content {
    pub(super) fn arg<T: Serialize + ?Sized>(&mut self, value: &T) {
        match Value::of(value) {
            Ok(value) => self.args.push(value),
            Err(why) => {
                self.wrong.get_or_insert(why);
            }
        }
    }

    pub(super) fn kwarg<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        match Value::of(value) {
            Ok(value) => set(&mut self.kwargs, name, value),
            Err(why) => {
                self.wrong.get_or_insert(why);
            }
        }
    }

    /// All arguments by name at once, from a struct or a map.
    pub(super) fn kwargs<T: Serialize + ?Sized>(&mut self, value: &T) {
        match Value::of(value) {
            Ok(Value::Dict(all)) => all.into_iter().for_each(|(name, value)| set(&mut self.kwargs, &name, value)),
            Ok(other) => {
                let why = format!("arguments by name are a struct or a map, not a {}", other.kind());
                self.wrong.get_or_insert(TypeError(why.into()));
            }
            Err(why) => {
                self.wrong.get_or_insert(why);
            }
        }
    }

    pub(super) fn option(&mut self, name: &str, value: impl Into<Value>) {
        set(&mut self.options, name, value.into());
    }

    pub(super) fn trace(&mut self, context: TraceContext, state: Option<&str>) {
        self.options.remove(TRACEPARENT);
        self.options.remove(TRACESTATE);
        context.write(state, &mut self.options);
    }

    pub(super) fn take(self) -> Result<(Vec<Value>, Dict, Dict), RequestError> {
        match self.wrong {
            Some(why) => Err(why.into()),
            None => Ok((self.args, self.kwargs, self.options)),
        }
    }
}

fn set(dict: &mut Dict, name: &str, value: Value) {
    dict.remove(name);
    dict.push(name, value);
}

/// Gives a builder with `content` the ways to fill it.
macro_rules! speakable {
    ($type:ty, $options:literal) => {
        impl $type {
            /// One more argument, of any type that can be serialized.
            pub fn arg(mut self, value: impl serde::Serialize) -> Self {
                self.content.arg(&value);
                self
            }

            /// An argument by name.
            pub fn kwarg(mut self, name: &str, value: impl serde::Serialize) -> Self {
                self.content.kwarg(name, &value);
                self
            }

            /// Arguments by name, from a struct or a map.
            pub fn kwargs(mut self, all: impl serde::Serialize) -> Self {
                self.content.kwargs(&all);
                self
            }

            #[doc = concat!("An attribute of `", $options, "`.")]
            pub fn option(mut self, name: &str, value: impl Into<crate::wamp::Value>) -> Self {
                self.content.option(name, value);
                self
            }

            /// Has it belong to a trace, caused by this span, with this `tracestate`. A router that traces puts a span of its
            /// own below, and tells the other side; others ignore it.
            pub fn trace(mut self, context: crate::wamp::TraceContext, state: Option<&str>) -> Self {
                self.content.trace(context, state);
                self
            }
        }
    };
}
pub(super) use speakable;

/// Gives a type with `details` the way to read its trace.
macro_rules! traced {
    ($type:ty) => {
        impl $type {
            /// The trace it belongs to, with its cause in it, and the `tracestate`; if the router says so.
            #[must_use]
            pub fn trace(&self) -> Option<(crate::wamp::TraceContext, Option<&str>)> {
                crate::wamp::TraceContext::read(&self.details)
            }
        }
    };
}
pub(super) use traced;
