//! Messages that are not as they must be.

use super::{on_every_wire, uri};
use crate::support::{Client, Router, Serializer, Transport, Value, Wire, raw};
use serde_json::json;
use std::io::Write;

on_every_wire! {
    octets_that_are_no_message,
    elements_of_the_wrong_type,
    too_few_and_too_many_elements,
    unknown_types,
    ids_out_of_range,
    the_id_of_an_open_request,
    the_other_sessions_live_on,
}

const VIOLATION: &str = "wamp.error.protocol_violation";

fn octets_that_are_no_message(router: &Router, wire: Wire) {
    let json: &[&[u8]] = &[
        b"",
        b" ",
        b"garbage",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b"[",
        b"[1",
        b"[16,1,{},\"a\"",
        b"[16,1,{},\"a\",]",
        b"[16,1,{},\"a\"] x",
        b"[16,1,{},\"a\",[01]]",
        b"[16,1,{},\"a\",[1.]]",
        b"[16,1,{},\"a\",[NaN]]",
        b"[16,1,{},\"a\",[\"\\ud800\"]]",
        b"[16,1,{},\"a\",[\"\\x\"]]",
        b"[16,1,{},\"a\",[tru]]",
        b"\"text\"",
        b"[16,1,{},\"a\",[\"\n\"]]",
        b"[\"16\",1,{},\"a\"]",
    ];
    let msgpack: &[&[u8]] = &[
        b"",
        b"\xc1",
        b"\x80",
        b"\x90",
        b"\xc0",
        b"\x94\x10\x01\x80",
        b"\x94\x10\x01\x80\xa1a\x00",
        b"\xdd\xff\xff\xff\xff",
        b"\x95\x10\x01\x80\xa1a\xdd\xff\xff\xff\xff",
        b"\x95\x10\x01\x80\xa1a\x91\xa1\xff",
        b"\x95\x10\x01\x80\xa1a\x91\xc1",
        b"\x95\x10\x01\x80\xa1a\x91\xdb\xff\xff\xff\xff",
    ];
    let cbor: &[&[u8]] = &[
        b"",
        b"\xff",
        b"\xa0",
        b"\x80",
        b"\xf6",
        b"\x84\x10\x01\xa0",
        b"\x84\x10\x01\xa0\x61a\x00",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x85\x10\x01\xa0\x61a\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x85\x10\x01\xa0\x61a\x81\x61\xff",
        b"\x85\x10\x01\xa0\x61a\x81\x1c",
        b"\x85\x10\x01\xa0\x61a\x81\xff",
        b"\x85\x10\x01\xa0\x61a\x9f\x01",
    ];
    let ubjson: &[&[u8]] = &[
        b"",
        b"]",
        b"N",
        b"{}",
        b"[]",
        b"Z",
        b"[U\x10U\x01{}]",
        b"[U\x10U\x01{}SU\x01aZZZ]",
        b"[$Z#L\x00\x00\x01\x00\x00\x00\x00\x00",
        b"[U\x10U\x01{}SU\x01a[$T#L\x00\x00\x01\x00\x00\x00\x00\x00]",
        b"[U\x10U\x01{}SU\x01a[$D#L\x7f\xff\xff\xff\xff\xff\xff\xff]",
        b"[U\x10U\x01{}SU\x01a[#i\xff]]",
        b"[U\x10U\x01{}SU\x01a[SU\x01\xff]]",
        b"[U\x10m\x01\x00\x00\x00{}SU\x01a]",
    ];
    let cases = match wire.serializer {
        Serializer::Json => json,
        Serializer::MsgPack => msgpack,
        Serializer::Cbor => cbor,
        Serializer::Ubjson => ubjson,
    };
    for octets in cases {
        let mut client = Client::join(router.address(), wire);
        client.send_octets(octets);
        let abort = client.expect_abort(VIOLATION);
        assert!(!abort[1].dict()["message"].str().is_empty(), "a human reason: {abort:?}");
    }
}

fn violates(router: &Router, wire: Wire, message: impl Into<Value>) {
    let mut client = Client::join(router.address(), wire);
    client.send(message);
    client.expect_abort(VIOLATION);
}

fn elements_of_the_wrong_type(router: &Router, wire: Wire) {
    for message in [
        json!([32, 1, [], "com.a"]),
        json!([32, "1", {}, "com.a"]),
        json!([32, 1.5, {}, "com.a"]),
        json!([32, 1, {}, 5]),
        json!([32, 1, {}, null]),
        json!([16, 1, {}, "com.a", {}]),
        json!([16, 1, {}, "com.a", "args"]),
        json!([16, 1, {}, "com.a", [], []]),
        json!([16, 1, {"acknowledge": 1}, "com.a"]),
        json!([16, 1, {"exclude_me": "no"}, "com.a"]),
        json!([48, 1, {}, "com.a", 1]),
        json!([48, 1, "options", "com.a"]),
        json!([64, 1, {}, ["com.a"]]),
        json!([6, [], "wamp.close.close_realm"]),
        json!([6, {}, 1]),
        json!([null, 1, {}]),
        json!([true]),
    ] {
        violates(router, wire, message);
    }
}

