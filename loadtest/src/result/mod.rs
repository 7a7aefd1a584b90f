//! What came of it: figures, and how they are shown.

pub(crate) mod compare;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod latency;
pub(crate) mod outcome;
pub(crate) mod output;
pub(crate) mod plot;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod units;
