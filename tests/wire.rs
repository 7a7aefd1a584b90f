//! The wire, from outside: rules of RFC 6455 one by one, tungstenite as an independent oracle in both directions, and
//! properties: how a stream is cut must not matter.

use corebar::wamp::Serializer;
use corebar::wire::frame::{FrameBuilder, Framing, close_frame, mask_frames, message_frame, ping_frame};
use corebar::wire::rawsocket::{self, RawReader};
use corebar::wire::websocket::{Accepts, Sender, WsMode, WsReader};
use corebar::wire::{Inbound, Reader, WireEvent};
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;
use std::io::{Cursor, Read, Write};
use std::num::NonZeroU32;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message as Oracle, WebSocket};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const MAX: usize = 100_000;

const fn mode(accepts: Accepts, batched: bool) -> WsMode {
    WsMode { accepts, batched, deflate: false, message_bytes_max: MAX, from: Sender::Client }
}

const ANY: WsMode = mode(Accepts::Any, false);
const JSON: WsMode = mode(Accepts::Text, false);
const CBOR: WsMode = mode(Accepts::Binary, false);
const JSON_BATCHED: WsMode = mode(Accepts::Text, true);
const CBOR_BATCHED: WsMode = mode(Accepts::Binary, true);

fn reader(mode: WsMode, deflate: bool) -> Reader {
    Reader::WebSocket(WsReader::new(WsMode { deflate, ..mode }))
}

/// What a reader gave, as owned values.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Message { text: bool, data: Vec<u8> },
    Closed,
    Error(u16),
}

/// A client's frame; `first` holds FIN, reserved bits and the opcode.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![first];
    match payload.len() {
        short @ 0..126 => octets.push(0x80 | short as u8),
        middle @ 126..65_536 => {
            octets.push(0xfe);
            octets.extend((middle as u16).to_be_bytes());
        }
        long => {
            octets.push(0xff);
            octets.extend((long as u64).to_be_bytes());
        }
    }
    octets.extend(KEY);
    octets.extend(payload.iter().zip(KEY.iter().cycle()).map(|(octet, key)| octet ^ key));
    octets
}

/// Feeds the pieces in turn, and collects what comes out, up to the end.
fn read_pieces<'a>(reader: &mut Reader, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, Vec<u8>) {
    let (mut seen, mut out, mut inbound) = (Vec::new(), Vec::new(), Inbound::default());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            let left = piece.len() - at;
            match reader.feed(&mut piece[at..], &mut inbound, &mut out) {
                Ok((used, None)) => {
                    assert_eq!(used, left, "without an event all input is used");
                    break;
                }
                Ok((used, Some(event))) => {
                    at += used;
                    match event {
                        WireEvent::Message { data, text } => seen.push(Seen::Message { text, data: data.to_vec() }),
                        WireEvent::Closed => seen.push(Seen::Closed),
                        WireEvent::Pong => {}
                    }
                }
                Err(error) => {
                    seen.push(Seen::Error(error.code));
                    return (seen, out);
                }
            }
        }
    }
    (seen, out)
}

fn read(mode: WsMode, deflate: bool, octets: &[u8]) -> (Vec<Seen>, Vec<u8>) {
    let whole = read_pieces(&mut reader(mode, deflate), [octets]);
    let single = read_pieces(&mut reader(mode, deflate), octets.chunks(1));
    assert_eq!(whole, single, "the result does not depend on the pieces");
    whole
}

fn text(data: &str) -> Seen {
    Seen::Message { text: true, data: data.as_bytes().to_vec() }
}

fn error(mode: WsMode, deflate: bool, octets: &[u8]) -> u16 {
    match read(mode, deflate, octets).0.last() {
        Some(Seen::Error(code)) => *code,
        other => panic!("no error but {other:?}"),
    }
}

fn pack(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(plain.len() + 1000);
    let mut compressor = Compress::new(Compression::fast(), false);
    compressor.compress_vec(plain, &mut packed, FlushCompress::Sync).expect("compressed");
    packed.truncate(packed.len() - 4);
    packed
}

