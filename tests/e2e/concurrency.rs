//! Limits of concurrency: calls wait until a callee is free.

use super::{on_every_wire, uri};
use crate::support::client::payload;
use crate::support::{Client, Router, Wire};
use serde_json::{Value as Json, json};
use std::time::Duration;

on_every_wire! {
    calls_beyond_the_limit_wait,
    each_callee_has_its_own_limit,
    a_full_callee_is_passed_over,
    an_error_makes_room,
    a_progressive_result_makes_no_room,
    calls_wait_for_a_new_callee,
    calls_of_several_callers_wait,
    a_waiting_call_is_canceled,
    a_waiting_caller_leaves,
    a_canceled_call_makes_room,
    waiting_calls_when_a_callee_leaves,
    waiting_calls_when_the_last_callee_leaves,
    a_limit_of_nothing,
}

const QUIET: Duration = Duration::from_millis(15);

/// Joins with these features and registers.
fn callee(router: &Router, wire: Wire, features: &[&str], procedure: &str, options: &Json) -> Client {
    let mut client = Client::join_featured(router.address(), wire, features);
    client.register_with(procedure, options);
    client
}

fn limited(limit: u64) -> Json {
    json!({"invoke": "roundrobin", "concurrency": limit})
}

#[track_caller]
fn calls(caller: &mut Client, procedure: &str, count: u64) -> Vec<u64> {
    (0..count).map(|number| caller.call(procedure, &payload(json!([[number]])))).collect()
}

/// The next message must be the invocation of the call with this number.
#[track_caller]
fn expect_number(callee: &mut Client, number: u64) -> u64 {
    let invocation = callee.invocation();
    assert_eq!(invocation.payload, payload(json!([[number]])));
    invocation.request
}

#[track_caller]
fn done(callee: &mut Client, invocation: u64, caller: &mut Client, call: u64) {
    callee.answer(invocation, &json!({}), &[]);
    caller.result(call);
}

fn calls_beyond_the_limit_wait(router: &Router, wire: Wire) {
    let procedure = uri("limit");
    let mut all = [0, 1].map(|_| callee(router, wire, &[], &procedure, &limited(1)));
    let mut caller = Client::join(router.address(), wire);
    let calls = calls(&mut caller, &procedure, 6);
    let mut open = [expect_number(&mut all[0], 0), expect_number(&mut all[1], 1)];
    let mut doing = [0, 1];
    // Whoever is free does the one that has waited longest.
    for (next, free) in [(2, 1), (3, 0), (4, 0), (5, 1)] {
        all[1 - free].expect_silence(QUIET);
        done(&mut all[free], open[free], &mut caller, calls[doing[free]]);
        open[free] = expect_number(&mut all[free], next);
        doing[free] = next as usize;
    }
    for index in [0, 1] {
        done(&mut all[index], open[index], &mut caller, calls[doing[index]]);
    }
}

fn each_callee_has_its_own_limit(router: &Router, wire: Wire) {
    let procedure = uri("own_limit");
    let mut small = callee(router, wire, &[], &procedure, &limited(1));
    let mut large = callee(router, wire, &[], &procedure, &limited(3));
    let mut caller = Client::join(router.address(), wire);
    calls(&mut caller, &procedure, 5);
    small.invocation();
    for _ in 0..3 {
        large.invocation();
    }
    small.expect_silence(QUIET);
    large.expect_silence(QUIET);
}

fn a_full_callee_is_passed_over(router: &Router, wire: Wire) {
    let procedure = uri("passed_over");
    let mut all = [0, 1].map(|_| callee(router, wire, &[], &procedure, &limited(1)));
    let mut caller = Client::join(router.address(), wire);
    let busy = caller.call(&procedure, &[]);
    let first = all[0].invocation().request;
    for _ in 0..4 {
        let call = caller.call(&procedure, &[]);
        let invocation = all[1].invocation().request;
        done(&mut all[1], invocation, &mut caller, call);
    }
    done(&mut all[0], first, &mut caller, busy);
}

fn an_error_makes_room(router: &Router, wire: Wire) {
    let procedure = uri("error");
    let mut callee = callee(router, wire, &[], &procedure, &limited(1));
    let mut caller = Client::join(router.address(), wire);
    let calls = calls(&mut caller, &procedure, 3);
    for (number, call) in calls.into_iter().enumerate() {
        let invocation = expect_number(&mut callee, number as u64);
        callee.fail(invocation, "com.test.failed");
        caller.expect_error(48, call, "com.test.failed");
    }
}

fn a_progressive_result_makes_no_room(router: &Router, wire: Wire) {
    let procedure = uri("progress");
    let features = ["progressive_call_results", "call_canceling"];
    let mut callee = callee(router, wire, &features, &procedure, &limited(1));
    let mut caller = Client::join(router.address(), wire);
    let call = caller.call_with(&procedure, &json!({"receive_progress": true}), &payload(json!([[0]])));
    let waiting = caller.call(&procedure, &payload(json!([[1]])));
    let invocation = expect_number(&mut callee, 0);
    callee.answer(invocation, &json!({"progress": true}), &[]);
    caller.result(call);
    callee.expect_silence(QUIET);
    done(&mut callee, invocation, &mut caller, call);
    let invocation = expect_number(&mut callee, 1);
    done(&mut callee, invocation, &mut caller, waiting);
}

