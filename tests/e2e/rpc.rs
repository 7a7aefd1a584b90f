//! Remote procedure calls.

use super::session::register_when_free;
use super::{on_every_wire, uri};
use crate::support::client::payload;
use crate::support::{Client, Router, Value, Wire};
use serde_json::json;
use std::time::Duration;

on_every_wire! {
    a_call_is_answered,
    errors_pass_with_their_payload,
    nobody_has_registered,
    a_procedure_has_one_callee,
    unregistering_ends_it,
    unregister_of_what_is_not_ones_own,
    malformed_and_reserved_procedures,
    the_callee_goes,
    the_caller_goes,
    the_caller_goes_and_the_callee_cannot_cancel,
    a_yield_for_what_was_never_issued,
    a_second_yield_is_dropped,
    invocations_count_from_one,
    answers_in_any_order,
    a_session_calls_itself,
    unregister_while_a_call_is_open,
    errors_with_a_malformed_uri,
}

fn a_call_is_answered(router: &Router, wire: Wire) {
    let procedure = uri("call");
    let mut callee = Client::join(router.address(), wire);
    let mut caller = Client::join(router.address(), wire);
    let registration = callee.register(&procedure);
    for body in [json!([]), json!([[]]), json!([[1, "a"]]), json!([[], {}]), json!([[1], {"k": [2]}])] {
        let body = payload(body);
        let call = caller.call(&procedure, &body);
        let (invocation, got) = callee.expect_invocation(registration);
        assert_eq!(got, body);
        answer(&mut callee, invocation, &body);
        assert_eq!(caller.expect_result(call), body);
    }
}

fn errors_pass_with_their_payload(router: &Router, wire: Wire) {
    let procedure = uri("error");
    let mut callee = Client::join(router.address(), wire);
    let mut caller = Client::join(router.address(), wire);
    let registration = callee.register(&procedure);
    for body in [json!([]), json!([["no"]]), json!([["no"], {"why": {"deep": [1]}}])] {
        let call = caller.call(&procedure, &[]);
        let (invocation, _) = callee.expect_invocation(registration);
        let mut error = Value::from(json!([8, 68, invocation, {}, "com.test.went_wrong"])).list().to_vec();
        error.extend(payload(body.clone()));
        callee.send(Value::List(error));
        let message = caller.expect_error(48, call, "com.test.went_wrong");
        assert_eq!(message[5..], payload(body));
    }
}

fn nobody_has_registered(router: &Router, wire: Wire) {
    let mut caller = Client::join(router.address(), wire);
    let call = caller.call(&uri("nobody"), &payload(json!([[1]])));
    caller.expect_error(48, call, "wamp.error.no_such_procedure");
}

fn a_procedure_has_one_callee(router: &Router, wire: Wire) {
    let procedure = uri("single");
    let mut first = Client::join(router.address(), wire);
    let mut second = Client::join(router.address(), wire);
    first.register(&procedure);
    for client in [&mut first, &mut second] {
        let request = client.next();
        client.send(json!([64, request, {}, procedure]));
        client.expect_error(64, request, "wamp.error.procedure_already_exists");
    }
}

fn unregistering_ends_it(router: &Router, wire: Wire) {
    let procedure = uri("unregister");
    let mut callee = Client::join(router.address(), wire);
    let mut caller = Client::join(router.address(), wire);
    let registration = callee.register(&procedure);
    callee.unregister(registration);
    let call = caller.call(&procedure, &[]);
    caller.expect_error(48, call, "wamp.error.no_such_procedure");
    // The name is free at once.
    let again = caller.register(&procedure);
    let call = callee.call(&procedure, &[]);
    let (invocation, _) = caller.expect_invocation(again);
    answer(&mut caller, invocation, &[]);
    callee.expect_result(call);
}

fn unregister_of_what_is_not_ones_own(router: &Router, wire: Wire) {
    let procedure = uri("foreign");
    let mut owner = Client::join(router.address(), wire);
    let mut thief = Client::join(router.address(), wire);
    let registration = owner.register(&procedure);
    for id in [registration, 4_242_424_242] {
        let request = thief.next();
        thief.send(json!([66, request, id]));
        thief.expect_error(66, request, "wamp.error.no_such_registration");
    }
    let call = thief.call(&procedure, &[]);
    let (invocation, _) = owner.expect_invocation(registration);
    answer(&mut owner, invocation, &[]);
    thief.expect_result(call);
}

