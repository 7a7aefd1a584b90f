//! The RawSocket transport.

use super::uri;
use crate::support::client::rawsocket;
use crate::support::{Client, Router, Serializer, Transport, Wire, raw};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn send(stream: &mut TcpStream, message: &serde_json::Value) {
    let octets = message.to_string().into_bytes();
    frame(stream, 0, &octets);
}

fn frame(stream: &mut TcpStream, kind: u8, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    stream.write_all(&[kind, length[1], length[2], length[3]]).expect("the router reads");
    stream.write_all(payload).expect("the router reads");
}

fn receive(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 4];
    stream.read_exact(&mut head).expect("a frame");
    let mut payload = vec![0; u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize];
    stream.read_exact(&mut payload).expect("a payload");
    (head[0], payload)
}

fn receive_json(stream: &mut TcpStream) -> serde_json::Value {
    let (kind, payload) = receive(stream);
    assert_eq!(kind, 0);
    serde_json::from_slice(&payload).expect("JSON")
}

#[test]
fn handshake_errors() {
    let router = Router::shared(4);
    // A serializer that is unknown: error 1. Reserved octets that are not zero: error 3. Serializer 0 is illegal.
    for (handshake, answer) in [
        ([0x7f, 0xff, 0, 0], &[0x7f, 0x10, 0, 0][..]),
        ([0x7f, 0xf5, 0, 0], &[0x7f, 0x10, 0, 0]),
        ([0x7f, 0xf1, 1, 0], &[0x7f, 0x30, 0, 0]),
        ([0x7f, 0xf1, 0, 9], &[0x7f, 0x30, 0, 0]),
        ([0x7f, 0xf0, 0, 0], &[]),
    ] {
        let mut stream = raw::connect(router.address());
        stream.write_all(&handshake).expect("the router reads");
        assert_eq!(raw::read_to_end(&mut stream, raw::PATIENCE), answer, "{handshake:02x?}");
    }
}

#[test]
fn the_handshake_may_come_in_pieces_and_with_the_first_message() {
    let router = Router::shared(4);
    let hello = json!([1, "realm1", {"roles": {"caller": {}}}]).to_string().into_bytes();
    let mut octets = vec![0x7f, 0xf1, 0, 0, 0, 0, 0, hello.len() as u8];
    octets.extend(&hello);
    let mut together = raw::connect(router.address());
    together.write_all(&octets).expect("the router reads");
    let mut apart = raw::connect(router.address());
    for octet in octets {
        apart.write_all(&[octet]).expect("the router reads");
        std::thread::sleep(Duration::from_millis(1));
    }
    for stream in [&mut together, &mut apart] {
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!((answer[0], answer[1] & 15), (0x7f, 1));
        assert_eq!(receive_json(stream)[0], 2);
    }
}

#[test]
fn pings_are_answered() {
    let router = Router::shared(4);
    let mut stream = rawsocket(raw::connect(router.address()), Serializer::Json, 15);
    for payload in [&b""[..], b"hello", &[7; 1000]] {
        frame(&mut stream, 1, payload);
        assert_eq!(receive(&mut stream), (2, payload.to_vec()));
    }
    // A pong that nobody asked for is ignored.
    frame(&mut stream, 2, b"x");
    send(&mut stream, &json!([1, "realm1", {"roles": {"caller": {}}}]));
    assert_eq!(receive_json(&mut stream)[0], 2);
}

#[test]
fn what_is_too_long_for_a_receiver_is_not_sent_to_it() {
    let router = Router::shared(4);
    let topic = uri("small");
    let procedure = uri("small");
    // Takes messages of 512 octets.
    let mut small = rawsocket(raw::connect(router.address()), Serializer::Json, 0);
    let mut big =
        Client::join(router.address(), Wire { transport: Transport::RawSocket, serializer: Serializer::Json });
    send(&mut small, &json!([1, "realm1", {"roles": {"caller": {}, "subscriber": {}, "callee": {}}}]));
    let (_, welcome) = receive(&mut small);
    // A WELCOME that does not fit would end the session.
    assert!(welcome.len() <= 512, "{} octets of WELCOME", welcome.len());
    send(&mut small, &json!([32, 1, {}, topic]));
    assert_eq!(receive_json(&mut small)[0], 33);
    send(&mut small, &json!([64, 2, {}, procedure]));
    assert_eq!(receive_json(&mut small)[0], 65);

    big.publish(&topic, &[json!(["x".repeat(600)]).into()]);
    big.publish(&topic, &[json!(["fits"]).into()]);
    let event = receive_json(&mut small);
    assert_eq!((&event[0], &event[4][0]), (&json!(36), &json!("fits")));
    let call = big.call(&procedure, &[json!(["x".repeat(600)]).into()]);
    big.expect_error(48, call, "wamp.error.payload_size_exceeded");

    let procedure = uri("big");
    let registration = big.register(&procedure);
    send(&mut small, &json!([48, 3, {}, procedure]));
    let (invocation, _) = big.expect_invocation(registration);
    big.send(json!([70, invocation, {}, ["x".repeat(600)]]));
    let error = receive_json(&mut small);
    assert_eq!(error[4], "wamp.error.payload_size_exceeded", "{error}");
}

#[test]
fn messages_up_to_the_negotiated_length() {
    let router = Router::shared(4);
    let topic = uri("large");
    let wire = Wire { transport: Transport::RawSocket, serializer: Serializer::MsgPack };
    let mut subscriber = Client::join(router.address(), wire);
    let mut publisher = Client::join(router.address(), wire);
    let subscription = subscriber.subscribe(&topic);
    let text = "x".repeat(8 << 20);
    publisher.publish(&topic, &[json!([text]).into()]);
    assert_eq!(subscriber.expect_event(subscription).1[0].list()[0].str().len(), text.len());
}
