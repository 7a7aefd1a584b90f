//! The scenarios of many kinds of sessions: against the built-in server, which can be told to do something wrong, and
//! against the router of this workspace where a real one is needed.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Floor, PROGRAM, number, run};
use serde_json::Value;

/// Runs a scenario; gives its exit status and its first outcome.
fn measure(name: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("scenario-{name}.json"));
    let output = run(arguments, Some(&path));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{name}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
    std::fs::remove_file(&path).expect("it was just read");
    let mut document: Value = serde_json::from_str(&text).expect("JSON");
    (output.status.code(), document["runs"][0].take())
}

/// The router of this workspace, if it has been built.
fn router() -> Option<String> {
    let target = Path::new(PROGRAM).parent().and_then(Path::parent)?;
    let found =
        ["debug", "release"].map(|profile| target.join(profile).join("corebar")).into_iter().find(|p| p.exists());
    if found.is_none() {
        eprintln!("skipped: there is no corebar in {}", target.display());
    }
    Some(format!("{} --listen 127.0.0.1:0 --shards 2 --no-pin --log error", found?.display()))
}

fn account<'a>(outcome: &'a Value, name: &str) -> &'a Value {
    let account = &outcome["accounts"][name];
    assert!(account.is_object(), "no account {name}: {}", brief(outcome));
    account
}

fn faults(account: &Value) -> [f64; 5] {
    ["lost", "doubled", "misordered", "stray", "misrouted"].map(|field| number(&account[field]))
}

/// What a failed test needs to show of an outcome.
fn brief(outcome: &Value) -> String {
    ["failures", "notes", "spoiled", "accounts"].map(|part| format!("{part}: {}", outcome[part])).join("\n")
}

const TOPICS: [&str; 7] = ["topics", "--clients", "20", "--topics", "30", "--topics-each", "5"];

#[test]
fn topics_reach_who_asked_for_them_and_nobody_else() {
    let floor = Floor::start(&["--mode", "coalesce"]);
    for (name, more) in [
        ("paced", &["--publishers", "2", "--rate", "300", "--burst", "10"][..]),
        ("max", &["--publishers", "3", "--rate", "max"]),
        ("threads", &["--publishers", "3", "--rate", "300", "--burst", "10", "--threads", "3"]),
        ("processes", &["--publishers", "3", "--rate", "300", "--burst", "10", "--threads", "2", "--processes", "2"]),
    ] {
        let arguments = [&TOPICS[..], &["--url", &floor.url], more].concat();
        let (status, outcome) = measure(&format!("topics-{name}"), &arguments);
        assert_eq!(status, Some(0), "{name}: {}", brief(&outcome));
        let events = account(&outcome, "events");
        assert_eq!(events["received"], events["expected"], "{name}");
        assert!(number(&events["received"]) > 50.0, "{name}: {events}");
        assert!(number(&outcome["latencies"]["delivery"]["count"]) > 0.0, "{name}");
        if name != "max" {
            // Every topic has 20 * 5 / 30 subscribers on the average.
            let sent = number(&outcome["sent"]);
            let publishers = if name == "paced" { 2.0 } else { 3.0 };
            assert_eq!(sent, 300.0 * 0.4 * publishers, "{name}");
        }
    }
}

#[test]
fn what_goes_wrong_with_topics_is_counted_as_what_it_is() {
    for (fault, field) in [("drop:20", 0), ("double:20", 1), ("swap:20", 2), ("damage:20", 3), ("misroute:20", 4)] {
        let floor = Floor::start(&["--fault", fault]);
        for workers in ["1", "2"] {
            let more = ["--url", &floor.url, "--rate", "500", "--burst", "5", "--threads", workers];
            let (status, outcome) = measure(&format!("topics-{field}-{workers}"), &[&TOPICS[..], &more].concat());
            assert_eq!(status, Some(1), "{fault}: {}", brief(&outcome));
            let events = account(&outcome, "events");
            let found = faults(events);
            assert!(found[field] > 3.0, "{fault}: {events}");
            // A damaged event is lost too, and the last one that is held back may find no successor.
            let also = if field >= 2 { 0 } else { field };
            let others =
                (0..5).filter(|other| *other != field && *other != also).map(|other| found[other]).sum::<f64>();
            assert_eq!(others, 0.0, "{fault}: {events}");
        }
    }
}

