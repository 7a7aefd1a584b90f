//! The node as a whole.

use super::log::LogConfig;

/// What a node is called, and when it ends by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its name; the machine's if there is none.
    pub id: Option<Box<str>>,
    /// When it ends by itself.
    pub shutdown_on: ShutdownOn,
    /// What it logs.
    pub log: LogConfig,
}

/// Ends of guests and of the hosts of components that end the node. A guest that is started again has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOn {
    /// Any of them.
    pub exit: bool,
    /// One that has failed.
    pub failure: bool,
    /// The last one.
    pub last_exit: bool,
}
