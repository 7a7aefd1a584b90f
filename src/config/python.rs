//! The interpreter of programs in Python.

use super::guest::Inherit;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// By what, where and with what a program in Python is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// Its program, found as the program of a guest is.
    pub program: PathBuf,
    /// Where modules are looked for; absolute.
    pub pythonpath: Vec<PathBuf>,
    /// The node directory, in which it runs.
    pub directory: PathBuf,
    /// Variables that it gets from the router's own environment.
    pub inherit: Inherit,
    /// Variables of its own; they win.
    pub vars: BTreeMap<String, String>,
}

impl Default for Interpreter {
    /// `python3` where the router runs, with its variables.
    fn default() -> Interpreter {
        Interpreter {
            program: "python3".into(),
            pythonpath: Vec::new(),
            directory: ".".into(),
            inherit: Inherit::default(),
            vars: BTreeMap::new(),
        }
    }
}
