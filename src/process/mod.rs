//! Guests: programs that run beside the router, and are looked after by it.
//!
//! Between the router and each guest stands a *guardian*: this same program, started for one run of one guest. It is
//! the parent of the guest, takes in whatever the guest's own children leave behind, and is bound to the router by a
//! socket. When the guest has ended, or the router says so, or the socket is at its end because the router is no more,
//! the guardian ends every process that comes from the guest, and then itself. So nothing is left behind even by a
//! router that is killed, and nothing here needs unsafe code: what has to happen between the birth of a process and
//! the guest's own program happens in a program, too (`entry`).

pub mod app;
pub mod component;
mod descent;
mod entry;
mod guardian;
mod guests;
pub mod host;
mod needs;
mod order;
mod orphans;
mod output;
mod policy;
mod program;
mod python;
mod ready;
mod run;
mod runner;
mod status;
mod tail;
mod watch;

pub use guests::{Guests, Roster};
pub use needs::lacks;
pub use program::{find, is_there};
pub use ready::Lookout;
pub use status::{End, GuestState, GuestStatus};
pub use tail::{Line, Tail};