fn calls_wait_for_a_new_callee(router: &Router, wire: Wire) {
    let procedure = uri("new_callee");
    let mut busy = callee(router, wire, &[], &procedure, &limited(1));
    let mut caller = Client::join(router.address(), wire);
    let calls = calls(&mut caller, &procedure, 2);
    expect_number(&mut busy, 0);
    let mut new = callee(router, wire, &[], &procedure, &limited(1));
    let invocation = expect_number(&mut new, 1);
    done(&mut new, invocation, &mut caller, calls[1]);
}

fn calls_of_several_callers_wait(router: &Router, wire: Wire) {
    const CALLERS: usize = 5;
    let procedure = uri("callers");
    let mut callee = callee(router, wire, &[], &procedure, &limited(2));
    let mut callers: Vec<Client> = (0..CALLERS).map(|_| Client::join(router.address(), wire)).collect();
    for (index, caller) in callers.iter_mut().enumerate() {
        for number in 0..4 {
            caller.call(&procedure, &payload(json!([[index, number]])));
        }
    }
    let mut open = vec![callee.invocation(), callee.invocation()];
    let mut next = [0; CALLERS];
    for total in 0..4 * CALLERS {
        let invocation = open.remove(0);
        let args = invocation.payload[0].list();
        let index = args[0].uint() as usize;
        assert_eq!(args[1].uint(), next[index], "the calls of one caller are done in its order");
        next[index] += 1;
        callee.answer(invocation.request, &json!({}), &[]);
        assert_eq!(callers[index].expect(50)[1].uint(), next[index]);
        if total + 2 < 4 * CALLERS {
            open.push(callee.invocation());
        }
    }
}

fn a_waiting_call_is_canceled(router: &Router, wire: Wire) {
    for mode in ["skip", "kill", "killnowait"] {
        let procedure = uri("cancel");
        let mut callee = callee(router, wire, &["call_canceling"], &procedure, &limited(1));
        let mut caller = Client::join(router.address(), wire);
        let calls = calls(&mut caller, &procedure, 3);
        caller.send(json!([49, calls[1], { "mode": mode }]));
        caller.expect_error(48, calls[1], "wamp.error.canceled");
        // The callee never hears of it.
        for number in [0, 2] {
            let invocation = expect_number(&mut callee, number);
            done(&mut callee, invocation, &mut caller, calls[number as usize]);
        }
        callee.expect_silence(QUIET);
    }
}

fn a_waiting_caller_leaves(router: &Router, wire: Wire) {
    let procedure = uri("leaves");
    let mut callee = callee(router, wire, &["call_canceling"], &procedure, &limited(1));
    let mut caller = Client::join(router.address(), wire);
    let call = caller.call(&procedure, &payload(json!([["stays"]])));
    let invocation = callee.invocation();
    let mut gone = Client::join(router.address(), wire);
    calls(&mut gone, &procedure, 3);
    gone.leave();
    done(&mut callee, invocation.request, &mut caller, call);
    callee.expect_silence(QUIET);
    let call = caller.call(&procedure, &[]);
    let invocation = callee.invocation();
    done(&mut callee, invocation.request, &mut caller, call);
}

fn a_canceled_call_makes_room(router: &Router, wire: Wire) {
    let procedure = uri("room");
    let mut callee = callee(router, wire, &["call_canceling"], &procedure, &limited(1));
    let mut caller = Client::join(router.address(), wire);
    let calls = calls(&mut caller, &procedure, 2);
    let invocation = expect_number(&mut callee, 0);
    caller.send(json!([49, calls[0], {"mode": "kill"}]));
    assert_eq!(callee.expect(69)[1].uint(), invocation);
    callee.fail(invocation, "wamp.error.canceled");
    caller.expect_error(48, calls[0], "wamp.error.canceled");
    let invocation = expect_number(&mut callee, 1);
    done(&mut callee, invocation, &mut caller, calls[1]);
}

fn waiting_calls_when_a_callee_leaves(router: &Router, wire: Wire) {
    let procedure = uri("one_leaves");
    let mut stays = callee(router, wire, &[], &procedure, &limited(1));
    let mut gone = callee(router, wire, &[], &procedure, &limited(1));
    let mut caller = Client::join(router.address(), wire);
    let calls = calls(&mut caller, &procedure, 3);
    let invocation = expect_number(&mut stays, 0);
    expect_number(&mut gone, 1);
    drop(gone);
    caller.expect_error(48, calls[1], "wamp.error.canceled");
    done(&mut stays, invocation, &mut caller, calls[0]);
    let invocation = expect_number(&mut stays, 2);
    done(&mut stays, invocation, &mut caller, calls[2]);
}

fn waiting_calls_when_the_last_callee_leaves(router: &Router, wire: Wire) {
    let procedure = uri("all_leave");
    let mut gone = callee(router, wire, &[], &procedure, &limited(1));
    let mut caller = Client::join(router.address(), wire);
    let calls = calls(&mut caller, &procedure, 3);
    expect_number(&mut gone, 0);
    drop(gone);
    let mut failed: Vec<u64> = calls
        .iter()
        .map(|_| {
            let error = caller.expect(8);
            let known = ["wamp.error.canceled", "wamp.error.no_such_procedure", "wamp.error.no_available_callee"];
            assert!(known.contains(&error[4].str()), "{error:?}");
            error[2].uint()
        })
        .collect();
    failed.sort_unstable();
    assert_eq!(failed, calls);
}

fn a_limit_of_nothing(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    let request = client.request(64, &limited(0), &uri("nothing"), &[]);
    client.expect_error(64, request, "wamp.error.invalid_argument");
}
