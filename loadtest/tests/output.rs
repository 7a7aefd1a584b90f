//! Results as files, and results side by side.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{Floor, PROGRAM, number, run, scratch};
use serde_json::Value;

#[test]
fn one_run_makes_a_page_and_json_on_the_standard_output() {
    let floor = Floor::start(&[]);
    let page = scratch("one.html");
    let pid = floor.child.id().to_string();
    let arguments = ["fanout", "--url", &floor.url, "--rate", "100", "--json", "-", "--html"];
    let output = run(&[&arguments[..], &[page.to_str().expect("text"), "--pid", &pid]].concat(), None);
    assert!(output.status.success());
    let result: Value = serde_json::from_slice(&output.stdout).expect("nothing but JSON");
    let run = &result["runs"][0];
    assert_ne!(run["verdict"], "faulty", "{:?}", run["failures"]);
    for line in ["throughput", "server_cpu", "server_memory", "generator_cpu"] {
        let values = run["timelines"][line]["values"].as_array().expect(line);
        assert!((2..=4).contains(&values.len()), "{line}: {values:?}");
    }
    let intervals = run["latencies"]["delivery"]["intervals"].as_array().expect("intervals");
    assert!((2..=4).contains(&intervals.len()), "{intervals:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("verdict"), "the summary is on the standard error");
    let html = fs::read_to_string(&page).expect("a page");
    fs::remove_file(&page).expect("it was just read");
    assert!(html.contains("delivery: percentiles") && html.contains("server memory over time"));
    assert!(html.contains(&floor.url) && html.ends_with("</html>"));
}

#[test]
fn earlier_results_are_put_side_by_side() {
    let floor = Floor::start(&[]);
    let (one, other, page) = (scratch("first.json"), scratch("second.json"), scratch("both.html"));
    for (path, subscribers, label) in [(&one, "4", "small <b>"), (&other, "8", "large")] {
        let arguments = ["fanout", "--url", &floor.url, "--subscribers", subscribers, "--label", label];
        assert!(run(&arguments, Some(path)).status.success());
    }
    let merged = scratch("merged.json");
    let mut command = Command::new(PROGRAM);
    command.arg("compare").args([&one, &other]).arg("--html").arg(&page).arg("--json").arg(&merged);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("small <b>") && said.contains("DIFFERENT: parameters"), "{said}");
    let result: Value = serde_json::from_slice(&fs::read(&merged).expect("written")).expect("JSON");
    let throughput = &result["comparisons"][0]["figures"][0];
    assert_eq!(throughput["name"], "throughput");
    let ratio = number(&throughput["ratios"][1]);
    assert!((1.5..2.5).contains(&ratio), "twice the subscribers, twice the deliveries: {ratio}");
    let html = fs::read_to_string(&page).expect("a page");
    assert!(html.contains("small &lt;b&gt;") && !html.contains("small <b>"), "labels are text");

    // What was merged can be read again, and damaged files cannot.
    let status = |path: &std::path::Path| Command::new(PROGRAM).arg("compare").arg(path).status().expect("it runs");
    assert!(status(&merged).success());
    fs::write(&merged, r#"{"format": 99, "clean": true, "runs": []}"#).expect("written");
    assert_eq!(status(&merged).code(), Some(2));
    fs::write(&merged, "{}").expect("written");
    assert_eq!(status(&merged).code(), Some(2));
    for path in [one, other, page, merged] {
        fs::remove_file(path).expect("it was made");
    }
}

#[test]
fn an_interrupt_gives_the_result_so_far() {
    let floor = Floor::start(&[]);
    let path = scratch("partial.json");
    let mut command = Command::new(PROGRAM);
    command.args(["fanout", "--url", &floor.url, "--rate", "100", "--warmup", "0", "--duration", "60", "--json"]);
    let mut child = command.arg(&path).stdout(Stdio::piped()).spawn().expect("it starts");
    std::thread::sleep(std::time::Duration::from_millis(800));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("it runs").success());
    let said: Vec<_> = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "{said:?}");
    assert!(said.iter().any(|line| line.contains("PARTIAL")), "{said:?}");
    let result: Value = serde_json::from_slice(&fs::read(&path).expect("written")).expect("JSON");
    fs::remove_file(&path).expect("it was made");
    let run = &result["runs"][0];
    assert_eq!((&run["partial"], &run["verdict"]), (&Value::from(true), &Value::from("spoiled")));
    assert!((0.2..10.0).contains(&number(&run["seconds"])), "{}", run["seconds"]);
    let events = &run["accounts"]["events"];
    assert!(number(&events["expected"]) > 10.0 && events["lost"] == 0, "what was sent still arrived: {events}");
}

#[test]
fn an_interrupt_keeps_what_was_measured_before_the_other_side_ran() {
    let path = scratch("half.json");
    let spawn = format!("{PROGRAM} floor");
    let mut command = Command::new(PROGRAM);
    command.args(["fanout", "--spawn", &spawn, "--rate", "100", "--warmup", "0", "--duration", "60"]);
    command.args(["--against", "floor", "--json"]).arg(&path);
    let mut child = command.stdout(Stdio::null()).spawn().expect("it starts");
    std::thread::sleep(std::time::Duration::from_millis(800));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("it runs").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let result: Value = serde_json::from_slice(&fs::read(&path).expect("written")).expect("JSON");
    fs::remove_file(&path).expect("it was made");
    assert_eq!(result["runs"].as_array().map(Vec::len), Some(1));
    assert_eq!(result["runs"][0]["partial"], true);
}
