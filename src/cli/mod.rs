//! The command line program.

pub mod args;
mod banner;
mod run;
mod service;

pub use run::main;
