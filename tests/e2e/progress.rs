//! Progressive call invocations: calls in parts.

use super::{on_every_wire, uri};
use crate::support::client::payload;
use crate::support::{Client, Invocation, Router, Value, Wire};
use serde_json::{Value as Json, json};
use std::time::Duration;

on_every_wire! {
    the_dealer_announces_its_features,
    a_call_in_parts,
    an_explicit_end,
    parts_come_in_order,
    parts_have_one_id_on_each_side,
    two_calls_in_parts_at_once,
    parts_go_to_one_callee,
    parts_go_to_the_callee_of_the_key,
    the_first_options_hold,
    later_options_are_ignored,
    passthru_attributes_hold,
    results_answer_parts,
    a_result_before_the_last_part,
    an_error_before_the_last_part,
    parts_of_a_call_that_is_over_are_dropped,
    parts_must_be_announced,
    the_callee_must_know_parts,
    the_callee_must_be_cancelable,
    parts_for_nobody,
    the_callee_leaves_between_parts,
    the_caller_leaves_between_parts,
    a_call_in_parts_is_canceled,
    progress_of_the_wrong_type,
}

const QUIET: Duration = Duration::from_millis(15);
const PARTS: &[&str] = &["progressive_call_invocations", "progressive_call_results", "call_canceling"];
const UNSUPPORTED: &str = "wamp.error.feature_not_supported";

/// A caller and a callee that know everything here, and a procedure.
struct Pair {
    caller: Client,
    callee: Client,
    procedure: String,
}

impl Pair {
    fn new(router: &Router, wire: Wire) -> Pair {
        let procedure = uri("progress");
        let caller = Client::join_featured(router.address(), wire, PARTS);
        let mut callee = Client::join_featured(router.address(), wire, PARTS);
        callee.register(&procedure);
        Pair { caller, callee, procedure }
    }

    /// Begins a call; further parts come by [`Pair::part`].
    fn begin(&mut self, options: &Json, number: u64) -> u64 {
        self.caller.call_with(&self.procedure, options, &body(number))
    }

    fn part(&mut self, call: u64, options: Json, number: u64) {
        part(&mut self.caller, &self.procedure, call, options, number);
    }

    /// The next message of the callee must be the invocation with this number.
    #[track_caller]
    fn invoked(&mut self, number: u64, more: bool) -> Invocation {
        expect_part(&mut self.callee, number, more)
    }

    #[track_caller]
    fn done(&mut self, invocation: u64, call: u64) {
        self.callee.answer(invocation, &json!({}), &[]);
        assert!(!more(&self.caller.result(call).0));
    }
}

fn body(number: u64) -> Vec<Value> {
    payload(json!([[number]]))
}

fn part(caller: &mut Client, procedure: &str, call: u64, options: Json, number: u64) {
    caller.send(json!([48, call, options, procedure, [number]]));
}

fn more(details: &std::collections::BTreeMap<String, Value>) -> bool {
    details.get("progress") == Some(&Value::Bool(true))
}

#[track_caller]
fn expect_part(callee: &mut Client, number: u64, progress: bool) -> Invocation {
    let invocation = callee.invocation();
    assert_eq!((&invocation.payload, more(&invocation.details)), (&body(number), progress), "{invocation:?}");
    invocation
}

fn the_dealer_announces_its_features(router: &Router, wire: Wire) {
    let client = Client::join(router.address(), wire);
    for feature in ["progressive_call_invocations", "call_canceling", "call_cancelling"] {
        assert!(client.announced("dealer", feature), "{feature}");
    }
}

fn a_call_in_parts(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    for parts in 1..5 {
        let call = pair.begin(&json!({"progress": true}), 0);
        let id = pair.invoked(0, true).request;
        for number in 1..parts {
            pair.part(call, json!({"progress": true}), number);
            assert_eq!(pair.invoked(number, true).request, id);
        }
        pair.part(call, json!({}), parts);
        assert_eq!(pair.invoked(parts, false).request, id);
        pair.done(id, call);
    }
}

fn an_explicit_end(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    let call = pair.begin(&json!({"progress": true}), 0);
    let id = pair.invoked(0, true).request;
    pair.part(call, json!({"progress": false}), 1);
    pair.invoked(1, false);
    pair.done(id, call);
    // A call that has one part only.
    let call = pair.begin(&json!({"progress": false}), 0);
    let id = pair.invoked(0, false).request;
    pair.done(id, call);
}

