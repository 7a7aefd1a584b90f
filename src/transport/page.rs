//! Pages about the router.

use crate::shard::Vitals;
use crate::web::request::OWN_POLICY;
use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const WELCOME: &str = include_str!("welcome.html");
const NODE_INFO: &str = include_str!("nodeinfo.html");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The client for scripts, a module.
pub(super) const CLIENT: &str = include_str!("../../clients/js/corebar.js");

/// What the page where WebSocket is served is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    /// The realm that it tries; empty if there is none.
    pub(super) realm: &'a str,
    /// The path of the client for scripts. None: the page only tells, and does nothing.
    pub(super) module: Option<&'a str>,
    /// The path of the dashboard, if there is one.
    pub(super) dashboard: Option<&'a str>,
}

/// The page that a browser gets where WebSocket is served.
pub(super) fn welcome(known: Known<'_>) -> String {
    WELCOME
        .replace("{version}", VERSION)
        .replace("{module}", known.module.unwrap_or_default())
        .replace("{dashboard}", known.dashboard.unwrap_or_default())
        // The last: it may hold anything.
        .replace("{realm}", &escaped(known.realm))
}

/// A text as it may stand in an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What that page may do: besides what others of our own may, it runs its own script; with the client it loads that from its
/// own server and connects there.
pub(super) fn welcome_policy(known: Known<'_>) -> String {
    static HASH: LazyLock<String> = LazyLock::new(|| {
        let script = WELCOME.split_once("<script type=\"module\">").and_then(|(_, rest)| rest.split_once("</script>"));
        BASE64.encode(&Sha256::digest(script.map_or("", |(script, _)| script)))
    });
    let client = if known.module.is_some() { " 'self'; connect-src 'self'" } else { "" };
    format!("{OWN_POLICY}; img-src data:; script-src 'sha256-{}'{client}", *HASH)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_of_the_page_is_the_one_that_may_run() {
        let known = Known { realm: "a\"><script>", module: Some("/corebar.js"), dashboard: Some("/dashboard") };
        let page = welcome(known);
        let (_, rest) = page.split_once("<script type=\"module\">").expect("a script");
        let (script, _) = rest.split_once("</script>").expect("its end");
        let hash = BASE64.encode(&Sha256::digest(script));
        let allowed = format!("; script-src 'sha256-{hash}'");
        assert!(welcome_policy(known).ends_with(&format!("{allowed} 'self'; connect-src 'self'")), "nothing is put into it");
        assert!(page.contains("data-realm=\"a&quot;&gt;&lt;script&gt;\" data-module=\"/corebar.js\" data-dashboard=\"/dashboard\""));
        assert!(!["{realm}", "{module}", "{version}", "{dashboard}"].iter().any(|name| page.contains(name)));
        let bare = Known { realm: "", module: None, dashboard: None };
        assert!(welcome_policy(bare).ends_with(&allowed));
        assert!(welcome(bare).contains("data-realm=\"\" data-module=\"\" data-dashboard=\"\""));
    }
}
