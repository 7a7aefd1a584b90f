//! Which of several callees does a call: rerouting from those that are unavailable, and partitioned calls.

use super::{on_every_wire, uri};
use crate::support::client::payload;
use crate::support::request::invoked;
use crate::support::{Client, Invocation, Router, Wire};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::time::Duration;

on_every_wire! {
    the_dealer_announces_its_features,
    one_unavailable_callee,
    roundrobin_goes_on_to_the_next,
    random_goes_on_to_another,
    first_goes_on_to_the_next,
    last_goes_on_to_the_one_before,
    everybody_is_unavailable,
    rerouting_must_be_announced,
    other_errors_are_not_rerouted,
    a_rerouted_call_is_whole,
    a_rerouted_call_is_canceled_at_the_second,
    the_first_callee_may_leave_after_rerouting,
    rerouting_happens_for_each_call,
    a_key_has_one_callee,
    keys_are_spread,
    a_key_moves_when_its_callee_goes,
    partitioned_calls_need_a_key,
    unknown_run_modes,
    a_key_without_a_run_mode,
}

const QUIET: Duration = Duration::from_millis(15);
const REROUTE: &str = "call_reroute";
const UNAVAILABLE: &str = "wamp.error.unavailable";
const NOBODY: &str = "wamp.error.no_available_callee";

/// Joins with these features and registers.
fn callee(router: &Router, wire: Wire, features: &[&str], procedure: &str, options: &Json) -> Client {
    let mut client = Client::join_featured(router.address(), wire, features);
    client.register_with(procedure, options);
    client
}

#[track_caller]
fn done(callee: &mut Client, invocation: u64, caller: &mut Client, call: u64) {
    callee.answer(invocation, &json!({}), &[]);
    caller.result(call);
}

fn the_dealer_announces_its_features(router: &Router, wire: Wire) {
    let client = Client::join(router.address(), wire);
    for feature in ["sharded_registration", REROUTE] {
        assert!(client.announced("dealer", feature), "{feature}");
    }
}

/// So many callees that can be rerouted.
fn reroutable(router: &Router, wire: Wire, procedure: &str, policy: &str, count: usize) -> Vec<Client> {
    let options = json!({ "invoke": policy });
    (0..count).map(|_| callee(router, wire, &[REROUTE, "call_canceling"], procedure, &options)).collect()
}

/// Who is invoked in turn by one call that everybody refuses, and then an error for the caller.
#[track_caller]
fn refused_by(caller: &mut Client, procedure: &str, callees: &mut [Client]) -> Vec<usize> {
    let call = caller.call(procedure, &[]);
    let mut asked = Vec::new();
    for _ in 0..callees.len() {
        let (index, invocation) = invoked(callees);
        callees[index].fail(invocation.request, UNAVAILABLE);
        asked.push(index);
    }
    caller.expect_error(48, call, NOBODY);
    asked
}

fn one_unavailable_callee(router: &Router, wire: Wire) {
    let mut caller = Client::join(router.address(), wire);
    for policy in ["single", "roundrobin", "random", "first", "last"] {
        let procedure = uri("alone");
        let mut all = reroutable(router, wire, &procedure, policy, 1);
        assert_eq!(refused_by(&mut caller, &procedure, &mut all), [0]);
    }
}

fn roundrobin_goes_on_to_the_next(router: &Router, wire: Wire) {
    let procedure = uri("next");
    let mut all = reroutable(router, wire, &procedure, "roundrobin", 3);
    let mut caller = Client::join(router.address(), wire);
    // Past the end of the list comes its beginning.
    for _ in 0..3 {
        let asked = refused_by(&mut caller, &procedure, &mut all);
        assert!([[0, 1, 2], [1, 2, 0], [2, 0, 1]].iter().any(|turns| asked == turns), "{asked:?}");
    }
}

fn random_goes_on_to_another(router: &Router, wire: Wire) {
    let procedure = uri("another");
    let mut all = reroutable(router, wire, &procedure, "random", 3);
    let mut caller = Client::join(router.address(), wire);
    for _ in 0..5 {
        let mut asked = refused_by(&mut caller, &procedure, &mut all);
        asked.sort_unstable();
        assert_eq!(asked, [0, 1, 2], "each is asked once");
    }
}

fn first_goes_on_to_the_next(router: &Router, wire: Wire) {
    let procedure = uri("next");
    let mut all = reroutable(router, wire, &procedure, "first", 3);
    let mut caller = Client::join(router.address(), wire);
    assert_eq!(refused_by(&mut caller, &procedure, &mut all), [0, 1, 2]);
}

