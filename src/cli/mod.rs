//! The command line program.

pub mod args;
mod banner;
mod run;

pub use run::main;
