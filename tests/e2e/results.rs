//! Progressive call results, and payload passthru mode in calls and their results.

use super::{on_every_wire, uri};
use crate::support::client::payload;
use crate::support::{Client, Router, Value, Wire};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;

on_every_wire! {
    the_dealer_announces_its_features,
    results_in_parts,
    results_of_any_shape,
    an_error_after_results,
    results_in_parts_must_be_asked_for,
    nobody_has_to_give_results_in_parts,
    a_callee_without_canceling_gives_results_in_parts,
    results_of_several_calls,
    no_result_comes_after_the_last,
    the_caller_leaves_between_results,
    the_callee_leaves_between_results,
    result_options_of_the_wrong_type,
    passthru_there_and_back,
    passthru_on_every_wire,
    passthru_in_errors,
    passthru_in_parts,
    passthru_for_a_callee_that_cannot,
    passthru_for_a_caller_that_cannot,
    passthru_must_be_announced_by_callers,
    passthru_must_be_announced_by_callees,
    passthru_attributes_of_the_wrong_type,
}

const QUIET: Duration = Duration::from_millis(15);
const RESULTS: &[&str] = &["progressive_call_results", "call_canceling"];
const PASSTHRU: &str = "payload_passthru_mode";
const UNSUPPORTED: &str = "wamp.error.feature_not_supported";
const VIOLATION: &str = "wamp.error.protocol_violation";

/// A caller and a callee of a procedure, with these features.
fn pair(router: &Router, wire: Wire, caller: &[&str], callee: &[&str]) -> (Client, Client, String) {
    let procedure = uri("results");
    let caller = Client::join_featured(router.address(), wire, caller);
    let mut callee = Client::join_featured(router.address(), wire, callee);
    callee.register(&procedure);
    (caller, callee, procedure)
}

fn asking() -> Json {
    json!({"receive_progress": true})
}

fn more() -> Json {
    json!({"progress": true})
}

fn is_more(details: &BTreeMap<String, Value>) -> bool {
    details.get("progress") == Some(&Value::Bool(true))
}

/// The next message of the caller must be a result that others follow.
#[track_caller]
fn expect_more(caller: &mut Client, call: u64, body: &[Value]) {
    let (details, got) = caller.result(call);
    assert_eq!((is_more(&details), &got[..]), (true, body));
}

/// The next message of the caller must be the last result.
#[track_caller]
fn expect_last(caller: &mut Client, call: u64, body: &[Value]) {
    let (details, got) = caller.result(call);
    assert_eq!((is_more(&details), &got[..]), (false, body));
}

fn the_dealer_announces_its_features(router: &Router, wire: Wire) {
    let client = Client::join(router.address(), wire);
    for feature in ["progressive_call_results", PASSTHRU] {
        assert!(client.announced("dealer", feature), "{feature}");
    }
}

fn results_in_parts(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, RESULTS, RESULTS);
    let call = caller.call_with(&procedure, &asking(), &[]);
    let invocation = callee.invocation();
    assert_eq!(invocation.details["receive_progress"], Value::Bool(true));
    for number in 0..100 {
        callee.answer(invocation.request, &more(), &payload(json!([[number]])));
    }
    callee.answer(invocation.request, &json!({"progress": false}), &payload(json!([["Total", 490]])));
    for number in 0..100 {
        expect_more(&mut caller, call, &payload(json!([[number]])));
    }
    expect_last(&mut caller, call, &payload(json!([["Total", 490]])));
}

fn results_of_any_shape(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, RESULTS, RESULTS);
    let shapes = [json!([]), json!([[]]), json!([["partial 1", 10]]), json!([[], {"foo": 10, "bar": "partial 1"}])];
    for last in &shapes {
        let call = caller.call_with(&procedure, &asking(), &[]);
        let invocation = callee.invocation().request;
        for shape in &shapes {
            callee.answer(invocation, &more(), &payload(shape.clone()));
            expect_more(&mut caller, call, &payload(shape.clone()));
        }
        callee.answer(invocation, &json!({}), &payload(last.clone()));
        expect_last(&mut caller, call, &payload(last.clone()));
    }
}

fn an_error_after_results(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, RESULTS, RESULTS);
    let call = caller.call_with(&procedure, &asking(), &[]);
    let invocation = callee.invocation().request;
    callee.answer(invocation, &more(), &payload(json!([["Y2010", 120]])));
    callee.send(json!([8, 68, invocation, {}, "com.myapp.invalid_revenue_year", [1830]]));
    expect_more(&mut caller, call, &payload(json!([["Y2010", 120]])));
    let error = caller.expect_error(48, call, "com.myapp.invalid_revenue_year");
    assert_eq!(error[5], json!([1830]));
}

fn results_in_parts_must_be_asked_for(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, RESULTS, RESULTS);
    for options in [json!({}), json!({"receive_progress": false}), json!({"receive_progress": null})] {
        let call = caller.call_with(&procedure, &options, &[]);
        let invocation = callee.invocation();
        assert_ne!(invocation.details.get("receive_progress"), Some(&Value::Bool(true)));
        // A part of a result that nobody wants does no harm.
        callee.answer(invocation.request, &more(), &payload(json!([["part"]])));
        callee.answer(invocation.request, &json!({}), &payload(json!([["all"]])));
        expect_last(&mut caller, call, &payload(json!([["all"]])));
    }
}

