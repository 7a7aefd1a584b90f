//! What clients do of the Advanced Profile: audiences, disclosure, testaments, and ending the sessions of others.

use super::client::Client;
use super::content::{DESTROYED, DETACHED, ROLE, SILENCED, TOPICS, named_payload};
use super::setting::Peer;
use crate::wamp::message::Call;
use crate::wamp::{Dict, Value};
use fastrand::Rng;

/// Who was there last: the others have most likely left.
const RECENT: usize = 8;

/// Adds to what a publisher wants: an audience, to be known, or nothing.
pub(super) fn publish_options(options: &mut Dict, rng: &mut Rng, peers: &[Peer]) {
    if rng.u8(..) < 64 {
        options.push("disclose_me", true);
    }
    match rng.u8(..) {
        0..20 => options.push("exclude", sessions(rng, peers, 1)),
        20..40 => options.push("eligible", sessions(rng, peers, 4)),
        40..52 => options.push("exclude_authid", authids(rng, peers, 1)),
        52..72 => options.push("eligible_authid", authids(rng, peers, 4)),
        72..76 => options.push("exclude_authrole", roles(rng)),
        76..84 => options.push("eligible_authrole", roles(rng)),
        84..92 => {
            options.push("eligible", sessions(rng, peers, 4));
            options.push("exclude_authid", authids(rng, peers, 2));
        }
        92..96 => {
            options.push("eligible_authid", authids(rng, peers, 6));
            options.push("exclude", sessions(rng, peers, 2));
            options.push("eligible_authrole", roles(rng));
        }
        96..98 => options.push("exclude", Vec::new()),
        98..100 => options.push("eligible", Vec::new()),
        _ => {}
    }
}

fn some<'a>(rng: &mut Rng, peers: &'a [Peer], count: usize) -> Vec<&'a Peer> {
    let recent = &peers[peers.len().saturating_sub(RECENT)..];
    if recent.is_empty() { Vec::new() } else { (0..count).map(|_| &recent[rng.usize(..recent.len())]).collect() }
}

fn sessions(rng: &mut Rng, peers: &[Peer], count: usize) -> Vec<Value> {
    some(rng, peers, count).into_iter().map(|peer| Value::from(peer.session)).collect()
}

fn authids(rng: &mut Rng, peers: &[Peer], count: usize) -> Vec<Value> {
    some(rng, peers, count).into_iter().map(|peer| Value::from(&*peer.authid)).collect()
}

fn roles(rng: &mut Rng) -> Vec<Value> {
    let own = rng.u8(..) < 128;
    ["staff", if own { ROLE } else { "guest" }].into_iter().map(Value::from).collect()
}

impl Client {
    /// Leaves a testament, takes testaments back, or ends a session, its own or another.
    pub(super) fn testify(&mut self, rng: &mut Rng, peers: &[Peer]) {
        let scope = rng.bool();
        match rng.u8(..) {
            0..150 => self.add_testament(rng, peers, scope),
            150..190 => {
                let named = if scope { Dict::new().with("scope", "detached") } else { Dict::new() };
                self.ask_router("wamp.session.flush_testaments", Vec::new(), named);
            }
            190..220 => {
                if let Some(victim) = some(rng, peers, 1).first() {
                    self.ask_router("wamp.session.kill", vec![Value::from(victim.session)], Dict::new());
                }
            }
            220..230 => {
                if let Some(victim) = some(rng, peers, 1).first() {
                    self.ask_router("wamp.session.kill_by_authid", vec![Value::from(&*victim.authid)], Dict::new());
                }
            }
            230..232 => {
                let named = Dict::new().with("reason", SILENCED);
                self.ask_router("wamp.session.kill_all", Vec::new(), named);
            }
            _ => self.leave(),
        }
    }

    fn add_testament(&mut self, rng: &mut Rng, peers: &[Peer], detached: bool) {
        self.testaments += 1;
        let sequence = self.testaments + if detached { DETACHED } else { DESTROYED };
        let mut options = Dict::new();
        if rng.u8(..) < 64 {
            options.push("retain", true);
        }
        publish_options(&mut options, rng, peers);
        let mut named = Dict::new().with("publish_options", options);
        if detached {
            named.push("scope", "detached");
        }
        let topic = TOPICS[rng.usize(..TOPICS.len())];
        let event = vec![Value::from(u64::from(self.key)), Value::from(sequence)];
        self.ask_router("wamp.session.add_testament", vec![Value::from(topic), event.into()], named);
    }

    /// Calls a procedure of the router.
    pub(super) fn ask_router(&mut self, procedure: &str, args: Vec<Value>, kwargs: Dict) {
        let request = self.next_request();
        let payload = named_payload(self.serializer, args, kwargs);
        self.up.push_back(Call { request, options: Dict::new(), procedure: procedure.into(), payload }.into());
    }
}