#[test]
fn fragments_and_interleaved_pings() {
    let octets =
        [masked(0x01, b"[1,"), masked(0x89, b"hi"), masked(0x00, b""), masked(0x80, b"2]"), masked(0x81, b"x")];
    let (seen, out) = read(JSON, false, &octets.concat());
    assert_eq!(seen, [text("[1,2]"), text("x")]);
    assert_eq!(out, b"\x8a\x02hi");
}

#[test]
fn empty_messages_and_pongs() {
    let (seen, out) = read(ANY, false, &[masked(0x82, b""), masked(0x8a, b"x"), masked(0x81, b"")].concat());
    assert_eq!(seen, [Seen::Message { text: false, data: vec![] }, text("")]);
    assert!(out.is_empty());
}

#[test]
fn violations_of_the_header() {
    for (octets, code) in [
        (vec![0x81, 0x01], 1002),
        (vec![0xa1, 0x80], 1002),
        (vec![0x91, 0x80], 1002),
        (vec![0xc1, 0x80], 1002),
        (vec![0x83, 0x80], 1002),
        (vec![0x8b, 0x80], 1002),
        (vec![0x80, 0x80], 1002),
        (vec![0x09, 0x80], 1002),
        (vec![0x89, 0xfe], 1002),
        (vec![0x82, 0x80], 1003),
        (vec![0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1], 1002),
        (vec![0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 1], 1009),
        (vec![0x81, 0xff, 0, 0, 0, 0, 0, 1, 0x86, 0xa1], 1009),
    ] {
        let octets = [&octets[..], &KEY, &KEY].concat();
        assert_eq!(error(JSON, false, &octets), code, "{octets:x?}");
    }
    assert_eq!(error(CBOR, false, &masked(0x81, b"")), 1003);
    assert!(read(ANY, false, &[masked(0x81, b"a"), masked(0x82, b"a")].concat()).0.len() == 2);
    // Nor may a compressed bit be on other frames than the first of a message.
    assert_eq!(error(JSON, true, &[masked(0x41, b"a"), masked(0xc0, b"a")].concat()), 1002);
    assert_eq!(error(JSON, true, &masked(0xc9, b"")), 1002);
    assert_eq!(error(JSON, false, &[masked(0x01, b"a"), masked(0x81, b"a")].concat()), 1002);
}

#[test]
fn the_limit_holds_for_all_fragments_together() {
    let most = vec![b'x'; MAX];
    assert_eq!(read(JSON, false, &masked(0x81, &most)).0.len(), 1);
    let (half, other) = most.split_at(40_000);
    assert_eq!(read(JSON, false, &[masked(0x01, half), masked(0x80, other)].concat()).0.len(), 1);
    let begun = [masked(0x01, half), masked(0x00, other)].concat();
    assert_eq!(error(JSON, false, &[&begun[..], &[0x80, 0x81], &KEY].concat()), 1009);
}

#[test]
fn closing() {
    assert_eq!(read(JSON, false, &masked(0x88, b"")), (vec![Seen::Closed], b"\x88\0".to_vec()));
    let octets = [masked(0x88, b"\x03\xe8bye"), masked(0x81, b"ignored"), vec![0xff; 20]].concat();
    assert_eq!(read(JSON, false, &octets), (vec![Seen::Closed], b"\x88\x02\x03\xe8".to_vec()));
    for (body, code) in [(&b"\x03"[..], 1002), (b"\x03\xed", 1002), (b"\x03\xe7", 1002), (b"\x03\xe8\xff", 1007)] {
        assert_eq!(error(JSON, false, &masked(0x88, body)), code, "{body:?}");
    }
}

#[test]
fn text_must_be_utf8() {
    let snowman = "☃".as_bytes();
    // Characters may be cut by fragments and reads.
    let octets = [masked(0x01, &snowman[..1]), masked(0x00, &snowman[1..2]), masked(0x80, &snowman[2..])].concat();
    for protocol in [ANY, JSON] {
        assert_eq!(read(protocol, false, &octets).0, [text("☃")]);
        assert_eq!(error(protocol, false, &[masked(0x01, &snowman[..2]), masked(0x80, b"")].concat()), 1007);
        // At once, although neither the frame nor the message is complete.
        let begun = masked(0x01, b"\xce\xba\xed\xa0\x80edited");
        assert_eq!(error(protocol, false, &begun[..6 + 5]), 1007);
    }
    assert_eq!(read_pieces(&mut reader(ANY, false), [&masked(0x81, b"\xff")[..]]).0, [Seen::Error(1007)]);
    assert_eq!(error(ANY, true, &masked(0xc1, &pack(b"\xff"))), 1007);
    assert_eq!(read(ANY, false, &masked(0x82, b"\xff")).0.len(), 1);
}

