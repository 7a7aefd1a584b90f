//! Damaged streams: whatever arrives, the readers and the handshake answer with events or errors, never with a panic.

use corebar::wamp::Serializer;
use corebar::wire::batch::Messages;
use corebar::wire::frame::{FrameBuilder, Framing, mask_frames};
use corebar::wire::handshake::{self, HandshakeOptions, Step};
use corebar::wire::longpoll::Endpoint;
use corebar::wire::path;
use corebar::wire::rawsocket::{self, RawReader};
use corebar::wire::request::{self, BodyReader};
use corebar::wire::websocket::{Accepts, Sender, WsMode, WsReader};
use corebar::wire::{Inbound, Reader, WireEvent, deflate, longpoll};
use std::num::NonZeroU32;

const MAX: usize = 4096;
const ROUNDS: usize = 3000;

/// Feeds the octets in random pieces. Returns how many messages came.
fn drive(reader: &mut Reader, octets: &[u8], random: &mut fastrand::Rng, inbound: &mut Inbound) -> usize {
    let (mut messages, mut at, mut out) = (0, 0, Vec::new());
    while at < octets.len() {
        let mut piece = octets[at..(at + random.usize(1..=600)).min(octets.len())].to_vec();
        at += piece.len();
        let mut used = 0;
        loop {
            let left = piece.len() - used;
            match reader.feed(&mut piece[used..], inbound, &mut out) {
                Ok((taken, event)) => {
                    assert!(taken <= left);
                    used += taken;
                    match event {
                        None => {
                            assert_eq!(taken, left);
                            break;
                        }
                        Some(WireEvent::Closed | WireEvent::Pong) => {}
                        Some(WireEvent::Message { data, .. }) => {
                            assert!(data.len() <= MAX);
                            messages += 1;
                        }
                    }
                }
                Err(error) => {
                    assert!((1002..=1009).contains(&error.code));
                    return messages;
                }
            }
        }
    }
    assert!(out.len() <= 2 * octets.len(), "answers are not longer than what they answer");
    messages
}

/// Changes, removes, repeats or inserts some octets.
fn damage(octets: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(0..4) {
        if octets.is_empty() {
            return;
        }
        let at = random.usize(..octets.len());
        match random.u8(0..5) {
            0 => octets[at] ^= 1 << random.u8(0..8),
            1 => octets[at] = random.u8(..),
            2 => octets.truncate(at),
            3 => octets.insert(at, random.u8(..)),
            _ => {
                let end = (at + random.usize(..20)).min(octets.len());
                octets.extend_from_within(at..end);
            }
        }
    }
}

/// A client's stream for this framing: the router's frames with a mask of zeros, and some control frames.
fn stream(serializer: Serializer, framing: Framing, random: &mut fastrand::Rng, builder: &mut FrameBuilder) -> Vec<u8> {
    let mut octets = Vec::new();
    for _ in 0..random.usize(1..5) {
        let message = "[1,\"é\"]".repeat(random.usize(1..200));
        let mut frame = builder.build(serializer, framing, message.as_bytes(), None).parts().concat();
        if framing != Framing::RawSocket {
            let frames = std::mem::take(&mut frame);
            mask_frames(&frames, || [0; 4], &mut frame);
        }
        octets.extend(frame);
        match framing {
            Framing::RawSocket => octets.extend(b"\x01\0\0\x02hi"),
            _ => octets.extend(b"\x89\x82\0\0\0\0hi\x01\x80\0\0\0\0\x80\x80\0\0\0\0".iter().take(random.usize(..21))),
        }
    }
    octets
}

#[test]
fn damaged_streams_do_not_panic() {
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let (mut builder, mut inbound) = (FrameBuilder::default(), Inbound::default());
    let mut messages = 0;
    for _ in 0..ROUNDS {
        let serializer = Serializer::ALL[random.usize(..Serializer::ALL.len())];
        let batched = random.bool();
        let deflate = random.bool().then(|| random.u8(9..=15));
        let fragment = NonZeroU32::new(random.u32(0..40));
        let mut sender = Sender::Client;
        let (framing, mut reader) = if random.u8(0..4) == 0 {
            let request = [0x7f, 0xf0 | serializer.rawsocket_code(), 0, 0];
            let accepted = rawsocket::handshake(request, MAX, None).expect("a good handshake");
            (Framing::RawSocket, Reader::RawSocket(RawReader::new(&accepted)))
        } else {
            let accepts = match random.bool() {
                true => Accepts::Any,
                false if serializer.is_text() => Accepts::Text,
                false => Accepts::Binary,
            };
            let from = if random.u8(0..4) == 0 { Sender::Server } else { Sender::Client };
            sender = from;
            let mode = WsMode { accepts, batched, deflate: deflate.is_some(), message_bytes_max: MAX, from };
            (Framing::WebSocket { batched, deflate, fragment }, Reader::WebSocket(WsReader::new(mode)))
        };
        let mut octets = match sender {
            Sender::Client => stream(serializer, framing, &mut random, &mut builder),
            Sender::Server => builder.build(serializer, framing, "[1,2]".repeat(99).as_bytes(), None).parts().concat(),
        };
        damage(&mut octets, &mut random);
        messages += drive(&mut reader, &octets, &mut random, &mut inbound);
    }
    assert!(messages > ROUNDS, "most streams give messages, or the damage hides the code to be tested: {messages}");
}