fn nobody_has_to_give_results_in_parts(router: &Router, wire: Wire) {
    for features in [RESULTS, &[]] {
        let (mut caller, mut callee, procedure) = pair(router, wire, RESULTS, features);
        let call = caller.call_with(&procedure, &asking(), &[]);
        let invocation = callee.invocation().request;
        callee.answer(invocation, &json!({}), &payload(json!([[1]])));
        expect_last(&mut caller, call, &payload(json!([[1]])));
    }
}

fn a_callee_without_canceling_gives_results_in_parts(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, RESULTS, &["progressive_call_results"]);
    let call = caller.call_with(&procedure, &asking(), &[]);
    let invocation = callee.invocation();
    assert_eq!(invocation.details["receive_progress"], Value::Bool(true));
    callee.answer(invocation.request, &more(), &[]);
    expect_more(&mut caller, call, &[]);
    callee.answer(invocation.request, &json!({}), &[]);
    expect_last(&mut caller, call, &[]);
}

fn results_of_several_calls(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, RESULTS, RESULTS);
    let calls = [0, 1, 2].map(|_| caller.call_with(&procedure, &asking(), &[]));
    let invocations = [0, 1, 2].map(|_| callee.invocation().request);
    for number in 0..10 {
        for (call, invocation) in calls.into_iter().zip(invocations) {
            let body = payload(json!([[call, number]]));
            callee.answer(invocation, &more(), &body);
            expect_more(&mut caller, call, &body);
        }
    }
    for (call, invocation) in calls.into_iter().zip(invocations).rev() {
        callee.answer(invocation, &json!({}), &[]);
        expect_last(&mut caller, call, &[]);
    }
}

fn no_result_comes_after_the_last(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, RESULTS, RESULTS);
    let call = caller.call_with(&procedure, &asking(), &[]);
    let invocation = callee.invocation().request;
    callee.answer(invocation, &json!({}), &[]);
    callee.answer(invocation, &more(), &[]);
    callee.fail(invocation, "com.test.late");
    expect_last(&mut caller, call, &[]);
    callee.subscribe(&uri("fence"));
    caller.expect_silence(QUIET);
}

fn the_caller_leaves_between_results(router: &Router, wire: Wire) {
    for in_order in [true, false] {
        let (mut caller, mut callee, procedure) = pair(router, wire, RESULTS, RESULTS);
        let call = caller.call_with(&procedure, &asking(), &[]);
        let invocation = callee.invocation().request;
        callee.answer(invocation, &more(), &[]);
        expect_more(&mut caller, call, &[]);
        if in_order {
            caller.leave();
        } else {
            drop(caller);
        }
        let interrupt = callee.expect(69);
        assert_eq!((interrupt[1].uint(), interrupt[2].dict()["mode"].str()), (invocation, "killnowait"));
        callee.answer(invocation, &more(), &[]);
        callee.answer(invocation, &json!({}), &[]);
        callee.subscribe(&uri("fence"));
    }
}

fn the_callee_leaves_between_results(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, RESULTS, RESULTS);
    let call = caller.call_with(&procedure, &asking(), &[]);
    let invocation = callee.invocation().request;
    for _ in 0..3 {
        callee.answer(invocation, &more(), &[]);
    }
    callee.leave();
    for _ in 0..3 {
        expect_more(&mut caller, call, &[]);
    }
    caller.expect_error(48, call, "wamp.error.canceled");
}

fn result_options_of_the_wrong_type(router: &Router, wire: Wire) {
    for options in [json!({"progress": 1}), json!({"progress": "true"})] {
        let (mut caller, mut callee, procedure) = pair(router, wire, RESULTS, RESULTS);
        let call = caller.call_with(&procedure, &asking(), &[]);
        let invocation = callee.invocation().request;
        callee.answer(invocation, &options, &[]);
        callee.expect_abort(VIOLATION);
        caller.expect_error(48, call, "wamp.error.canceled");
    }
}

fn attributes() -> Json {
    json!({"ppt_scheme": "x_own", "ppt_serializer": "custom", "ppt_cipher": "rot13", "ppt_keyid": "0xAb"})
}

fn octets(byte: u8) -> Vec<Value> {
    vec![Value::List(vec![Value::Bin(vec![byte, 0, 255, b'"', byte])])]
}

/// The passthru attributes among these details.
fn told(details: &BTreeMap<String, Value>) -> Json {
    let told = details.iter().filter(|(key, _)| key.starts_with("ppt_"));
    Json::Object(told.map(|(key, value)| (key.clone(), value.clone().into())).collect())
}