#[test]
fn compressed_messages() {
    let plain = "[1,\"héllo\"]".repeat(1000);
    let packed = pack(plain.as_bytes());
    let (one, two) = packed.split_at(packed.len() / 2);
    let octets = [masked(0xc1, &packed), masked(0x41, one), masked(0x89, b""), masked(0x80, two), masked(0x81, b"x")];
    for protocol in [JSON, ANY] {
        assert_eq!(read(protocol, true, &octets.concat()).0, [text(&plain), text(&plain), text("x")]);
    }
    assert_eq!(error(JSON, true, &masked(0xc1, &pack(&[b' '; 100_001]))), 1009);
    assert_eq!(error(JSON, true, &masked(0xc1, &[0xff; 9])), 1007);
}

#[test]
fn batches() {
    let octets = [masked(0x81, b"[1]\x1e[2]\x1e"), masked(0x01, b"[3]\x1e["), masked(0x80, b"4]\x1e")].concat();
    assert_eq!(read(JSON_BATCHED, false, &octets).0, [text("[1]"), text("[2]"), text("[3]"), text("[4]")]);
    assert_eq!(error(JSON_BATCHED, false, &masked(0x81, b"")), 1002);
    let octets = masked(0xc1, &pack(b"[1]\x1e[2]\x1e"));
    assert_eq!(read(JSON_BATCHED, true, &octets).0, [text("[1]"), text("[2]")]);
}

/// A stream in memory: reads come from one side, writes go to the other.
struct Pipe {
    input: Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.input.read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.output.write(octets)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// tungstenite, which reads `input`.
fn oracle_as(role: Role, input: Vec<u8>) -> WebSocket<Pipe> {
    let pipe = Pipe { input: Cursor::new(input), output: Vec::new() };
    WebSocket::from_raw_socket(pipe, role, Some(WebSocketConfig::default()))
}

/// A tungstenite client that reads `input`.
fn oracle(input: Vec<u8>) -> WebSocket<Pipe> {
    oracle_as(Role::Client, input)
}

#[test]
fn tungstenite_reads_our_frames() {
    let mut builder = FrameBuilder::default();
    let framing = Framing::WebSocket { batched: false, deflate: None, fragment: None };
    let mut stream = Vec::new();
    let lengths = [0, 1, 125, 126, 4096, 65_535, 65_536, 200_000];
    for length in lengths {
        let body = bytes::Bytes::from(vec![b'b'; length]);
        for serializer in [Serializer::Json, Serializer::Cbor] {
            stream.extend(builder.build(serializer, framing, b"head", Some(&body)).parts().concat());
        }
    }
    stream.extend(message_frame(true, b"echo"));
    stream.extend(close_frame(1001, "bye"));
    let mut client = oracle(stream);
    for length in lengths {
        let expected = format!("head{}", "b".repeat(length));
        assert!(client.read().expect("text") == Oracle::text(expected.clone()));
        assert!(client.read().expect("binary") == Oracle::binary(expected.into_bytes()));
    }
    assert_eq!(client.read().expect("text"), Oracle::text("echo"));
    let Oracle::Close(Some(close)) = client.read().expect("close") else { panic!("no close frame") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1001, "bye"));
}

#[test]
fn we_read_the_frames_of_tungstenite() {
    let mut client = oracle(Vec::new());
    let mut expected = Vec::new();
    for length in [0, 1, 125, 126, 65_535, 65_536, 99_999] {
        let message = "x".repeat(length);
        client.send(Oracle::text(message.clone())).expect("sent");
        client.send(Oracle::binary(message.clone().into_bytes())).expect("sent");
        expected.push(text(&message));
        expected.push(Seen::Message { text: false, data: message.into_bytes() });
    }
    client.send(Oracle::Ping(b"p".to_vec().into())).expect("sent");
    client.close(None).expect("sent");
    expected.push(Seen::Closed);
    let octets = std::mem::take(&mut client.get_mut().output);
    let (seen, out) = read_pieces(&mut reader(ANY, false), octets.chunks(1000));
    assert!(seen == expected);
    assert_eq!(out, b"\x8a\x01p\x88\0");
}