fn parts_come_in_order(router: &Router, wire: Wire) {
    const COUNT: u64 = 200;
    let mut pair = Pair::new(router, wire);
    let call = pair.begin(&json!({"progress": true}), 0);
    for number in 1..COUNT {
        pair.part(call, json!({"progress": number + 1 < COUNT}), number);
    }
    let id = pair.invoked(0, true).request;
    for number in 1..COUNT {
        let invocation = pair.invoked(number, number + 1 < COUNT);
        assert_eq!(invocation.request, id);
    }
    pair.done(id, call);
}

fn parts_have_one_id_on_each_side(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    // The specification's example: CALL 1, 2, 1.
    let first = pair.begin(&json!({"progress": true}), 10);
    let second = pair.begin(&json!({}), 20);
    pair.part(first, json!({}), 11);
    assert_eq!(pair.invoked(10, true).request, 1);
    assert_eq!(pair.invoked(20, false).request, 2);
    assert_eq!(pair.invoked(11, false).request, 1);
    pair.done(2, second);
    pair.done(1, first);
    let third = pair.begin(&json!({}), 30);
    assert_eq!(pair.invoked(30, false).request, 3, "parts do not count");
    pair.done(3, third);
}

fn two_calls_in_parts_at_once(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    let mut other = Client::join_featured(router.address(), wire, PARTS);
    let mine = pair.begin(&json!({"progress": true}), 0);
    let id = pair.invoked(0, true).request;
    let theirs = other.call_with(&pair.procedure, &json!({"progress": true}), &body(100));
    let their_id = pair.invoked(100, true).request;
    assert_ne!(id, their_id);
    for number in 1..10 {
        pair.part(mine, json!({"progress": true}), number);
        assert_eq!(pair.invoked(number, true).request, id);
        part(&mut other, &pair.procedure, theirs, json!({"progress": true}), 100 + number);
        assert_eq!(pair.invoked(100 + number, true).request, their_id);
    }
    pair.callee.answer(their_id, &json!({}), &[]);
    other.result(theirs);
    pair.done(id, mine);
}

/// Two callees of a shared registration.
fn shared(router: &Router, wire: Wire) -> (Client, [Client; 2], String) {
    let procedure = uri("shared");
    let caller = Client::join_featured(router.address(), wire, PARTS);
    let callees = [0, 1].map(|_| {
        let mut callee = Client::join_featured(router.address(), wire, PARTS);
        callee.register_with(&procedure, &json!({"invoke": "roundrobin"}));
        callee
    });
    (caller, callees, procedure)
}

fn parts_go_to_one_callee(router: &Router, wire: Wire) {
    let (mut caller, [mut first, mut second], procedure) = shared(router, wire);
    let call = caller.call_with(&procedure, &json!({"progress": true}), &body(0));
    let id = expect_part(&mut first, 0, true).request;
    for number in 1..5 {
        // Parts take no turn.
        let (other, callee) = (number % 2 == 1, number * 10);
        caller.call_with(&procedure, &json!({}), &body(callee));
        expect_part(if other { &mut second } else { &mut first }, callee, false);
        part(&mut caller, &procedure, call, json!({"progress": number < 4}), number);
        assert_eq!(expect_part(&mut first, number, number < 4).request, id);
    }
}

fn parts_go_to_the_callee_of_the_key(router: &Router, wire: Wire) {
    let (mut caller, mut callees, procedure) = shared(router, wire);
    let options = json!({"progress": true, "runmode": "partition", "rkey": "key"});
    let call = caller.call_with(&procedure, &options, &body(0));
    let (index, first) = crate::support::request::invoked(&mut callees);
    for number in 1..4 {
        part(&mut caller, &procedure, call, json!({"progress": true}), number);
        assert_eq!(expect_part(&mut callees[index], number, true).request, first.request);
    }
}

fn without_progress(invocation: Invocation) -> std::collections::BTreeMap<String, Value> {
    let mut details = invocation.details;
    details.remove("progress");
    details
}

fn the_first_options_hold(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    let call = pair.begin(&json!({"progress": true, "disclose_me": true, "receive_progress": true}), 0);
    let first = without_progress(pair.invoked(0, true));
    assert_eq!(first["caller"].uint(), pair.caller.session());
    assert_eq!(first["receive_progress"], Value::Bool(true));
    pair.part(call, json!({"progress": true}), 1);
    assert_eq!(without_progress(pair.invoked(1, true)), first);
    pair.part(call, json!({}), 2);
    assert_eq!(without_progress(pair.invoked(2, false)), first);
}

