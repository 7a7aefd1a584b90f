//! The cases of the Autobahn WebSocket test suite, driven by `kosoku` from PyPI against an echo path of the router.
//!
//! Sections 12 and 13 (compression) take minutes in a build without optimisation and run when `COREBAR_TEST_DEFLATE`
//! is set.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use support::{Router, install};

/// How many cases there are outside sections 12 and 13.
const CASES: usize = 301;

/// How many cases there are in sections 12 and 13.
const COMPRESSION_CASES: usize = 216;

#[test]
fn websocket_cases() {
    let Some(results) = run(&["-x", "12.*", "-x", "13.*"]) else { return };
    assert_eq!(results.len(), CASES, "every case has run");
    judge(&results);
}

#[test]
fn websocket_compression_cases() {
    if std::env::var_os("COREBAR_TEST_DEFLATE").is_none() {
        eprintln!("SKIPPED: sections 12 and 13 run when COREBAR_TEST_DEFLATE is set");
        return;
    }
    let Some(results) = run(&["-i", "12.*", "-i", "13.*"]) else { return };
    assert_eq!(results.len(), COMPRESSION_CASES, "every case has run");
    judge(&results);
}

/// What became of each case: how the server behaved, and how it closed.
type Results = BTreeMap<String, [String; 2]>;

fn run(selection: &[&str]) -> Option<Results> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/kosoku.txt");
    let folder = install::python("kosoku", &requirements)?;
    let router = Router::start(&["--shards", "2", "--no-pin", "--echo-path", "/echo", "--log", "error"]);
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kosoku-{}", router.address().port()));
    let mut command = Command::new(folder.join("bin/kosoku"));
    command.args(selection).args(["-p", "4", "-o"]).arg(&report).arg(format!("{}echo", router.url()));
    let output = command.output().expect("kosoku can be run");
    assert_eq!(router.try_wait(), None, "the router runs");
    // Failed cases make kosoku fail; they are counted below. Without a report it could not run at all.
    let index = std::fs::read(report.join("index.json")).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let index: serde_json::Value = serde_json::from_slice(&index).expect("the report is JSON");
    let _ = std::fs::remove_dir_all(&report);
    let cases = index.as_object().and_then(|agents| agents.values().next()).and_then(|cases| cases.as_object());
    let word = |case: &serde_json::Value, key: &str| case[key].as_str().unwrap_or_default().to_string();
    let results = cases.expect("a report of one agent").iter();
    Some(results.map(|(id, case)| (id.clone(), [word(case, "behavior"), word(case, "behaviorClose")])).collect())
}

fn judge(results: &Results) {
    let mut sections: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    let mut failed = Vec::new();
    for (id, [behavior, close]) in results {
        let section = id.split('.').next().and_then(|number| number.parse().ok()).expect("a case has a number");
        let passed = ["OK", "INFORMATIONAL"].contains(&&**behavior) && ["OK", "INFORMATIONAL"].contains(&&**close);
        let count = sections.entry(section).or_default();
        count.0 += usize::from(passed);
        count.1 += 1;
        if !passed {
            failed.push(format!("{id}: {behavior}, close {close}"));
        }
    }
    for (section, (passed, all)) in sections {
        println!("section {section}: {passed} of {all} cases pass");
    }
    assert!(failed.is_empty(), "{} cases fail:\n{}", failed.len(), failed.join("\n"));
}