#[test]
fn a_tungstenite_server_reads_what_we_send_as_a_client() {
    let lengths = [0, 1, 125, 126, 65_535, 65_536, 99_999];
    let mut frames = Vec::new();
    for length in lengths {
        frames.extend(message_frame(true, &vec![b'x'; length]));
        frames.extend(ping_frame(true, 0));
    }
    frames.extend(close_frame(1000, "done"));
    let (mut stream, mut keys) = (Vec::new(), 0);
    let key = || {
        keys += 1;
        [keys, 2, 3, 255]
    };
    mask_frames(&frames, key, &mut stream);
    assert_eq!(usize::from(keys), 2 * lengths.len() + 1, "each frame has a mask of its own");
    let mut server = oracle_as(Role::Server, stream);
    for length in lengths {
        assert!(server.read().expect("text") == Oracle::text("x".repeat(length)));
        assert_eq!(server.read().expect("a ping"), Oracle::Ping(Vec::new().into()));
    }
    let Oracle::Close(Some(close)) = server.read().expect("close") else { panic!("no close frame") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1000, "done"));
    for cut in 0..frames.len().min(400) {
        // Half a frame at the end is left out.
        let mut out = Vec::new();
        mask_frames(&frames[..cut], || KEY, &mut out);
        assert!(out.len() <= 3 * cut && read_pieces(&mut reader(ANY, false), [&out[..]]).0.len() <= cut);
    }
}

#[test]
fn we_read_a_tungstenite_server_as_a_client() {
    let mode = WsMode { from: Sender::Server, ..ANY };
    let mut server = oracle_as(Role::Server, Vec::new());
    let mut expected = Vec::new();
    for length in [0, 1, 125, 126, 65_535, 65_536, 99_999] {
        let message = "x".repeat(length);
        server.send(Oracle::text(message.clone())).expect("sent");
        server.send(Oracle::binary(message.clone().into_bytes())).expect("sent");
        expected.push(text(&message));
        expected.push(Seen::Message { text: false, data: message.into_bytes() });
    }
    server.send(Oracle::Ping(b"p".to_vec().into())).expect("sent");
    server.close(None).expect("sent");
    expected.push(Seen::Closed);
    let octets = std::mem::take(&mut server.get_mut().output);
    let (seen, out) = read(mode, false, &octets);
    assert!(seen == expected);
    assert_eq!(out, b"\x8a\x01p\x88\0");
    assert_eq!(error(mode, false, &masked(0x81, b"a")), 1002, "a server must not mask");
}

/// One message, in a number of fragments, with a ping before each; or a compressed one.
fn stream() -> impl Strategy<Value = (Vec<u8>, Vec<Seen>, Vec<u8>)> {
    let message = ("\\PC{0,200}", any::<bool>(), any::<bool>(), proptest::collection::vec(0..300usize, 0..4));
    proptest::collection::vec(message, 0..5).prop_map(|messages| {
        let (mut octets, mut seen, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for (content, is_text, compressed, mut cuts) in messages {
            let plain = content.into_bytes();
            let data = if compressed { pack(&plain) } else { plain.clone() };
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(data.len()));
            cuts.sort_unstable();
            cuts.push(data.len());
            let mut start = 0;
            for (index, end) in cuts.iter().enumerate() {
                let opcode = match (index, is_text) {
                    (0, true) => 1,
                    (0, false) => 2,
                    _ => 0,
                };
                let fin = if index + 1 == cuts.len() { 0x80 } else { 0 };
                let rsv = if compressed && index == 0 { 0x40 } else { 0 };
                octets.extend(masked(0x89, &[index as u8]));
                out.extend([0x8a, 1, index as u8]);
                octets.extend(masked(fin | rsv | opcode, &data[start..*end]));
                start = *end;
            }
            seen.push(Seen::Message { text: is_text, data: plain });
        }
        (octets, seen, out)
    })
}

