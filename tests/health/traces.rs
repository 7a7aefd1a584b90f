//! What a collector of OpenTelemetry is told of calls and publications, and what clients are told of traces.

use super::collector::{Collector, Seen};
use super::support::{Client, Value, Wire, node};
use super::{PATIENCE, ask};
use corebar::client::{Connect, Origin, RequestError, Session};
use corebar::config::RuntimeConfig;
use corebar::session::HistoryRule;
use corebar::wamp::{MatchPolicy, TraceContext};
use serde_json::{Value as Json, json};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// The context of a client.
fn context(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

/// The context, and something of a vendor.
pub(super) fn carried() -> Json {
    json!({"_traceparent": context("01"), "_tracestate": "vendor=1"})
}

pub(super) fn to(collector: &Collector) -> impl Fn(&mut RuntimeConfig) + '_ {
    |config| {
        config.traces_endpoint = Some(collector.url());
        config.traces_interval = Duration::ZERO;
        config.traces_sample = 0.0;
    }
}

/// Runs a test with 1 and with 4 shards over JSON and MessagePack.
fn everywhere(change: impl Fn(&mut RuntimeConfig), test: impl Fn(SocketAddr, Wire, &Collector) + Sync) {
    for shards in [1, 4] {
        for wire in [Wire::all().next(), Wire::all().last()].into_iter().flatten() {
            let collector = Collector::start();
            let change = |config: &mut RuntimeConfig| {
                to(&collector)(config);
                change(config);
                config.shards = Some(shards);
            };
            node::with_router(change, |address| test(address, wire, &collector));
            assert_eq!(collector.spans(), [], "nothing more has come at the end");
        }
    }
}

/// Joins with the features of calls.
pub(super) fn join(address: SocketAddr, wire: Wire) -> Client {
    let features = json!({"progressive_call_invocations": true, "progressive_call_results": true,
        "call_canceling": true, "call_timeout": true, "call_reroute": true});
    let both = json!({"features": features});
    Client::join_with(address, wire, json!({"callee": both, "caller": both, "publisher": {}, "subscriber": {}}))
}

/// Sends a CALL with options; gives its request.
pub(super) fn call(client: &mut Client, options: &Json, procedure: &str, payload: &[Json]) -> u64 {
    let request = client.next();
    let head = [json!(48), json!(request), options.clone(), json!(procedure)];
    client.send(Json::from([&head, payload].concat()));
    request
}

/// The context in details: the trace and the span.
#[track_caller]
pub(super) fn told(details: &Value) -> (String, String) {
    let text = details.dict()["_traceparent"].str().to_owned();
    let parts: Vec<&str> = text.split('-').collect();
    assert!(matches!(&*parts, ["00", _, _, "01" | "03"]), "{text}");
    (parts[1].into(), parts[2].into())
}

#[track_caller]
pub(super) fn is_silent(details: &Value) {
    assert!(details.dict().keys().all(|key| !key.starts_with("_trace")), "{details:?}");
}

pub(super) fn attribute<'a>(span: &'a Seen, name: &str) -> &'a str {
    span.attributes.get(name).map_or("", |text| text)
}