fn later_options_are_ignored(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    let call = pair.begin(&json!({"progress": true}), 0);
    let id = pair.invoked(0, true).request;
    let options = json!({"progress": true, "disclose_me": true, "receive_progress": true, "timeout": 1,
        "runmode": "partition", "ppt_scheme": "mqtt", "x_own": 1});
    pair.part(call, options, 1);
    assert!(without_progress(pair.invoked(1, true)).is_empty());
    // Nobody has asked for results in parts, nor for a timeout.
    pair.callee.answer(id, &json!({"progress": true}), &[]);
    pair.caller.expect_silence(QUIET);
    pair.done(id, call);
}

fn passthru_attributes_hold(router: &Router, wire: Wire) {
    let features = [PARTS, &["payload_passthru_mode"]].concat();
    let procedure = uri("passthru");
    let mut caller = Client::join_featured(router.address(), wire, &features);
    let mut callee = Client::join_featured(router.address(), wire, &features);
    callee.register(&procedure);
    let call = caller.call_with(&procedure, &json!({"progress": true, "ppt_scheme": "mqtt"}), &body(0));
    let first = without_progress(expect_part(&mut callee, 0, true));
    assert_eq!(first["ppt_scheme"].str(), "mqtt");
    part(&mut caller, &procedure, call, json!({"ppt_scheme": "wamp", "ppt_keyid": "k"}), 1);
    assert_eq!(without_progress(expect_part(&mut callee, 1, false)), first);
}

fn results_answer_parts(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    let call = pair.begin(&json!({"progress": true, "receive_progress": true}), 0);
    let id = pair.invoked(0, true).request;
    for number in 1..6 {
        // Two results for each part.
        for result in [number * 10, number * 10 + 1] {
            pair.callee.answer(id, &json!({"progress": true}), &body(result));
            let (details, got) = pair.caller.result(call);
            assert_eq!((more(&details), got), (true, body(result)));
        }
        pair.part(call, json!({"progress": number < 5}), number);
        assert_eq!(pair.invoked(number, number < 5).request, id);
    }
    pair.done(id, call);
}

fn a_result_before_the_last_part(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    let call = pair.begin(&json!({"progress": true}), 0);
    let id = pair.invoked(0, true).request;
    pair.done(id, call);
    pair.part(call, json!({"progress": true}), 1);
    pair.part(call, json!({}), 2);
    over(&mut pair);
}

fn an_error_before_the_last_part(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    let call = pair.begin(&json!({"progress": true}), 0);
    let id = pair.invoked(0, true).request;
    pair.callee.fail(id, "com.test.enough");
    pair.caller.expect_error(48, call, "com.test.enough");
    pair.part(call, json!({"progress": true}), 1);
    pair.part(call, json!({}), 2);
    over(&mut pair);
}

/// Nothing of what the caller has sent for earlier calls reaches the callee or is answered.
#[track_caller]
fn over(pair: &mut Pair) {
    let call = pair.begin(&json!({}), 99);
    let id = pair.invoked(99, false).request;
    pair.done(id, call);
    pair.caller.expect_silence(QUIET);
    pair.callee.expect_silence(QUIET);
}

fn parts_of_a_call_that_is_over_are_dropped(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    // Whatever the order in which the last word and the parts cross.
    for _ in 0..10 {
        let call = pair.begin(&json!({"progress": true}), 0);
        let id = pair.invoked(0, true).request;
        pair.callee.fail(id, "com.test.enough");
        for number in 1..20 {
            pair.part(call, json!({"progress": true}), number);
        }
        pair.caller.expect_error(48, call, "com.test.enough");
        let fence = pair.begin(&json!({}), 99);
        let id = loop {
            let invocation = pair.callee.invocation();
            if invocation.payload == body(99) {
                break invocation.request;
            }
            assert_eq!(invocation.request, id);
        };
        pair.done(id, fence);
    }
}

fn parts_must_be_announced(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    let features = json!({"features": {"progressive_call_invocations": true}});
    for roles in [json!({"caller": {}}), json!({"caller": {"features": {}}, "callee": features})] {
        let mut caller = Client::join_with(router.address(), wire, roles);
        caller.call_with(&pair.procedure, &json!({"progress": true}), &[]);
        caller.expect_abort("wamp.error.protocol_violation");
        // What is not in parts needs nothing.
        let mut caller = Client::join(router.address(), wire);
        let call = caller.call_with(&pair.procedure, &json!({"progress": false}), &body(0));
        let id = pair.invoked(0, false).request;
        pair.callee.answer(id, &json!({}), &[]);
        caller.result(call);
    }
}

