//! Shared registrations, and registrations that are taken over.

use super::{on_every_wire, uri};
use crate::support::request::invoked;
use crate::support::{Client, Router, Wire};
use serde_json::{Value as Json, json};
use std::time::Duration;

on_every_wire! {
    the_dealer_announces_its_features,
    sharing_has_one_id,
    sharing_must_agree,
    a_second_single_is_refused,
    the_policy_ends_with_the_last_callee,
    roundrobin_in_order_of_registration,
    roundrobin_over_all_callers,
    roundrobin_when_callees_change,
    random_reaches_everybody,
    first_is_called_while_it_is_there,
    last_is_called_while_it_is_there,
    shared_patterns,
    a_shared_callee_leaves_with_an_open_call,
    taking_over_a_registration,
    taking_over_from_one_that_cannot_be_told,
    taking_over_from_many,
    taking_over_what_is_free,
    an_open_call_outlives_the_registration,
}

const EXISTS: &str = "wamp.error.procedure_already_exists";
const REVOCATION: &str = "registration_revocation";

/// Joins and registers.
fn callee(router: &Router, wire: Wire, procedure: &str, options: &Json) -> Client {
    let mut client = Client::join(router.address(), wire);
    client.register_with(procedure, options);
    client
}

fn shared(router: &Router, wire: Wire, procedure: &str, policy: &str, count: usize) -> Vec<Client> {
    (0..count).map(|_| callee(router, wire, procedure, &json!({ "invoke": policy }))).collect()
}

#[track_caller]
fn refused(client: &mut Client, procedure: &str, options: &Json, error: &str) {
    let request = client.request(64, options, procedure, &[]);
    client.expect_error(64, request, error);
}

/// Who is invoked by a call, which is answered.
#[track_caller]
fn found_by(caller: &mut Client, procedure: &str, callees: &mut [Client]) -> usize {
    let call = caller.call(procedure, &[]);
    let (index, invocation) = invoked(callees);
    callees[index].answer(invocation.request, &json!({}), &[]);
    caller.result(call);
    index
}

fn the_dealer_announces_its_features(router: &Router, wire: Wire) {
    let client = Client::join(router.address(), wire);
    for feature in ["shared_registration", REVOCATION] {
        assert!(client.announced("dealer", feature), "{feature}");
    }
}

fn sharing_has_one_id(router: &Router, wire: Wire) {
    for policy in ["roundrobin", "random", "first", "last"] {
        let procedure = uri("share");
        let mut clients: Vec<Client> = (0..4).map(|_| Client::join(router.address(), wire)).collect();
        let options = json!({ "invoke": policy });
        let ids: Vec<u64> = clients.iter_mut().map(|client| client.register_with(&procedure, &options)).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        // Each withdraws for itself.
        for index in 0..4 {
            goes_somewhere(&mut clients[index..], &procedure);
            clients[index].unregister(ids[0]);
        }
        let call = clients[0].call(&procedure, &[]);
        clients[0].expect_error(48, call, "wamp.error.no_such_procedure");
    }
}

/// A call by the last of the callees, to any of them.
#[track_caller]
fn goes_somewhere(callees: &mut [Client], procedure: &str) {
    let last = callees.len() - 1;
    let call = callees[last].call(procedure, &[]);
    let (index, invocation) = invoked(callees);
    callees[index].answer(invocation.request, &json!({}), &[]);
    callees[last].result(call);
}

fn sharing_must_agree(router: &Router, wire: Wire) {
    let mut other = Client::join(router.address(), wire);
    let policies = ["single", "roundrobin", "random", "first", "last"];
    for policy in policies {
        let procedure = uri("agree");
        let mut owner = callee(router, wire, &procedure, &json!({ "invoke": policy }));
        for second in policies.into_iter().filter(|second| *second != policy || *second == "single") {
            refused(&mut other, &procedure, &json!({ "invoke": second }), EXISTS);
        }
        refused(&mut other, &procedure, &json!({}), EXISTS);
        // Whoever was refused is not called.
        owner.call(&procedure, &[]);
        owner.invocation();
    }
}

fn a_second_single_is_refused(router: &Router, wire: Wire) {
    let procedure = uri("single");
    for (first, second) in [
        (json!({}), json!({})),
        (json!({}), json!({"invoke": "single"})),
        (json!({"invoke": "single"}), json!({})),
        (json!({"invoke": null}), json!({"invoke": "single"})),
    ] {
        let mut client = Client::join(router.address(), wire);
        let mut other = Client::join(router.address(), wire);
        let registration = client.register_with(&procedure, &first);
        refused(&mut other, &procedure, &second, EXISTS);
        client.unregister(registration);
    }
}

fn the_policy_ends_with_the_last_callee(router: &Router, wire: Wire) {
    let procedure = uri("policy");
    let mut client = Client::join(router.address(), wire);
    let mut before = 0;
    for policy in ["roundrobin", "first", "single", "last"] {
        let registration = client.register_with(&procedure, &json!({ "invoke": policy }));
        assert_ne!(registration, before, "ids of registrations are not used again");
        client.unregister(registration);
        before = registration;
    }
}