proptest! {
    #[test]
    fn pieces_do_not_matter((octets, seen, out) in stream(), sizes in proptest::collection::vec(1..50usize, 1..20)) {
        let mut pieces = Vec::new();
        let mut rest = &octets[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        let mut whole = reader(ANY, true);
        prop_assert_eq!(read_pieces(&mut whole, pieces), (seen, out));
    }

    #[test]
    fn any_octets_are_survived(octets in proptest::collection::vec(any::<u8>(), 0..200), deflate: bool) {
        for protocol in [ANY, JSON, CBOR, JSON_BATCHED, CBOR_BATCHED] {
            read_pieces(&mut reader(protocol, deflate), octets.chunks(13));
        }
    }
}

#[test]
fn whole_messages_are_lent_from_the_input() {
    let mut input = masked(0x81, b"[1,2]");
    let range = input.as_ptr_range();
    let (mut inbound, mut out) = (Inbound::default(), Vec::new());
    let mut reader = reader(JSON, false);
    let (used, event) = reader.feed(&mut input, &mut inbound, &mut out).expect("valid");
    let Some(WireEvent::Message { data, text: true }) = event else { panic!("no message") };
    assert_eq!((data, used), (&b"[1,2]"[..], 11));
    assert!(range.contains(&data.as_ptr()));
}

#[test]
fn an_idle_reader_owns_no_memory() {
    let octets = [masked(0x01, &[b'a'; 50_000]), masked(0x80, b"b"), masked(0x89, b"ping")].concat();
    let mut reader = reader(JSON, false);
    assert_eq!(read_pieces(&mut reader, octets.chunks(7)).0.len(), 1);
    assert!(format!("{reader:?}").contains("partial: None"), "{reader:?}");
    assert!(std::mem::size_of::<Reader>() <= 64);
}

#[test]
fn batches_of_binary_messages() {
    let octets = masked(0x82, b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01d");
    let binary = |data: &[u8]| Seen::Message { text: false, data: data.to_vec() };
    assert_eq!(read(CBOR_BATCHED, false, &octets).0, [binary(b"abc"), binary(b""), binary(b"d")]);
    for broken in [&b""[..], b"\0\0", b"\0\0\0\x04abc", b"\xff\xff\xff\xffabc"] {
        assert_eq!(error(CBOR_BATCHED, false, &masked(0x82, broken)), 1002, "{broken:?}");
    }
    assert_eq!(error(JSON_BATCHED, false, &masked(0x81, b"[1]\x1e[2]")), 1002);
    assert_eq!(read(JSON_BATCHED, false, &masked(0x81, b"[1]\x18[2]\x18")).0, [text("[1]"), text("[2]")]);
}

#[test]
fn batched_frames_read_as_they_were_built() {
    let mut builder = FrameBuilder::default();
    for (serializer, mode) in [(Serializer::Json, JSON_BATCHED), (Serializer::Cbor, CBOR_BATCHED)] {
        for deflate in [None, Some(9), Some(15)] {
            let body = bytes::Bytes::from("x".repeat(5000));
            let framing = Framing::WebSocket { batched: true, deflate, fragment: None };
            let mut frame = builder.build(serializer, framing, b"head", Some(&body)).parts().concat();
            // A client's frame is masked; a mask of zeros changes nothing.
            let header = if frame[1] < 126 { 2 } else { 4 };
            frame[1] |= 0x80;
            frame.splice(header..header, [0; 4]);
            let expected = format!("head{}", "x".repeat(5000)).into_bytes();
            let seen = read(mode, deflate.is_some(), &frame).0;
            assert!(
                seen == [Seen::Message { text: serializer.is_text(), data: expected }],
                "{serializer:?} {deflate:?}"
            );
        }
    }
}

/// The payload lengths of unmasked frames.
fn lengths(mut frames: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, length, rest @ ..] = frames {
        let (length, rest) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            length => (usize::from(*length), rest),
        };
        lengths.push(length);
        frames = &rest[length..];
    }
    lengths
}