#[test]
fn damaged_handshakes_do_not_panic() {
    let mut random = fastrand::Rng::with_seed(0x5eed);
    let options = HandshakeOptions { deflate: true, header_bytes_max: 600, ..HandshakeOptions::default() };
    let offer = "permessage-deflate; server_max_window_bits=\"10\"; client_max_window_bits, permessage-deflate";
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\
         Sec-WebSocket-Extensions: {offer}\r\n\r\n"
    );
    let mut upgrades = 0;
    for _ in 0..ROUNDS {
        let mut octets = request.clone().into_bytes();
        damage(&mut octets, &mut random);
        match handshake::parse(&octets, &options) {
            Step::NeedMore => assert!(octets.len() < 600),
            Step::Upgrade { consumed, .. } => {
                assert!(consumed <= octets.len());
                upgrades += 1;
            }
            Step::Request => {}
            Step::Refuse { response } => {
                assert!(response.starts_with(b"HTTP/1.1 4") || response.starts_with(b"HTTP/1.1 505"))
            }
        }
        let mut value = offer.as_bytes().to_vec();
        damage(&mut value, &mut random);
        if let Some((_, bits)) = deflate::negotiate(&String::from_utf8_lossy(&value), 15) {
            assert!((9..=15).contains(&bits));
        }
        let [a, b, c, d] = random.u32(..).to_be_bytes();
        for request in [[a, b, c, d], [0x7f, b, 0, 0]] {
            if let Ok(accepted) = rawsocket::handshake(request, random.usize(..), None) {
                assert!((512..=1 << 24).contains(&accepted.own_max));
            }
        }
    }
    assert!(upgrades > ROUNDS / 10, "too few valid requests: {upgrades}");
}

#[test]
fn damaged_requests_do_not_panic() {
    let mut random = fastrand::Rng::with_seed(0x1095);
    let request = "POST /lp/AAAAAAAAAAAAAAAAAAAAAAAA/send?x=1 HTTP/1.1\r\nHost: a\r\nOrigin: null\r\n";
    let good = [
        format!("{request}Content-Length: 11\r\n\r\n[48,1,{{}},7]"),
        format!("{request}Transfer-Encoding: chunked\r\n\r\n5;x\r\n[48,1\r\n6\r\n,{{}},7]\r\n0\r\nA: b\r\n\r\n"),
    ];
    let mut bodies = 0;
    for round in 0..ROUNDS {
        let mut octets = good[round % 2].clone().into_bytes();
        damage(&mut octets, &mut random);
        let Ok(Some(head)) = request::head(&octets, 600) else { continue };
        let names = path::names(head.path).unwrap_or_default();
        assert!(names.iter().all(|name| name != ".." && !name.contains(['/', '\\', '\0'])));
        let endpoint = head.path.strip_prefix("/lp/").and_then(Endpoint::from_path);
        let Ok(mut reader) = BodyReader::new(head.body, 100) else { continue };
        let (mut waiting, mut at) = (Vec::new(), head.octets);
        while at < octets.len() && !reader.is_complete() {
            let piece = random.usize(1..20).min(octets.len() - at);
            waiting.extend_from_slice(&octets[at..at + piece]);
            at += piece;
            let Ok(used) = reader.feed(&waiting) else { break };
            waiting.drain(..used);
            assert!(reader.data().len() <= 100);
        }
        let _ = Messages::new(reader.data(), random.bool(), random.bool()).count();
        let _ = longpoll::choose(reader.data());
        bodies += usize::from(endpoint.is_some() && reader.is_complete());
    }
    assert!(bodies > ROUNDS / 10, "too few valid requests: {bodies}");
}