fn roundrobin_in_order_of_registration(router: &Router, wire: Wire) {
    let procedure = uri("roundrobin");
    let mut all = shared(router, wire, &procedure, "roundrobin", 4);
    let mut caller = Client::join(router.address(), wire);
    for number in 0..12 {
        assert_eq!(found_by(&mut caller, &procedure, &mut all), number % 4);
    }
    // Also when none has been answered.
    let calls: Vec<u64> = (0..8).map(|_| caller.call(&procedure, &[])).collect();
    for callee in &mut all {
        for _ in 0..2 {
            let invocation = callee.invocation();
            callee.answer(invocation.request, &json!({}), &[]);
        }
    }
    let mut answered: Vec<u64> = calls.iter().map(|_| caller.expect(50)[1].uint()).collect();
    answered.sort_unstable();
    assert_eq!(answered, calls);
}

fn roundrobin_over_all_callers(router: &Router, wire: Wire) {
    let procedure = uri("roundrobin");
    let mut all = shared(router, wire, &procedure, "roundrobin", 3);
    let mut callers: Vec<Client> = (0..5).map(|_| Client::join(router.address(), wire)).collect();
    for number in 0..15 {
        assert_eq!(found_by(&mut callers[number % 5], &procedure, &mut all), number % 3);
    }
}

fn roundrobin_when_callees_change(router: &Router, wire: Wire) {
    let procedure = uri("roundrobin");
    let mut caller = Client::join(router.address(), wire);
    let options = json!({"invoke": "roundrobin"});
    let mut all: Vec<Client> = (0..3).map(|_| Client::join(router.address(), wire)).collect();
    let ids: Vec<u64> = all.iter_mut().map(|client| client.register_with(&procedure, &options)).collect();
    assert_eq!(found_by(&mut caller, &procedure, &mut all), 0);
    all[1].unregister(ids[1]);
    let turns: Vec<usize> = (0..6).map(|_| found_by(&mut caller, &procedure, &mut all)).collect();
    assert!([[0, 2], [2, 0]].contains(&[turns[0], turns[1]]), "{turns:?}");
    assert!(turns[2..].iter().zip(&turns).all(|(turn, before)| turn == before), "{turns:?}");
    // Whoever comes back is the last in the list.
    all[1].register_with(&procedure, &options);
    let turns: Vec<usize> = (0..9).map(|_| found_by(&mut caller, &procedure, &mut all)).collect();
    for pair in turns.windows(2) {
        assert!([[0, 2], [2, 1], [1, 0]].contains(&[pair[0], pair[1]]), "{turns:?}");
    }
}

fn random_reaches_everybody(router: &Router, wire: Wire) {
    let procedure = uri("random");
    let mut all = shared(router, wire, &procedure, "random", 3);
    let mut caller = Client::join(router.address(), wire);
    let found: Vec<usize> = (0..45).map(|_| found_by(&mut caller, &procedure, &mut all)).collect();
    assert!((0..3).all(|index| found.contains(&index)), "{found:?}");
    // The same order again and again is no chance.
    assert!(found[3..].iter().zip(&found).any(|(turn, before)| turn != before), "{found:?}");
}

fn first_is_called_while_it_is_there(router: &Router, wire: Wire) {
    stand_by(router, wire, "first", [0, 0, 1, 2]);
}

fn last_is_called_while_it_is_there(router: &Router, wire: Wire) {
    stand_by(router, wire, "last", [1, 2, 1, 0]);
}

/// Who is called with the callees 0 and 1, with 2 as well, and after whoever was called has withdrawn, twice.
#[track_caller]
fn stand_by(router: &Router, wire: Wire, policy: &str, expected: [usize; 4]) {
    let procedure = uri(policy);
    let options = json!({ "invoke": policy });
    let mut callers: Vec<Client> = (0..3).map(|_| Client::join(router.address(), wire)).collect();
    let mut all: Vec<Client> = (0..3).map(|_| Client::join(router.address(), wire)).collect();
    let id = all[0].register_with(&procedure, &options);
    all[1].register_with(&procedure, &options);
    for (step, index) in expected.into_iter().enumerate() {
        for caller in &mut callers {
            assert_eq!(found_by(caller, &procedure, &mut all), index, "step {step}");
        }
        match step {
            0 => _ = all[2].register_with(&procedure, &options),
            _ => all[index].unregister(id),
        }
    }
}

fn shared_patterns(router: &Router, wire: Wire) {
    let base = uri("pattern");
    let mut caller = Client::join(router.address(), wire);
    for (pattern, policy) in [(format!("{base}.p"), "prefix"), (format!("{base}..w"), "wildcard")] {
        let options = json!({"match": policy, "invoke": "roundrobin"});
        let mut all: Vec<Client> = (0..2).map(|_| callee(router, wire, &pattern, &options)).collect();
        refused(&mut caller, &pattern, &json!({"match": policy, "invoke": "first"}), EXISTS);
        // The turns are the registration's, not the procedure's.
        for (number, end) in ["p.w", "p.w", "p.x", "p.w", "p.y", "p.z"].into_iter().enumerate() {
            let end = if policy == "prefix" { end.into() } else { format!("{number}.w") };
            assert_eq!(found_by(&mut caller, &format!("{base}.{end}"), &mut all), number % 2);
        }
        for callee in all {
            callee.leave();
        }
    }
}