fn passthru_there_and_back(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, &[PASSTHRU], &[PASSTHRU]);
    for there in [attributes(), json!({"ppt_scheme": "mqtt"}), json!({})] {
        for back in [json!({"ppt_scheme": "wamp", "ppt_serializer": "cbor"}), json!({}), attributes()] {
            let call = caller.call_with(&procedure, &there, &octets(1));
            let invocation = callee.invocation();
            assert_eq!((told(&invocation.details), invocation.payload), (there.clone(), octets(1)));
            callee.answer(invocation.request, &back, &octets(2));
            let (details, body) = caller.result(call);
            assert_eq!((told(&details), body), (back, octets(2)));
        }
    }
}

fn passthru_on_every_wire(router: &Router, wire: Wire) {
    for other in Wire::all() {
        let procedure = uri("every_wire");
        let mut caller = Client::join_featured(router.address(), wire, &[PASSTHRU]);
        let mut callee = Client::join_featured(router.address(), other, &[PASSTHRU]);
        callee.register(&procedure);
        let call = caller.call_with(&procedure, &attributes(), &octets(7));
        let invocation = callee.invocation();
        assert_eq!((told(&invocation.details), invocation.payload), (attributes(), octets(7)));
        callee.answer(invocation.request, &attributes(), &octets(8));
        assert_eq!(caller.result(call).1, octets(8));
    }
}

fn passthru_in_errors(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, &[PASSTHRU], &[PASSTHRU]);
    let call = caller.call_with(&procedure, &attributes(), &octets(1));
    let invocation = callee.invocation().request;
    callee.send(json!([8, 68, invocation, attributes(), "com.test.failed", ["\0AP8Q4Q=="]]));
    let error = caller.expect_error(48, call, "com.test.failed");
    assert_eq!(told(error[3].dict()), attributes());
    assert_eq!(error[5..], payload(json!([["\0AP8Q4Q=="]])));
}

fn passthru_in_parts(router: &Router, wire: Wire) {
    let features = [RESULTS, &[PASSTHRU]].concat();
    let (mut caller, mut callee, procedure) = pair(router, wire, &features, &features);
    let mut options = attributes();
    options["receive_progress"] = true.into();
    let call = caller.call_with(&procedure, &options, &octets(1));
    let invocation = callee.invocation().request;
    let mut part = attributes();
    part["progress"] = true.into();
    for number in 2..5 {
        callee.answer(invocation, &part, &octets(number));
        let (details, body) = caller.result(call);
        assert_eq!((is_more(&details), told(&details), body), (true, attributes(), octets(number)));
    }
    callee.answer(invocation, &json!({}), &[]);
    expect_last(&mut caller, call, &[]);
}

fn passthru_for_a_callee_that_cannot(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, &[PASSTHRU], &[]);
    let call = caller.call_with(&procedure, &attributes(), &octets(1));
    caller.expect_error(48, call, UNSUPPORTED);
    callee.expect_silence(QUIET);
    let call = caller.call(&procedure, &[]);
    assert_eq!(callee.invocation().request, 1);
    callee.answer(1, &json!({}), &[]);
    expect_last(&mut caller, call, &[]);
}

fn passthru_for_a_caller_that_cannot(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, &[], &[PASSTHRU]);
    let call = caller.call(&procedure, &[]);
    let invocation = callee.invocation().request;
    callee.answer(invocation, &attributes(), &octets(1));
    // Both learn of it: the callee as the specification says, the caller because every call has an end.
    callee.expect_error(70, invocation, UNSUPPORTED);
    caller.expect_error(48, call, UNSUPPORTED);
}

fn passthru_must_be_announced_by_callers(router: &Router, wire: Wire) {
    let (_, mut callee, procedure) = pair(router, wire, &[], &[PASSTHRU]);
    let feature = json!({"features": {PASSTHRU: true}});
    for roles in [json!({"caller": {}}), json!({"caller": {}, "callee": feature, "publisher": feature})] {
        let mut caller = Client::join_with(router.address(), wire, roles);
        caller.call_with(&procedure, &attributes(), &octets(1));
        caller.expect_abort(VIOLATION);
    }
    callee.expect_silence(QUIET);
}

fn passthru_must_be_announced_by_callees(router: &Router, wire: Wire) {
    let (mut caller, mut callee, procedure) = pair(router, wire, &[PASSTHRU], &[]);
    let call = caller.call(&procedure, &[]);
    let invocation = callee.invocation().request;
    callee.answer(invocation, &attributes(), &octets(1));
    callee.expect_abort(VIOLATION);
    caller.expect_error(48, call, "wamp.error.canceled");
}

fn passthru_attributes_of_the_wrong_type(router: &Router, wire: Wire) {
    for key in ["ppt_scheme", "ppt_serializer", "ppt_cipher", "ppt_keyid"] {
        let mut wrong = attributes();
        wrong[key] = 1.into();
        let (mut caller, mut callee, procedure) = pair(router, wire, &[PASSTHRU], &[PASSTHRU]);
        let call = caller.call(&procedure, &[]);
        let invocation = callee.invocation().request;
        callee.answer(invocation, &wrong, &octets(1));
        callee.expect_abort(VIOLATION);
        caller.expect_error(48, call, "wamp.error.canceled");
        caller.call_with(&procedure, &wrong, &octets(1));
        caller.expect_abort(VIOLATION);
    }
}