#[track_caller]
fn unsupported(router: &Router, wire: Wire, features: &[&str]) {
    let mut pair = Pair::new(router, wire);
    let procedure = uri("unsupported");
    let mut callee = Client::join_featured(router.address(), wire, features);
    callee.register(&procedure);
    let call = pair.caller.call_with(&procedure, &json!({"progress": true}), &body(0));
    pair.caller.expect_error(48, call, UNSUPPORTED);
    // The caller may have sent more before it knew.
    part(&mut pair.caller, &procedure, call, json!({"progress": true}), 1);
    part(&mut pair.caller, &procedure, call, json!({}), 2);
    over(&mut pair);
    callee.expect_silence(QUIET);
}

fn the_callee_must_know_parts(router: &Router, wire: Wire) {
    unsupported(router, wire, &["call_canceling", "progressive_call_results"]);
}

fn the_callee_must_be_cancelable(router: &Router, wire: Wire) {
    unsupported(router, wire, &["progressive_call_invocations"]);
    // Either spelling will do.
    let procedure = uri("spelling");
    let mut callee =
        Client::join_featured(router.address(), wire, &["progressive_call_invocations", "call_cancelling"]);
    callee.register(&procedure);
    let mut caller = Client::join_featured(router.address(), wire, PARTS);
    caller.call_with(&procedure, &json!({"progress": true}), &body(0));
    expect_part(&mut callee, 0, true);
}

fn parts_for_nobody(router: &Router, wire: Wire) {
    let mut pair = Pair::new(router, wire);
    let nobody = uri("nobody");
    let call = pair.caller.call_with(&nobody, &json!({"progress": true}), &[]);
    part(&mut pair.caller, &nobody, call, json!({"progress": true}), 1);
    pair.caller.expect_error(48, call, "wamp.error.no_such_procedure");
    part(&mut pair.caller, &nobody, call, json!({}), 2);
    over(&mut pair);
}

fn the_callee_leaves_between_parts(router: &Router, wire: Wire) {
    for in_order in [true, false] {
        let mut pair = Pair::new(router, wire);
        let call = pair.begin(&json!({"progress": true}), 0);
        pair.invoked(0, true);
        let Pair { mut caller, callee, procedure } = pair;
        if in_order {
            callee.leave();
        } else {
            drop(callee);
        }
        caller.expect_error(48, call, "wamp.error.canceled");
        part(&mut caller, &procedure, call, json!({"progress": true}), 1);
        part(&mut caller, &procedure, call, json!({}), 2);
        caller.expect_silence(QUIET);
    }
}

fn the_caller_leaves_between_parts(router: &Router, wire: Wire) {
    for in_order in [true, false] {
        let mut pair = Pair::new(router, wire);
        let call = pair.begin(&json!({"progress": true}), 0);
        let id = pair.invoked(0, true).request;
        pair.part(call, json!({"progress": true}), 1);
        pair.invoked(1, true);
        let Pair { caller, mut callee, .. } = pair;
        if in_order {
            caller.leave();
        } else {
            drop(caller);
        }
        let interrupt = callee.expect(69);
        assert_eq!((interrupt[1].uint(), interrupt[2].dict()["mode"].str()), (id, "killnowait"));
        callee.answer(id, &json!({}), &[]);
        callee.subscribe(&uri("fence"));
    }
}

fn a_call_in_parts_is_canceled(router: &Router, wire: Wire) {
    for mode in ["skip", "kill", "killnowait"] {
        let mut pair = Pair::new(router, wire);
        let call = pair.begin(&json!({"progress": true}), 0);
        let id = pair.invoked(0, true).request;
        pair.caller.send(json!([49, call, { "mode": mode }]));
        if mode != "skip" {
            let interrupt = pair.callee.expect(69);
            assert_eq!((interrupt[1].uint(), interrupt[2].dict()["mode"].str()), (id, mode));
        }
        if mode == "kill" {
            pair.callee.fail(id, "wamp.error.canceled");
        }
        pair.caller.expect_error(48, call, "wamp.error.canceled");
        pair.part(call, json!({"progress": true}), 1);
        pair.part(call, json!({}), 2);
        over(&mut pair);
    }
}

fn progress_of_the_wrong_type(router: &Router, wire: Wire) {
    for options in [json!({"progress": 1}), json!({"progress": "no"}), json!({"receive_progress": "yes"})] {
        let mut client = Client::join_featured(router.address(), wire, PARTS);
        client.request(48, &options, &uri("type"), &[]);
        client.expect_abort("wamp.error.protocol_violation");
    }
}