fn last_goes_on_to_the_one_before(router: &Router, wire: Wire) {
    let procedure = uri("before");
    let mut all = reroutable(router, wire, &procedure, "last", 3);
    let mut caller = Client::join(router.address(), wire);
    assert_eq!(refused_by(&mut caller, &procedure, &mut all), [2, 1, 0]);
}

fn everybody_is_unavailable(router: &Router, wire: Wire) {
    let procedure = uri("everybody");
    let mut all = reroutable(router, wire, &procedure, "roundrobin", 6);
    let mut caller = Client::join(router.address(), wire);
    let mut asked = refused_by(&mut caller, &procedure, &mut all);
    asked.sort_unstable();
    assert!(asked.into_iter().eq(0..6));
    caller.expect_silence(QUIET);
}

fn rerouting_must_be_announced(router: &Router, wire: Wire) {
    let procedure = uri("announced");
    let options = json!({"invoke": "first"});
    let mut first = callee(router, wire, &[], &procedure, &options);
    let mut second = callee(router, wire, &[REROUTE], &procedure, &options);
    let mut caller = Client::join(router.address(), wire);
    let call = caller.call(&procedure, &[]);
    let invocation = first.invocation().request;
    first.fail(invocation, UNAVAILABLE);
    caller.expect_error(48, call, UNAVAILABLE);
    second.expect_silence(QUIET);
}

fn other_errors_are_not_rerouted(router: &Router, wire: Wire) {
    let procedure = uri("others");
    let mut all = reroutable(router, wire, &procedure, "first", 2);
    let mut caller = Client::join(router.address(), wire);
    for error in ["wamp.error.unavailable.not", "com.test.unavailable", NOBODY, "wamp.error.canceled"] {
        let call = caller.call(&procedure, &[]);
        let invocation = all[0].invocation().request;
        all[0].fail(invocation, error);
        caller.expect_error(48, call, error);
    }
    all[1].expect_silence(QUIET);
}

fn a_rerouted_call_is_whole(router: &Router, wire: Wire) {
    let procedure = uri("whole");
    let mut all = reroutable(router, wire, &procedure, "first", 2);
    let mut caller = Client::join(router.address(), wire);
    let body = payload(json!([[1, [2, {"a": null}]], {"k": "v"}]));
    let call = caller.call_with(&procedure, &json!({"disclose_me": true}), &body);
    let refuse = |callee: &mut Client, invocation: &Invocation| {
        callee.send(json!([8, 68, invocation.request, {}, UNAVAILABLE, ["busy"], {"until": "noon"}]));
    };
    let first = all[0].invocation();
    refuse(&mut all[0], &first);
    let second = all[1].invocation();
    assert_eq!((&first.payload, &second.payload), (&body, &body));
    assert_eq!(first.details, second.details);
    assert_eq!(second.details["caller"].uint(), caller.session());
    assert_eq!(second.registration, first.registration);
    all[1].answer(second.request, &json!({}), &body);
    assert_eq!(caller.result(call).1, body);
    // What the first says now is late.
    all[0].answer(first.request, &json!({}), &[]);
    caller.expect_silence(QUIET);
}

fn a_rerouted_call_is_canceled_at_the_second(router: &Router, wire: Wire) {
    let procedure = uri("cancel");
    let mut all = reroutable(router, wire, &procedure, "first", 2);
    let mut caller = Client::join(router.address(), wire);
    let call = caller.call(&procedure, &[]);
    let invocation = all[0].invocation().request;
    all[0].fail(invocation, UNAVAILABLE);
    let invocation = all[1].invocation().request;
    caller.send(json!([49, call, {"mode": "killnowait"}]));
    caller.expect_error(48, call, "wamp.error.canceled");
    assert_eq!(all[1].expect(69)[1].uint(), invocation);
    all[0].expect_silence(QUIET);
}

fn the_first_callee_may_leave_after_rerouting(router: &Router, wire: Wire) {
    let procedure = uri("leave");
    let mut all = reroutable(router, wire, &procedure, "first", 2);
    let mut caller = Client::join(router.address(), wire);
    let call = caller.call(&procedure, &[]);
    let invocation = all[0].invocation().request;
    all[0].fail(invocation, UNAVAILABLE);
    let invocation = all[1].invocation().request;
    drop(all.remove(0));
    caller.expect_silence(QUIET);
    done(&mut all[0], invocation, &mut caller, call);
}

