//! Pages about the router.

use crate::shard::Vitals;
use crate::web::request::OWN_POLICY;
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const WELCOME: &str = include_str!("welcome.html");
const NODE_INFO: &str = include_str!("nodeinfo.html");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The page that a browser gets where WebSocket is served.
pub(super) fn welcome() -> String {
    WELCOME.replace("{version}", VERSION)
}

/// What that page may do: besides what others of our own may, it runs its own script.
pub(super) fn welcome_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let script = WELCOME.split_once("<script>").and_then(|(_, rest)| rest.split_once("</script>"));
        let hash = BASE64.encode(&Sha256::digest(script.map_or("", |(script, _)| script)));
        format!("{OWN_POLICY}; script-src 'sha256-{hash}'")
    });
    &POLICY
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
