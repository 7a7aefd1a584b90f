//! The command line program.

pub mod args;
mod banner;
mod client;
mod config;
mod directory;
mod exit;
mod files;
mod handover;
mod init;
mod keys;
mod log;
mod manager;
mod office;
mod remote;
mod run;
mod service;
mod signals;

pub use run::main;
