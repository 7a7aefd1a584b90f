//! Applications in Python, which run in processes of their own and are served at paths.

use super::python::Interpreter;
use serde_json::Value;
use std::path::PathBuf;

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppConfig {
    /// The id of its process: what it is, and where it is served.
    pub id: Box<str>,
    /// What is run.
    pub program: AppProgram,
    /// The path that it is served at, without a slash at its end.
    pub base: Box<str>,
    /// Where its process serves it.
    pub socket: PathBuf,
    /// By what it is run.
    pub interpreter: Interpreter,
}

/// What an application is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppProgram {
    /// An object of WSGI (PEP 3333).
    Wsgi {
        /// The module that it is in.
        module: Box<str>,
        /// Its name there.
        object: Box<str>,
        /// How many requests it answers at the same time.
        threads: usize,
    },
    /// A resource of `twisted.web`.
    Resource {
        /// Its class, as `module.Class`.
        class: Box<str>,
        /// What the class is called with.
        extra: Value,
    },
}

impl AppConfig {
    /// How many requests an application of WSGI answers at the same time if nothing is said.
    pub const THREADS: usize = 20;
}
