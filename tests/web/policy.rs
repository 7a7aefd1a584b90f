//! What browsers are told that pages may load and do.

use super::support::http::Http;
use super::support::node;
use super::{Folder, files, serve};
use corebar::config::web::{PathConfig, Service};
use data_encoding::BASE64;
use sha2::{Digest, Sha256};

const POLICY: &str = "Content-Security-Policy";

#[test]
fn pages_have_policies() {
    let folder = Folder::new("policy");
    folder.write("sub/a.html", "<p>a");
    let own = "default-src 'self'";
    let paths = vec![
        files("/", &folder.web(), |files| files.listing = true),
        files("/own", &folder.web(), |files| {
            files.listing = true;
            files.policy = Some(own.into());
        }),
        PathConfig { path: "/info".into(), deep: true, service: Service::NodeInfo },
    ];
    node::with_router(
        |config| serve(config, paths),
        |address| {
            let mut http = Http::connect(address);
            assert_eq!(http.get("/sub/a.html", "").expect(200).header(POLICY), None);
            assert_eq!(http.get("/own/sub/a.html", "").expect(200).header(POLICY), Some(own));
            assert_eq!(http.get("/own/nothing", "").expect(404).header(POLICY), Some(own));
            for path in ["/sub/", "/own/sub/", "/info", "/ws"] {
                let page = http.get(path, "").expect(200);
                let policies: Vec<&str> =
                    page.head.lines().filter_map(|line| line.strip_prefix("Content-Security-Policy: ")).collect();
                assert!(policies.len() == 1 && policies[0].starts_with("default-src 'none'; "), "{path}: {policies:?}");
                let text = page.text();
                // The script that is there may run, and no other.
                let script =
                    text.split_once("<script type=\"module\">").map(|(_, rest)| rest.split_once("</script>").expect("an end").0);
                let hash =
                    script.map(|script| format!("script-src 'sha256-{}'", BASE64.encode(&Sha256::digest(script))));
                assert_eq!(hash.is_some(), path == "/ws");
                assert!(hash.is_none_or(|hash| policies[0].contains(&hash)), "{policies:?}");
            }
        },
    );
}
