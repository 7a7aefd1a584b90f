//! Call canceling in each mode and state, and call timeouts.

use super::{on_every_wire, on_wires_at_once, uri};
use crate::support::client::payload;
use crate::support::{Client, Router, Value, Wire};
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};

on_every_wire! {
    the_dealer_announces_its_features,
    skip_tells_the_callee_nothing,
    kill_waits_for_the_callee,
    kill_may_be_too_late,
    killnowait_does_not_wait,
    a_callee_that_cannot_be_interrupted,
    both_spellings,
    no_mode_does_not_wait,
    modes_of_the_wrong_kind,
    what_is_over_cannot_be_canceled,
    canceling_twice,
    impatience_after_kill,
    canceling_after_results,
    results_go_on_until_the_callee_obeys,
    the_callee_leaves_while_it_is_killed,
    the_caller_leaves_while_it_kills,
    canceling_one_of_many,
    canceling_before_the_invocation_is_read,
    timeouts_of_the_wrong_type,
    a_forwarded_timeout_is_told,
    a_timeout_is_not_told_otherwise,
}

on_wires_at_once! {
    a_call_times_out,
    a_callee_is_interrupted_at_the_timeout,
    no_timeout_without_the_option,
    an_answer_ends_the_timeout,
    results_begin_the_timeout_anew,
    a_waiting_call_times_out,
    a_forwarded_timeout_is_the_callees,
    a_callee_times_out_itself,
    parts_and_the_timeout,
}

const QUIET: Duration = Duration::from_millis(15);
const CANCELED: &str = "wamp.error.canceled";
const TIMEOUT: &str = "wamp.error.timeout";
const CANCELING: &[&str] = &["call_canceling", "progressive_call_results", "progressive_call_invocations"];

/// A caller and a callee of a procedure; the callee with these features.
fn pair(router: &Router, wire: Wire, features: &[&str], options: &Json) -> (Client, Client, String) {
    let procedure = uri("cancel");
    let caller = Client::join_featured(router.address(), wire, CANCELING);
    let mut callee = Client::join_featured(router.address(), wire, features);
    callee.register_with(&procedure, options);
    (caller, callee, procedure)
}

/// A call that the callee works on.
fn open(router: &Router, wire: Wire, features: &[&str], options: &Json) -> (Client, Client, u64, u64) {
    let (mut caller, mut callee, procedure) = pair(router, wire, features, &json!({}));
    let call = caller.call_with(&procedure, options, &[]);
    let invocation = callee.invocation().request;
    (caller, callee, call, invocation)
}

fn cancel(caller: &mut Client, call: u64, mode: &str) {
    caller.send(json!([49, call, { "mode": mode }]));
}

#[track_caller]
fn interrupted(callee: &mut Client, invocation: u64, mode: &str) {
    let message = callee.expect(69);
    assert_eq!((message.len(), message[1].uint(), message[2].dict()["mode"].str()), (3, invocation, mode));
}

/// Nothing has come, and the callee may answer what is over.
#[track_caller]
fn quiet(caller: &mut Client, callee: &mut Client, invocation: u64) {
    callee.answer(invocation, &json!({}), &[]);
    callee.subscribe(&uri("fence"));
    caller.expect_silence(QUIET);
}

fn the_dealer_announces_its_features(router: &Router, wire: Wire) {
    let client = Client::join(router.address(), wire);
    for feature in ["call_canceling", "call_cancelling", "call_timeout"] {
        assert!(client.announced("dealer", feature), "{feature}");
    }
}

fn skip_tells_the_callee_nothing(router: &Router, wire: Wire) {
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
    cancel(&mut caller, call, "skip");
    caller.expect_error(48, call, CANCELED);
    quiet(&mut caller, &mut callee, invocation);
}

fn kill_waits_for_the_callee(router: &Router, wire: Wire) {
    for error in [CANCELED, "com.test.killed"] {
        let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
        cancel(&mut caller, call, "kill");
        interrupted(&mut callee, invocation, "kill");
        caller.expect_silence(QUIET);
        callee.send(json!([8, 68, invocation, {}, error, ["half"]]));
        assert_eq!(caller.expect_error(48, call, error)[5], json!(["half"]));
        quiet(&mut caller, &mut callee, invocation);
    }
}

