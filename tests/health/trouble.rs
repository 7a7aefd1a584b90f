//! Which requests get spans, and what becomes of spans when their collector does not do what it should.

use super::collector::{Answer, Collector};
use super::support::{Client, Router, Wire, install, node, router};
use super::traces::{attribute, call, carried, is_silent, join, metric, to, told, wait_for};
use super::{PATIENCE, ask};
use corebar::config::RuntimeConfig;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn wire() -> Wire {
    Wire::all().next().expect("a wire")
}

/// A callee, a caller, and what is called.
fn pair(address: SocketAddr) -> (Client, Client) {
    let (mut callee, caller) = (join(address, wire()), join(address, wire()));
    callee.register("com.example.procedure");
    (callee, caller)
}

/// So many calls; gives how many of them had a context at the callee.
fn calls((callee, caller): &mut (Client, Client), options: &Json, count: usize) -> usize {
    let mut traced = 0;
    for _ in 0..count {
        let request = call(caller, options, "com.example.procedure", &[]);
        let invocation = callee.expect(68);
        traced += usize::from(invocation[3].dict().contains_key("_traceparent"));
        callee.send(json!([70, invocation[1].uint(), {}]));
        caller.expect_result(request);
    }
    traced
}

#[test]
fn a_share_of_what_has_no_context_begins_a_trace() {
    let collector = Collector::start();
    let config = node::config(|config| {
        to(&collector)(config);
        config.traces_spans_per_second_max = 1_000_000;
        config.traces_sample = 1.0;
        config.traces_service_name = Some("front".into());
        config.traces_headers = BTreeMap::from([("X-Key".into(), "secret".into())]);
    });
    node::with_reloader(config, |address, reloader| {
        let mut pair = pair(address);
        let request = call(&mut pair.1, &json!({}), "com.example.procedure", &[]);
        let invocation = pair.0.expect(68);
        let (trace, span) = told(&invocation[3]);
        pair.0.send(json!([70, invocation[1].uint(), {}]));
        pair.1.expect_result(request);
        let seen = collector.take(1).remove(0);
        assert_eq!((seen.trace, seen.span, &*seen.parent, &*seen.service), (trace, span, "", "front"));
        let heads = collector.heads();
        assert!(heads[0].starts_with("POST /v1/traces HTTP/1.1\r\n"), "{heads:?}");
        let head = heads[0].to_ascii_lowercase();
        assert!(head.contains("x-key: secret") && head.contains("content-type: application/x-protobuf"), "{head}");

        reloader.reload(|config| config.traces_sample = 0.5).expect("a good configuration");
        let traced = calls(&mut pair, &json!({}), 400);
        assert!((100..300).contains(&traced), "{traced} of 400");
        let spans = collector.take(traced);
        let traces: std::collections::BTreeSet<&str> = spans.iter().map(|span| &*span.trace).collect();
        assert_eq!(traces.len(), traced, "each is a trace of its own");

        reloader.reload(|config| config.traces_sample = 0.0).expect("a good configuration");
        assert_eq!(calls(&mut pair, &json!({}), 50), 0);
        assert_eq!(calls(&mut pair, &carried(), 3), 3);
        collector.take(3);

        // What is too much goes on as it came.
        reloader.reload(|config| config.traces_spans_per_second_max = 5).expect("a good configuration");
        let (spans, limited) = ("corebar_spans_total", "corebar_spans_limited_total");
        let before = metric(address, spans);
        assert_eq!(calls(&mut pair, &carried(), 60), 60);
        let (made, refused) = (metric(address, spans) - before, metric(address, limited));
        assert!(refused > 0 && made >= 5 && made + refused == 60, "{made} and {refused}");
        collector.take(made as usize);

        // Off, and on again somewhere else.
        reloader.reload(|config| config.traces_endpoint = None).expect("a good configuration");
        assert_eq!(calls(&mut pair, &carried(), 3), 0);
        let other = Collector::start();
        let elsewhere = other.url() + "/other/path";
        reloader.reload(|config| config.traces_endpoint = Some(elsewhere)).expect("a good configuration");
        assert_eq!(calls(&mut pair, &carried(), 1), 1);
        other.take(1);
        assert!(other.heads()[0].starts_with("POST /other/path "));
        assert_eq!(collector.spans(), []);
    });
}

#[test]
fn what_is_left_at_the_end_is_sent() {
    let collector = Collector::start();
    let change = |config: &mut RuntimeConfig| {
        to(&collector)(config);
        config.traces_interval = Duration::from_secs(60);
        config.traces_batch_spans_max = 7;
    };
    node::with_router(change, |address| {
        calls(&mut pair(address), &carried(), 10);
        // A whole batch waits for nothing.
        collector.take(7);
    });
    collector.take(3);
}

#[test]
fn a_collector_that_does_not_answer_harms_nobody() {
    let collector = Collector::start();
    collector.answer(Answer::Silence);
    let change = |config: &mut RuntimeConfig| {
        to(&collector)(config);
        config.traces_queue_spans_max = 10;
        config.traces_timeout = Duration::from_secs(60);
        config.traces_batch_spans_max = 1;
    };
    let time = node::with_router(change, |address| {
        let mut pair = pair(address);
        calls(&mut pair, &carried(), 1);
        collector.wait_for_request();
        calls(&mut pair, &carried(), 50);
        let lost = || metric(address, "corebar_spans_dropped_total");
        wait_for("spans are dropped", || lost() == 40);
        assert_eq!(metric(address, "corebar_spans_exported_total"), 0);
    });
    // Nobody waits for the request that is under way, which may take a minute.
    assert!(time < Duration::from_secs(30), "{time:?}");
}

