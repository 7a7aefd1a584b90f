//! The single-message vectors of the wamp-proto repository, from the checkout that `WAMP_PROTO_DIR` names.

use corebar::wamp::codec::{DecodeLimits, decode, encode_to_vec};
use corebar::wamp::{Message, Serializer};
use serde_json::Value as Json;
use std::path::Path;

fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).expect("hex")
}

/// The elements of `message` as JSON, by way of our encoder and an independent parser.
fn elements(message: &Message) -> Vec<Json> {
    let json = encode_to_vec(Serializer::Json, message).expect("sayable in JSON");
    serde_json::from_slice::<Vec<Json>>(&json).expect("our JSON is JSON")
}

fn positions(message: &Message) -> &'static [&'static str] {
    match message {
        Message::Hello(_) => &["realm", "details|roles"],
        Message::Welcome(_) => &["session_id", "details|roles"],
        Message::Abort(_) | Message::Goodbye(_) => &["details", "reason", "args", "kwargs"],
        Message::Challenge(_) => &["method", "extra"],
        Message::Authenticate(_) => &["signature", "extra"],
        Message::Error(_) => &["request_type", "request_id", "details", "error", "args", "kwargs"],
        Message::Publish(_) => &["request_id", "options", "topic", "args", "kwargs"],
        Message::Published(_) => &["request_id", "publication_id"],
        Message::Subscribe(_) => &["request_id", "options", "topic"],
        Message::Subscribed(_) | Message::Unsubscribe(_) => &["request_id", "subscription_id"],
        Message::Event(_) => &["subscription_id", "publication_id", "details", "args", "kwargs"],
        Message::EventReceived(_) => &["publication_id"],
        Message::Call(_) => &["request_id", "options", "procedure", "args", "kwargs"],
        Message::Result(_) | Message::Yield(_) => &["request_id", "details|options", "args", "kwargs"],
        Message::Register(_) => &["request_id", "options", "procedure"],
        Message::Registered(_) | Message::Unregister(_) => &["request_id", "registration_id"],
        Message::Invocation(_) => &["request_id", "registration_id", "details", "args", "kwargs"],
        Message::Cancel(_) | Message::Interrupt(_) => &["request_id", "options"],
        Message::Unsubscribed(_) | Message::Unregistered(_) => &["request_id"],
    }
}

/// Compares what the vector expects with the element at its place; gives the number of attributes compared.
fn check(message: &Message, expected: &serde_json::Map<String, Json>, place: &str) -> usize {
    let list = elements(message);
    let mut compared = 0;
    if let Some(code) = expected.get("message_type") {
        assert_eq!(list.first(), Some(code), "{place}: message_type");
        compared += 1;
    }
    let transparent = expected.get("payload").is_some_and(|payload| !payload.is_null());
    for (index, names) in positions(message).iter().enumerate() {
        let Some((name, wanted)) = names.split('|').find_map(|name| Some((name, expected.get(name)?))) else {
            continue;
        };
        let mut found = list.get(index + 1);
        if name == "roles" {
            found = found.and_then(|details| details.get("roles"));
        }
        if transparent && matches!(name, "args" | "kwargs") {
            continue;
        }
        match (wanted, found) {
            (Json::Null, found) => assert!(
                found.is_none_or(|found| found == &serde_json::json!([]) || found == &serde_json::json!({})),
                "{place}: {name} should be absent"
            ),
            (wanted, found) => assert_eq!(found, Some(wanted), "{place}: {name}"),
        }
        compared += 1;
    }
    compared
}

fn sample(sample: &Json, place: &str) -> usize {
    let mut checked = 0;
    for serializer in Serializer::ALL {
        let before = checked;
        let Some(forms) = sample["serializers"][serializer.name()].as_array() else { continue };
        let forms: Vec<Vec<u8>> =
            forms.iter().map(|form| unhex(form["bytes_hex"].as_str().expect("bytes_hex"))).collect();
        for form in &forms {
            let place = format!("{place} {}", serializer.name());
            let message = match decode(serializer, form, DecodeLimits::default()) {
                Ok(message) => message,
                // Some stand there for libraries that write BJData under the name of UBJSON; they may be skipped.
                Err(error) if serializer == Serializer::Ubjson && error.to_string().contains("BJData") => continue,
                Err(error) => panic!("{place}: {error}"),
            };
            if let Some(expected) = sample["expected_attributes"].as_object() {
                assert!(check(&message, expected, &place) > 1, "{place}: nothing was compared");
            }
            let again = encode_to_vec(serializer, &message).expect("encodes in its own serialization");
            if !forms.contains(&again) {
                // White space inside the payload is forwarded as it came, so only the meaning can be equal.
                assert_eq!(serializer, Serializer::Json, "{place}: other octets than any vector");
                let meaning = |octets: &[u8]| serde_json::from_slice::<Json>(octets).expect("JSON");
                assert_eq!(meaning(&again), meaning(form), "{place}");
            }
            checked += 1;
        }
        assert!(checked > before, "{place} {}: none of the forms is known", serializer.name());
    }
    checked
}

#[test]
fn single_message_vectors() {
    let Ok(checkout) = std::env::var("WAMP_PROTO_DIR") else {
        eprintln!("SKIPPED: the vectors need WAMP_PROTO_DIR, the path of a checkout of wamp-proto");
        return;
    };
    let mut checked = 0;
    for folder in ["basic", "advanced"] {
        let folder = Path::new(&checkout).join("testsuite/singlemessage").join(folder);
        for entry in std::fs::read_dir(&folder).expect("the vectors' folder") {
            let path = entry.expect("entry").path();
            if path.extension().is_none_or(|ext| ext != "json") {
                continue;
            }
            let text = std::fs::read(&path).expect("vector");
            let file: Json = serde_json::from_slice(&text).expect("vector is JSON");
            for (index, one) in file["samples"].as_array().expect("samples").iter().enumerate() {
                checked += sample(one, &format!("{} sample {index}", path.display()));
            }
        }
    }
    assert!(checked > 60, "only {checked} vectors found");
    println!("{checked} vectors");
}