fn malformed_and_reserved_procedures(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    for procedure in ["", "a..b", "a b", "a.#"] {
        let call = client.call(procedure, &[]);
        client.expect_error(48, call, "wamp.error.invalid_uri");
    }
    for procedure in ["", "a..b", "a b", "a.#", "wamp.session.count", "wamp.x"] {
        let request = client.next();
        client.send(json!([64, request, {}, procedure]));
        client.expect_error(64, request, "wamp.error.invalid_uri");
    }
}

fn the_callee_goes(router: &Router, wire: Wire) {
    for in_order in [true, false] {
        let procedure = uri("callee_gone");
        let mut callee = Client::join(router.address(), wire);
        let mut caller = Client::join(router.address(), wire);
        let registration = callee.register(&procedure);
        let calls = [caller.call(&procedure, &[]), caller.call(&procedure, &[])];
        callee.expect_invocation(registration);
        callee.expect_invocation(registration);
        if in_order {
            callee.leave();
        } else {
            drop(callee);
        }
        let mut failed = [0, 0];
        for request in &mut failed {
            let message = caller.expect(8);
            assert_eq!((message[1].uint(), message[4].str()), (48, "wamp.error.canceled"), "{message:?}");
            *request = message[2].uint();
        }
        failed.sort_unstable();
        assert_eq!(failed, calls);
        // The word of it spreads: until then a call may still be sent to the callee that is gone, and fails likewise.
        register_when_free(&mut caller, &procedure);
    }
}

fn the_caller_goes(router: &Router, wire: Wire) {
    for feature in ["call_canceling", "call_cancelling"] {
        let procedure = uri("caller_gone");
        let roles = json!({"callee": {"features": {feature: true}}});
        let mut callee = Client::join_with(router.address(), wire, roles);
        let registration = callee.register(&procedure);
        let mut caller = Client::join(router.address(), wire);
        caller.call(&procedure, &[]);
        let (invocation, _) = callee.expect_invocation(registration);
        drop(caller);
        let interrupt = callee.expect(69);
        assert_eq!(interrupt[1].uint(), invocation);
        assert_eq!(interrupt[2].dict()["mode"].str(), "killnowait");
        // What comes now is late, not wrong.
        answer(&mut callee, invocation, &[]);
        callee.unregister(registration);
    }
}

fn the_caller_goes_and_the_callee_cannot_cancel(router: &Router, wire: Wire) {
    let procedure = uri("caller_gone");
    let mut callee = Client::join(router.address(), wire);
    let registration = callee.register(&procedure);
    let mut caller = Client::join(router.address(), wire);
    caller.call(&procedure, &[]);
    let (invocation, _) = callee.expect_invocation(registration);
    caller.leave();
    callee.expect_silence(Duration::from_millis(20));
    callee.send(json!([8, 68, invocation, {}, "com.test.late"]));
    callee.unregister(registration);
}

fn a_yield_for_what_was_never_issued(router: &Router, wire: Wire) {
    for message in [json!([70, 1, {}]), json!([70, 77, {}, [1]]), json!([8, 68, 5, {}, "com.test.error"])] {
        let mut callee = Client::join(router.address(), wire);
        callee.register(&uri("never"));
        callee.send(message);
        callee.expect_abort("wamp.error.protocol_violation");
    }
}

fn a_second_yield_is_dropped(router: &Router, wire: Wire) {
    let procedure = uri("twice");
    let mut callee = Client::join(router.address(), wire);
    let mut caller = Client::join(router.address(), wire);
    let registration = callee.register(&procedure);
    let call = caller.call(&procedure, &[]);
    let (invocation, _) = callee.expect_invocation(registration);
    answer(&mut callee, invocation, &payload(json!([[1]])));
    answer(&mut callee, invocation, &payload(json!([[2]])));
    assert_eq!(caller.expect_result(call), payload(json!([[1]])));
    callee.unregister(registration);
    caller.expect_silence(Duration::from_millis(10));
}