fn too_few_and_too_many_elements(router: &Router, wire: Wire) {
    for message in [
        json!([32]),
        json!([32, 1]),
        json!([32, 1, {}]),
        json!([34, 1]),
        json!([16, 1, {}]),
        json!([48, 1, {}]),
        json!([64, 1]),
        json!([66, 1]),
        json!([70, 1]),
        json!([6, {}]),
        json!([16, 1, {}, "com.a", [], {}, 1]),
        json!([48, 1, {}, "com.a", [], {}, 1]),
        json!([32, 1, {}, "com.a", 1]),
        json!([34, 1, 1, 1]),
    ] {
        violates(router, wire, message);
    }
}

fn unknown_types(router: &Router, wire: Wire) {
    for code in [0u64, 7, 9, 99, 255, 256, 1024, 65_552, u64::from(u32::MAX), 1 << 40] {
        violates(router, wire, json!([code, 1, {}, "com.a"]));
    }
    violates(router, wire, json!([-16, 1, {}, "com.a"]));
}

fn ids_out_of_range(router: &Router, wire: Wire) {
    for id in [json!(0), json!(-1), json!((1u64 << 53) + 1), json!(u64::MAX)] {
        violates(router, wire, json!([32, id, {}, "com.a"]));
        violates(router, wire, json!([48, id, {}, "com.a"]));
        violates(router, wire, json!([34, 1, id]));
    }
    let mut client = Client::join(router.address(), wire);
    client.send(json!([32, 1u64 << 53, {}, "com.a"]));
    assert_eq!(client.expect(33)[1].uint(), 1 << 53);
    // Older clients draw their ids.
    client.send(json!([32, 77, {}, "com.a"]));
    assert_eq!(client.expect(33)[1].uint(), 77);
}

fn the_id_of_an_open_request(router: &Router, wire: Wire) {
    let procedure = uri("reuse");
    let mut callee = Client::join(router.address(), wire);
    let registration = callee.register(&procedure);
    let mut caller = Client::join(router.address(), wire);
    caller.send(json!([48, 5, {}, procedure]));
    let (invocation, _) = callee.expect_invocation(registration);
    callee.send(json!([70, invocation, {}]));
    caller.expect_result(5);
    // Free again, then open.
    caller.send(json!([48, 5, {}, procedure]));
    callee.expect_invocation(registration);
    caller.send(json!([48, 5, {}, procedure]));
    caller.expect_abort(VIOLATION);
}

fn the_other_sessions_live_on(router: &Router, wire: Wire) {
    let topic = uri("live_on");
    let mut subscriber = Client::join(router.address(), wire);
    let subscription = subscriber.subscribe(&topic);
    let mut broken = Client::join(router.address(), wire);
    broken.subscribe(&topic);
    broken.send(json!([16, 1000, {}, topic, ["last"]]));
    broken.send(json!([16, 1001, {}, topic, "violation"]));
    broken.expect_abort(VIOLATION);
    assert_eq!(subscriber.expect_event(subscription).1, [Value::from(json!(["last"]))]);
    let mut publisher = Client::join(router.address(), wire);
    publisher.publish(&topic, &[]);
    subscriber.expect_event(subscription);
}

#[test]
fn frames_of_the_wrong_type_are_violations() {
    let router = Router::shared(4);
    for serializer in Serializer::ALL {
        let header = format!("Sec-WebSocket-Protocol: {}\r\n", serializer.subprotocol());
        let (mut stream, _) = raw::upgraded(router.address(), &header);
        let hello = serializer.encode(&json!([1, "realm1", {"roles": {"caller": {}}}]).into());
        let (right, wrong) = if serializer == Serializer::Json { (0x81, 0x82) } else { (0x82, 0x81) };
        stream.write_all(&raw::client_frame(right, &hello)).expect("the router reads");
        let (first, welcome) = raw::server_frame(&mut stream);
        assert_eq!(first, right);
        assert_eq!(serializer.decode(&welcome).list()[0].uint(), 2);
        // Text frames must be UTF-8 besides: octets below 0x80 are both.
        stream.write_all(&raw::client_frame(wrong, b"[]")).expect("the router reads");
        let (first, abort) = raw::server_frame(&mut stream);
        assert_eq!(first, right);
        assert_eq!(serializer.decode(&abort).list()[2].str(), VIOLATION);
        let (first, close) = raw::server_frame(&mut stream);
        assert_eq!(first, 0x88);
        let code = u16::from_be_bytes([close[0], close[1]]);
        assert!([1002, 1003].contains(&code), "{code}");
    }
}

#[test]
fn undefined_options_are_absent_ones() {
    let router = Router::shared(4);
    // {"acknowledge": true, "exclude_me": undefined} as wampy.js says it.
    let cases: [(Serializer, &[u8]); 2] = [
        (Serializer::MsgPack, b"\x95\x10\x05\x82\xabacknowledge\xc3\xaaexclude_me\xd4\x00\x00"),
        (Serializer::Cbor, b"\x85\x10\x05\xa2\x6backnowledge\xf5\x6aexclude_me\xf7"),
    ];
    for (serializer, head) in cases {
        let topic = uri("undefined");
        let mut client = Client::join(router.address(), Wire { transport: Transport::WebSocket, serializer });
        let subscription = client.subscribe(&topic);
        let mut message = head.to_vec();
        message.extend(serializer.encode(&Value::Str(topic)));
        message.extend(serializer.encode(&json!([1]).into()));
        client.send_octets(&message);
        assert_eq!(client.expect(17)[1].uint(), 5);
        // exclude_me is absent, so no event has come before this answer.
        client.unsubscribe(subscription);
    }
}
