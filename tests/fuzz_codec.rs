//! A replay of the corpus and seeded mutations of it: no parser panics, and what one accepts can be said again.

use corebar::wamp::Serializer;
use corebar::wamp::codec::{DecodeLimits, decode, encode_to_vec};
use std::time::{Duration, Instant};

const SEED: u64 = 0x5eed_c0de;
const ROUNDS: usize = 1_000_000;
const TIME: Duration = Duration::from_secs(2);

fn corpus() -> Vec<(Serializer, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/codec");
    let mut entries: Vec<_> = std::fs::read_dir(folder).expect("corpus").map(|e| e.expect("entry").path()).collect();
    entries.sort();
    let one = |path: &std::path::PathBuf| {
        let name = path.extension().and_then(|ext| ext.to_str()).expect("extension");
        let serializer = Serializer::ALL.into_iter().find(|s| s.name() == name).expect("named as a serializer");
        (serializer, std::fs::read(path).expect("file"))
    };
    entries.iter().map(one).collect()
}

/// Checks everything that must hold for any octets; true if they are a message.
fn probe(serializer: Serializer, octets: &[u8]) -> bool {
    let Ok(message) = decode(serializer, octets, DecodeLimits::default()) else { return false };
    for to in Serializer::ALL {
        let out = match encode_to_vec(to, &message) {
            Ok(out) => out,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        let again = decode(to, &out, DecodeLimits::default())
            .unwrap_or_else(|error| panic!("{error}: {serializer:?} {octets:02x?} gave {to:?} {out:02x?}"));
        assert_eq!(encode_to_vec(to, &again).expect("as before"), out, "{serializer:?} {octets:02x?} to {to:?}");
    }
    true
}

#[test]
fn corpus_is_accepted() {
    let corpus = corpus();
    assert!(corpus.len() >= 10);
    for (serializer, octets) in corpus {
        assert!(probe(serializer, &octets), "{serializer:?} {octets:02x?}");
    }
}

fn mutate(random: &mut fastrand::Rng, octets: &mut Vec<u8>) {
    const TELLING: &[u8] =
        b"\x00\x01\x7f\x80\x9f\xbf\xc0\xc1\xc2\xd4\xd9\xdc\xdf\xf7\xf9\xfb\xff\"\\[]{}:,0-eu.$#ZTFiUIlLdDCSH";
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..=octets.len());
        let byte = if random.bool() { random.u8(..) } else { TELLING[random.usize(..TELLING.len())] };
        match random.u8(0..5) {
            0 => octets.insert(at, byte),
            1 if at < octets.len() => drop(octets.remove(at)),
            2 if at < octets.len() => octets[at] ^= 1 << random.u8(0..8),
            3 if random.u8(0..8) == 0 => octets.truncate(at),
            _ if at < octets.len() => octets[at] = byte,
            _ => octets.push(byte),
        }
    }
}

#[test]
fn mutations_never_panic_and_what_passes_can_be_said_again() {
    let corpus = corpus();
    let mut random = fastrand::Rng::with_seed(SEED);
    let start = Instant::now();
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let (serializer, octets) = &corpus[random.usize(..corpus.len())];
        let mut octets = octets.clone();
        mutate(&mut random, &mut octets);
        let serializer =
            if random.u8(0..16) == 0 { Serializer::ALL[random.usize(..Serializer::ALL.len())] } else { *serializer };
        if probe(serializer, &octets) {
            accepted += 1
        } else {
            refused += 1
        }
        if start.elapsed() > TIME {
            break;
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted > 100 && refused > 100, "{accepted} accepted, {refused} refused: the mutations do not bite");
}
