//! The scenarios against the built-in floor server: they finish, account for everything, and notice faults.

mod common;

use std::path::PathBuf;

use common::{Floor, PROGRAM, number, run};
use serde_json::Value;

/// Runs a scenario; gives its exit status and its result.
fn measure(name: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    let output = run(arguments, Some(&path));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{name}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
    std::fs::remove_file(&path).expect("it was just read");
    (output.status.code(), serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn fanout_accounts_for_every_event() {
    for mode in ["single", "coalesce"] {
        let floor = Floor::start(&["--mode", mode]);
        for rate in ["200", "max"] {
            let arguments = ["fanout", "--url", &floor.url, "--publishers", "2", "--subscribers", "7", "--rate", rate];
            let (status, result) = measure(&format!("fanout-{mode}-{rate}"), &arguments);
            assert_eq!(status, Some(0), "{result:#}");
            let outcome = &result["runs"][0];
            let events = &outcome["accounts"]["events"];
            assert!(number(&outcome["sent"]) > 10.0);
            assert_eq!(number(&events["received"]), number(&outcome["sent"]) * 7.0);
            assert_eq!(events["received"], events["expected"]);
            assert!(number(&outcome["latencies"]["delivery"]["count"]) > 0.0);
            assert!(number(&outcome["latencies"]["last_subscriber"]["p50"]) > 0.0);
            if rate == "200" {
                assert_eq!(number(&outcome["sent"]), 2.0 * 200.0 * 0.4, "the whole schedule is sent");
                assert_eq!(number(&outcome["latencies"]["delivery"]["count"]), 2.0 * 200.0 * 0.3 * 7.0);
            }
        }
    }
}

#[test]
fn rpc_accounts_for_every_call() {
    let floor = Floor::start(&["--mode", "coalesce"]);
    for rate in ["100", "max"] {
        let arguments = ["rpc", "--url", &floor.url, "--callers", "3", "--callees", "2", "--rate", rate];
        let (status, result) = measure(&format!("rpc-{rate}"), &arguments);
        assert_eq!(status, Some(0), "{result:#}");
        let outcome = &result["runs"][0];
        for account in ["invocations", "replies"] {
            assert_eq!(outcome["accounts"][account]["received"], outcome["sent"], "{account}");
        }
        assert!(number(&outcome["latencies"]["round_trip"]["count"]) > 0.0);
    }
}

#[test]
fn idle_sessions_are_measured_and_alive() {
    let floor = Floor::start(&[]);
    let pid = floor.child.id().to_string();
    let arguments = ["idle", "--url", &floor.url, "--sessions", "300", "--topics", "4"];
    let options = ["--settle", "0.1", "--pid", &pid, "--sources", "3"];
    let (status, result) = measure("idle", &[&arguments[..], &options[..]].concat());
    assert_eq!(status, Some(0), "{result:#}");
    let outcome = &result["runs"][0];
    assert_eq!(number(&outcome["accounts"]["events"]["received"]), 300.0);
    assert_eq!(number(&outcome["metrics"]["sessions"]["value"]), 300.0);
    assert!(outcome["metrics"]["server_memory_each"]["value"].is_f64());
    assert!(number(&outcome["server"]["cpu_ns"]) > 0.0);
}

#[test]
fn every_serializer_and_transport() {
    let floor = Floor::start(&[]);
    let socket = std::env::temp_dir().join(format!("loadtest-floor-{}", std::process::id()));
    let address = format!("unix:{}", socket.display());
    let unix = Floor::start(&["--listen", &address]);
    let (raw, over_unix) = (format!("rs://{}", floor.address()), format!("ws+{}", unix.url));
    for url in [&floor.url, &raw, &unix.url, &over_unix] {
        for serializer in ["json", "msgpack", "cbor", "ubjson"] {
            for payload in ["41", "70000"] {
                for scenario in ["fanout", "rpc"] {
                    let arguments = [scenario, "--url", url, "--serializer", serializer, "--rate", "20"];
                    let output = run(&[&arguments[..], &["--payload-bytes", payload]].concat(), None);
                    let text = String::from_utf8_lossy(&output.stdout);
                    assert!(output.status.success(), "{url} {serializer} {payload} {scenario}: {text}");
                }
            }
        }
    }
    std::fs::remove_file(&socket).expect("the floor server made it");
}

#[test]
fn faults_are_noticed_as_what_they_are() {
    for (fault, field) in [("drop:100", "lost"), ("double:100", "doubled"), ("swap:100", "misordered")] {
        for mode in ["single", "coalesce"] {
            let floor = Floor::start(&["--mode", mode, "--fault", fault]);
            let arguments = ["fanout", "--url", &floor.url, "--subscribers", "7", "--rate", "500"];
            let (status, result) = measure(&format!("fault-{field}-{mode}"), &arguments);
            assert_eq!(status, Some(1), "{fault}");
            assert_eq!(result["clean"], false);
            let events = &result["runs"][0]["accounts"]["events"];
            // 1400 deliveries; the last one that is held back may find no successor.
            assert!((13.0..=14.0).contains(&number(&events[field])), "{fault} {mode}: {events}");
            for other in ["lost", "doubled", "misordered", "stray"] {
                let most = if fault.starts_with("swap") && other == "lost" { 1.0 } else { 0.0 };
                assert!(other == field || number(&events[other]) <= most, "{fault} {mode}: {events}");
            }
        }
    }
}

#[test]
fn damaged_payloads_are_noticed() {
    let floor = Floor::start(&["--fault", "damage:100"]);
    for scenario in ["fanout", "rpc"] {
        let arguments = [scenario, "--url", &floor.url, "--rate", "100"];
        let (status, result) = measure(&format!("damage-{scenario}"), &arguments);
        assert_eq!(status, Some(1), "{result:#}");
        let accounts = result["runs"][0]["accounts"].as_object().expect("accounts");
        let sum = |field: &str| accounts.values().map(|account| number(&account[field])).sum::<f64>();
        assert!(sum("stray") > 0.0 && sum("lost") >= sum("stray"), "{result:#}");
        assert_eq!(sum("doubled") + sum("misordered"), 0.0, "{result:#}");
    }
}

#[test]
fn lost_and_doubled_calls_are_noticed() {
    for (fault, field) in [("drop:99", "lost"), ("double:99", "doubled")] {
        let floor = Floor::start(&["--fault", fault]);
        let arguments = ["rpc", "--url", &floor.url, "--callers", "2", "--callees", "2", "--rate", "300"];
        let (status, result) = measure(&format!("rpc-fault-{field}"), &arguments);
        assert_eq!(status, Some(1), "{fault}: {result:#}");
        assert!(number(&result["runs"][0]["accounts"]["replies"][field]) > 0.0, "{result:#}");
    }
}

#[test]
fn a_saturating_run_goes_on_after_losses() {
    let floor = Floor::start(&["--fault", "drop:500"]);
    let arguments = ["fanout", "--url", &floor.url, "--subscribers", "3", "--rate", "max", "--window", "4"];
    let (status, result) = measure("max-drop", &arguments);
    assert_eq!(status, Some(1));
    assert!(number(&result["runs"][0]["accounts"]["events"]["lost"]) > 0.0);
    assert!(number(&result["runs"][0]["metrics"]["throughput"]["value"]) > 0.0);
}

#[test]
fn router_and_floor_are_compared() {
    let spawn = format!("{PROGRAM} floor");
    let arguments = ["fanout", "--spawn", &spawn, "--against", "floor", "--rounds", "2", "--subscribers", "5"];
    let (status, result) = measure("against", &arguments);
    assert_eq!(status, Some(0), "{result:#}");
    assert_eq!(result["runs"].as_array().map(Vec::len), Some(4));
    let comparison = &result["comparisons"][0];
    assert_eq!(comparison["base"], 1);
    let figures = comparison["figures"].as_array().expect("figures");
    let names: Vec<_> = figures.iter().map(|figure| &figure["name"]).collect();
    assert!(names.iter().any(|name| *name == "server_cpu_each"), "{names:?}");
    for figure in figures {
        assert!(number(&figure["ratios"][0]) > 0.0, "{figure}");
        assert_eq!(figure["values"][0].as_array().map(Vec::len), Some(2), "{figure}");
    }
}

#[test]
fn what_cannot_run_ends_with_status_2_and_a_reason() {
    let cases: [(&[&str], &str); 4] = [
        (&["fanout", "--url", "ws://127.0.0.1:1/"], "cannot connect"),
        (&["fanout", "--url", "http://127.0.0.1:1/"], "does not begin with"),
        (&["rpc", "--url", "ws://127.0.0.1:1/", "--pid", "4294967295"], "cannot watch process"),
        (&["idle", "--against", "floor"], "needs the router's --pid"),
    ];
    for (arguments, reason) in cases {
        let output = run(arguments, None);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(reason), "{arguments:?}: {text}");
    }
}
