//! The WebSocket transport: handshake, frames, closing, compression.

use super::uri;
use crate::support::raw::{
    client_frame, header, response_head, server_frame, status, upgrade_request, upgraded, upgraded_json,
};
use crate::support::{Client, Router, Serializer, Wire, raw};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;

const HELLO: &str = r#"[1,"realm1",{"roles":{"caller":{},"publisher":{},"subscriber":{}}}]"#;

fn ask(router: &Router, request: &str) -> (TcpStream, String) {
    let mut stream = raw::connect(router.address());
    stream.write_all(request.as_bytes()).expect("the router reads");
    let head = response_head(&mut stream);
    (stream, head)
}

fn close_code(frame: &(u8, Vec<u8>)) -> u16 {
    assert_eq!(frame.0, 0x88, "a close frame: {frame:?}");
    u16::from_be_bytes([frame.1[0], frame.1[1]])
}

fn hello(stream: &mut TcpStream) {
    stream.write_all(&client_frame(0x81, HELLO.as_bytes())).expect("the router reads");
    let (first, welcome) = server_frame(stream);
    assert_eq!(first, 0x81);
    assert!(welcome.starts_with(b"[2,"), "{}", String::from_utf8_lossy(&welcome));
}

#[test]
fn the_subprotocol_is_chosen_among_those_offered() {
    let router = Router::shared(4);
    for (offered, chosen) in [
        ("wamp.2.json", "wamp.2.json"),
        ("wamp.2.cbor, wamp.2.json", "wamp.2.cbor"),
        ("wamp.3.json,wamp.2.msgpack", "wamp.2.msgpack"),
        ("wamp.2.json.batched", "wamp.2.json.batched"),
        ("wamp.2.msgpack.batched", "wamp.2.msgpack.batched"),
        ("wamp.2.cbor.batched", "wamp.2.cbor.batched"),
        ("wamp.2.ubjson, wamp.2.json", "wamp.2.ubjson"),
        ("wamp.2.ubjson.batched", "wamp.2.ubjson.batched"),
    ] {
        let (_, head) = upgraded(router.address(), &format!("Sec-WebSocket-Protocol: {offered}\r\n"));
        assert_eq!(header(&head, "Sec-WebSocket-Protocol"), Some(chosen), "{offered}");
        // The example of RFC 6455.
        assert_eq!(header(&head, "Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }
    // The header may come more than once.
    let headers = "Sec-WebSocket-Protocol: nothing\r\nSec-WebSocket-Protocol: wamp.2.json\r\n";
    let (_, head) = upgraded(router.address(), headers);
    assert_eq!(header(&head, "Sec-WebSocket-Protocol"), Some("wamp.2.json"));
}

#[test]
fn without_a_common_subprotocol_the_handshake_is_refused() {
    let router = Router::shared(4);
    for headers in ["", "Sec-WebSocket-Protocol: wamp.3.json\r\n", "Sec-WebSocket-Protocol: WAMP.2.JSON\r\n"] {
        let (_, head) = ask(&router, &upgrade_request("/", headers));
        assert_eq!(status(&head), 400, "{headers:?}: {head}");
    }
}

#[test]
fn bad_handshakes_are_refused() {
    let router = Router::shared(4);
    let good = upgrade_request("/", "Sec-WebSocket-Protocol: wamp.2.json\r\n");
    let (_, head) = ask(&router, &good.replace("Version: 13", "Version: 8"));
    assert_eq!(status(&head), 426, "{head}");
    assert_eq!(header(&head, "Sec-WebSocket-Version"), Some("13"), "{head}");
    for bad in [
        good.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        good.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"),
        good.replace("Host: localhost\r\n", ""),
        good.replace("GET ", "POST "),
        good.replace("Sec-WebSocket-Version: 13\r\n", ""),
        good.replace("HTTP/1.1", "HTTP/1.0"),
        "garbage\r\n\r\n".into(),
    ] {
        let (mut stream, head) = ask(&router, &bad);
        assert!((400..500).contains(&status(&head)) || status(&head) == 505, "{bad}: {head}");
        raw::read_to_end(&mut stream, raw::PATIENCE);
    }
}

#[test]
fn paths() {
    let router = Router::shared(4);
    let json = "Sec-WebSocket-Protocol: wamp.2.json\r\n";
    for (path, code) in [("/", 101), ("/ws", 101), ("/ws?token=1", 101), ("/nowhere", 404), ("/wsx", 404)] {
        let (_, head) = ask(&router, &upgrade_request(path, json));
        assert_eq!(status(&head), code, "{path}: {head}");
    }
}

#[test]
fn a_browser_gets_a_page() {
    let router = Router::shared(4);
    let (mut stream, head) = ask(&router, "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
    assert_eq!(status(&head), 200, "{head}");
    let length: usize = header(&head, "Content-Length").expect("a length").parse().expect("a number");
    let mut page = vec![0; length];
    stream.read_exact(&mut page).expect("the page");
    assert!(String::from_utf8_lossy(&page).contains("WAMP"));
    let (_, head) = ask(&router, "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(status(&head), 404, "{head}");
}

#[test]
fn a_handshake_may_come_octet_by_octet() {
    let router = Router::shared(4);
    let mut stream = raw::connect(router.address());
    for octet in upgrade_request("/", "Sec-WebSocket-Protocol: wamp.2.json\r\n").bytes() {
        stream.write_all(&[octet]).expect("the router reads");
    }
    assert_eq!(status(&response_head(&mut stream)), 101);
    for octet in client_frame(0x81, HELLO.as_bytes()) {
        stream.write_all(&[octet]).expect("the router reads");
    }
    assert!(server_frame(&mut stream).1.starts_with(b"[2,"));
}

#[test]
fn frames_may_follow_the_handshake_at_once() {
    let router = Router::shared(4);
    let mut stream = raw::connect(router.address());
    let mut octets = upgrade_request("/", "Sec-WebSocket-Protocol: wamp.2.json\r\n").into_bytes();
    octets.extend(client_frame(0x81, HELLO.as_bytes()));
    octets.extend(client_frame(0x81, br#"[32,1,{},"com.test.at_once"]"#));
    stream.write_all(&octets).expect("the router reads");
    assert_eq!(status(&response_head(&mut stream)), 101);
    assert!(server_frame(&mut stream).1.starts_with(b"[2,"));
    assert!(server_frame(&mut stream).1.starts_with(b"[33,1,"));
}

#[test]
fn fragments_with_control_frames_between() {
    let router = Router::shared(4);
    let mut stream = upgraded_json(router.address());
    let (start, rest) = HELLO.as_bytes().split_at(10);
    let (middle, end) = rest.split_at(20);
    for frame in [
        client_frame(0x01, start),
        client_frame(0x89, b"ping 1"),
        client_frame(0x00, middle),
        client_frame(0x00, b""),
        client_frame(0x8a, b"a pong nobody asked for"),
        client_frame(0x89, b""),
        client_frame(0x80, end),
    ] {
        stream.write_all(&frame).expect("the router reads");
    }
    assert_eq!(server_frame(&mut stream), (0x8a, b"ping 1".to_vec()));
    assert_eq!(server_frame(&mut stream), (0x8a, Vec::new()));
    assert!(server_frame(&mut stream).1.starts_with(b"[2,"));
}

#[test]
fn close_codes_are_echoed() {
    let router = Router::shared(4);
    for code in [1000u16, 1001, 1011, 3000, 4999] {
        let mut stream = upgraded_json(router.address());
        hello(&mut stream);
        stream.write_all(&client_frame(0x88, &code.to_be_bytes())).expect("the router reads");
        assert_eq!(close_code(&server_frame(&mut stream)), code);
        assert!(raw::read_to_end(&mut stream, raw::PATIENCE).is_empty());
    }
    let mut stream = upgraded_json(router.address());
    stream.write_all(&client_frame(0x88, b"")).expect("the router reads");
    assert_eq!(server_frame(&mut stream).0, 0x88);
    raw::read_to_end(&mut stream, raw::PATIENCE);
}

#[test]
fn broken_frames_close_with_the_right_code() {
    let router = Router::shared(4);
    let unmasked = [&[0x81, HELLO.len() as u8][..], HELLO.as_bytes()].concat();
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("unmasked", unmasked, 1002),
        ("reserved bit", client_frame(0xc1, b"x"), 1002),
        ("reserved opcode", client_frame(0x83, b"x"), 1002),
        ("reserved control opcode", client_frame(0x8b, b"x"), 1002),
        ("continuation of nothing", client_frame(0x80, b"x"), 1002),
        ("fragmented ping", client_frame(0x09, b"x"), 1002),
        ("long ping", client_frame(0x89, &[0; 126]), 1002),
        ("close of one octet", client_frame(0x88, b"x"), 1002),
        ("close code 999", client_frame(0x88, &999u16.to_be_bytes()), 1002),
        ("close code 1005", client_frame(0x88, &1005u16.to_be_bytes()), 1002),
        ("close reason not UTF-8", client_frame(0x88, b"\x03\xe8\xff"), 1007),
        ("fragments not UTF-8", [client_frame(0x01, b"[1,\"\xff"), client_frame(0x80, b"\"]")].concat(), 1007),
        ("text inside text", [client_frame(0x01, b"[1"), client_frame(0x81, b",2]")].concat(), 1002),
        ("a length of 2^63", raw::frame_head(0x81, 1 << 63), 1002),
        ("a length of 2^40", raw::frame_head(0x81, 1 << 40), 1009),
    ];
    for (what, octets, code) in cases {
        let mut stream = upgraded_json(router.address());
        hello(&mut stream);
        stream.write_all(&octets).expect("the router reads");
        let mut frame = server_frame(&mut stream);
        // An ABORT may come before the close frame.
        if frame.0 == 0x81 {
            assert!(frame.1.starts_with(b"[3,"), "{what}: {frame:?}");
            frame = server_frame(&mut stream);
        }
        let got = close_code(&frame);
        assert!(got == code || (code == 1002 && what.starts_with("a length") && got == 1009), "{what}: {got}");
        raw::read_to_end(&mut stream, raw::PATIENCE);
    }
}

#[test]
fn batched_json() {
    let router = Router::shared(4);
    let topic = uri("batched");
    let (mut stream, _) = upgraded(router.address(), "Sec-WebSocket-Protocol: wamp.2.json.batched\r\n");
    let mut plain = Client::join(router.address(), Wire::JSON);
    // 0x18 in place of 0x1e is taken too.
    let batch = format!("{HELLO}\x1e[32,1,{{}},\"{topic}\"]\x1e");
    stream.write_all(&client_frame(0x81, batch.as_bytes())).expect("the router reads");
    let mut messages = Messages::default();
    assert!(messages.next(&mut stream).starts_with("[2,"));
    assert!(messages.next(&mut stream).starts_with("[33,1,"));
    let batch = format!("[48,2,{{}},\"{topic}\"]\x18[48,3,{{}},\"{topic}\"]\x18");
    stream.write_all(&client_frame(0x81, batch.as_bytes())).expect("the router reads");
    assert!(messages.next(&mut stream).starts_with("[8,48,2,"));
    assert!(messages.next(&mut stream).starts_with("[8,48,3,"));
    plain.publish(&topic, &[json!(["one"]).into()]);
    let event = messages.next(&mut stream);
    assert!(event.starts_with("[36,") && event.ends_with(",[\"one\"]]"), "{event}");
    // An empty batch is a violation.
    stream.write_all(&client_frame(0x81, b"")).expect("the router reads");
    assert!(messages.next(&mut stream).starts_with("[3,"));
}

/// Messages out of batches.
#[derive(Default)]
struct Messages(Vec<String>);

impl Messages {
    fn next(&mut self, stream: &mut TcpStream) -> String {
        if self.0.is_empty() {
            let (first, batch) = server_frame(stream);
            assert_eq!(first, 0x81);
            let batch = String::from_utf8(batch).expect("text");
            let messages = batch.strip_suffix('\x1e').expect("each message ends with 0x1e");
            self.0 = messages.split('\x1e').map(String::from).collect();
        }
        self.0.remove(0)
    }
}

#[test]
fn batched_binary() {
    let router = Router::shared(4);
    for serializer in Serializer::ALL.into_iter().filter(|serializer| *serializer != Serializer::Json) {
        let protocol = format!("Sec-WebSocket-Protocol: {}.batched\r\n", serializer.subprotocol());
        let (mut stream, _) = upgraded(router.address(), &protocol);
        let mut batch = Vec::new();
        for message in [json!([1, "realm1", {"roles": {"caller": {}}}]), json!([48, 1, {}, "com.test.nobody"])] {
            let octets = serializer.encode(&message.into());
            batch.extend((octets.len() as u32).to_be_bytes());
            batch.extend(octets);
        }
        stream.write_all(&client_frame(0x82, &batch)).expect("the router reads");
        let mut received = Vec::new();
        while received.len() < 2 {
            let (first, batch) = server_frame(&mut stream);
            assert_eq!(first, 0x82);
            let mut rest = &batch[..];
            while let Some((length, after)) = rest.split_first_chunk::<4>() {
                let (message, after) = after.split_at(u32::from_be_bytes(*length) as usize);
                received.push(serializer.decode(message).list()[0].uint());
                rest = after;
            }
            assert!(rest.is_empty());
        }
        assert_eq!(received, [2, 8], "{serializer:?}");
        // A batch that ends within a message.
        stream.write_all(&client_frame(0x82, &[0, 0, 0, 9, 0x90])).expect("the router reads");
        let (_, abort) = server_frame(&mut stream);
        assert_eq!(serializer.decode(&abort[4..]).list()[2].str(), "wamp.error.protocol_violation");
    }
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::default(), false);
    let mut out = Vec::with_capacity(text.len() + 64);
    compress.compress_vec(text, &mut out, FlushCompress::Sync).expect("it can be compressed");
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

fn inflate(octets: &[u8]) -> Vec<u8> {
    let input = [octets, &[0, 0, 0xff, 0xff]].concat();
    let mut out = Vec::with_capacity(1 << 20);
    Decompress::new(false).decompress_vec(&input, &mut out, FlushDecompress::Sync).expect("it can be inflated");
    out
}

/// A text message from the server, inflated if it is compressed; and whether it was.
fn message(stream: &mut TcpStream) -> (String, bool) {
    let (first, payload) = server_frame(stream);
    let compressed = first & 0x40 != 0;
    assert_eq!(first & !0x40, 0x81);
    let text = if compressed { inflate(&payload) } else { payload };
    (String::from_utf8(text).expect("text"), compressed)
}

const DEFLATE: &str = "Sec-WebSocket-Protocol: wamp.2.json\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";

#[test]
fn compressed_messages() {
    let router = Router::shared(4);
    let topic = uri("deflate");
    let (mut stream, head) = upgraded(router.address(), DEFLATE);
    let extensions = header(&head, "Sec-WebSocket-Extensions").expect("compression is agreed on");
    assert!(extensions.starts_with("permessage-deflate"), "{extensions}");
    assert!(extensions.contains("server_no_context_takeover"), "frames are shared: {extensions}");
    stream.write_all(&client_frame(0xc1, &deflate(HELLO.as_bytes()))).expect("the router reads");
    assert!(message(&mut stream).0.starts_with("[2,"));
    // Not every message has to be compressed; fragments of a compressed one have the bit on the first.
    stream.write_all(&client_frame(0x81, format!("[32,1,{{}},\"{topic}\"]").as_bytes())).expect("the router reads");
    assert!(message(&mut stream).0.starts_with("[33,1,"));
    let compressed = deflate(br#"[48,2,{},"com.test.nobody"]"#);
    let (start, end) = compressed.split_at(5);
    stream.write_all(&client_frame(0x41, start)).expect("the router reads");
    stream.write_all(&client_frame(0x80, end)).expect("the router reads");
    assert!(message(&mut stream).0.starts_with("[8,48,2,"));

    let mut publisher = Client::join(router.address(), Wire::JSON);
    for _ in 0..3 {
        let text = "abc".repeat(2000);
        publisher.publish(&topic, &[json!([text]).into()]);
        let (event, compressed) = message(&mut stream);
        assert!(compressed, "a long message is compressed");
        assert!(event.ends_with(&format!("[\"{text}\"]]")), "{event}");
    }
}

#[test]
fn a_small_window_for_the_server() {
    let router = Router::shared(4);
    let offer = format!("{}; server_max_window_bits=9\r\n", DEFLATE.trim_end());
    let (mut stream, head) = upgraded(router.address(), &offer);
    let topic = uri("window");
    let Some(extensions) = header(&head, "Sec-WebSocket-Extensions") else { return };
    assert!(extensions.contains("server_max_window_bits=9"), "{extensions}");
    hello_any(&mut stream);
    stream.write_all(&client_frame(0x81, format!("[32,1,{{}},\"{topic}\"]").as_bytes())).expect("the router reads");
    message(&mut stream);
    let mut publisher = Client::join(router.address(), Wire::JSON);
    let text = "0123456789abcdef".repeat(500);
    publisher.publish(&topic, &[json!([text]).into()]);
    assert!(message(&mut stream).0.contains(&text));
}

#[test]
fn offers_that_cannot_be_kept_are_declined() {
    let router = Router::shared(4);
    for offer in ["permessage-deflate; nonsense", "permessage-deflate; server_max_window_bits=99", "x-unknown"] {
        let headers = format!("Sec-WebSocket-Protocol: wamp.2.json\r\nSec-WebSocket-Extensions: {offer}\r\n");
        let (mut stream, head) = upgraded(router.address(), &headers);
        assert_eq!(header(&head, "Sec-WebSocket-Extensions"), None, "{offer}");
        hello(&mut stream);
    }
}

#[test]
fn what_inflates_without_end_is_refused() {
    let router = Router::start(&["--shards", "2", "--no-pin"]);
    let (mut stream, _) = upgraded(router.address(), DEFLATE);
    hello_any(&mut stream);
    let before = router.resident_kib();
    // 1 GiB of spaces in about 1 MiB.
    let mut compress = Compress::new(Compression::best(), false);
    let block = vec![b' '; 1 << 20];
    let mut bomb = Vec::with_capacity(4 << 20);
    for _ in 0..1024 {
        compress.compress_vec(&block, &mut bomb, FlushCompress::Sync).expect("it can be compressed");
    }
    raw::write_or_closed(&mut stream, &client_frame(0xc1, &bomb));
    raw::read_to_end(&mut stream, raw::PATIENCE);
    let after = router.resident_kib();
    assert!(after < before + 100 * 1024, "{before} KiB before, {after} KiB after");
    Client::join(router.address(), Wire::JSON).leave();
}

fn hello_any(stream: &mut TcpStream) {
    stream.write_all(&client_frame(0x81, HELLO.as_bytes())).expect("the router reads");
    assert!(message(stream).0.starts_with("[2,"));
}

#[test]
fn a_session_ends_when_its_websocket_closes() {
    let router = Router::shared(4);
    let procedure = uri("closed");
    let mut stream = upgraded_json(router.address());
    stream.write_all(&client_frame(0x81, br#"[1,"realm1",{"roles":{"callee":{}}}]"#)).expect("the router reads");
    server_frame(&mut stream);
    let register = format!("[64,1,{{}},\"{procedure}\"]");
    stream.write_all(&client_frame(0x81, register.as_bytes())).expect("the router reads");
    assert!(server_frame(&mut stream).1.starts_with(b"[65,"));
    stream.write_all(&client_frame(0x88, &1000u16.to_be_bytes())).expect("the router reads");
    assert_eq!(close_code(&server_frame(&mut stream)), 1000);
    let mut other = Client::join(router.address(), Wire::JSON);
    super::session::register_when_free(&mut other, &procedure);
}
