//! The dashboard: a page that is a client of the realm in which the node is managed. Its files are part of the program.

use crate::config::web::DashboardConfig;
use crate::web::request::POLICY;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::LazyLock;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Where the page finds out to what it has to connect.
const CONFIG: &str = "config.json";

/// The files: name, type and text.
const FILES: &[(&str, &str, &str)] = &[
    ("index.html", HTML, include_str!("../dashboard/index.html")),
    ("style.css", STYLE, include_str!("../dashboard/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("../dashboard/icon.svg")),
    ("main.js", SCRIPT, include_str!("../dashboard/main.js")),
    ("dom.js", SCRIPT, include_str!("../dashboard/dom.js")),
    ("format.js", SCRIPT, include_str!("../dashboard/format.js")),
    ("chart.js", SCRIPT, include_str!("../dashboard/chart.js")),
    ("rates.js", SCRIPT, include_str!("../dashboard/rates.js")),
    ("login.js", SCRIPT, include_str!("../dashboard/login.js")),
    ("list.js", SCRIPT, include_str!("../dashboard/list.js")),
    ("overview.js", SCRIPT, include_str!("../dashboard/overview.js")),
    ("sessions.js", SCRIPT, include_str!("../dashboard/sessions.js")),
    ("subjects.js", SCRIPT, include_str!("../dashboard/subjects.js")),
    ("tail.js", SCRIPT, include_str!("../dashboard/tail.js")),
    ("call.js", SCRIPT, include_str!("../dashboard/call.js")),
    ("processes.js", SCRIPT, include_str!("../dashboard/processes.js")),
    ("node.js", SCRIPT, include_str!("../dashboard/node.js")),
    ("corebar.js", SCRIPT, include_str!("../../clients/js/corebar.js")),
];

/// What the page may: load its own files, and connect to where it comes from. No text becomes a script or markup.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Its type.
    pub kind: &'static str,
    /// What stands in it.
    pub text: Cow<'static, str>,
    /// Its `ETag`.
    tag: String,
}

impl Asset {
    fn new(kind: &'static str, text: Cow<'static, str>) -> Asset {
        let digest = Sha256::digest(text.as_bytes());
        let tag = format!("\"{}\"", BASE64URL_NOPAD.encode(&digest[..16]));
        Asset { kind, text, tag }
    }

    /// True if `If-None-Match` names it.
    #[must_use]
    pub fn is_one_of(&self, tags: &str) -> bool {
        tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag)
    }

    /// Headers of the response, but for type and length.
    #[must_use]
    pub fn headers(&self) -> [(&str, &str); 6] {
        [
            ("Cache-Control", "no-cache"),
            ("ETag", &self.tag),
            (POLICY, PAGE_POLICY),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ]
    }
}

/// The dashboard at a path.
#[derive(Debug)]
pub struct Dashboard {
    config: Asset,
}

impl Dashboard {
    /// A dashboard that is told where its realm is.
    #[must_use]
    pub fn new(config: &DashboardConfig) -> Dashboard {
        let told = json!({"realm": config.realm, "websocket": config.websocket, "methods": config.methods});
        Dashboard { config: Asset::new("application/json", told.to_string().into()) }
    }

    /// The file of this name, below the path of the dashboard.
    #[must_use]
    pub fn find<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Option<&Asset> {
        static ASSETS: LazyLock<Vec<Asset>> =
            LazyLock::new(|| FILES.iter().map(|(_, kind, text)| Asset::new(kind, Cow::Borrowed(*text))).collect());
        let name = names.next().filter(|name| !name.is_empty()).unwrap_or("index.html");
        if names.next().is_some() {
            return None;
        }
        if name == CONFIG {
            return Some(&self.config);
        }
        FILES.iter().position(|(known, ..)| *known == name).map(|at| &ASSETS[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_name() {
        let config = DashboardConfig { realm: "manage".into(), websocket: Some("/ws".into()), methods: Vec::new() };
        let dashboard = Dashboard::new(&config);
        let find = |names: &[&'static str]| dashboard.find(names.iter().copied()).map(|asset| asset.kind);
        assert_eq!(find(&[]), Some(HTML));
        assert_eq!(find(&[""]), Some(HTML));
        assert_eq!(find(&["main.js"]), Some(SCRIPT));
        assert_eq!(find(&["config.json"]), Some("application/json"));
        assert_eq!((find(&["nothing.js"]), find(&["a", "main.js"])), (None, None));
        let asset = dashboard.find(["main.js"].into_iter()).expect("it is there");
        let tag = asset.headers()[1].1;
        assert!(asset.is_one_of(tag) && asset.is_one_of(&format!("\"x\", W/{tag}")) && !asset.is_one_of("\"x\""));
    }

    /// The policy would keep them from working.
    #[test]
    fn the_page_has_nothing_inline_and_names_nothing_elsewhere() {
        for (name, _, text) in FILES {
            for wrong in ["style=\"", "onclick", "<style", "innerHTML", "eval(", "src=\"http", "from \"http"] {
                assert!(!text.contains(wrong), "{name}: {wrong}");
            }
        }
        let scripts = FILES[0].2.matches("<script").count();
        assert_eq!(scripts, FILES[0].2.matches("<script type=\"module\" src=\"").count());
        for (name, _, text) in FILES.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            for (at, _) in text.match_indices("from \"./") {
                let wanted = text[at + 8..].split('"').next().expect("a name");
                assert!(FILES.iter().any(|(known, ..)| *known == wanted), "{name} needs {wanted}");
            }
        }
    }
}