#[test]
fn what_a_collector_does_not_want_is_counted() {
    let collector = Collector::start();
    node::with_router(to(&collector), |address| {
        let mut pair = pair(address);
        let failed = || metric(address, "corebar_spans_failed_total");
        collector.answer(Answer::Status(400));
        calls(&mut pair, &carried(), 1);
        wait_for("400 is for ever", || failed() == 1);
        collector.answer(Answer::Refuse);
        calls(&mut pair, &carried(), 1);
        wait_for("it is not wanted", || failed() == 2);
        assert_eq!(metric(address, "corebar_spans_exported_total"), 0);
        collector.answer(Answer::Status(503));
        let before = collector.heads().len();
        calls(&mut pair, &carried(), 1);
        wait_for("it is asked for another time", || collector.heads().len() > before);
        collector.answer(Answer::Take);
        let seen = collector.take(1);
        assert_eq!(attribute(&seen[0], "rpc.system"), "wamp");
        wait_for("it is counted", || metric(address, "corebar_spans_exported_total") == 1);
        assert_eq!(failed(), 2);
    });
}

#[test]
fn it_is_told_once_that_there_is_no_collector() {
    let nowhere = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    // The words of OpenTelemetry do as well as flags, and flags come first.
    let mut command = router::command(&["--listen", "127.0.0.1:0", "--shards", "2", "--traces-sample", "1"]);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{nowhere}")).env("OTEL_TRACES_SAMPLER", "jaeger_remote");
    command.env("OTEL_SERVICE_NAME", "x");
    let router = Router::run(command);
    router.expect_log("warning: OTEL_TRACES_SAMPLER: is \"jaeger_remote\", a sampler that is not known here");
    let mut pair = pair(router.address());
    assert_eq!(calls(&mut pair, &json!({}), 3), 3);
    router.expect_log("traces cannot be sent");
    // A collector comes later, where none was.
    calls(&mut pair, &json!({}), 3);
    let collector = Collector::at(nowhere);
    router.expect_log("traces are sent again");
    assert!(collector.spans().len() >= 3);
    router.signal("TERM");
    assert!(router.wait(PATIENCE).success());
    assert_eq!(router.log().matches("cannot be sent").count(), 1, "{}", router.log());
}

#[test]
fn off_costs_no_word() {
    node::with_router(
        |_| {},
        |address| {
            let mut pair = pair(address);
            assert_eq!(calls(&mut pair, &carried(), 3), 0);
            let request = call(&mut pair.1, &carried(), "com.example.procedure", &[]);
            let invocation = pair.0.expect(68);
            is_silent(&invocation[3]);
            pair.0.send(json!([70, invocation[1].uint(), {}]));
            pair.1.expect_result(request);
            assert_eq!(metric(address, "corebar_spans_total"), 0);
            assert_eq!(ask(address, "GET", "/metrics").0, 200);
        },
    );
}

/// The parent of each span, by names: of clients, and of the router with `router ` before.
fn parents(spans: &[Json]) -> BTreeMap<String, String> {
    let name = |span: &Json| {
        format!("{}{}", if span["router"] == true { "router " } else { "" }, span["name"].as_str().expect("a name"))
    };
    let parent = |span: &Json| {
        let parent = spans.iter().find(|other| other["span"] == span["parent"] && other["trace"] == span["trace"]);
        parent.map_or_else(|| format!("nobody {}", span["parent"]), name)
    };
    spans.iter().map(|span| (name(span), parent(span))).collect()
}

/// The SDK of OpenTelemetry for Python, in applications that call each other; autobahn's only by keyword arguments.
#[test]
fn a_trace_goes_through_applications_and_the_router() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let autobahn = install::python("python", &root.join("tests/clients/python.txt"));
    let (Some(autobahn), Some(sdk)) = (autobahn, install::python("traces", &root.join("tests/clients/traces.txt")))
    else {
        return;
    };
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    for shards in [1, 4] {
        let change = |config: &mut RuntimeConfig| {
            config.shards = Some(shards);
            config.traces_endpoint = Some(format!("http://127.0.0.1:{port}"));
            config.traces_interval = Duration::from_millis(50);
            config.traces_sample = 0.0;
        };
        node::with_router(change, |address| {
            let find = "import sysconfig; print(sysconfig.get_path('purelib'))";
            let site = Command::new(sdk.join("bin/python")).args(["-c", find]).output().expect("Python runs").stdout;
            let places = format!("{}:{}", String::from_utf8_lossy(&site).trim(), root.join("clients/python").display());
            let mut script = Command::new(autobahn.join("bin/python"));
            script.arg(root.join("tests/clients/traces.py")).args([format!("ws://{address}/ws"), port.to_string()]);
            let output = script.env("PYTHONPATH", places).output().expect("Python runs");
            let said = String::from_utf8_lossy(&output.stderr);
            let spans: Vec<Json> =
                serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
            let expected = [
                ("caller", "nobody null"),
                ("router com.example.outer", "caller"),
                ("outer", "router com.example.outer"),
                ("router com.example.inner", "outer"),
                ("inner", "router com.example.inner"),
                ("router publish com.example.topic", "inner"),
                ("heard", "router publish com.example.topic"),
                ("old caller", "nobody null"),
                ("router com.example.old", "old caller"),
                ("old", "old caller"),
            ];
            let expected: BTreeMap<_, _> = expected.map(|(name, parent)| (name.to_owned(), parent.to_owned())).into();
            assert_eq!(parents(&spans), expected, "{said}");
        });
    }
}