fn invocations_count_from_one(router: &Router, wire: Wire) {
    let procedures = [uri("count"), uri("count")];
    let mut callee = Client::join(router.address(), wire);
    let registrations = [callee.register(&procedures[0]), callee.register(&procedures[1])];
    let mut callers: Vec<Client> = (0..3).map(|_| Client::join(router.address(), wire)).collect();
    for number in 0..12u64 {
        let which = (number % 2) as usize;
        let caller = &mut callers[(number % 3) as usize];
        let call = caller.call(&procedures[which], &[]);
        let (invocation, _) = callee.expect_invocation(registrations[which]);
        assert_eq!(invocation, number + 1);
        answer(&mut callee, invocation, &[]);
        caller.expect_result(call);
    }
}

fn answers_in_any_order(router: &Router, wire: Wire) {
    let procedure = uri("any_order");
    let mut callee = Client::join(router.address(), wire);
    let mut callers: Vec<Client> = (0..2).map(|_| Client::join(router.address(), wire)).collect();
    let registration = callee.register(&procedure);
    for number in 0..20 {
        for (index, caller) in callers.iter_mut().enumerate() {
            caller.call(&procedure, &payload(json!([[index, number]])));
        }
    }
    let mut open: Vec<_> = (0..40).map(|_| callee.expect_invocation(registration)).collect();
    // Each caller's calls come in its order.
    for index in 0..2 {
        let numbers = open.iter().map(|(_, body)| body[0].list()).filter(|args| args[0].uint() == index);
        assert!(numbers.map(|args| args[1].uint()).eq(0..20));
    }
    open.reverse();
    for (invocation, body) in open {
        answer(&mut callee, invocation, &body);
    }
    for (index, caller) in callers.iter_mut().enumerate() {
        let mut results: Vec<(u64, u64)> = (0..20)
            .map(|_| {
                let result = caller.expect(50);
                let args = result[3].list();
                assert_eq!(args[0].uint(), index as u64);
                (result[1].uint(), args[1].uint())
            })
            .collect();
        results.sort_unstable();
        assert!(results.into_iter().eq((0..20).map(|number| (number + 1, number))));
    }
}

fn a_session_calls_itself(router: &Router, wire: Wire) {
    let procedure = uri("itself");
    let mut client = Client::join(router.address(), wire);
    let registration = client.register(&procedure);
    let call = client.call(&procedure, &payload(json!([["me"]])));
    let (invocation, body) = client.expect_invocation(registration);
    answer(&mut client, invocation, &body);
    assert_eq!(client.expect_result(call), payload(json!([["me"]])));
}

fn unregister_while_a_call_is_open(router: &Router, wire: Wire) {
    let procedure = uri("open");
    let mut callee = Client::join(router.address(), wire);
    let mut caller = Client::join(router.address(), wire);
    let registration = callee.register(&procedure);
    let call = caller.call(&procedure, &[]);
    let (invocation, _) = callee.expect_invocation(registration);
    callee.unregister(registration);
    answer(&mut callee, invocation, &payload(json!([["done"]])));
    assert_eq!(caller.expect_result(call), payload(json!([["done"]])));
    register_when_free(&mut caller, &procedure);
}

fn errors_with_a_malformed_uri(router: &Router, wire: Wire) {
    let procedure = uri("bad_error");
    let mut callee = Client::join(router.address(), wire);
    let mut caller = Client::join(router.address(), wire);
    let registration = callee.register(&procedure);
    let call = caller.call(&procedure, &[]);
    let (invocation, _) = callee.expect_invocation(registration);
    callee.send(json!([8, 68, invocation, {}, "not a uri"]));
    // The caller gets an answer in any case, and never the malformed URI.
    let message = caller.expect(8);
    assert_eq!((message[1].uint(), message[2].uint()), (48, call), "{message:?}");
    assert!(message[4].str().starts_with("wamp.error."), "{message:?}");
}

fn answer(callee: &mut Client, invocation: u64, body: &[Value]) {
    let mut message = Value::from(json!([70, invocation, {}])).list().to_vec();
    message.extend_from_slice(body);
    callee.send(Value::List(message));
}
