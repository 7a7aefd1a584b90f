//! Calls: who is invoked, in which order, and that each gets one last answer (G5, G6, G8).

use super::identity::{Told, wants};
use super::{Auditor, Checked, Key, Record, breach, matches, stamp};
use crate::sim::client::may_wait;
use crate::wamp::message::{Call, Error, Invocation};
use crate::wamp::{MatchPolicy, RegistrationId, RequestId, error};

/// From REGISTERED written to UNREGISTERED written.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) session: Key,
    pub(super) policy: MatchPolicy,
    pub(super) procedure: String,
    /// Callers are to be disclosed.
    pub(super) disclose: bool,
    pub(super) id: RegistrationId,
    pub(super) ending: bool,
    /// Somebody wants to take it over.
    pub(super) doubtful: bool,
    pub(super) ended: bool,
}

impl Offer {
    const fn stands(&self) -> bool {
        !self.ending && !self.doubtful && !self.ended
    }
}

#[derive(Debug)]
pub(super) struct Called {
    over: bool,
    /// The caller wants to be known.
    disclosed: bool,
    /// The callee wants to know it: what counts is the registration when the first part was passed on.
    wanted: bool,
    procedure: String,
    /// The stamps of its parts.
    parts: Vec<u64>,
    /// Further parts will come.
    open: bool,
    /// Who offered the procedure when the call was read.
    offered_by: Vec<Key>,
    /// Who has it.
    invoked: Option<(Key, RequestId)>,
    /// The last part that has been passed on.
    passed: u64,
    /// Somebody had it and wanted somebody else to have it.
    rerouted: bool,
}

impl Auditor {
    /// The router reads a call, or a further part of one.
    pub(super) fn calls(&mut self, who: Key, m: &Call) -> Checked {
        let (_, sequence) = stamp(&m.payload)?;
        let open = m.options.get("progress").is_some();
        if let Some(call) = self.calls.get_mut(&(who, m.request)) {
            if call.open {
                call.parts.push(sequence);
                call.open = open;
            }
            return Ok(());
        }
        let disclosed = wants(&m.options, "disclose_me");
        // Parts of a call that was refused mean nothing.
        if self.refused.contains_key(&(who, m.request)) || self.is_refused(who, m.request, disclosed, true) {
            return Ok(());
        }
        let stands = |offer: &&Offer| matches(offer.policy, &offer.procedure, &m.procedure) && offer.stands();
        let offered_by = self.offers.iter().filter(stands).map(|offer| offer.session).collect();
        let call = Called {
            over: false,
            disclosed,
            wanted: false,
            procedure: m.procedure.to_string(),
            parts: vec![sequence],
            open,
            offered_by,
            invoked: None,
            passed: 0,
            rerouted: false,
        };
        self.calls.insert((who, m.request), call);
        Ok(())
    }

    /// A callee wants somebody else to be called.
    pub(super) fn passes_on(&mut self, who: Key, request: RequestId) {
        if let Some(call) = self.calls.values_mut().find(|call| call.invoked == Some((who, request))) {
            call.invoked = None;
            call.rerouted = true;
        }
    }

    pub(super) fn invocation(&mut self, who: Key, m: &Invocation) -> Checked {
        let (request, id) = (m.request, m.registration);
        let (by, sequence) = stamp(&m.payload)?;
        let of_call =
            |((caller, _), call): &(&(Key, RequestId), &mut Called)| *caller == by && call.parts.contains(&sequence);
        let Some((key, call)) = self.calls.iter_mut().find(of_call) else {
            return breach("protocol", format!("nobody has made call {sequence} of {by}"));
        };
        let key = *key;
        let first = call.parts[0] == sequence;
        let known = &mut self.sessions.entry(who).or_default().invocations;
        if first {
            *known += 1;
            if *known != request.get() {
                return breach("protocol", format!("INVOCATION {request}, but {known} comes next"));
            }
            if call.invoked.is_some() {
                return breach("G6", format!("call {sequence} of {by} was invoked twice"));
            }
            call.invoked = Some((who, request));
            call.passed = sequence;
            let mut offers = self.offers.iter();
            let Some(offer) = offers.find(|offer| offer.session == who && offer.id == id && !offer.ended) else {
                return breach("G6", format!("INVOCATION {request} of {id} came while {who} had not registered it"));
            };
            call.wanted = offer.disclose;
        } else {
            if call.invoked != Some((who, request)) {
                return breach(
                    "G8",
                    format!("part {sequence} of {by} came to {who} as {request}, not where the first is"),
                );
            }
            if call.passed >= sequence {
                return breach("G8", format!("part {sequence} of {by} came to {who} after {}", call.passed));
            }
            call.passed = sequence;
        }
        let call = &self.calls[&key];
        let asked = call.disclosed || call.wanted;
        self.tells_of(who, &m.details, &Told { what: "a call", role: "caller", by, uri: &call.procedure, asked })?;
        // A call that has waited for a callee, or was given to another, has been overtaken.
        let left =
            |offer: &Offer| !self.is_alive(offer.session) && matches(offer.policy, &offer.procedure, &call.procedure);
        let asked = |record: &Record| {
            let mut wishes = record.registering.values();
            record.ended.is_some() && wishes.any(|(policy, name, _)| matches(*policy, name, &call.procedure))
        };
        let given_on = || self.offers.iter().any(left) || self.sessions.values().any(asked);
        if call.rerouted || may_wait(&call.procedure) || given_on() {
            return Ok(());
        }
        self.in_pair_order("INVOCATION", who, &m.payload, true)
    }

    pub(super) fn call_error(&mut self, who: Key, m: &Error) -> Checked {
        let offered_by = self.calls.get(&(who, m.request)).map_or(&[][..], |call| &call.offered_by);
        // The best of several registrations may have been of a callee that had left.
        let text = m.details.get("message").and_then(|text| text.as_str()).unwrap_or_default();
        let routable = !text.contains("has left") && offered_by.iter().any(|callee| self.is_alive(*callee));
        if *m.error == *error::NO_SUCH_PROCEDURE && routable {
            return breach("G6", format!("call {} of {who} found no procedure, though one is there", m.request));
        }
        self.answer(who, m.request, true)?;
        if m.payload.is_none() { Ok(()) } else { self.in_pair_order("ERROR", who, &m.payload, true) }
    }

    pub(super) fn answer(&mut self, who: Key, request: RequestId, last: bool) -> Checked {
        let Some(call) = self.calls.get_mut(&(who, request)) else {
            return breach("protocol", format!("an answer to call {request}, which {who} has not made"));
        };
        if call.over {
            return breach("G6", format!("call {request} of {who} was answered after its last answer"));
        }
        call.over = last;
        Ok(())
    }

    pub(super) fn every_call_is_over(&self) -> Checked {
        for ((who, request), call) in &self.calls {
            if !call.over && self.is_alive(*who) {
                return breach("G6", format!("call {request} of {who} has no last answer"));
            }
        }
        match self.queries.keys().find(|(who, _)| self.is_alive(*who)) {
            Some((who, request)) => breach("G6", format!("meta call {request} of {who} has no answer")),
            None => Ok(()),
        }
    }
}
