//! What concerns one session alone: how it opens, who it is, what it may ask for, and which request ids it may use.

pub mod admission;
pub mod audience;
pub mod census;
pub mod features;
pub mod identity;
pub mod options;
pub mod realm;
pub mod requests;
pub mod role;
pub mod storage;

pub use admission::{Admission, Refusal};
pub use audience::Audience;
pub use census::Census;
pub use identity::Identity;
pub use realm::{Disclosure, Pages, RealmConfig, RealmIndex, TrustRule};
pub use requests::RequestIds;
pub use role::{Access, Permission, RoleConfig};
pub use storage::{HistoryRule, HistoryStore, RetainedLimits};
