//! The command line program.

pub mod args;
mod banner;
mod directory;
mod exit;
mod files;
mod keys;
mod remote;
mod run;
mod service;

pub use run::main;