/// The value of a metric, of all shards together.
pub(super) fn metric(address: SocketAddr, name: &str) -> u64 {
    let (_, text) = ask(address, "GET", "/metrics");
    let samples =
        text.lines().filter(|line| line.starts_with(&format!("{name} ")) || line.starts_with(&format!("{name}{{")));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[track_caller]
pub(super) fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_call_is_a_span_between_caller_and_callee() {
    everywhere(
        |_| {},
        |address, wire, collector| {
            let (mut callee, mut caller) = (join(address, wire), join(address, wire));
            let registration = callee.register("com.example.procedure");
            let before = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as u64;
            let request = call(&mut caller, &carried(), "com.example.procedure", &[json!([1])]);
            let invocation = callee.expect(68);
            let (trace, span) = told(&invocation[3]);
            assert_eq!((&*trace, invocation[3].dict()["_tracestate"].str()), (TRACE, "vendor=1"));
            assert_ne!(span, SPAN);
            callee.send(json!([70, invocation[1].uint(), {}, [2]]));
            caller.expect_result(request);
            let [seen] = &collector.take(1)[..] else { unreachable!() };
            let after = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as u64;
            assert_eq!((&*seen.trace, &*seen.span, &*seen.parent), (TRACE, &*span, SPAN));
            assert_eq!((&*seen.state, &*seen.name, seen.kind), ("vendor=1", "com.example.procedure", 2));
            assert_eq!((&seen.error, &*seen.service), (&None, "corebar"));
            // Turns of a shard begin a little before what they read.
            assert!(before - 1_000_000_000 < seen.start && seen.start <= seen.end && seen.end < after, "{seen:?}");
            for (name, value) in [
                ("rpc.system", "wamp"),
                ("rpc.method", "com.example.procedure"),
                ("wamp.realm", "realm1"),
                ("wamp.session.id", &caller.session().to_string()),
                ("wamp.callee.session.id", &callee.session().to_string()),
                ("error.type", ""),
            ] {
                assert_eq!(attribute(seen, name), value, "{name}");
            }

            // What the client asked for beside it still counts.
            callee.send(json!([64, 90, {"invoke": "roundrobin", "match": "prefix"}, "com.shared"]));
            let shared = callee.expect(65)[2].uint();
            let options = json!({"_traceparent": context("01"), "disclose_me": true, "receive_progress": true});
            let request = call(&mut caller, &options, "com.shared.x", &[]);
            let invocation = callee.expect(68);
            let details = invocation[3].dict();
            assert_eq!((invocation[2].uint(), details["caller"].uint()), (shared, caller.session()));
            assert_eq!(
                (details["procedure"].str(), &details["receive_progress"]),
                ("com.shared.x", &Value::Bool(true))
            );
            callee.send(json!([70, invocation[1].uint(), {"progress": true}, [1]]));
            callee.send(json!([70, invocation[1].uint(), {"progress": true}, [2]]));
            callee.send(json!([70, invocation[1].uint(), {}, [3]]));
            for _ in 0..3 {
                caller.expect_result(request);
            }
            let [seen] = &collector.take(1)[..] else { unreachable!() };
            assert_eq!((&*seen.name, &*seen.span), ("com.shared.x", &*told(&invocation[3]).1));
            callee.unregister(registration);
        },
    );
}

#[test]
fn however_a_call_ends_its_span_says_so() {
    everywhere(
        |config| config.limits.uri_bytes_max = 100,
        |address, wire, collector| {
            let (mut callee, mut caller) = (join(address, wire), join(address, wire));
            callee.register("com.example.procedure");
            let end = |caller: &mut Client, request: u64, uri: &str| -> Seen {
                caller.expect_error(48, request, uri);
                let seen = collector.take(1).remove(0);
                assert_eq!((seen.error.as_deref(), attribute(&seen, "error.type")), (Some(uri), uri), "{seen:?}");
                assert_eq!((&*seen.trace, &*seen.parent), (TRACE, SPAN));
                seen
            };
            let procedure = "com.example.procedure";
            let request = call(&mut caller, &carried(), procedure, &[]);
            let invocation = callee.expect(68);
            callee.send(json!([8, 68, invocation[1].uint(), {}, "com.example.error.bad"]));
            let seen = end(&mut caller, request, "com.example.error.bad");
            assert_eq!(attribute(&seen, "wamp.callee.session.id"), callee.session().to_string());

            let request = call(&mut caller, &carried(), "com.example.nobody", &[]);
            assert_eq!(
                attribute(&end(&mut caller, request, "wamp.error.no_such_procedure"), "wamp.callee.session.id"),
                ""
            );
            let request = call(&mut caller, &carried(), "com..example", &[]);
            end(&mut caller, request, "wamp.error.invalid_uri");
            let mut options = carried();
            options["runmode"] = json!("sideways");
            let request = call(&mut caller, &options, procedure, &[]);
            end(&mut caller, request, "wamp.error.invalid_argument");
            options = carried();
            options["timeout"] = json!(50);
            let request = call(&mut caller, &options, procedure, &[]);
            callee.expect(68);
            end(&mut caller, request, "wamp.error.timeout");
            callee.expect(69);
            for mode in ["skip", "kill", "killnowait"] {
                let request = call(&mut caller, &carried(), procedure, &[]);
                let invocation = callee.expect(68);
                caller.send(json!([49, request, {"mode": mode}]));
                if mode != "skip" {
                    callee.expect(69);
                    callee.send(json!([8, 68, invocation[1].uint(), {}, "wamp.error.canceled"]));
                }
                end(&mut caller, request, "wamp.error.canceled");
            }
            // Two parts are one call, and the callee is told the same of both.
            options = carried();
            options["progress"] = json!(true);
            let request = call(&mut caller, &options, procedure, &[json!([1])]);
            caller.send(json!([48, request, {}, procedure, [2]]));
            let (first, second) = (callee.expect(68), callee.expect(68));
            assert_eq!(told(&first[3]), told(&second[3]));
            callee.send(json!([8, 68, first[1].uint(), {}, "wamp.error.unavailable"]));
            end(&mut caller, request, "wamp.error.no_available_callee");

            // What is refused for its length is not kept.
            let request = call(&mut caller, &carried(), &"a".repeat(101), &[]);
            caller.expect_error(48, request, "wamp.error.invalid_uri");
            // The router's own procedures have no spans.
            let request = call(&mut caller, &carried(), "wamp.session.count", &[]);
            caller.expect_result(request);

            call(&mut caller, &carried(), procedure, &[]);
            callee.expect(68);
            caller.leave();
            callee.expect(69);
            assert_eq!(collector.take(1)[0].error.as_deref(), Some("wamp.error.canceled"));
        },
    );
}

#[test]
fn contexts_that_are_not_sampled_go_on_and_others_do_not_matter() {
    everywhere(
        |_| {},
        |address, wire, _| {
            let (mut callee, mut caller) = (join(address, wire), join(address, wire));
            let procedure = "com.example.procedure";
            let registration = callee.register(procedure);
            let topic = callee.subscribe("com.example.topic");
            let unsampled = json!({"_traceparent": context("00"), "_tracestate": "a=b"});
            let mut details = |options: &Json| -> [Value; 2] {
                call(&mut caller, options, procedure, &[]);
                let invocation = callee.expect(68);
                callee.send(json!([70, invocation[1].uint(), {}]));
                caller.expect(50);
                let request = caller.next();
                caller.send(json!([16, request, options, "com.example.topic"]));
                let event = callee.expect(36);
                assert_eq!((invocation[2].uint(), event[1].uint()), (registration, topic));
                [invocation[3].clone(), event[3].clone()]
            };
            assert_eq!(details(&unsampled), [unsampled.clone(), unsampled.clone()]);
            for options in [
                json!({}),
                json!({"_traceparent": 5}),
                json!({"_traceparent": null, "_tracestate": "a=b"}),
                json!({"_traceparent": "00-0-0-01"}),
                json!({"_traceparent": context("0g")}),
                json!({"_traceparent": format!("{}{}", context("01"), "x".repeat(10_000))}),
                json!({"_tracestate": "a=b"}),
                json!({"traceparent": context("01")}),
            ] {
                assert_eq!(details(&options), [json!({}), json!({})], "{options}");
            }
            let long = json!({"_traceparent": context("00"), "_tracestate": "a".repeat(513)});
            let short = json!({"_traceparent": context("00")});
            assert_eq!(details(&long), [short.clone(), short]);
        },
    );
}

#[test]
fn a_publication_is_a_span_until_all_shards_have_given_it_away() {
    everywhere(
        |config| config.realms[0].history = vec![HistoryRule::new("com.kept.", MatchPolicy::Prefix)],
        |address, wire, collector| {
            let mut publisher = join(address, wire);
            let mut subscribers: Vec<Client> = (0..7).map(|_| join(address, wire)).collect();
            for (at, client) in subscribers.iter_mut().enumerate() {
                let (policy, topic) = if at == 0 { ("prefix", "com.kept.") } else { ("exact", "com.kept.a") };
                client.send(json!([32, 1, {"match": policy}, topic]));
                client.expect(33);
            }
            let mut publish = |options: &Json, topic: &str, payload: &[Json]| -> u64 {
                let request = publisher.next();
                let mut all = options.clone();
                all["acknowledge"] = json!(true);
                publisher.send(Json::from([&[json!(16), json!(request), all, json!(topic)], payload].concat()));
                let answer = publisher.recv();
                if answer[0].uint() == 17 { answer[2].uint() } else { 0 }
            };
            let mut retained = carried();
            retained["retain"] = json!(true);
            let id = publish(&retained, "com.kept.a", &[json!(["x"])]);
            let mut spans = Vec::new();
            for (at, client) in subscribers.iter_mut().enumerate() {
                let event = client.expect(36);
                assert_eq!((event[2].uint(), event[3].dict().contains_key("topic")), (id, at == 0));
                assert_eq!(event[3].dict()["_tracestate"].str(), "vendor=1");
                spans.push(told(&event[3]));
            }
            let [seen] = &collector.take(1)[..] else { unreachable!() };
            assert!(spans.iter().all(|told| *told == (TRACE.into(), seen.span.clone())), "{spans:?}");
            assert_eq!((&*seen.parent, &*seen.name, seen.kind), (SPAN, "publish com.kept.a", 4));
            for (name, value) in [
                ("messaging.system", "wamp"),
                ("messaging.destination.name", "com.kept.a"),
                ("messaging.message.id", &id.to_string()),
                ("wamp.receivers", "7"),
                ("wamp.realm", "realm1"),
            ] {
                assert_eq!(attribute(seen, name), value, "{name}");
            }
            // What is kept belongs to no trace any longer.
            let mut late = join(address, wire);
            late.send(json!([32, 1, {"get_retained": true}, "com.kept.a"]));
            late.expect(33);
            let event = late.expect(36);
            assert_eq!(event[3].dict()["retained"], Value::Bool(true));
            is_silent(&event[3]);
            let request =
                call(&mut late, &json!({}), "wamp.subscription.lookup", &[json!(["com.kept.", {"match": "prefix"}])]);
            let subscription = late.expect_result(request)[0].list()[0].uint();
            let request = call(&mut late, &json!({}), "wamp.subscription.get_events", &[json!([subscription])]);
            let events = late.expect_result(request);
            let kept = &events[0].list()[0].dict();
            assert_eq!(kept["publication"].uint(), id);
            is_silent(&kept["details"]);

            // One publisher that receives nothing, a topic that nobody has, and one that cannot be.
            for (topic, receivers, error) in
                [("com.kept.b", "1", None), ("com.nobody", "0", None), ("com..x", "0", Some("wamp.error.invalid_uri"))]
            {
                let id = publish(&carried(), topic, &[]);
                let [seen] = &collector.take(1)[..] else { unreachable!() };
                assert_eq!((attribute(seen, "wamp.receivers"), seen.error.as_deref()), (receivers, error), "{topic}");
                assert_eq!(attribute(seen, "messaging.message.id") == id.to_string(), error.is_none());
            }
            // Without options of its own, and without PUBLISHED.
            publisher.send(json!([16, 70, {}, "com.kept.a", [], {"_traceparent": context("01")}]));
            publisher.send(json!([16, 71, {}, "com..x", [], {"_traceparent": context("01")}]));
            let mut names: Vec<_> = collector.take(2).into_iter().map(|seen| (seen.parent, seen.name)).collect();
            names.sort();
            assert_eq!(names, [(SPAN.into(), "publish com..x".into()), (SPAN.into(), "publish com.kept.a".to_owned())]);
        },
    );
}

#[test]
fn keyword_arguments_can_carry_a_context() {
    everywhere(
        |config| config.traces_kwargs_bytes_max = 1000,
        |address, wire, collector| {
            let (mut callee, mut caller) = (join(address, wire), join(address, wire));
            callee.register("com.example.procedure");
            let mut arrives = |kwargs: &Json, options: &Json, args: Json| -> Value {
                let request = call(&mut caller, options, "com.example.procedure", &[args, kwargs.clone()]);
                let invocation = callee.expect(68);
                assert_eq!(invocation[5], *kwargs, "payload is the application's");
                callee.send(json!([70, invocation[1].uint(), {}]));
                caller.expect_result(request);
                invocation[3].clone()
            };
            let kwargs = json!({"x": 1, "_traceparent": context("01"), "_tracestate": "a=b"});
            let details = arrives(&kwargs, &json!({}), json!([1]));
            let [seen] = &collector.take(1)[..] else { unreachable!() };
            assert_eq!((&*seen.trace, &*seen.parent, &*seen.state), (TRACE, SPAN, "a=b"));
            assert_eq!(told(&details), (TRACE.into(), seen.span.clone()));
            // Options come first.
            let other = context("01").replace(SPAN, "00000000000000aa");
            arrives(&kwargs, &json!({"_traceparent": other}), json!([1]));
            assert_eq!(collector.take(1)[0].parent, "00000000000000aa");
            // Not sampled, no context, or too much to look through.
            for (kwargs, args) in [
                (json!({"_traceparent": context("00")}), json!([])),
                (json!({"_traceparent": "x"}), json!([])),
                (json!({"y": {"_traceparent": context("01")}}), json!([])),
                (json!({"y": 1}), json!([{"_traceparent": context("01")}])),
                (json!({"_traceparent": context("01")}), json!(["x".repeat(1000)])),
            ] {
                is_silent(&arrives(&kwargs, &json!({}), args));
            }
        },
    );
}

#[test]
fn the_client_for_rust_passes_contexts_on() {
    everywhere(
        |_| {},
        |address, _, collector| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let connect = async || Connect::new(&format!("ws://{address}/ws"), "realm1").open().await;
                let (callee, caller) = (connect().await.expect("a session"), connect().await.expect("a session"));
                let mut events = callee.listen("com.topic").open().await.expect("a subscription");
                let inner = async |origin: Origin| origin.trace().map(|(context, _)| context.to_string());
                let _inner = callee.offer("com.inner").handle(inner).await.expect("a registration");
                let outer = async |origin: Origin, session: Session| {
                    let (context, state) = origin.trace().expect("a context");
                    let below: Option<String> = session.ask("com.inner").trace(context, state).result().await?;
                    session.event("com.topic").trace(context, state).to_all().send().await?;
                    Ok::<_, RequestError>(vec![Some(context.to_string()), state.map(Into::into), below])
                };
                let _outer = callee.offer("com.outer").handle(outer).await.expect("a registration");
                let context: TraceContext = context("01").parse().expect("a context");
                let ask = caller.ask("com.outer").trace(context.under(1), None).trace(context, Some("a=b"));
                let told: Vec<Option<String>> = ask.result().await.expect("a result");
                let event = events.next().await.expect("an event");
                let spans = collector.take(3);
                let named = |name: &str| spans.iter().find(|span| span.name == name).expect("it is there");
                let (outer, inner) = (named("com.outer"), named("com.inner"));
                let publication = named("publish com.topic");
                assert_eq!(&*outer.parent, SPAN);
                assert_eq!([&inner.parent, &publication.parent], [&outer.span, &outer.span]);
                let text = |span: &Seen| Some(format!("00-{TRACE}-{}-01", span.span));
                assert_eq!(told, [text(outer), Some("a=b".into()), text(inner)]);
                let (heard, state) = event.trace().expect("a context");
                assert_eq!((Some(heard.to_string()), state), (text(publication), Some("a=b")));
            });
        },
    );
}
