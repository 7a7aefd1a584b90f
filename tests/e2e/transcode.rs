//! Payload between peers of different serializations.

use super::{SHARDS, uri};
use crate::support::client::payload;
use crate::support::{Client, Router, Serializer, Transport, Value, Wire};
use serde_json::json;

/// What must arrive exactly as it was sent, whatever both sides speak.
fn bodies() -> Vec<Vec<Value>> {
    let numbers = json!([[
        0,
        1,
        -1,
        23,
        24,
        127,
        128,
        255,
        256,
        65535,
        65536,
        -32,
        -33,
        -128,
        -129,
        -32768,
        -32769,
        2_147_483_647u64,
        2_147_483_648u64,
        4_294_967_295u64,
        4_294_967_296u64,
        -2_147_483_648i64,
        -2_147_483_649i64,
        9_007_199_254_740_991u64,
        9_007_199_254_740_992u64,
        9_007_199_254_740_993u64,
        -9_007_199_254_740_993i64,
        i64::MAX,
        i64::MIN,
        9_223_372_036_854_775_808u64,
        u64::MAX
    ]]);
    let floats = json!([[
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        0.1,
        1e300,
        5e-324,
        1.7976931348623157e308,
        3.4028235e38,
        1e15,
        1e16,
        1e17,
        1e21,
        123456789.125,
        9007199254740993.0
    ]]);
    let texts = json!([[
        "",
        "a",
        "Grüße",
        "日本語",
        "😀",
        "\u{1}\u{1f}\u{7f}",
        "\"\\/\n\r\t",
        "\u{fffd}\u{10ffff}",
        "a\u{0}b",
        "x".repeat(31),
        "x".repeat(32),
        "x".repeat(255),
        "x".repeat(256),
        "x".repeat(70_000)
    ]]);
    let octets = vec![Value::List(vec![
        Value::Bin(vec![]),
        Value::Bin(vec![0]),
        Value::Bin((0..=255).collect()),
        Value::Bin(vec![255; 70_000]),
    ])];
    let mut deep = json!(1);
    for level in 0..40 {
        deep = if level % 2 == 0 { json!([deep]) } else { json!({ "k": deep }) };
    }
    let wide: serde_json::Map<String, serde_json::Value> = (0..70).map(|key| (format!("k{key}"), json!(key))).collect();
    vec![
        payload(numbers),
        payload(floats),
        payload(texts),
        octets,
        payload(json!([[deep], {"Ключ": {"": null}, "list": [true, false, null, [], {}]}])),
        payload(json!([[], wide])),
        payload(json!([(0..70_000).map(|_| 7).collect::<Vec<u8>>()])),
    ]
}

fn every_pair(shards: u16, test: fn(&mut Client, &mut Client)) {
    let router = Router::shared(shards);
    let wires: Vec<Wire> = Wire::all().collect();
    for from in &wires {
        for to in &wires {
            let _context = (super::Context(*from), super::Context(*to));
            test(&mut Client::join(router.address(), *from), &mut Client::join(router.address(), *to));
        }
    }
}

fn events(publisher: &mut Client, subscriber: &mut Client) {
    let topic = uri("transcode");
    let subscription = subscriber.subscribe(&topic);
    for body in bodies() {
        publisher.publish(&topic, &body);
        let (_, got) = subscriber.expect_event(subscription);
        assert_eq!(got, body);
        assert_eq!(format!("{got:?}"), format!("{body:?}"), "also the sign of zero");
    }
}

fn calls(caller: &mut Client, callee: &mut Client) {
    let procedure = uri("transcode");
    let registration = callee.register(&procedure);
    for body in bodies() {
        let call = caller.call(&procedure, &body);
        let (invocation, got) = callee.expect_invocation(registration);
        assert_eq!(got, body);
        let mut result = vec![Value::Int(70), Value::from(json!(invocation)), Value::from(json!({}))];
        result.extend(got);
        callee.send(Value::List(result));
        assert_eq!(caller.expect_result(call), body);
    }
}

#[test]
fn events_shards_1() {
    every_pair(SHARDS[0], events);
}

#[test]
fn events_shards_4() {
    every_pair(SHARDS[1], events);
}

#[test]
fn calls_shards_1() {
    every_pair(SHARDS[0], calls);
}

#[test]
fn calls_shards_4() {
    every_pair(SHARDS[1], calls);
}

/// Octets that no list of well-formed examples has, as a client of that serialization would send them.
fn publish_octets(client: &mut Client, topic: &str, args: &[u8]) {
    let octets = match client.wire().serializer {
        Serializer::Json => {
            let args = std::str::from_utf8(args).expect("JSON is text");
            format!("[16,1000,{{\"acknowledge\":true}},\"{topic}\",{args}]").into_bytes()
        }
        Serializer::MsgPack => {
            let head = json!([16, 1000, {"acknowledge": true}, topic]);
            let mut octets = Serializer::MsgPack.encode(&head.into());
            octets[0] = 0x95;
            [&octets[..], args].concat()
        }
        Serializer::Cbor => {
            let head = json!([16, 1000, {"acknowledge": true}, topic]);
            let mut octets = Serializer::Cbor.encode(&head.into());
            octets[0] = 0x85;
            [&octets[..], args].concat()
        }
        Serializer::Ubjson => {
            let head = json!([16, 1000, {"acknowledge": true}, topic]);
            let mut octets = Serializer::Ubjson.encode(&head.into());
            octets.pop();
            [&octets[..], args, b"]"].concat()
        }
    };
    client.send_octets(&octets);
    client.expect(17);
}

