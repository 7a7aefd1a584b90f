//! What concerns one session alone: how it opens, and which request ids it may use.

pub mod admission;
pub mod features;
pub mod realm;
pub mod requests;

pub use admission::{Admission, Refusal};
pub use realm::{RealmConfig, RealmIndex};
pub use requests::RequestIds;