#[test]
fn progressive_results_are_accounted_for() {
    let calls = ["rpc", "--callers", "3", "--callees", "2", "--progressive", "5"];
    let floor = Floor::start(&["--mode", "coalesce"]);
    for serializer in ["json", "msgpack", "cbor", "ubjson"] {
        for rate in ["100", "max"] {
            let more = ["--url", &floor.url, "--rate", rate, "--serializer", serializer, "--threads", "2"];
            let (status, outcome) = measure(&format!("progress-{serializer}-{rate}"), &[&calls[..], &more].concat());
            assert_eq!(status, Some(0), "{serializer} {rate}: {}", brief(&outcome));
            let progress = account(&outcome, "progressive_results");
            assert_eq!(number(&progress["received"]), number(&outcome["sent"]) * 5.0);
            assert!(number(&outcome["latencies"]["first_result"]["count"]) > 0.0);
        }
    }
    for (fault, field) in [("drop:25", "lost"), ("double:25", "doubled"), ("swap:25", "misordered")] {
        let floor = Floor::start(&["--fault", fault]);
        let more = ["--url", &floor.url, "--rate", "100"];
        let (status, outcome) = measure(&format!("progress-{field}"), &[&calls[..], &more].concat());
        assert_eq!(status, Some(1), "{fault}: {}", brief(&outcome));
        let progress = account(&outcome, "progressive_results");
        assert!(number(&progress[field]) > 0.0, "{fault}: {}", brief(&outcome));
    }
}

#[test]
fn visitors_come_and_go_and_the_others_lose_nothing() {
    let floor = Floor::start(&[]);
    let arguments = ["churn", "--subscribers", "5", "--rate", "200", "--visits", "60", "--stay", "0.1"];
    for workers in ["1", "2"] {
        let more = ["--url", &floor.url, "--threads", workers];
        let (status, outcome) = measure(&format!("churn-{workers}"), &[&arguments[..], &more].concat());
        assert_eq!(status, Some(0), "{}", brief(&outcome));
        assert_eq!(number(&account(&outcome, "visits")["received"]), 60.0 * 0.4);
        assert_eq!(number(&account(&outcome, "events")["received"]), 200.0 * 0.4 * 5.0);
        assert!(number(&account(&outcome, "visitor_events")["received"]) > 50.0, "{}", brief(&outcome));
        assert_eq!(number(&outcome["latencies"]["visitor_subscribed"]["count"]), 24.0);
    }
    for (fault, field) in [("drop:30", "lost"), ("double:30", "doubled"), ("swap:30", "misordered")] {
        let floor = Floor::start(&["--fault", fault]);
        let more = ["--url", &floor.url];
        let (status, outcome) = measure(&format!("churn-{field}"), &[&arguments[..], &more].concat());
        assert_eq!(status, Some(1), "{fault}");
        assert!(number(&account(&outcome, "events")[field]) > 0.0, "{fault}: {}", brief(&outcome));
        let visitors = account(&outcome, "visitor_events");
        assert!(number(&visitors[field]) > 0.0, "{fault}: {visitors}");
    }
}

#[test]
fn a_storm_is_served_and_served_again() {
    let floor = Floor::start(&[]);
    let arguments = ["connect", "--sessions", "60", "--topics", "4"];
    for (name, more) in [
        ("max", &["--reconnect", "--in-flight", "20"][..]),
        ("paced", &["--rate", "300", "--reconnect"]),
        ("none", &["--no-retained"]),
        ("workers", &["--threads", "2", "--processes", "2", "--reconnect", "--sources", "3"]),
    ] {
        let arguments = [&arguments[..], &["--url", &floor.url], more].concat();
        let (status, outcome) = measure(&format!("storm-{name}"), &arguments);
        assert_eq!(status, Some(0), "{name}: {}", brief(&outcome));
        assert_eq!(number(&account(&outcome, "sessions")["received"]), 60.0);
        assert_eq!(number(&outcome["latencies"]["served"]["count"]), 60.0);
        if more.contains(&"--reconnect") {
            assert_eq!(number(&account(&outcome, "again_sessions")["received"]), 60.0);
            assert!(number(&outcome["metrics"]["again_all_served"]["value"]) > 0.0);
        }
    }
    for (fault, field) in [("drop:9", "lost"), ("double:9", "doubled"), ("damage:9", "stray")] {
        let floor = Floor::start(&["--fault", fault]);
        let (status, outcome) = measure(&format!("storm-{field}"), &[&arguments[..], &["--url", &floor.url]].concat());
        assert_eq!(status, Some(1), "{fault}");
        assert_eq!(number(&account(&outcome, "sessions")[field]), 6.0, "{fault}: {}", brief(&outcome));
    }
}

#[test]
fn a_storm_survives_the_restart_of_its_server() {
    let spawn = format!("{PROGRAM} floor");
    let (status, outcome) = measure("restart", &["connect", "--sessions", "30", "--reconnect", "--spawn", &spawn]);
    assert_eq!(status, Some(0), "{}", brief(&outcome));
    assert_eq!(number(&account(&outcome, "again_sessions")["received"]), 30.0);
    assert!(outcome["server"]["cpu_ns"].is_u64());
}

