//! The codecs against independent implementations, hostile input and the rules of the specification.

use corebar::wamp::codec::{DecodeLimits, decode, encode_to_vec, transcode};
use corebar::wamp::{Message, Serializer, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

#[allow(dead_code, unreachable_pub, reason = "shared by several test programs, each of which uses a part")]
#[path = "support/ubjson.rs"]
mod ubjson;
#[allow(dead_code, unreachable_pub, reason = "shared by several test programs, each of which uses a part")]
#[path = "support/value.rs"]
mod value;

fn oracle(serializer: Serializer, value: &Json) -> Vec<u8> {
    match serializer {
        Serializer::Json => serde_json::to_vec(value).expect("JSON"),
        Serializer::MsgPack => rmp_serde::to_vec(value).expect("MessagePack"),
        Serializer::Cbor => {
            let mut out = Vec::new();
            ciborium::into_writer(value, &mut out).expect("CBOR");
            out
        }
        Serializer::Ubjson => ubjson::encode(&value.clone().into(), ubjson::Form::Plain),
    }
}

fn read(serializer: Serializer, octets: &[u8]) -> Json {
    match serializer {
        Serializer::Json => serde_json::from_slice(octets).expect("JSON"),
        Serializer::MsgPack => rmp_serde::from_slice(octets).expect("MessagePack"),
        Serializer::Cbor => ciborium::from_reader(octets).expect("CBOR"),
        Serializer::Ubjson => ubjson::decode(octets).expect("UBJSON").into(),
    }
}

fn ok(serializer: Serializer, octets: &[u8]) -> Message {
    decode(serializer, octets, DecodeLimits::default()).unwrap_or_else(|error| panic!("{error}: {octets:02x?}"))
}

fn refused(serializer: Serializer, octets: &[u8]) -> String {
    match decode(serializer, octets, DecodeLimits::default()) {
        Ok(message) => panic!("accepted {message:?}: {octets:02x?}"),
        Err(error) => error.to_string(),
    }
}

/// The message as `serializer` says it, or why it cannot.
fn said(message: &Message, serializer: Serializer) -> Result<Vec<u8>, String> {
    encode_to_vec(serializer, message).map_err(|error| error.to_string())
}

#[test]
fn json_grammar() {
    let publish = |args: &str| format!("[16,1,{{}},\"a\",[{args}]]");
    for good in [
        "1e308",
        "-0",
        "18446744073709551615",
        "-9223372036854775808",
        // JavaScript says 2^64 so.
        "18446744073709552000",
        "-9223372036854775809",
        r#""\ud83d\ude00\/""#,
        " 1 , { } ",
        "1.5E+3",
    ] {
        ok(Serializer::Json, publish(good).as_bytes());
    }
    for bad in [
        "1e999",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\u0041""#,
        r#""\x""#,
        r#""\u12g4""#,
        "\"\u{1}\"",
        "\"",
        "1,",
        ",",
        "{1:2}",
        "{\"a\"}",
        "{\"a\":1,}",
        "nul",
        "NaN",
        "tru",
        "1 2",
        "[1}",
        "\u{a0}1",
    ] {
        refused(Serializer::Json, publish(bad).as_bytes());
    }
    refused(Serializer::Json, b"[16,1,{},\"a\",[\"\xff\"]]");
    for long in [format!("{}.0", "9".repeat(400)), "9".repeat(400), format!("-{}", "9".repeat(400))] {
        assert!(refused(Serializer::Json, publish(&long).as_bytes()).contains("out of range"), "{long}");
    }
}

#[test]
fn elements_are_exact() {
    for (bad, why) in [
        ("[]", "empty list"),
        ("{}", "must be a list"),
        ("7", "must be a list"),
        ("", "unexpected end"),
        ("[99,1]", "unknown message type 99"),
        ("[32,1,[],\"a\"]", "SUBSCRIBE.Options must be a dict, not a list"),
        ("[32,1,{}]", "SUBSCRIBE.Topic is missing"),
        ("[32,1,{},\"a\",1]", "SUBSCRIBE has too many elements"),
        ("[32,0,{},\"a\"]", "1 to 2^53"),
        ("[32,9007199254740993,{},\"a\"]", "1 to 2^53"),
        ("[32,-1,{},\"a\"]", "negative"),
        ("[32,1.0,{},\"a\"]", "not a float"),
        ("[32,true,{},\"a\"]", "not a bool"),
        ("[32,1,{},\"a\"]x", "more octets"),
        ("[16,1,{},\"a\",{}]", "PUBLISH.Arguments must be a list"),
        ("[16,1,{},\"a\",[],[]]", "ArgumentsKw must be a dict"),
        ("[16,1,{},\"a\",[],{},1]", "too many"),
        ("[16,1,1,1,1,1,1,1,1,]", "the message has too many elements"),
        ("[35,0]", "Details"),
        ("[34,0,1]", "1 to 2^53"),
        ("[16,1,{},\"a\",\"\\u0000!\"]", "must be a list"),
        ("[3,{},\"a\",\"\\u0000AA==\"]", "must be a list"),
    ] {
        let found = refused(Serializer::Json, bad.as_bytes());
        assert!(found.contains(why), "{bad}: {found}");
    }
    // As JavaScript's MessagePack and CBOR write integers beyond 32 bits: [34, 1, 2^33] and [34, 1, 2^33 + 0.5].
    let float = |start: &[u8], value: f64| [start, &value.to_be_bytes()].concat();
    for (serializer, start) in
        [(Serializer::MsgPack, &[0x93, 34, 1, 0xcb][..]), (Serializer::Cbor, &[0x83, 0x18, 34, 1, 0xfb])]
    {
        ok(serializer, &float(start, 8_589_934_592.0));
        let found = refused(serializer, &float(start, 8_589_934_592.5));
        assert!(found.contains("not a float"), "{found}");
    }
    ok(Serializer::Json, b" [32,9007199254740992,{},\"a\"]\n");
    ok(Serializer::Json, b"[35,0,{\"subscription\":7}]");
}

#[test]
fn null_arguments_are_absent() {
    for (sent, delivered) in [
        ("[16,1,{},\"a\",null]", json!([16, 1, {}, "a"])),
        ("[16,1,{},\"a\",null,null]", json!([16, 1, {}, "a"])),
        ("[16,1,{},\"a\",[1],null]", json!([16, 1, {}, "a", [1]])),
        ("[16,1,{},\"a\", null , {\"k\":1} ]", json!([16, 1, {}, "a", [], {"k": 1}])),
    ] {
        let message = ok(Serializer::Json, sent.as_bytes());
        for to in Serializer::ALL {
            let octets = said(&message, to).expect("sayable");
            ok(to, &octets);
            assert_eq!(read(to, &octets), delivered, "{sent} to {to:?}");
        }
    }
}

#[test]
fn undefined_options_are_absent() {
    let msgpack = b"\x94\x20\x01\x82\xa5match\xd4\x00\x00\xa1x\x81\xa1y\xd4\x00\x00\xa1a";
    let cbor = b"\x84\x18\x20\x01\xa2\x65match\xf7\x61x\xa1\x61y\xf7\x61a";
    for (serializer, octets) in [(Serializer::MsgPack, &msgpack[..]), (Serializer::Cbor, &cbor[..])] {
        let Message::Subscribe(message) = ok(serializer, octets) else { panic!("not SUBSCRIBE") };
        assert_eq!(message.options.len(), 1, "{serializer:?}");
        assert!(message.options.get("x").and_then(Value::as_dict).is_some_and(|dict| dict.is_empty()));
    }
}

/// PUBLISH with one argument, in the binary formats.
fn wrap(serializer: Serializer, argument: &[u8]) -> Vec<u8> {
    let (head, end): (&[u8], &[u8]) = match serializer {
        Serializer::Cbor => (b"\x85\x10\x01\xa0\x61a\x81", b""),
        Serializer::Ubjson => (b"[U\x10U\x01{}SU\x01a[", b"]]"),
        _ => (b"\x95\x10\x01\x80\xa1a\x91", b""),
    };
    [head, argument, end].concat()
}

#[test]
fn options_that_the_receiver_cannot_be_told_leave_a_whole_message() {
    // SUBSCRIBE with {"v": [1, NaN], "m": [{1: 2}]} in MessagePack.
    let octets = b"\x94\x20\x01\x82\xa1v\x92\x01\xcb\x7f\xf8\0\0\0\0\0\0\xa1m\x91\x81\x01\x02\xa1a";
    let message = ok(Serializer::MsgPack, octets);
    let to_json = said(&message, Serializer::Json).expect("no payload");
    assert_eq!(read(Serializer::Json, &to_json), json!([32, 1, {"v": null, "m": null}, "a"]));
    let to_ubjson = said(&message, Serializer::Ubjson).expect("no payload");
    assert!(to_ubjson.ends_with(b"U\x01mZ}SU\x01a]"), "{to_ubjson:02x?}");
    ok(Serializer::Ubjson, &to_ubjson);
}

#[test]
fn malformed_binary_formats() {
    for bad in [
        &b"\xc1"[..],
        b"\xd9\x01\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x81\x01",
        b"\xcb\0",
        b"\xc9\xff\xff\xff\xff\x01",
        b"",
        b"\x01\x01",
    ] {
        refused(Serializer::MsgPack, &wrap(Serializer::MsgPack, bad));
    }
    for bad in [
        &b"\x1c"[..],
        b"\xff",
        b"\x1f",
        b"\x3f",
        b"\xdf\x01",
        b"\x61\xff",
        b"\x7f\x61\xff\xff",
        b"\x7f\x41a\xff",
        b"\x7f\x7f\xff\xff",
        b"\xbf\x01\xff",
        b"\x9f\x01",
        b"\xf8\x10",
        b"\xfc",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x9f\xc1\xff\xff",
        b"\xc1",
        b"",
    ] {
        refused(Serializer::Cbor, &wrap(Serializer::Cbor, bad));
    }
    for serializer in Serializer::ALL {
        let publish = oracle(serializer, &json!([16, 1, {}, "a", [[1, {"k": 70_000}], "text", 1.5]]));
        for length in 0..publish.len() {
            refused(serializer, &publish[..length]);
        }
        refused(serializer, &[&publish[..], b"x"].concat());
    }
}

#[test]
fn depth_is_bounded_in_every_serialization() {
    for (serializer, open, head) in [
        (Serializer::Json, b'[', &b"[16,1,{},\"a\","[..]),
        (Serializer::MsgPack, 0x91, b"\x95\x10\x01\x80\xa1a"),
        (Serializer::Cbor, 0x81, b"\x85\x10\x01\xa0\x61a"),
        (Serializer::Cbor, 0x9f, b"\x85\x10\x01\xa0\x61a"),
        (Serializer::Cbor, 0xc1, b"\x85\x10\x01\xa0\x61a\x81"),
        (Serializer::Ubjson, b'[', b"[U\x10U\x01{}SU\x01a"),
    ] {
        let octets = [head, &vec![open; 200_000]].concat();
        let unlimited = decode(serializer, &octets, DecodeLimits { depth: u16::MAX }).expect_err("too deep");
        assert!(unlimited.to_string().contains("too deeply"), "{unlimited}");
    }
    let nested = |levels: usize| format!("[16,1,{{}},\"a\",{}{}]", "[".repeat(levels), "]".repeat(levels));
    ok(Serializer::Json, nested(127).as_bytes());
    refused(Serializer::Json, nested(128).as_bytes());
}

#[test]
fn what_json_cannot_say_is_an_error() {
    for (from, argument) in [
        (Serializer::MsgPack, &b"\xcb\x7f\xf8\0\0\0\0\0\0"[..]),
        (Serializer::MsgPack, b"\x81\x01\x02"),
        (Serializer::MsgPack, b"\xd4\x05\x00"),
        (Serializer::MsgPack, b"\x81\xc4\x01a\x02"),
        (Serializer::MsgPack, b"\xa5\0AA=="),
        (Serializer::Cbor, b"\xf9\x7c\x00"),
        (Serializer::Cbor, b"\xa1\x01\x02"),
        (Serializer::Cbor, b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff"),
        (Serializer::Cbor, b"\xd8\x64\x01"),
        (Serializer::Cbor, b"\xe0"),
        (Serializer::Cbor, b"\xc2\x49\x01\0\0\0\0\0\0\0\0"),
        (Serializer::Ubjson, b"D\x7f\xf8\0\0\0\0\0\0"),
        (Serializer::Ubjson, b"HU\x15100000000000000000001"),
        (Serializer::Ubjson, b"HU\x051e999"),
        (Serializer::Ubjson, b"{U\x01kSU\x05\0AA==}"),
    ] {
        let message = ok(from, &wrap(from, argument));
        said(&message, Serializer::Json).expect_err("JSON cannot say this");
        assert_eq!(said(&message, from).expect("as it came"), wrap(from, argument));
    }
}

#[test]
fn values_keep_their_types() {
    let json = |argument: &str| format!("[16,1,{{}},\"a\",[{argument}]]").into_bytes();
    for (from, argument, to, wanted) in [
        (Serializer::Json, &b"1.0"[..], Serializer::MsgPack, &b"\xcb\x3f\xf0\0\0\0\0\0\0"[..]),
        (Serializer::Json, b"1", Serializer::Cbor, b"\x01"),
        (Serializer::Json, br#""\u0000AQI=""#, Serializer::MsgPack, b"\xc4\x02\x01\x02"),
        (Serializer::Json, br#""\u0000!""#, Serializer::Cbor, b"\x62\0!"),
        (Serializer::Json, br#"{"\u0000AQI=":1}"#, Serializer::MsgPack, b"\x81\xa5\0AQI=\x01"),
        (Serializer::Json, b"18446744073709551615", Serializer::MsgPack, b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        (Serializer::MsgPack, b"\xca\x3f\x80\0\0", Serializer::Json, b"1.0"),
        (Serializer::MsgPack, b"\xcb\x80\0\0\0\0\0\0\0", Serializer::Json, b"-0.0"),
        (Serializer::MsgPack, b"\xd3\x80\0\0\0\0\0\0\0", Serializer::Cbor, b"\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"),
        (Serializer::MsgPack, b"\xd4\0\0", Serializer::Cbor, b"\xf7"),
        (Serializer::MsgPack, b"\x81\x01\x02", Serializer::Cbor, b"\xa1\x01\x02"),
        (Serializer::Cbor, b"\x9f\x01\xbf\x61k\x9f\xff\xff\xff", Serializer::MsgPack, b"\x92\x01\x81\xa1k\x90"),
        (Serializer::Cbor, b"\x7f\x62ab\x61c\xff", Serializer::Json, br#""abc""#),
        (Serializer::Cbor, b"\x5f\x41\x01\x41\x02\xff", Serializer::Json, br#""\u0000AQI=""#),
        (Serializer::Cbor, b"\xf9\x3c\x00", Serializer::Json, b"1.0"),
        (Serializer::Cbor, b"\xf9\x00\x01", Serializer::MsgPack, b"\xcb\x3e\x70\0\0\0\0\0\0"),
        (Serializer::Cbor, b"\xc1\x01", Serializer::MsgPack, b"\x01"),
        (Serializer::Cbor, b"\xc2\x41\x05", Serializer::Json, b"5"),
        (Serializer::Cbor, b"\xc3\x41\x05", Serializer::Json, b"-6"),
        (Serializer::Cbor, b"\x9f\x9f\xff\x01\xff", Serializer::Json, b"[[],1]"),
        (Serializer::Json, br#""\u0000AQI=""#, Serializer::Ubjson, b"[$U#U\x02\x01\x02"),
        (Serializer::Json, b"18446744073709551615", Serializer::Ubjson, b"HU\x1418446744073709551615"),
        (
            Serializer::Json,
            b"[-1,255,-129,40000,-3000000000]",
            Serializer::Ubjson,
            b"[i\xffU\xffI\xff\x7fl\0\0\x9c\x40L\xff\xff\xff\xff\x4d\x2f\xa2\0]",
        ),
        (Serializer::MsgPack, b"\xcb\x7f\xf8\0\0\0\0\0\0", Serializer::Ubjson, b"D\x7f\xf8\0\0\0\0\0\0"),
        (Serializer::MsgPack, b"\xd4\0\0", Serializer::Ubjson, b"Z"),
        (Serializer::Cbor, b"\x83\xf4\xf5\xa1\x60\xf6", Serializer::Ubjson, b"[FT{U\0Z}]"),
        (Serializer::Ubjson, b"d\x3f\x80\0\0", Serializer::Json, b"1.0"),
        (Serializer::Ubjson, b"[$i#U\x02\x01\xff", Serializer::MsgPack, b"\x92\x01\xff"),
        (Serializer::Ubjson, b"Cx", Serializer::Cbor, b"\x61x"),
    ] {
        let wrapped = |serializer, argument: &[u8]| match serializer {
            Serializer::Json => json(std::str::from_utf8(argument).expect("text")),
            other => wrap(other, argument),
        };
        let octets = said(&ok(from, &wrapped(from, argument)), to).expect("sayable");
        assert_eq!(octets, wrapped(to, wanted), "{argument:02x?} {from:?} to {to:?}");
    }
}

#[test]
fn an_indefinite_message_list_leaves_its_break_behind() {
    let message = ok(Serializer::Cbor, b"\x9f\x10\x01\xa0\x61a\x81\x05\xff");
    assert_eq!(said(&message, Serializer::Cbor).expect("sayable"), b"\x85\x10\x01\xa0\x61a\x81\x05");
}

/// Floats are short here because serde_json reads long ones only to the nearest but one; `floats_are_exact` has all.
fn values() -> impl Strategy<Value = Json> {
    let text = prop_oneof!["[a-z\"\\\\\n\u{1}é😀]{0,12}", ".{0,40}"]
        .prop_filter("is no binary value", |text| !text.starts_with('\0'));
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        (-300_i64..300).prop_map(Json::from),
        any::<i16>().prop_map(|i| f64::from(i) / 4.0).prop_map(Json::from),
        (-9_i32..9).prop_map(|i| Json::from(f64::from(i))),
        text.clone().prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 60, 20, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Json::from),
            prop::collection::vec((text.clone(), inner), 0..20)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A piece of UBJSON, often one that stands well before the next.
fn ubjson_token() -> impl Strategy<Value = Vec<u8>> {
    let tokens: Vec<&[u8]> = vec![
        b"[",
        b"]",
        b"{",
        b"}",
        b"Z",
        b"T",
        b"F",
        b"N",
        b"U\x01",
        b"i\x01",
        b"U\0",
        b"I\0\x02",
        b"Ck",
        b"SU\x01k",
        b"U\x01k",
        b"l\0\0\0\x07",
        b"d\x3f\x80\0\0",
        b"HU\x01-",
        b"HU\x0212",
        b"[#U\x02",
        b"[$U#U\x01",
        b"[$T#U\x02",
        b"[$[#U\x01",
        b"{$i#U\x01",
        b"[$C#U\x01",
        b"{#U\x01",
        b"[$S#U\x01",
        b"\x01",
        b"\xff",
        b"#",
        b"$",
    ];
    prop::sample::select(tokens).prop_map(<[u8]>::to_vec)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_survive_every_way(args in prop::collection::vec(values(), 0..4), kwargs in prop::option::of(values()), options in values()) {
        let object = |value: &Json| if value.is_object() { value.clone() } else { json!({ "v": value }) };
        let mut list = vec![json!(16), json!(7), object(&options), json!("a.b"), json!(args)];
        list.extend(kwargs.as_ref().map(object));
        let list = Json::from(list);
        let optimized = ubjson::encode(&list.clone().into(), ubjson::Form::Optimized);
        let plain = Serializer::ALL.map(|from| (from, oracle(from, &list)));
        for (from, octets) in plain.into_iter().chain([(Serializer::Ubjson, optimized)]) {
            let message = ok(from, &octets);
            for to in Serializer::ALL {
                let out = said(&message, to).expect("sayable");
                prop_assert_eq!(&read(to, &out), &list);
                let again = ok(to, &out);
                prop_assert_eq!(&said(&again, to).expect("sayable"), &out);
                prop_assert_eq!(&read(from, &said(&again, from).expect("and back")), &list);
            }
        }
    }

    #[test]
    fn floats_are_exact(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        prop_assume!(float.is_finite());
        let argument = [&[0xcb], &bits.to_be_bytes()[..]].concat();
        let octets = said(&ok(Serializer::MsgPack, &wrap(Serializer::MsgPack, &argument)), Serializer::Json).expect("finite");
        let text = std::str::from_utf8(&octets).expect("text").strip_prefix("[16,1,{},\"a\",[").expect("head");
        let text = text.strip_suffix("]]").expect("end");
        prop_assert!(text.contains(['.', 'e']), "{text} would be read as an integer");
        prop_assert_eq!(text.parse::<f64>().expect("a number").to_bits(), bits);
        let back = said(&ok(Serializer::Json, &octets), Serializer::MsgPack).expect("sayable");
        prop_assert_eq!(back, wrap(Serializer::MsgPack, &argument));
    }

    /// What is accepted means the same to another reader.
    #[test]
    fn ubjson_is_read_as_another_reads_it(argument in prop::collection::vec(ubjson_token(), 0..9)) {
        let octets = wrap(Serializer::Ubjson, &argument.concat());
        let Ok(message) = decode(Serializer::Ubjson, &octets, DecodeLimits::default()) else { return Ok(()) };
        match ubjson::decode(&octets) {
            Ok(theirs) => {
                let ours = said(&message, Serializer::Json).expect("these tokens make nothing that JSON cannot say");
                let theirs = Json::from(theirs);
                // The tokens may close the arguments, and null behind them is nothing.
                if theirs[5] != Json::Null || theirs.as_array().is_some_and(|list| list.len() == 5) {
                    prop_assert_eq!(read(Serializer::Json, &ours), theirs, "{:02x?}", octets);
                }
            }
            Err(error) => prop_assert!(error.contains("stands twice"), "accepted {octets:02x?}: {error}"),
        }
    }

    #[test]
    fn json_verdict_equals_serde_json(text in "[\\[\\]{}:,0-9.eE+\"\\\\untlrfasdDc8 -]{0,14}") {
        let octets = format!("[16,1,{{}},\"a\",[{text}]]");
        let ours = decode(Serializer::Json, octets.as_bytes(), DecodeLimits::default()).is_ok();
        let theirs = serde_json::from_str::<Json>(&octets);
        if ours {
            prop_assert!(theirs.is_ok(), "accepted {octets}");
        } else if let Ok(Json::Array(list)) = theirs {
            // Then our refusal is about the message's elements or a large integer.
            let message_is_wrong = list.len() != 5;
            let large = text.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).any(|run| run.len() > 18);
            prop_assert!(message_is_wrong || large, "refused {octets}");
        }
    }
}

#[test]
fn transcoding_into_the_same_serialization_shares_the_octets() {
    let message = ok(Serializer::Json, b"[16,1,{},\"a\",[1, 2]]");
    let raw = message.payload().and_then(|payload| payload.origin()).expect("payload");
    assert_eq!(transcode(raw, Serializer::Json).expect("same").bytes.as_ptr(), raw.bytes.as_ptr());
}

#[test]
fn integers_beyond_64_bits_of_json_become_floats_elsewhere() {
    // Short and long payload are read in different ways.
    for more in ["", &format!(",{:?}", "x".repeat(5_000))] {
        let message = format!("[16,1,{{}},\"a\",[18446744073709552000,-100000000000000000000{more}]]");
        let message = ok(Serializer::Json, message.as_bytes());
        for to in [Serializer::MsgPack, Serializer::Cbor, Serializer::Ubjson] {
            let out = said(&message, to).expect("sayable");
            let read = read(to, &out);
            assert_eq!((&read[4][0], &read[4][1]), (&json!(18_446_744_073_709_552_000.0), &json!(-1e20)), "{to:?}");
        }
        assert!(
            said(&message, Serializer::Json).expect("sayable").windows(20).any(|part| part == b"18446744073709552000")
        );
    }
}
