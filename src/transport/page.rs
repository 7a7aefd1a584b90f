//! Pages about the router.

use crate::shard::Vitals;

const WELCOME: &str = include_str!("welcome.html");
const NODE_INFO: &str = include_str!("nodeinfo.html");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The page that a browser gets where WebSocket is served.
pub(super) fn welcome() -> String {
    WELCOME.replace("{version}", VERSION)
}

/// The page that says what the node is. It names nothing that clients should not know.
pub(super) fn node_info(vitals: &Vitals, shards: u16, connections: usize) -> String {
    let uptime = vitals.uptime().as_secs();
    let (days, hours, minutes) = (uptime / 86_400, uptime / 3600 % 24, uptime / 60 % 60);
    NODE_INFO
        .replace("{version}", VERSION)
        .replace("{process}", &std::process::id().to_string())
        .replace("{shards}", &shards.to_string())
        .replace("{connections}", &connections.to_string())
        .replace("{uptime}", &format!("{days} d {hours} h {minutes} min {} s", uptime % 60))
}
