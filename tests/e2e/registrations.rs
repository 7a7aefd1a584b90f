//! Pattern-based registrations, options of REGISTER and CALL, and what an invocation tells about its caller.

use super::{on_every_wire, uri};
use crate::support::client::payload;
use crate::support::request::invoked;
use crate::support::{Client, Router, Value, Wire};
use serde_json::{Value as Json, json};

on_every_wire! {
    the_dealer_announces_its_features,
    prefix_registrations,
    wildcard_registrations,
    the_specifications_table,
    wildcards_without_a_prefix,
    the_longest_prefix_in_characters,
    exact_then_prefix_then_wildcard,
    one_uri_with_each_policy,
    patterns_are_told_the_procedure,
    unregistering_a_pattern,
    malformed_patterns,
    reserved_patterns,
    unknown_policies,
    options_of_the_wrong_type,
    callers_are_not_disclosed_unless_asked,
    a_caller_discloses_itself,
    a_callee_asks_for_callers,
}

const EXISTS: &str = "wamp.error.procedure_already_exists";

/// Joins and registers.
fn callee(router: &Router, wire: Wire, procedure: &str, options: &Json) -> Client {
    let mut client = Client::join(router.address(), wire);
    client.register_with(procedure, options);
    client
}

/// One callee for each pattern and policy.
fn callees(router: &Router, wire: Wire, registrations: &[(&str, &str)]) -> Vec<Client> {
    let one = |(pattern, policy): &(&str, &str)| callee(router, wire, pattern, &json!({ "match": policy }));
    registrations.iter().map(one).collect()
}

/// Calls; the callee with this index must be invoked, or nobody must be found.
#[track_caller]
fn goes_to(caller: &mut Client, procedure: &str, callees: &mut [Client], index: Option<usize>) {
    let body = payload(json!([[procedure]]));
    let call = caller.call(procedure, &body);
    let Some(index) = index else {
        caller.expect_error(48, call, "wamp.error.no_such_procedure");
        return;
    };
    let (found, invocation) = invoked(callees);
    assert_eq!(found, index, "of the callees for {procedure}");
    assert_eq!(invocation.payload, body);
    callees[index].answer(invocation.request, &json!({}), &body);
    assert_eq!(caller.result(call).1, body);
}

fn the_dealer_announces_its_features(router: &Router, wire: Wire) {
    let client = Client::join(router.address(), wire);
    for feature in ["pattern_based_registration", "caller_identification"] {
        assert!(client.announced("dealer", feature), "{feature}");
    }
}

fn prefix_registrations(router: &Router, wire: Wire) {
    let base = uri("prefix");
    let mut caller = Client::join(router.address(), wire);
    let mut all = callees(router, wire, &[(&format!("{base}.myobject1"), "prefix")]);
    for end in [".myprocedure1", "-mysubobject1", ".mysubobject1.myprocedure1", "", "1.α"] {
        goes_to(&mut caller, &format!("{base}.myobject1{end}"), &mut all, Some(0));
    }
    for end in [".myobject2", ".myobject", ""] {
        goes_to(&mut caller, &format!("{base}{end}"), &mut all, None);
    }
}

fn wildcard_registrations(router: &Router, wire: Wire) {
    let base = uri("wildcard");
    let mut caller = Client::join(router.address(), wire);
    let pattern = format!("{base}..myprocedure1");
    let mut all = callees(router, wire, &[(&pattern, "wildcard")]);
    for end in ["myobject1.myprocedure1", "myobject2.myprocedure1"] {
        goes_to(&mut caller, &format!("{base}.{end}"), &mut all, Some(0));
    }
    for end in ["myobject1.myprocedure1.mysubprocedure1", "myobject1.myprocedure2", "myprocedure1", "x.myprocedure"] {
        goes_to(&mut caller, &format!("{base}.{end}"), &mut all, None);
    }
    goes_to(&mut caller, &format!("{base}2.myobject1.myprocedure1"), &mut all, None);
}

/// The registrations of the specification's example, numbered from 0.
const TABLE: [(&str, &str); 7] = [
    ("a1.b2.c3.d4.e55", "exact"),
    ("a1.b2.c3", "prefix"),
    ("a1.b2.c3.d4", "prefix"),
    ("a1.b2..d4.e5", "wildcard"),
    ("a1.b2.c33..e5", "wildcard"),
    ("a1.b2..d4.e5..g7", "wildcard"),
    ("a1.b2..d4..f6.g7", "wildcard"),
];

#[track_caller]
fn table(router: &Router, wire: Wire, registrations: &[(&str, &str)], calls: &[(&str, Option<usize>)]) {
    let base = uri("table");
    let mut caller = Client::join(router.address(), wire);
    let below = |(pattern, policy): &(&str, &str)| {
        callee(router, wire, &format!("{base}.{pattern}"), &json!({ "match": policy }))
    };
    let mut all: Vec<Client> = registrations.iter().map(below).collect();
    for (procedure, index) in calls {
        goes_to(&mut caller, &format!("{base}.{procedure}"), &mut all, *index);
    }
}

