//! Applications of WSGI, which run in processes of their own and are served at paths.

use std::path::PathBuf;

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppConfig {
    /// The id of its process: what it is, and where it is served.
    pub id: Box<str>,
    /// The module that it is in.
    pub module: Box<str>,
    /// Its name there.
    pub object: Box<str>,
    /// How many requests it answers at the same time.
    pub threads: usize,
    /// The path that it is served at, without a slash at its end.
    pub base: Box<str>,
    /// Where its process serves it.
    pub socket: PathBuf,
    /// The interpreter.
    pub python: PathBuf,
    /// Where modules are looked for first, behind the node directory.
    pub pythonpath: Vec<PathBuf>,
    /// The node directory, in which it runs.
    pub directory: PathBuf,
}

impl AppConfig {
    /// How many requests it answers at the same time if nothing is said.
    pub const THREADS: usize = 20;
}