fn rerouting_happens_for_each_call(router: &Router, wire: Wire) {
    let procedure = uri("each");
    let mut all = reroutable(router, wire, &procedure, "first", 2);
    let mut caller = Client::join(router.address(), wire);
    for _ in 0..3 {
        let call = caller.call(&procedure, &[]);
        // To have been unavailable once does not count for the next call.
        let invocation = all[0].invocation().request;
        all[0].fail(invocation, UNAVAILABLE);
        let invocation = all[1].invocation().request;
        done(&mut all[1], invocation, &mut caller, call);
    }
}

/// Who does a partitioned call with this key.
#[track_caller]
fn partition(caller: &mut Client, procedure: &str, key: &str, callees: &mut [Client]) -> usize {
    let call = caller.call_with(procedure, &json!({"runmode": "partition", "rkey": key}), &[]);
    let (index, invocation) = invoked(callees);
    done(&mut callees[index], invocation.request, caller, call);
    index
}

fn shared(router: &Router, wire: Wire, procedure: &str, policy: &str) -> Vec<Client> {
    (0..3).map(|_| callee(router, wire, &[], procedure, &json!({ "invoke": policy }))).collect()
}

fn a_key_has_one_callee(router: &Router, wire: Wire) {
    for policy in ["roundrobin", "random"] {
        let procedure = uri("key");
        let mut all = shared(router, wire, &procedure, policy);
        let mut callers: Vec<Client> = (0..3).map(|_| Client::join(router.address(), wire)).collect();
        let mut owners = HashMap::new();
        for (round, caller) in callers.iter_mut().enumerate() {
            for key in ["", "sn239019", "customer-1", "ключ"] {
                let found = partition(caller, &procedure, key, &mut all);
                assert_eq!(found, *owners.entry(key).or_insert(found), "{key:?} in round {round}");
            }
        }
    }
}

fn keys_are_spread(router: &Router, wire: Wire) {
    let procedure = uri("spread");
    let mut all = shared(router, wire, &procedure, "roundrobin");
    let mut caller = Client::join(router.address(), wire);
    let mut counts = [0; 3];
    for key in 0..45 {
        counts[partition(&mut caller, &procedure, &format!("key-{key}"), &mut all)] += 1;
    }
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

fn a_key_moves_when_its_callee_goes(router: &Router, wire: Wire) {
    let procedure = uri("moves");
    let mut caller = Client::join(router.address(), wire);
    let mut all: Vec<Client> = (0..3).map(|_| Client::join(router.address(), wire)).collect();
    let options = json!({"invoke": "roundrobin"});
    let ids: Vec<u64> = all.iter_mut().map(|client| client.register_with(&procedure, &options)).collect();
    let gone = partition(&mut caller, &procedure, "key", &mut all);
    all[gone].unregister(ids[gone]);
    let found = partition(&mut caller, &procedure, "key", &mut all);
    assert_ne!(found, gone);
    assert_eq!(partition(&mut caller, &procedure, "key", &mut all), found);
}

fn partitioned_calls_need_a_key(router: &Router, wire: Wire) {
    let procedure = uri("no_key");
    let mut callee = callee(router, wire, &[], &procedure, &json!({"invoke": "roundrobin"}));
    let mut caller = Client::join(router.address(), wire);
    for options in [json!({"runmode": "partition"}), json!({"runmode": "partition", "rkey": null})] {
        let call = caller.call_with(&procedure, &options, &[]);
        caller.expect_error(48, call, "wamp.error.invalid_argument");
    }
    callee.expect_silence(QUIET);
}

fn unknown_run_modes(router: &Router, wire: Wire) {
    let procedure = uri("runmode");
    let _callee = callee(router, wire, &[], &procedure, &json!({}));
    let mut caller = Client::join(router.address(), wire);
    let call = caller.call_with(&procedure, &json!({"runmode": "nonsense", "rkey": "a"}), &[]);
    caller.expect_error(48, call, "wamp.error.invalid_argument");
}

fn a_key_without_a_run_mode(router: &Router, wire: Wire) {
    let procedure = uri("only_key");
    let mut all = shared(router, wire, &procedure, "roundrobin");
    let mut caller = Client::join(router.address(), wire);
    for number in 0..6 {
        let call = caller.call_with(&procedure, &json!({"rkey": "same"}), &[]);
        let (index, invocation) = invoked(&mut all);
        assert_eq!(index, number % 3, "an ordinary call");
        done(&mut all[index], invocation.request, &mut caller, call);
    }
}
