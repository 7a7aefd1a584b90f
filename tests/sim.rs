//! The simulator, run: many schedules with every rule kept, and few with one rule broken, which must be noticed.

use corebar::router::Rule;
use corebar::sim::{Outcome, Scenario, run};
use std::sync::atomic::{AtomicU64, Ordering};

/// Schedules per number of shards. `COREBAR_SIM_SCHEDULES` asks for more.
fn schedules() -> u64 {
    std::env::var("COREBAR_SIM_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

fn must_keep(scenario: Scenario) -> Outcome {
    match run(scenario) {
        Ok(outcome) => outcome,
        Err(breach) => panic!("{breach}\nagain: {scenario:?}"),
    }
}

/// Every other seed is of the Advanced Profile.
const fn scenario(seed: u64, shards: u16) -> Scenario {
    if seed.is_multiple_of(2) { Scenario::new(seed, shards) } else { Scenario::advanced(seed, shards) }
}

/// Runs seeds on all cores.
fn sweep(first: u64, count: u64, shards: u16) {
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    must_keep(scenario(seed, shards));
                }
            });
        }
    });
}

#[test]
fn one_shard() {
    sweep(0, schedules(), 1);
}

#[test]
fn two_shards() {
    sweep(0, schedules(), 2);
}

#[test]
fn four_shards() {
    sweep(0, schedules(), 4);
}

#[test]
fn eight_shards() {
    sweep(0, schedules(), 8);
}

/// Scenarios that once failed, by a fault of the router or of the auditor, or that show a broken rule: seed, shards.
const CORPUS: &[(u64, u16)] = &[
    // A client unsubscribed twice, because SUBSCRIBED of a repeated SUBSCRIBE had been on its way.
    (16_708, 1),
    // SUBSCRIBED for a second SUBSCRIBE came before the retained events that the first waited for.
    (59, 2),
    (287, 4),
    (302, 4),
    // What was published about a session came after it had left, from a home where it had nothing any more.
    (4_000, 2),
    (6_039, 2),
    // A meta event was skipped as if it had been retained.
    (8_384, 2),
    // A takeover, a callee that left with a pattern beside its procedure, a call that was given to another callee.
    (281, 2),
    (10_416, 4),
    // UNREGISTER of a registration that the session had itself taken over ended the new one.
    (6_036_643_265_170_171_200, 4),
    // Takeovers and callees that left while they registered, which the auditor had not thought of.
    (22_362, 2),
    (26_064, 2),
    (80_866, 2),
    (49_584, 4),
    (98_469, 4),
    (5_616_188_308_230_111_618, 8),
    // A client unsubscribed by an old SUBSCRIBED while its next SUBSCRIBE waited for retained events.
    (3_069_757_819_821_672_689, 2),
    // These show each of the rules below when it is broken, so much happens in them.
    (0, 4),
    (1, 4),
    (6, 4),
    (11, 4),
    (12, 4),
    (34, 4),
    (58, 4),
    (102, 4),
    (281, 4),
    (434, 4),
    (637, 4),
    (838, 4),
    (215, 2),
];

/// The same, of the Advanced Profile.
const ADVANCED: &[(u64, u16)] = &[
    // An event for a publisher alone was forgotten when that publisher published for all others.
    (89, 2),
    (739, 4),
    (581, 8),
    // A further part of a call came to a callee that had wanted to know callers, but had no registration any more.
    (235_953, 2),
    (3_363_817_555_952_369_855, 2),
    // These show each of the rules below when it is broken.
    (0, 4),
    (3, 4),
    (4, 4),
    (9, 4),
    (16, 4),
    (91, 4),
    (110, 4),
];

#[test]
fn corpus() {
    for &(seed, shards) in CORPUS {
        must_keep(Scenario::new(seed, shards));
    }
    for &(seed, shards) in ADVANCED {
        must_keep(Scenario::advanced(seed, shards));
    }
}

/// Seeds that nobody has run before; the panic tells which.
#[test]
fn fresh_seeds() {
    for shards in [2, 4, 8] {
        sweep(fastrand::u64(..) >> 1, schedules() / 20, shards);
    }
}

#[test]
fn equal_seeds_give_equal_runs() {
    for seed in 0..50 {
        let scenario = Scenario::new(seed, 4);
        assert_eq!(must_keep(scenario), must_keep(scenario));
    }
    assert_ne!(must_keep(Scenario::new(1, 4)).fingerprint, must_keep(Scenario::new(2, 4)).fingerprint);
}

/// The first seed below `bound` that shows a breach, with the promise that it breaks.
fn caught(scenario: Scenario, bound: u64) -> &'static str {
    let breach = (0..bound).find_map(|seed| run(Scenario { seed, ..scenario }).err().map(|breach| (seed, breach)));
    let Some((seed, breach)) = breach else { panic!("nobody noticed in {bound} seeds: {scenario:?}") };
    println!("{:?} {}: seed {seed} shows {breach}", scenario.broken, scenario.own_queue_for_acks);
    breach.guarantee
}

#[test]
fn every_broken_rule_is_noticed() {
    let broken = |rule| Scenario { broken: Some(rule), ..Scenario::new(0, 4) };
    assert!(["G3", "G6"].contains(&caught(broken(Rule::AckAfterAllApplied), 1_000)));
    assert_eq!(caught(broken(Rule::UnregisteredAfterFlush), 20_000), "G6");
    assert!(["G2", "G4"].contains(&caught(broken(Rule::Generations), 60_000)));
    assert_eq!(caught(broken(Rule::EarlyInvocationsHeld), 1_000), "G6");
    assert!(["G1", "G2", "G5", "pair order"].contains(&caught(broken(Rule::OneLane), 20_000)));
    assert_eq!(caught(broken(Rule::UnregisteredThroughLane), 60_000), "G6");
    assert_eq!(caught(broken(Rule::RetainedMark), 20_000), "G11");
    assert_eq!(caught(broken(Rule::RetainedSkip), 20_000), "G11");
    assert_eq!(caught(broken(Rule::JoinedFirst), 20_000), "G9");
    assert_eq!(caught(broken(Rule::AnnouncedAfterAck), 20_000), "G9");
    assert_eq!(caught(broken(Rule::LeftAfterHomes), 20_000), "G9");
    assert_eq!(caught(broken(Rule::NodeKnown), 20_000), "G16");
    let few = Scenario { clients: 4, shards: 2, ..broken(Rule::NodeForgotten) };
    assert_eq!(caught(few, 20_000), "G16");
    let advanced = |rule| Scenario { broken: Some(rule), ..Scenario::advanced(0, 4) };
    assert_eq!(caught(advanced(Rule::TestamentsPublished), 1_000), "G12");
    assert_eq!(caught(advanced(Rule::TestamentsFlushed), 1_000), "G12");
    assert_eq!(caught(advanced(Rule::TestamentsDetachedFirst), 1_000), "G12");
    assert_eq!(caught(advanced(Rule::AudienceKeptOut), 1_000), "G13");
    assert_eq!(caught(advanced(Rule::AudienceLetIn), 1_000), "G13");
    assert_eq!(caught(advanced(Rule::AudienceRemembered), 1_000), "G13");
    assert_eq!(caught(advanced(Rule::DisclosedOnRequest), 1_000), "G14");
    assert_eq!(caught(advanced(Rule::AcknowledgedWhenWritten), 20_000), "G15");
    let acks = Scenario { own_queue_for_acks: true, ..Scenario::new(0, 4) };
    assert!(["G6", "G11"].contains(&caught(acks, 60_000)));
}