fn kill_may_be_too_late(router: &Router, wire: Wire) {
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
    cancel(&mut caller, call, "kill");
    interrupted(&mut callee, invocation, "kill");
    callee.answer(invocation, &json!({}), &payload(json!([["done"]])));
    assert_eq!(caller.expect_result(call), payload(json!([["done"]])));
}

fn killnowait_does_not_wait(router: &Router, wire: Wire) {
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
    cancel(&mut caller, call, "killnowait");
    caller.expect_error(48, call, CANCELED);
    interrupted(&mut callee, invocation, "killnowait");
    quiet(&mut caller, &mut callee, invocation);
}

fn a_callee_that_cannot_be_interrupted(router: &Router, wire: Wire) {
    for mode in ["skip", "kill", "killnowait"] {
        let (mut caller, mut callee, call, invocation) = open(router, wire, &[], &json!({}));
        cancel(&mut caller, call, mode);
        caller.expect_error(48, call, CANCELED);
        quiet(&mut caller, &mut callee, invocation);
    }
}

fn both_spellings(router: &Router, wire: Wire) {
    for feature in ["call_canceling", "call_cancelling"] {
        let (mut caller, mut callee, call, invocation) = open(router, wire, &[feature], &json!({}));
        cancel(&mut caller, call, "killnowait");
        interrupted(&mut callee, invocation, "killnowait");
    }
}

fn no_mode_does_not_wait(router: &Router, wire: Wire) {
    for options in [json!({}), json!({"mode": null})] {
        let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
        caller.send(json!([49, call, options]));
        caller.expect_error(48, call, CANCELED);
        interrupted(&mut callee, invocation, "killnowait");
    }
}

fn modes_of_the_wrong_kind(router: &Router, wire: Wire) {
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
    cancel(&mut caller, call, "nonsense");
    caller.expect_error(49, call, "wamp.error.invalid_argument");
    // The call goes on.
    callee.answer(invocation, &json!({}), &[]);
    caller.expect_result(call);
    caller.send(json!([49, call, {"mode": 1}]));
    caller.expect_abort("wamp.error.protocol_violation");
}

fn what_is_over_cannot_be_canceled(router: &Router, wire: Wire) {
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
    callee.answer(invocation, &json!({}), &[]);
    caller.expect_result(call);
    for mode in ["skip", "kill", "killnowait"] {
        for request in [call, 4_242_424_242] {
            cancel(&mut caller, request, mode);
        }
    }
    quiet(&mut caller, &mut callee, invocation);
}

fn canceling_twice(router: &Router, wire: Wire) {
    for mode in ["skip", "killnowait"] {
        let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
        cancel(&mut caller, call, mode);
        cancel(&mut caller, call, mode);
        caller.expect_error(48, call, CANCELED);
        if mode != "skip" {
            interrupted(&mut callee, invocation, mode);
        }
        quiet(&mut caller, &mut callee, invocation);
    }
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
    cancel(&mut caller, call, "kill");
    cancel(&mut caller, call, "kill");
    interrupted(&mut callee, invocation, "kill");
    callee.fail(invocation, CANCELED);
    caller.expect_error(48, call, CANCELED);
    quiet(&mut caller, &mut callee, invocation);
}

fn impatience_after_kill(router: &Router, wire: Wire) {
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
    cancel(&mut caller, call, "kill");
    interrupted(&mut callee, invocation, "kill");
    cancel(&mut caller, call, "skip");
    caller.expect_error(48, call, CANCELED);
    quiet(&mut caller, &mut callee, invocation);
}

fn canceling_after_results(router: &Router, wire: Wire) {
    for mode in ["skip", "killnowait"] {
        let (mut caller, mut callee, call, invocation) =
            open(router, wire, CANCELING, &json!({"receive_progress": true}));
        callee.answer(invocation, &json!({"progress": true}), &[]);
        caller.expect_result(call);
        cancel(&mut caller, call, mode);
        caller.expect_error(48, call, CANCELED);
        if mode != "skip" {
            interrupted(&mut callee, invocation, mode);
        }
        callee.answer(invocation, &json!({"progress": true}), &[]);
        quiet(&mut caller, &mut callee, invocation);
    }
}

fn results_go_on_until_the_callee_obeys(router: &Router, wire: Wire) {
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({"receive_progress": true}));
    cancel(&mut caller, call, "kill");
    interrupted(&mut callee, invocation, "kill");
    callee.answer(invocation, &json!({"progress": true}), &[]);
    let (details, _) = caller.result(call);
    assert_eq!(details["progress"], Value::Bool(true));
    callee.fail(invocation, CANCELED);
    caller.expect_error(48, call, CANCELED);
}