fn the_specifications_table(router: &Router, wire: Wire) {
    let calls = [
        ("a1.b2.c3.d4.e55", Some(0)),
        ("a1.b2.c3.d98.e74", Some(1)),
        ("a1.b2.c3.d4.e325", Some(2)),
        ("a1.b2.c55.d4.e5", Some(3)),
        // Prefixes match by characters, and a prefix goes before every wildcard.
        ("a1.b2.c33.d4.e5", Some(1)),
        ("a1.b2.c88.d4.e5.f6.g7", Some(5)),
        ("a2.b2.c2.d2.e2", None),
    ];
    table(router, wire, &TABLE, &calls);
}

fn wildcards_without_a_prefix(router: &Router, wire: Wire) {
    let calls = [
        ("a1.b2.c55.d4.e5", Some(0)),
        ("a1.b2.c33.d4.e5", Some(1)),
        ("a1.b2.c33.d5.e5", Some(1)),
        ("a1.b2.c88.d4.e5.f6.g7", Some(2)),
        ("a1.b2.c88.d4.e6.f6.g7", Some(3)),
        ("a1.b2.c3", None),
    ];
    table(router, wire, &TABLE[3..], &calls);
    // The order of registration does not matter.
    let mut reversed = TABLE[3..].to_vec();
    reversed.reverse();
    let calls = calls.map(|(procedure, index)| (procedure, index.map(|index| 3 - index)));
    table(router, wire, &reversed, &calls);
    let calls = [("a1.b2.c3.d4", Some(0)), ("a1.b3.c3.d4", Some(1)), ("a1.b3.c3.d5", Some(2))];
    table(router, wire, &[("a1.b2..d4", "wildcard"), ("a1...d4", "wildcard"), ("a1...", "wildcard")], &calls);
}

fn the_longest_prefix_in_characters(router: &Router, wire: Wire) {
    let registrations = [("a1.b", "prefix"), ("a1.bc", "prefix"), ("a1.bc.d", "prefix"), ("a1.", "prefix")];
    let calls = [
        ("a1.b", Some(0)),
        ("a1.bd.d", Some(0)),
        ("a1.bc", Some(1)),
        ("a1.bcd.d", Some(1)),
        ("a1.bc.dd", Some(2)),
        ("a1.c", Some(3)),
        ("a1", None),
    ];
    table(router, wire, &registrations, &calls);
}

fn exact_then_prefix_then_wildcard(router: &Router, wire: Wire) {
    let base = uri("order");
    let procedure = format!("{base}.a.b.c");
    let mut caller = Client::join(router.address(), wire);
    let mut all: Vec<Client> = (0..3).map(|_| Client::join(router.address(), wire)).collect();
    let patterns =
        [(format!("{base}.a.b."), "wildcard"), (format!("{base}.a"), "prefix"), (procedure.clone(), "exact")];
    let register = |(callee, (pattern, policy)): (&mut Client, &(String, &str))| {
        callee.register_with(pattern, &json!({ "match": policy }))
    };
    let ids: Vec<u64> = all.iter_mut().zip(&patterns).map(register).collect();
    for index in [2, 1, 0] {
        goes_to(&mut caller, &procedure, &mut all, Some(index));
        all[index].unregister(ids[index]);
    }
    goes_to(&mut caller, &procedure, &mut all, None);
}

