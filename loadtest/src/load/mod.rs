//! What is done to a router, and the accounts of it.

pub(crate) mod calling;
pub(crate) mod calls;
pub(crate) mod churn;
pub(crate) mod connect;
pub(crate) mod crew;
pub(crate) mod crowd;
pub(crate) mod drive;
pub(crate) mod events;
pub(crate) mod ledger;
pub(crate) mod loads;
pub(crate) mod mixed;
pub(crate) mod plan;
pub(crate) mod scenario;
pub(crate) mod sequence;
pub(crate) mod slow;
pub(crate) mod stamp;
pub(crate) mod storm;
pub(crate) mod worker;
