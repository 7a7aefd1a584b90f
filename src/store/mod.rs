//! The histories of realms on disk: a log behind what the homes keep in memory.
//!
//! Shards hand their records to one writer thread, the [`Journal`], which writes all that waits in one transaction and
//! then tells each shard how far it is. A [`File`] is read once, when the router starts.

pub mod entry;
pub mod file;
pub mod journal;

pub use file::{File, StoreError};
pub use journal::{Files, Journal, Progress, Writer};
