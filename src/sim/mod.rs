//! The simulator: real shards, queues between them and clients, driven by one seed through one of the orders in which
//! things can happen; and an auditor that checks what the router promises (`docs/ordering.md`).
//!
//! Equal seeds give equal runs. A run that breaks a promise names it, with the seed that shows it again.

mod advanced;
mod auditor;
mod client;
mod content;
mod disk;
mod setting;
mod world;

pub use auditor::Breach;
pub use world::{Outcome, Scenario, run};