fn a_shared_callee_leaves_with_an_open_call(router: &Router, wire: Wire) {
    let procedure = uri("leaves");
    let mut all = shared(router, wire, &procedure, "first", 2);
    let mut caller = Client::join(router.address(), wire);
    let call = caller.call(&procedure, &[]);
    assert_eq!(invoked(&mut all).0, 0);
    drop(all.remove(0));
    // Nobody knows how far it came, so nobody else is asked.
    caller.expect_error(48, call, "wamp.error.canceled");
    all[0].expect_silence(Duration::from_millis(20));
}

/// The next message must be the UNREGISTERED that revokes this registration.
#[track_caller]
fn revoked(client: &mut Client, registration: u64) {
    let message = client.expect(67);
    assert_eq!((message.len(), message[1].uint()), (3, 0), "{message:?}");
    let details = message[2].dict();
    assert_eq!(details["registration"].uint(), registration);
    assert!(!details["reason"].str().is_empty(), "{details:?}");
}

fn taking_over_a_registration(router: &Router, wire: Wire) {
    let procedure = uri("take_over");
    let force = json!({"force_reregister": true});
    let mut caller = Client::join(router.address(), wire);
    let mut old = Client::join_featured(router.address(), wire, &[REVOCATION]);
    let mut new = Client::join_featured(router.address(), wire, &[REVOCATION]);
    let mut id = old.register_with(&procedure, &force);
    for options in [json!({}), json!({"force_reregister": false})] {
        refused(&mut new, &procedure, &options, EXISTS);
    }
    for _ in 0..3 {
        let next = new.register_with(&procedure, &force);
        revoked(&mut old, id);
        let request = old.next();
        old.send(json!([66, request, id]));
        old.expect_error(66, request, "wamp.error.no_such_registration");
        let call = caller.call(&procedure, &[]);
        let (invocation, _) = new.expect_invocation(next);
        new.answer(invocation, &json!({}), &[]);
        caller.result(call);
        id = next;
        std::mem::swap(&mut old, &mut new);
    }
    old.unregister(id);
    let call = caller.call(&procedure, &[]);
    caller.expect_error(48, call, "wamp.error.no_such_procedure");
}

fn taking_over_from_one_that_cannot_be_told(router: &Router, wire: Wire) {
    let procedure = uri("take_over");
    let force = json!({"force_reregister": true});
    let mut old = callee(router, wire, &procedure, &force);
    let mut new = callee(router, wire, &procedure, &force);
    let mut caller = Client::join(router.address(), wire);
    for _ in 0..2 {
        let call = caller.call(&procedure, &[]);
        let invocation = new.invocation();
        new.answer(invocation.request, &json!({}), &[]);
        caller.result(call);
    }
    // No UNREGISTERED has come before this answer.
    old.subscribe(&uri("fence"));
}

fn taking_over_from_many(router: &Router, wire: Wire) {
    let procedure = format!("{}.p", uri("take_over"));
    let share = json!({"invoke": "roundrobin", "match": "prefix"});
    let mut options = share.clone();
    options["force_reregister"] = true.into();
    let mut old: Vec<Client> = (0..3).map(|_| Client::join_featured(router.address(), wire, &[REVOCATION])).collect();
    let id = old[0].register_with(&procedure, &options);
    for client in &mut old[1..] {
        assert_eq!(client.register_with(&procedure, &share), id);
    }
    let mut all = vec![callee(router, wire, &procedure, &options)];
    for client in &mut old {
        revoked(client, id);
    }
    let mut caller = Client::join(router.address(), wire);
    for _ in 0..3 {
        assert_eq!(found_by(&mut caller, &procedure, &mut all), 0);
    }
}

fn taking_over_what_is_free(router: &Router, wire: Wire) {
    let procedure = uri("take_over");
    let mut client = Client::join_featured(router.address(), wire, &[REVOCATION]);
    let registration = client.register_with(&procedure, &json!({"force_reregister": true}));
    client.unregister(registration);
    client.register(&procedure);
}

fn an_open_call_outlives_the_registration(router: &Router, wire: Wire) {
    let procedure = uri("take_over");
    let force = json!({"force_reregister": true});
    let mut old = Client::join_featured(router.address(), wire, &[REVOCATION]);
    let id = old.register_with(&procedure, &force);
    let mut caller = Client::join(router.address(), wire);
    let call = caller.call(&procedure, &[]);
    let invocation = old.invocation();
    let _new = callee(router, wire, &procedure, &force);
    revoked(&mut old, id);
    old.answer(invocation.request, &json!({}), &[]);
    caller.result(call);
}