#[test]
fn messages_go_in_pieces_where_that_is_wanted() {
    let mut builder = FrameBuilder::default();
    // Noise in hexadecimal digits: half of it is left when it is compressed.
    let mut random = fastrand::Rng::with_seed(7);
    let body = bytes::Bytes::from((0..5000).map(|_| format!("{:x}", random.u8(..16))).collect::<String>());
    let whole = [b"head", &body[..]].concat();
    for (serializer, mode) in [(Serializer::Json, JSON_BATCHED), (Serializer::Cbor, CBOR_BATCHED)] {
        for (deflate, most) in [(None, 1), (None, 999), (Some(9), 100), (Some(15), 1000), (Some(15), 6000)] {
            let framing = Framing::WebSocket { batched: true, deflate, fragment: NonZeroU32::new(most) };
            let frames = builder.build(serializer, framing, b"head", Some(&body)).parts().concat();
            let lengths = lengths(&frames);
            let (last, full) = lengths.split_last().expect("a frame");
            assert!(full.iter().all(|length| *length == most as usize) && *last <= most as usize, "{lengths:?}");
            assert_eq!(full.is_empty(), most == 6000);
            let mut masked = Vec::new();
            mask_frames(&frames, || [0x5a, 1, 2, 3], &mut masked);
            let seen = read(mode, deflate.is_some(), &masked).0;
            assert!(seen == [Seen::Message { text: serializer.is_text(), data: whole.clone() }], "{deflate:?} {most}");
        }
    }
    let small = Framing::WebSocket { batched: false, deflate: None, fragment: NonZeroU32::new(4) };
    assert_eq!(lengths(&builder.build(Serializer::Json, small, b"1234", None).parts().concat()), [4]);
}

#[test]
fn rawsocket_handshakes() {
    let accepted = rawsocket::handshake([0x7f, 0xf1, 0, 0], 1 << 20, None).expect("JSON");
    assert_eq!((accepted.peer_max, accepted.own_max, accepted.reply), (1 << 24, 1 << 20, [0x7f, 0xb1, 0, 0]));
    assert_eq!(rawsocket::handshake([0x7f, 0x03, 0, 0], 600, None).map(|a| (a.peer_max, a.own_max)), Ok((512, 512)));
    assert_eq!(rawsocket::handshake([0x7f, 0xf5, 0, 0], 1 << 24, None), Err(Some([0x7f, 0x10, 0, 0])));
    assert_eq!(rawsocket::handshake([0x7f, 0xf1, 0, 1], 1 << 24, None), Err(Some([0x7f, 0x30, 0, 0])));
    assert_eq!(rawsocket::handshake([0x7f, 0xf0, 0, 0], 1 << 24, None), Err(None));
    assert_eq!(rawsocket::handshake([0x47, 0xf1, 0, 0], 1 << 24, None), Err(None));
}

#[test]
fn rawsocket_frames() {
    let accepted = rawsocket::handshake([0x7f, 0xf1, 0, 0], 512, None).expect("JSON");
    let raw = || Reader::RawSocket(RawReader::new(&accepted));
    let octets = b"\0\0\0\x03[1]\x01\0\0\x02hi\x02\0\0\0\0\0\0\0\0\0\0\x01x";
    let whole = read_pieces(&mut raw(), [&octets[..]]);
    assert_eq!(whole.0, [text("[1]"), text(""), text("x")]);
    assert_eq!(whole.1, b"\x02\0\0\x02hi");
    for size in 1..octets.len() {
        assert_eq!(read_pieces(&mut raw(), octets.chunks(size)), whole, "pieces of {size}");
    }
    for (bad, code) in [
        (&b"\x03"[..], 1002),
        (b"\x10", 1002),
        (b"\x80\0\0\0", 1002),
        (b"\x08\0\0\x01", 1002),
        (b"\x08\0\0\0", 1009),
        (b"\0\0\x02\x01", 1009),
        (b"\x01\xff\xff\xff", 1009),
    ] {
        assert_eq!(read_pieces(&mut raw(), [bad]).0, [Seen::Error(code)], "{bad:?}");
        assert_eq!(read_pieces(&mut raw(), bad.chunks(1)).0, [Seen::Error(code)], "{bad:?}");
    }
    let mut reader = raw();
    read_pieces(&mut reader, octets.chunks(3));
    assert!(format!("{reader:?}").contains("partial: None"));
}
