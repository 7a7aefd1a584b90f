//! The log of a node.

use std::path::PathBuf;

/// What is logged, and where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// Which levels, also by module, such as `warn,corebar::transport=debug`. None: `info`.
    pub level: Option<String>,
    /// Lines of JSON, not for people.
    pub json: bool,
    /// The file to which it is added; none: standard error. It is opened again at SIGUSR1.
    pub file: Option<PathBuf>,
}