fn one_uri_with_each_policy(router: &Router, wire: Wire) {
    let procedure = format!("{}.each", uri("policies"));
    let mut client = Client::join(router.address(), wire);
    let mut ids: Vec<u64> = ["exact", "prefix", "wildcard"]
        .map(|policy| client.register_with(&procedure, &json!({ "match": policy })))
        .to_vec();
    for policy in ["exact", "prefix", "wildcard"] {
        let request = client.request(64, &json!({ "match": policy }), &procedure, &[]);
        client.expect_error(64, request, EXISTS);
    }
    for id in &ids {
        let call = client.call(&procedure, &[]);
        let invocation = client.invocation();
        assert_eq!(invocation.registration, *id);
        client.answer(invocation.request, &json!({}), &[]);
        client.result(call);
        client.unregister(*id);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

fn patterns_are_told_the_procedure(router: &Router, wire: Wire) {
    let base = uri("told");
    let mut client = Client::join(router.address(), wire);
    client.register_with(&format!("{base}.p"), &json!({"match": "prefix"}));
    client.register_with(&format!("{base}..w"), &json!({"match": "wildcard"}));
    for end in ["p", "p1", "p.q", "x.w", "y.w"] {
        let procedure = format!("{base}.{end}");
        client.call(&procedure, &[]);
        assert_eq!(client.invocation().details["procedure"].str(), procedure);
    }
}

fn unregistering_a_pattern(router: &Router, wire: Wire) {
    let base = uri("unregister");
    let mut client = Client::join(router.address(), wire);
    for (pattern, policy) in [(format!("{base}.p"), "prefix"), (format!("{base}."), "wildcard")] {
        let registration = client.register_with(&pattern, &json!({ "match": policy }));
        goes_to_itself(&mut client, &format!("{base}.p"), registration);
        client.unregister(registration);
        let call = client.call(&format!("{base}.p"), &[]);
        client.expect_error(48, call, "wamp.error.no_such_procedure");
    }
}

#[track_caller]
fn goes_to_itself(client: &mut Client, procedure: &str, registration: u64) {
    let call = client.call(procedure, &[]);
    let invocation = client.invocation();
    assert_eq!(invocation.registration, registration);
    client.answer(invocation.request, &json!({}), &[]);
    client.result(call);
}

#[track_caller]
fn refused(client: &mut Client, procedure: &str, options: &Json, error: &str) {
    let request = client.request(64, options, procedure, &[]);
    client.expect_error(64, request, error);
}

fn malformed_patterns(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    for (pattern, policy) in
        [("a..b", "exact"), ("a..b", "prefix"), ("a b", "prefix"), ("a..b c", "wildcard"), ("a.#.c", "wildcard")]
    {
        refused(&mut client, pattern, &json!({ "match": policy }), "wamp.error.invalid_uri");
    }
}

fn reserved_patterns(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    for (pattern, policy) in [("wamp.", "prefix"), ("wamp.session", "prefix"), ("wamp..count", "wildcard")] {
        refused(&mut client, pattern, &json!({ "match": policy }), "wamp.error.invalid_uri");
    }
}

fn unknown_policies(router: &Router, wire: Wire) {
    let mut client = Client::join(router.address(), wire);
    for options in [json!({"match": "regex"}), json!({"invoke": "all"}), json!({"invoke": ""})] {
        refused(&mut client, &uri("unknown"), &options, "wamp.error.invalid_argument");
    }
}

fn options_of_the_wrong_type(router: &Router, wire: Wire) {
    for options in [
        json!({"match": 1}),
        json!({"invoke": 1}),
        json!({"invoke": ["first"]}),
        json!({"concurrency": "1"}),
        json!({"force_reregister": 1}),
        json!({"disclose_caller": "yes"}),
    ] {
        let mut client = Client::join(router.address(), wire);
        client.request(64, &options, &uri("type"), &[]);
        client.expect_abort("wamp.error.protocol_violation");
    }
    for options in [json!({"disclose_me": 1}), json!({"runmode": 1})] {
        let mut client = Client::join(router.address(), wire);
        client.request(48, &options, &uri("type"), &[]);
        client.expect_abort("wamp.error.protocol_violation");
    }
}

const CALLER: [&str; 3] = ["caller", "caller_authid", "caller_authrole"];

/// What the invocation of a call with these options tells about its caller.
#[track_caller]
fn disclosed(router: &Router, wire: Wire, register: &Json, call: &Json) -> (Client, [Option<Value>; 3]) {
    let procedure = uri("disclose");
    let mut callee = callee(router, wire, &procedure, register);
    let mut caller = Client::join(router.address(), wire);
    caller.call_with(&procedure, call, &[]);
    let details = callee.invocation().details;
    (caller, CALLER.map(|key| details.get(key).cloned()))
}

#[track_caller]
fn identity(client: &Client) -> [Option<Value>; 3] {
    [json!(client.session()), json!(client.authid()), json!("anonymous")].map(|value| Some(value.into()))
}

fn callers_are_not_disclosed_unless_asked(router: &Router, wire: Wire) {
    for (register, call) in [
        (json!({}), json!({})),
        (json!({"disclose_caller": false}), json!({"disclose_me": false})),
        (json!({"disclose_caller": null}), json!({"disclose_me": null})),
    ] {
        assert_eq!(disclosed(router, wire, &register, &call).1, [None, None, None]);
    }
}

fn a_caller_discloses_itself(router: &Router, wire: Wire) {
    for register in [json!({}), json!({"disclose_caller": false})] {
        let (caller, told) = disclosed(router, wire, &register, &json!({"disclose_me": true}));
        assert_eq!(told, identity(&caller));
    }
}

fn a_callee_asks_for_callers(router: &Router, wire: Wire) {
    let (caller, told) = disclosed(router, wire, &json!({"disclose_caller": true}), &json!({}));
    assert_eq!(told, identity(&caller));
    // Each call tells its own caller.
    let procedure = uri("callers");
    let mut callee = callee(router, wire, &procedure, &json!({"disclose_caller": true}));
    for _ in 0..3 {
        let mut caller = Client::join(router.address(), wire);
        caller.call(&procedure, &[]);
        let details = callee.invocation().details;
        assert_eq!(CALLER.map(|key| details.get(key).cloned()), identity(&caller));
    }
}
