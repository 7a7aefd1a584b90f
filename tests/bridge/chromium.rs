//! A stream of events in a real browser.

use super::configure;
use super::events::served;
use super::support::client::payload;
use super::support::{Client, Wire, install, node};
use corebar::config::RuntimeConfig;
use corebar::config::web::{PathConfig, Root, Service, StaticConfig};
use corebar::session::HistoryRule;
use corebar::wamp::MatchPolicy;
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

#[track_caller]
fn expect(lines: &mut Lines<BufReader<ChildStdout>>, expected: &[String]) {
    let got: Vec<String> = lines.by_ref().take(expected.len()).map(|line| line.expect("a line")).collect();
    assert_eq!(got, expected);
}

#[test]
fn a_browser_that_comes_again_misses_nothing() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/browser");
    let Some(folder) = install::node("browser", &source) else { return };
    fs::copy(source.join("events.mjs"), folder.join("events.mjs")).expect("a file");
    let folder_of_pages = folder.join("page");
    fs::create_dir_all(&folder_of_pages).expect("a folder");
    fs::write(folder_of_pages.join("index.html"), "<!doctype html><title>x</title>").expect("a file");
    let change = |config: &mut RuntimeConfig| {
        let pages = StaticConfig::new(Root::Directory(folder_of_pages));
        let page = PathConfig { path: "/page".into(), deep: true, service: Service::Static(pages) };
        configure(config, vec![served(|config| config.retry = Duration::from_millis(50)), page]);
        config.realms[0].history = vec![HistoryRule::new("com.kept.", MatchPolicy::Prefix)];
        config.shards = Some(4);
    };
    node::with_router(change, |address| {
        let mut browser = Command::new("node")
            .arg(folder.join("events.mjs"))
            .arg(format!("http://{address}"))
            // Where the browser unpacks itself.
            .env("TMPDIR", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is there");
        let mut lines = BufReader::new(browser.stdout.take().expect("a pipe")).lines();
        expect(&mut lines, &["open".into()]);
        let mut client = Client::join(address, Wire::JSON);
        let mut publish = |numbers: std::ops::Range<u64>| -> Vec<String> {
            numbers
                .map(|number| {
                    client.publish("com.kept.a", &payload(json!([[number]])));
                    format!("event {number}")
                })
                .collect()
        };
        let expected = publish(0..3);
        expect(&mut lines, &expected);
        for round in 1..4 {
            let mut admin = Client::join(address, Wire::JSON);
            admin.ask("wamp.session.kill_by_authrole", &json!([["web"]])).expect("a right");
            let missed = publish(10 * round..10 * round + 3);
            expect(&mut lines, &[vec!["open".to_owned()], missed].concat());
        }
        drop(browser.stdin.take());
        assert!(browser.wait().expect("it ends").success());
    });
}