fn the_callee_leaves_while_it_is_killed(router: &Router, wire: Wire) {
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
    cancel(&mut caller, call, "kill");
    interrupted(&mut callee, invocation, "kill");
    drop(callee);
    caller.expect_error(48, call, CANCELED);
    caller.expect_silence(QUIET);
}

fn the_caller_leaves_while_it_kills(router: &Router, wire: Wire) {
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({}));
    cancel(&mut caller, call, "kill");
    interrupted(&mut callee, invocation, "kill");
    caller.leave();
    // A second INTERRUPT may tell the callee that nobody waits any longer; its answer is late in any case.
    callee.answer(invocation, &json!({}), &[]);
    let request = callee.request(32, &json!({}), &uri("fence"), &[]);
    let message = callee.recv();
    match message[0].uint() {
        69 => assert_eq!(callee.expect(33)[1].uint(), request),
        _ => assert_eq!((message[0].uint(), message[1].uint()), (33, request), "{message:?}"),
    }
}

fn canceling_one_of_many(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, CANCELING, &json!({}));
    let calls = [0, 1, 2].map(|_| caller.call(&procedure, &[]));
    let invocations = [0, 1, 2].map(|_| callee.invocation().request);
    cancel(&mut caller, calls[1], "killnowait");
    caller.expect_error(48, calls[1], CANCELED);
    interrupted(&mut callee, invocations[1], "killnowait");
    for index in [2, 0] {
        callee.answer(invocations[index], &json!({}), &[]);
        caller.expect_result(calls[index]);
    }
}

fn canceling_before_the_invocation_is_read(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, CANCELING, &json!({}));
    for _ in 0..20 {
        let call = caller.call(&procedure, &[]);
        cancel(&mut caller, call, "killnowait");
        caller.expect_error(48, call, CANCELED);
        // INTERRUPT never comes before its INVOCATION.
        let invocation = callee.invocation().request;
        interrupted(&mut callee, invocation, "killnowait");
    }
}

fn timeouts_of_the_wrong_type(router: &Router, wire: Wire) {
    for timeout in [json!("100"), json!(1.5), json!([]), json!(true)] {
        let mut client = Client::join(router.address(), wire);
        client.call_with(&uri("type"), &json!({ "timeout": timeout }), &[]);
        client.expect_abort("wamp.error.protocol_violation");
    }
    let mut client = Client::join(router.address(), wire);
    client.request(64, &json!({"forward_timeout": 1}), &uri("type"), &[]);
    client.expect_abort("wamp.error.protocol_violation");
}

fn forwarding() -> Json {
    json!({"forward_timeout": true})
}

fn a_forwarded_timeout_is_told(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, &["call_timeout"], &forwarding());
    caller.call_with(&procedure, &json!({"timeout": 60_000}), &[]);
    assert_eq!(callee.invocation().details["timeout"].uint(), 60_000);
    caller.call_with(&procedure, &json!({}), &[]);
    assert_eq!(callee.invocation().details.get("timeout"), None);
}

fn a_timeout_is_not_told_otherwise(router: &Router, wire: Wire) {
    let registered = [
        (&["call_timeout"][..], json!({})),
        (&["call_timeout"], json!({"forward_timeout": false})),
        (CANCELING, forwarding()),
        (&[], forwarding()),
    ];
    for (features, options) in registered {
        let (mut caller, mut callee, procedure) = pair(router, wire, features, &options);
        caller.call_with(&procedure, &json!({"timeout": 60_000}), &[]);
        assert_eq!(callee.invocation().details.get("timeout"), None, "{features:?} {options}");
    }
}

/// The call must end with a timeout after this time at least.
#[track_caller]
fn times_out(caller: &mut Client, call: u64, start: Instant, time_min: Duration) {
    caller.expect_error(48, call, TIMEOUT);
    assert!(start.elapsed() >= time_min, "after {:?} already", start.elapsed());
    // Milliseconds, not seconds.
    assert!(start.elapsed() < time_min + Duration::from_secs(10), "after {:?}", start.elapsed());
}

