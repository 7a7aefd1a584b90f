//! The runtime of a shard: its thread, its place in the mesh, its bell. Nothing here knows what a connection is.

pub mod command;
pub mod crowd;
pub mod mesh;
pub mod placement;
pub mod report;
pub mod thread;
pub mod vitals;
pub mod wake;

pub use command::{Command, Done, Socket, Visitor};
pub use crowd::{Crowd, Crowded, Ticket};
pub use mesh::{Mesh, Port};
pub use placement::{Loads, Placement};
pub use report::{Inquirer, Meter, Report, SessionPage, SessionQuery, SessionReport, Tally, Way};
pub use thread::{Door, Seat};
pub use vitals::Vitals;