#[test]
fn who_does_not_read_is_told_apart_from_the_others() {
    let floor = Floor::start(&[]);
    let pid = floor.child.id().to_string();
    let arguments = ["slow", "--url", &floor.url, "--subscribers", "10", "--slow", "20%", "--rate", "200"];
    let (status, outcome) = measure("slow", &[&arguments[..], &["--pid", &pid]].concat());
    assert_eq!(status, Some(0), "{}", brief(&outcome));
    assert_eq!(number(&account(&outcome, "events")["received"]), 200.0 * 0.4 * 8.0);
    assert_eq!(number(&account(&outcome, "slow_events")["expected"]), 200.0 * 0.4 * 2.0);
    assert_eq!(number(&outcome["metrics"]["slow_kept"]["value"]), 2.0);
    assert!(number(&outcome["metrics"]["server_memory_highest"]["value"]) > 0.0);
    for times in ["delivery_before", "delivery_during"] {
        assert_eq!(number(&outcome["latencies"][times]["count"]), 200.0 * 0.15 * 8.0, "{times}");
    }
    let limited = [&arguments[..], &["--pid", &pid, "--memory-limit-mib", "0.1"]].concat();
    let (status, outcome) = measure("slow-memory", &limited);
    assert_eq!(status, Some(1), "{}", brief(&outcome));
}

#[test]
fn a_router_that_cuts_the_slow_ones_off_is_seen() {
    let Some(router) = router() else { return };
    let path = common::scratch("slow-cut.json");
    // Several times what the router keeps for a client that does not read and the sockets hold besides.
    let arguments = ["slow", "--subscribers", "2", "--slow", "1", "--after", "0", "--payload-bytes", "300000"];
    let times = ["--rate", "200", "--warmup", "0", "--duration", "2", "--patience", "1"];
    let mut command = Command::new(PROGRAM);
    command.args(arguments).args(times).args(["--spawn", &router]).arg("--json").arg(&path);
    let output = command.output().expect("the load generator runs");
    let text = std::fs::read_to_string(&path).expect("a result");
    std::fs::remove_file(&path).expect("it was just read");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let outcome = &document["runs"][0];
    assert!(output.status.success(), "{}", brief(outcome));
    assert_eq!(number(&outcome["metrics"]["slow_disconnected"]["value"]), 1.0, "{}", brief(outcome));
    assert_eq!(number(&outcome["latencies"]["slow_until_disconnected"]["count"]), 1.0);
}

#[test]
fn a_real_router_passes_every_scenario() {
    let Some(router) = router() else { return };
    let office = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/office.yaml");
    let dashboard = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/dashboard.yaml");
    let saturate = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/saturate.json");
    for (number, arguments) in [
        &["topics", "--clients", "50", "--topics", "200", "--topics-each", "10"][..],
        &["rpc", "--progressive", "3", "--threads", "2"],
        &["churn", "--visits", "40", "--stay", "0.1"],
        &["connect", "--sessions", "100", "--topics", "3", "--reconnect"],
        &["mixed", office],
        &["mixed", dashboard, "--threads", "2"],
        &["mixed", saturate],
    ]
    .into_iter()
    .enumerate()
    {
        let (status, outcome) = measure(&format!("real-{number}"), &[arguments, &["--spawn", &router]].concat());
        assert_eq!(status, Some(0), "{arguments:?}: {}", brief(&outcome));
    }
}

#[test]
fn a_mixed_load_notices_faults_in_every_group() {
    let office = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/office.yaml");
    let floor = Floor::start(&["--fault", "drop:20"]);
    let (status, outcome) = measure("mixed-drop", &["mixed", office, "--url", &floor.url]);
    assert_eq!(status, Some(1));
    for name in ["events", "clients_replies", "invocations"] {
        assert!(number(&account(&outcome, name)["lost"]) > 0.0, "{name}: {}", brief(&outcome));
    }
}

#[test]
fn a_file_that_makes_no_sense_is_refused_with_position_and_key() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wrong.yaml");
    std::fs::write(&path, "topics: {a: 1}\npublishers:\n  - topics: b\n    rate: 5\n").expect("a file");
    let output = run(&["mixed", &path.display().to_string()], None);
    std::fs::remove_file(&path).expect("it was just written");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("wrong.yaml:3:13: publishers[0].topics: there is no \"b\", there are: a"), "{text}");
}

#[test]
fn more_sessions_than_open_files_take_more_processes() {
    let floor = Floor::start(&[]);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("files.json");
    let command = format!(
        "ulimit -n 150 && exec {PROGRAM} fanout --url {} --subscribers 250 --rate 50 --duration 0.3 --warmup 0 --json {}",
        floor.url,
        path.display()
    );
    let output = Command::new("sh").args(["-c", &command]).output().expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&std::fs::read(&path).expect("a result")).expect("JSON");
    std::fs::remove_file(&path).expect("it was just read");
    let outcome = &document["runs"][0];
    assert_eq!(number(&outcome["generator"]["processes"]), 3.0, "{}", brief(outcome));
    assert_eq!(number(&account(outcome, "events")["received"]), 15.0 * 250.0);
}