fn a_call_times_out(router: &Router, wire: Wire) {
    for features in [&[][..], &["call_timeout"]] {
        let (mut caller, mut callee, procedure) = pair(router, wire, features, &json!({}));
        let start = Instant::now();
        let call = caller.call_with(&procedure, &json!({"timeout": 50}), &[]);
        let invocation = callee.invocation().request;
        times_out(&mut caller, call, start, Duration::from_millis(50));
        // Nobody is interrupted who cannot be, and the answer is late.
        quiet(&mut caller, &mut callee, invocation);
        let call = caller.call(&procedure, &[]);
        let invocation = callee.invocation().request;
        callee.answer(invocation, &json!({}), &[]);
        caller.expect_result(call);
    }
}

fn a_callee_is_interrupted_at_the_timeout(router: &Router, wire: Wire) {
    let start = Instant::now();
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({"timeout": 50}));
    interrupted(&mut callee, invocation, "killnowait");
    times_out(&mut caller, call, start, Duration::from_millis(50));
    quiet(&mut caller, &mut callee, invocation);
}

fn no_timeout_without_the_option(router: &Router, wire: Wire) {
    for options in [json!({"timeout": 0}), json!({}), json!({"timeout": null}), json!({"timeout": u32::MAX})] {
        let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &options);
        caller.expect_silence(Duration::from_millis(100));
        callee.answer(invocation, &json!({}), &[]);
        caller.expect_result(call);
    }
}

fn an_answer_ends_the_timeout(router: &Router, wire: Wire) {
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &json!({"timeout": 1500}));
    callee.answer(invocation, &json!({}), &[]);
    caller.expect_result(call);
    caller.expect_silence(Duration::from_millis(1700));
    callee.expect_silence(QUIET);
}

fn results_begin_the_timeout_anew(router: &Router, wire: Wire) {
    let options = json!({"timeout": 1500, "receive_progress": true});
    let start = Instant::now();
    let (mut caller, mut callee, call, invocation) = open(router, wire, CANCELING, &options);
    let mut last = start;
    for _ in 0..4 {
        caller.expect_silence(Duration::from_millis(500));
        last = Instant::now();
        callee.answer(invocation, &json!({"progress": true}), &[]);
        caller.expect_result(call);
    }
    times_out(&mut caller, call, last, Duration::from_millis(1500));
    interrupted(&mut callee, invocation, "killnowait");
}

fn a_waiting_call_times_out(router: &Router, wire: Wire) {
    let limit = json!({"invoke": "roundrobin", "concurrency": 1});
    let (mut caller, mut callee, procedure) = pair(router, wire, CANCELING, &limit);
    let first = caller.call(&procedure, &[]);
    let invocation = callee.invocation().request;
    let start = Instant::now();
    let second = caller.call_with(&procedure, &json!({"timeout": 50}), &[]);
    times_out(&mut caller, second, start, Duration::from_millis(50));
    callee.answer(invocation, &json!({}), &[]);
    caller.expect_result(first);
    // The callee never hears of the second.
    callee.expect_silence(QUIET);
}

fn a_forwarded_timeout_is_the_callees(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, &["call_timeout", "call_canceling"], &forwarding());
    let call = caller.call_with(&procedure, &json!({"timeout": 20}), &[]);
    let invocation = callee.invocation().request;
    // It decides, also to take longer.
    callee.expect_silence(Duration::from_millis(200));
    callee.answer(invocation, &json!({}), &[]);
    caller.expect_result(call);
}

fn a_callee_times_out_itself(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, &["call_timeout"], &forwarding());
    let call = caller.call_with(&procedure, &json!({"timeout": 20}), &[]);
    let invocation = callee.invocation().request;
    callee.fail(invocation, TIMEOUT);
    caller.expect_error(48, call, TIMEOUT);
}

fn parts_and_the_timeout(router: &Router, wire: Wire) {
    let start = Instant::now();
    let options = json!({"progress": true, "timeout": 300});
    let (mut caller, mut callee, procedure) = pair(router, wire, CANCELING, &json!({}));
    let call = caller.call_with(&procedure, &options, &[]);
    let invocation = callee.invocation().request;
    // The timeout of the first part holds, whatever a later one says.
    caller.send(json!([48, call, {"timeout": 3_600_000}, procedure]));
    callee.invocation();
    interrupted(&mut callee, invocation, "killnowait");
    times_out(&mut caller, call, start, Duration::from_millis(300));
}
