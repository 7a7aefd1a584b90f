//! The log of a node.

use std::path::PathBuf;

/// What is logged, and where it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// Which levels, also by module, such as `warn,corebar::transport=debug`. None: `info`.
    pub level: Option<String>,
    /// Lines of JSON, not for people.
    pub json: bool,
    /// What a line for people begins with: the time and the level (`standard`), the level (`syslogd`: whoever takes the
    /// lines knows the time) or nothing (`none`). None: `standard`.
    pub format: Option<String>,
    /// Whether lines for people have colours: `true`, `false`, or `auto`, where they go to a terminal. None: `auto`.
    pub color: Option<String>,
    /// The file to which it is added; none: standard error. It is opened again at SIGUSR1.
    pub file: Option<PathBuf>,
}

impl LogConfig {
    /// What `format` may be.
    pub const FORMATS: [&str; 3] = ["standard", "syslogd", "none"];
    /// What `color` may be.
    pub const COLORS: [&str; 3] = ["auto", "true", "false"];
}
