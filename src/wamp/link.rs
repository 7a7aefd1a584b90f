//! What routers that are linked say to each other beside the specification.

/// What a session announces as a subscriber that passes messages on to another router.
pub const FEATURE: &str = "_router_link";

/// In `WELCOME.Details` for such a session, which router and realm this is; in an entry of `forward_for`, where the message
/// has been before. A word that differs from router to router, from realm to realm, and after each start.
pub const ROUTER: &str = "_router";

/// Where a message has been is told by this option and detail.
pub const FORWARD_FOR: &str = "forward_for";
