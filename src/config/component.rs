//! Components: application sessions and functions in Python, which run in processes of their own beside the router.

use super::guest::{GuestError, RestartConfig};
use super::python::Interpreter;
use crate::wamp::Uri;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The role of a router component that may do everything, in realms that do not define it.
pub const TRUSTED: &str = "trusted";

/// A component.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentConfig {
    /// The id of its worker, a dot, and its own. No guest has the same.
    pub id: Box<str>,
    /// What is run.
    pub program: Program,
    /// The realm that it joins.
    pub realm: Uri,
    /// How it gets there.
    pub way: Way,
    /// `config.extra` of the session.
    pub extra: Map<String, Value>,
    /// By what it is run.
    pub interpreter: Interpreter,
    /// The cores on which it may run; none: all that the router may.
    pub cpu_affinity: Vec<usize>,
    /// What happens when it has ended.
    pub restart: RestartConfig,
    /// What it has in common with others of its worker.
    pub bond: Option<Bond>,
    /// It may manage the node: its `controller` is a session in the realm [`CONTROLLER`](crate::auth::reach::CONTROLLER).
    pub controller: bool,
    /// It gets what the components of its worker share, and is the only one.
    pub shared: bool,
}

/// What a component runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A class derived from autobahn's `ApplicationSession`, as `module.Class`.
    Class(Box<str>),
    /// A function that says who clients are, asked by a procedure that has the id of the component for its name.
    Authenticator {
        /// What makes it, as `module.function`.
        create: Box<str>,
        /// What that is called with.
        config: Value,
    },
    /// Functions by the event of the session at which they are called: `connect`, `join`, `leave`, `disconnect`.
    Functions(BTreeMap<Box<str>, Box<str>>),
}

/// How a component reaches its realm.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// Beside the router, with a role of the configuration.
    Router {
        /// The namespace of the realm.
        namespace: Box<str>,
        /// The role.
        role: Box<str>,
    },
    /// By a transport, as any client.
    Transport {
        /// The transport, checked, with absolute paths, in the words of the configuration file.
        transport: Value,
        /// How functions log in: methods with their arguments, as autobahn has them. Classes do so themselves.
        auth: Map<String, Value>,
    },
}

/// Programs that end together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bond {
    /// What they have in common.
    pub name: Box<str>,
    /// Whose end ends the others.
    pub breaks: Breaks,
}

/// Whose end ends the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaks {
    /// That of one that has failed.
    Failure,
    /// That of any.
    End,
}

impl ComponentConfig {
    /// A component that runs a program with the defaults.
    #[must_use]
    pub fn new(id: &str, program: Program, realm: &str, way: Way) -> ComponentConfig {
        ComponentConfig {
            id: id.into(),
            program,
            realm: realm.into(),
            way,
            extra: Map::new(),
            interpreter: Interpreter::default(),
            cpu_affinity: Vec::new(),
            restart: RestartConfig { crashes_max: 0, ..RestartConfig::default() },
            bond: None,
            controller: false,
            shared: false,
        }
    }

    /// Says what cannot work.
    ///
    /// # Errors
    /// The first thing found.
    pub fn check(&self) -> Result<(), GuestError> {
        let fault = |text: &str| Err(GuestError::Contradiction(self.id.clone(), text.into()));
        if self.id.is_empty() || self.id.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return fault("an id must not be empty, and hold no blanks and no control characters");
        }
        if self.interpreter.program.as_os_str().is_empty() {
            return fault("its interpreter has no name");
        }
        let nul = |text: &String| text.contains('\0');
        if self
            .interpreter
            .vars
            .iter()
            .any(|(name, value)| name.is_empty() || name.contains('=') || nul(name) || nul(value))
        {
            return fault("a variable has an empty name, one with `=`, or the character NUL");
        }
        Ok(())
    }
}
