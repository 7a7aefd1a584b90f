//! Files for browsers: which one a request means, what of it is sent, and reading it on threads of their own.

pub mod archive;
pub mod bridge;
pub mod conditions;
pub mod content;
pub mod dashboard;
pub mod date;
pub mod events;
mod files;
mod listing;
pub mod mime;
mod open;
pub mod piece;
pub mod pool;
mod python;
mod query;
pub mod repeats;
pub mod request;

pub use content::{Content, WebError};
pub use piece::{Piece, Rest};
pub use pool::{Pool, Reader};
pub use repeats::Repeats;
pub use request::Request;