fn wire(serializer: Serializer) -> Wire {
    Wire { transport: Transport::WebSocket, serializer }
}

#[test]
fn forms_of_numbers_and_texts_that_only_one_serialization_has() {
    let router = Router::shared(SHARDS[1]);
    let cases: &[(Serializer, &[u8], serde_json::Value)] = &[
        // JSON: white space, escapes, exponents.
        (Serializer::Json, b"[ 1 ,\t-1 ,\n1.0 , 1e2 , 1E+2 ]", json!([1, -1, 1.0, 100.0, 100.0])),
        (Serializer::Json, br#"["\u0041\ud83d\ude00\/"]"#, json!(["A😀/"])),
        // MessagePack: 32-bit float, longer forms than needed.
        (Serializer::MsgPack, &[0x91, 0xca, 0x3f, 0xc0, 0, 0], json!([1.5])),
        (Serializer::MsgPack, &[0xdc, 0, 1, 0xcf, 0, 0, 0, 0, 0, 0, 0, 1], json!([1])),
        (Serializer::MsgPack, &[0x91, 0xdb, 0, 0, 0, 1, b'a'], json!(["a"])),
        (Serializer::MsgPack, &[0x91, 0xd3, 0, 0, 0, 0, 0, 0, 0, 1], json!([1])),
        // CBOR: indefinite lengths, half floats, undefined, longer forms than needed.
        (Serializer::Cbor, &[0x9f, 0x01, 0x9f, 0xff, 0xff], json!([1, []])),
        (Serializer::Cbor, &[0x81, 0x7f, 0x61, b'a', 0x61, b'b', 0xff], json!(["ab"])),
        (Serializer::Cbor, &[0x81, 0xbf, 0x61, b'k', 0x01, 0xff], json!([{"k": 1}])),
        (Serializer::Cbor, &[0x81, 0xf9, 0x3e, 0x00], json!([1.5])),
        (Serializer::Cbor, &[0x81, 0xf7], json!([null])),
        (Serializer::Cbor, &[0x81, 0x1b, 0, 0, 0, 0, 0, 0, 0, 1], json!([1])),
        // UBJSON: counts, types, characters, high precision, no-ops, longer forms than needed.
        (Serializer::Ubjson, b"[#U\x02Z[#i\x01T", json!([null, [true]])),
        (Serializer::Ubjson, b"[$I#i\x02\x00\x01\xff\xff", json!([1, -1])),
        (Serializer::Ubjson, b"[{$C#i\x01i\x01kx]", json!([{"k": "x"}])),
        (Serializer::Ubjson, b"[$[#i\x02$F#i\x02N]", json!([[false, false], []])),
        (Serializer::Ubjson, b"[HU\x011HU\x031.5HU\x1418446744073709551615]", json!([1, 1.5, u64::MAX])),
        (Serializer::Ubjson, b"[NNd\x3f\xc0\x00\x00NL\0\0\0\0\0\0\0\x01N]NN", json!([1.5, 1])),
    ];
    for (serializer, args, expected) in cases {
        let topic = uri("forms");
        let mut publisher = Client::join(router.address(), wire(*serializer));
        let mut subscribers: Vec<(Client, u64)> = Serializer::ALL
            .into_iter()
            .map(|serializer| {
                let mut client = Client::join(router.address(), wire(serializer));
                let subscription = client.subscribe(&topic);
                (client, subscription)
            })
            .collect();
        publish_octets(&mut publisher, &topic, args);
        for (subscriber, subscription) in &mut subscribers {
            let (_, got) = subscriber.expect_event(*subscription);
            assert_eq!(got, payload(json!([expected])), "{serializer:?} {args:02x?} to {}", subscriber.wire());
        }
    }
}

#[test]
fn floats_that_json_cannot_say_are_kept_from_json_only() {
    let router = Router::shared(SHARDS[1]);
    let topic = uri("nan");
    let mut publisher = Client::join(router.address(), wire(Serializer::Cbor));
    let mut json = Client::join(router.address(), wire(Serializer::Json));
    let mut msgpack = Client::join(router.address(), wire(Serializer::MsgPack));
    let json_id = json.subscribe(&topic);
    let msgpack_id = msgpack.subscribe(&topic);
    publisher.publish(&topic, &[Value::List(vec![Value::Float(f64::INFINITY)])]);
    publisher.publish(&topic, &payload(json!([["after"]])));
    assert_eq!(msgpack.expect_event(msgpack_id).1, [Value::List(vec![Value::Float(f64::INFINITY)])]);
    assert_eq!(msgpack.expect_event(msgpack_id).1, payload(json!([["after"]])));
    assert_eq!(json.expect_event(json_id).1, payload(json!([["after"]])));

    // A call with it is answered by an ERROR, and so is a result.
    let procedure = uri("nan");
    let registration = json.register(&procedure);
    let call = publisher.call(&procedure, &[Value::List(vec![Value::Float(f64::NAN)])]);
    publisher.expect_error(48, call, "wamp.error.invalid_payload");
    let other = uri("nan");
    let registration_msgpack = msgpack.register(&other);
    let call = json.call(&other, &[]);
    let (invocation, _) = msgpack.expect_invocation(registration_msgpack);
    let nan = Value::List(vec![Value::Float(f64::NAN)]);
    msgpack.send(Value::List(vec![Value::Int(70), json!(invocation).into(), json!({}).into(), nan]));
    json.expect_error(48, call, "wamp.error.invalid_payload");
    json.unregister(registration);
}
