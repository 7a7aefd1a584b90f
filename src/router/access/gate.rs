//! The gate of a session about which an authorizer has to be asked (rule R2 of `docs/ordering.md`).
//!
//! Requests stand at the gate in the order in which they came; the authorizer is asked about several at once, and each
//! goes on when it has been decided and all before it have gone. What answers an invocation does not stand there: the
//! authorizer may be a callee of the same session.

use super::{Action, Decision, Held, Power};
use crate::router::cancel::{canceled, is_sound};
use crate::router::effect::{ConnId, Effect};
use crate::router::errand::{ErrandResult, Purpose};
use crate::router::lifecycle::Silence;
use crate::router::session::Rpc;
use crate::router::shard::Shard;
use crate::session::{Identity, RealmIndex};
use crate::wamp::message::Cancel;
use crate::wamp::{Dict, MatchPolicy, Message, RequestId, SessionId, Uri, Value, error};
use smallvec::{SmallVec, smallvec};
use std::collections::{BTreeSet, VecDeque};

/// With so many times the octets that stop the reading, a session is ended.
const ENDED_AT: usize = 8;

/// Leaves something to be published, which has to be allowed as well.
const ADD_TESTAMENT: &str = "wamp.session.add_testament";

/// Something that a session wants to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::router) struct Want {
    pub(super) action: Action,
    pub(super) policy: MatchPolicy,
    pub(super) uri: Uri,
}

/// Which question to an authorizer an answer is for.
#[derive(Debug)]
pub(in crate::router) struct Asking {
    session: SessionId,
    /// The gate.
    gate: u64,
    /// The number of the message.
    message: u64,
    want: Want,
    /// What the cache has counted.
    epoch: u64,
}

/// What stands at the gate.
#[derive(Debug)]
enum Standing {
    /// Something that the client wants.
    Request(Message),
    /// Something that it has and may not be allowed any longer.
    Held(Held),
}

/// Something that waits.
#[derive(Debug)]
struct Waiting {
    what: Standing,
    octets: usize,
    wants: SmallVec<[(Want, State); 1]>,
    /// CANCEL has come for it.
    canceled: bool,
}

#[derive(Debug, PartialEq)]
enum State {
    /// To be asked when there are fewer questions.
    Wanted,
    Asked,
    Decided(Decision),
}

/// The gate of a session.
#[derive(Debug)]
pub(in crate::router) struct Gate {
    /// Tells its questions from those of a gate that stood here before.
    serial: u64,
    authorizer: Uri,
    queue: VecDeque<Waiting>,
    /// The number of the first message in the queue.
    first: u64,
    /// The calls in the queue, by request, and the numbers of their messages: a call in several parts has several.
    calls: BTreeSet<(RequestId, u64)>,
    /// No message with a lower number has anything that is still to be asked.
    looked: u64,
    octets: usize,
    /// Questions that have not been answered.
    asked: u32,
    /// What has been decided about the message that is being acted on.
    decided: SmallVec<[(Want, Decision); 1]>,
    /// Nothing more is read.
    held: bool,
}

impl Gate {
    pub(super) fn new(authorizer: Uri) -> Gate {
        Gate {
            serial: 0,
            authorizer,
            queue: VecDeque::new(),
            first: 0,
            calls: BTreeSet::new(),
            looked: 0,
            octets: 0,
            asked: 0,
            decided: SmallVec::new(),
            held: false,
        }
    }

    /// The procedure that is asked.
    pub(in crate::router) fn authorizer(&self) -> &Uri {
        &self.authorizer
    }

    /// True if nothing waits.
    pub(in crate::router) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// True if nothing more is read from the session.
    pub(in crate::router) fn is_held(&self) -> bool {
        self.held
    }

    /// What has been decided about the message that is being acted on.
    pub(super) fn decided(&self, action: Action, policy: MatchPolicy, uri: &str) -> Decision {
        let same = |want: &Want| want.action == action && want.policy == policy && *want.uri == *uri;
        let found = self.decided.iter().find(|(want, _)| same(want));
        found.map_or_else(|| Decision::Failed("nobody was asked".into()), |(_, decision)| decision.clone())
    }

    /// Puts a message behind all others.
    fn push(&mut self, waiting: Waiting) {
        if let Some(request) = waiting.what.call() {
            self.calls.insert((request, self.first + self.queue.len() as u64));
        }
        self.octets += waiting.octets;
        self.queue.push_back(waiting);
    }

    /// The number of the call, or of the first part of a call in several, with this request that waits.
    fn call(&self, request: RequestId) -> Option<u64> {
        self.calls.range((request, 0)..=(request, u64::MAX)).next().map(|(_, number)| *number)
    }

    /// The message with this number, if it waits.
    fn waiting(&mut self, number: u64) -> Option<&mut Waiting> {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok())?;
        self.queue.get_mut(at)
    }

    /// Takes the first message, if everything about it is known.
    fn take_first(&mut self) -> Option<Waiting> {
        let first = self.queue.front_mut()?;
        let known = |(_, state): &(Want, State)| matches!(state, State::Decided(_));
        if !first.wants.iter().all(known) {
            return None;
        }
        let first = self.queue.pop_front()?;
        if let Some(request) = first.what.call() {
            self.calls.remove(&(request, self.first));
        }
        self.first += 1;
        self.octets -= first.octets;
        Some(first)
    }

    fn decide(&mut self, asking: &Asking, decision: Decision) {
        if asking.gate != self.serial {
            return;
        }
        self.asked -= 1;
        let Some(waiting) = self.waiting(asking.message) else { return };
        if let Some((_, state)) = waiting.wants.iter_mut().find(|(want, _)| *want == asking.want) {
            *state = State::Decided(decision);
        }
    }

    /// The next question to ask, with the options of its message.
    fn next_question(&mut self, open_max: u32) -> Option<(u64, Want, Dict)> {
        if self.asked >= open_max {
            return None;
        }
        self.looked = self.looked.max(self.first);
        loop {
            let number = self.looked;
            let waiting = self.waiting(number)?;
            if let Some((want, state)) = waiting.wants.iter_mut().find(|(_, state)| *state == State::Wanted) {
                *state = State::Asked;
                let question = (number, want.clone(), waiting.what.options());
                self.asked += 1;
                return Some(question);
            }
            self.looked += 1;
        }
    }
}

impl Standing {
    /// The request, if it is a call.
    fn call(&self) -> Option<RequestId> {
        match self {
            Standing::Request(Message::Call(call)) => Some(call.request),
            _ => None,
        }
    }

    /// What the authorizer is told beside.
    fn options(&self) -> Dict {
        let options = match self {
            Standing::Request(Message::Publish(publish)) => &publish.options,
            Standing::Request(Message::Subscribe(subscribe)) => &subscribe.options,
            Standing::Request(Message::Call(call)) => &call.options,
            Standing::Request(Message::Register(register)) => &register.options,
            Standing::Request(_) => return Dict::new(),
            Standing::Held(held) => return held.options(),
        };
        options.clone()
    }
}

impl Power {
    /// True if the message has to stand at the gate of its session.
    #[inline]
    pub(in crate::router) fn is_gated(&self, message: &Message) -> bool {
        matches!(self, Power::Asked(_))
            && matches!(
                message,
                Message::Publish(_)
                    | Message::Subscribe(_)
                    | Message::Unsubscribe(_)
                    | Message::Call(_)
                    | Message::Cancel(_)
                    | Message::Register(_)
                    | Message::Unregister(_)
                    | Message::Goodbye(_)
            )
    }
}

impl Shard {
    /// Lets a message stand at the gate; at once on its way if nothing has to be found out.
    pub(in crate::router) fn stand_at_gate(&mut self, conn: ConnId, message: Message, octets: usize) {
        if let Message::Cancel(cancel) = &message {
            return match self.waiting_call(conn, cancel) {
                Some(waiting) => {
                    waiting.canceled = true;
                    waiting.wants.clear();
                    self.pass_gate(conn);
                }
                None => self.dispatch_open(conn, message),
            };
        }
        let wants = self.wants(conn, &message);
        let max = self.config.limits.gate_bytes_max as usize;
        let Some(gate) = self.gate(conn) else { return };
        gate.push(Waiting { what: Standing::Request(message), octets, wants, canceled: false });
        if gate.octets > max.saturating_mul(ENDED_AT) {
            let text = "too much waits for the authorizer";
            return self.kill(conn, error::LIMIT_EXCEEDED.into(), Some(text), Silence::Broken);
        }
        if gate.octets > max && !std::mem::replace(&mut gate.held, true) {
            self.effects().push_back(Effect::Hold { conn });
        }
        self.ask_authorizer(conn);
        self.pass_gate(conn);
    }

    fn gate(&mut self, conn: ConnId) -> Option<&mut Gate> {
        match &mut self.session_at(conn)?.power {
            Power::Asked(gate) => Some(gate),
            Power::All | Power::Rules(_) => None,
        }
    }

    /// The call that a CANCEL is for, if it waits as a whole.
    fn waiting_call(&mut self, conn: ConnId, cancel: &Cancel) -> Option<&mut Waiting> {
        let under_way = |rpc: &Rpc| rpc.calls.contains_key(&cancel.request);
        if self.session_at(conn)?.rpc.as_deref().is_some_and(under_way) || !is_sound(cancel) {
            return None;
        }
        let gate = self.gate(conn)?;
        let number = gate.call(cancel.request)?;
        gate.waiting(number)
    }

    /// A call ends that nobody has got.
    fn cancel_at_gate(&mut self, conn: ConnId, message: &Message) {
        if let Message::Call(call) = message
            && self.accept_request(conn, call.request, "CALL")
        {
            // Parts may have come behind it.
            self.refuse_call(conn, call.request, true, canceled());
        }
    }

    /// What has to be found out before a message is acted on. Of a message that cannot be acted on anyway, nothing.
    fn wants(&mut self, conn: ConnId, message: &Message) -> SmallVec<[(Want, State); 1]> {
        let exact = MatchPolicy::Exact;
        let policy = |options: &Dict| options.str("match").ok().flatten().map_or(Some(exact), MatchPolicy::from_name);
        let (action, policy, uri) = match message {
            Message::Publish(publish) => (Action::Publish, Some(exact), &publish.topic),
            Message::Subscribe(subscribe) => (Action::Subscribe, policy(&subscribe.options), &subscribe.topic),
            Message::Register(register) => (Action::Register, policy(&register.options), &register.procedure),
            // The parts of a call are allowed with the first.
            Message::Call(call) if self.is_known_call(conn, call.request) => return SmallVec::new(),
            Message::Call(call) => (Action::Call, Some(exact), &call.procedure),
            _ => return SmallVec::new(),
        };
        let Some((realm, policy)) = self.session_at(conn).map(|session| session.realm).zip(policy) else {
            return SmallVec::new();
        };
        if self.check_uri(realm, uri, policy).is_err() {
            return SmallVec::new();
        }
        let mut wants: SmallVec<[_; 1]> = smallvec![Want { action, policy, uri: uri.clone() }];
        if let Message::Call(call) = message
            && **uri == *ADD_TESTAMENT
            && let Ok((arguments, _)) = call.payload.values()
            && let Some(topic) = arguments.first().and_then(Value::as_str)
            && self.check_uri(realm, topic, exact).is_ok()
        {
            wants.push(Want { action: Action::Publish, policy: exact, uri: topic.into() });
        }
        let mut state = |want: &Want| self.known(conn, realm, want).map_or(State::Wanted, State::Decided);
        wants.into_iter().map(|want| (want.clone(), state(&want))).collect()
    }

    /// What is known of something that a session wants.
    fn known(&mut self, conn: ConnId, realm: RealmIndex, want: &Want) -> Option<Decision> {
        let session = self.session_at(conn)?;
        let (id, identity) = (session.id, session.identity.clone());
        self.authorizations.get(self.now, realm, id, &identity, want)
    }

    /// True if a call with this request is under way, has just ended, or waits.
    fn is_known_call(&mut self, conn: ConnId, request: RequestId) -> bool {
        let Some(session) = self.session_at(conn) else { return false };
        let known =
            session.rpc.as_ref().is_some_and(|rpc| rpc.calls.contains_key(&request) || rpc.finished.contains(&request));
        known || self.gate(conn).is_some_and(|gate| gate.call(request).is_some())
    }

    /// Asks about what has not been asked, as far as so many may be open.
    fn ask_authorizer(&mut self, conn: ConnId) {
        let (max, timeout) = (self.config.limits.authorizations_open_max, self.config.limits.authorization_timeout);
        while let Some((message, want, options)) = self.gate(conn).and_then(|gate| gate.next_question(max)) {
            let Some(session) = self.session_at(conn) else { return };
            let (id, realm, identity) = (session.id, session.realm, session.identity.clone());
            let Power::Asked(gate) = &session.power else { return };
            let (authorizer, gate) = (gate.authorizer.clone(), gate.serial);
            let arguments = question(id, &identity, &want.uri, want.action, options);
            let epoch = self.authorizations.epoch;
            let purpose = Purpose::Authorize(Asking { session: id, gate, message, want, epoch });
            self.errand(realm, &authorizer, arguments, timeout, purpose);
        }
    }

    /// Lets go what stands first and is decided.
    fn pass_gate(&mut self, conn: ConnId) {
        let max = self.config.limits.gate_bytes_max as usize;
        while let Some(waiting) = self.gate(conn).and_then(Gate::take_first) {
            let Waiting { what, wants, canceled, .. } = waiting;
            let message = match what {
                Standing::Held(held) => {
                    if !wants.iter().all(|(_, state)| matches!(state, State::Decided(Decision::Allowed(_)))) {
                        self.revoke(conn, held);
                    }
                    continue;
                }
                Standing::Request(message) => message,
            };
            if canceled {
                self.cancel_at_gate(conn, &message);
                continue;
            }
            let decided = |(want, state)| match state {
                State::Decided(decision) => Some((want, decision)),
                State::Wanted | State::Asked => None,
            };
            let decided = wants.into_iter().filter_map(decided).collect();
            if let Some(gate) = self.gate(conn) {
                gate.decided = decided;
            }
            self.dispatch_open(conn, message);
            if let Some(gate) = self.gate(conn) {
                gate.decided = SmallVec::new();
            }
        }
        let Some(gate) = self.gate(conn) else { return };
        if gate.held && gate.octets <= max / 2 {
            gate.held = false;
            self.effects().push_back(Effect::Resume { conn });
        }
    }

    /// An authorizer has answered, if the session is still there.
    pub(in crate::router) fn authorizer_answered(&mut self, asking: Asking, answer: &ErrandResult) {
        let (decision, remember) = Decision::read(answer);
        let Some(session) = self.session(asking.session) else { return };
        let (conn, realm, identity) = (session.conn, session.realm, session.identity.clone());
        let Power::Asked(gate) = &mut session.power else { return };
        gate.decide(&asking, decision.clone());
        let Asking { session, want, epoch, .. } = asking;
        if let Some((sharing, ttl)) = remember.filter(|_| epoch == self.authorizations.epoch) {
            let ttl_max = self.config.limits.authorization_ttl_max;
            let until = self.now.saturating_add(ttl.unwrap_or(ttl_max).min(ttl_max));
            self.authorizations.insert(realm, (session, &identity), want, decision, sharing, until);
        }
        self.ask_authorizer(conn);
        self.pass_gate(conn);
    }
}

/// The gate of a session whose role has changed.
impl Shard {
    /// Puts another gate into the place of what decided before, or takes it away. What stood at the gate before goes on
    /// under the new rules, and what the session has behind what it asks for is looked at again.
    pub(in crate::router) fn replace_power(&mut self, conn: ConnId, power: Power) {
        let Some(session) = self.session_at(conn) else { return };
        let (id, held) = (session.id, session.holdings());
        let before = std::mem::replace(&mut session.power, power);
        let mut queue = VecDeque::new();
        if let Power::Asked(gate) = before {
            queue = gate.queue;
            if gate.held {
                self.effects().push_back(Effect::Resume { conn });
            }
        }
        let held: Vec<Held> = match self.session_at(conn).map(|session| &session.power) {
            None | Some(Power::All) => Vec::new(),
            Some(Power::Rules(rights)) => {
                let lost = |held: &Held| !rights.allow_all(held.action(), held.policy(), held.uri());
                let lost: Vec<Held> = held.into_iter().filter(lost).collect();
                lost.into_iter().for_each(|held| self.revoke(conn, held));
                Vec::new()
            }
            Some(Power::Asked(_)) => held,
        };
        // Also of a gate that stood here before the last one questions may be open.
        self.gates += 1;
        let serial = self.gates;
        if let Some(gate) = self.gate(conn) {
            gate.serial = serial;
            for held in held {
                let want = Want { action: held.action(), policy: held.policy(), uri: held.uri().clone() };
                let wants = smallvec![(want, State::Wanted)];
                gate.push(Waiting { what: Standing::Held(held), octets: 0, wants, canceled: false });
            }
        }
        for Waiting { what, octets, canceled, .. } in queue {
            // What came before may have ended the session.
            let there = self.session_at(conn).is_some_and(|session| session.id == id);
            let (Standing::Request(message), true) = (what, there) else { continue };
            match self.gate(conn) {
                Some(gate) if canceled => {
                    let (what, wants) = (Standing::Request(message), SmallVec::new());
                    gate.push(Waiting { what, octets, wants, canceled });
                }
                None if canceled => self.cancel_at_gate(conn, &message),
                _ => self.dispatch(conn, message, octets),
            }
        }
        self.ask_authorizer(conn);
        self.pass_gate(conn);
    }
}

/// The arguments of an authorizer: who wants to, the URI, the action and the options of the request.
pub(in crate::router) fn question(
    session: SessionId,
    identity: &Identity,
    uri: &str,
    action: Action,
    options: Dict,
) -> Vec<Value> {
    vec![identity.details(session).into(), uri.into(), action.name().into(), options.into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wamp::{Payload, message};

    fn call(request: u64, state: Option<State>) -> Waiting {
        let call = message::Call {
            request: RequestId::from_raw(request),
            options: Dict::new(),
            procedure: "com.p".into(),
            payload: Payload::NONE,
        };
        let want = Want { action: Action::Call, policy: MatchPolicy::Exact, uri: "com.p".into() };
        let wants = state.into_iter().map(|state| (want.clone(), state)).collect();
        Waiting { what: Standing::Request(Message::Call(call)), octets: 10, wants, canceled: false }
    }

    #[test]
    fn calls_are_known_by_their_first_part_that_waits() {
        let mut gate = Gate::new("com.a".into());
        let find = |gate: &Gate, request| gate.call(RequestId::from_raw(request));
        for request in [7, 8, 7, 9, 7] {
            gate.push(call(request, None));
        }
        assert_eq!([7, 8, 9, 10].map(|request| find(&gate, request)), [Some(0), Some(1), Some(3), None]);
        assert!(gate.take_first().is_some());
        assert_eq!([7, 8, 9].map(|request| find(&gate, request)), [Some(2), Some(1), Some(3)]);
        gate.push(call(8, None));
        let mut taken = 0;
        while gate.take_first().is_some() {
            taken += 1;
        }
        assert_eq!((taken, gate.octets, gate.calls.len()), (5, 0, 0));
        gate.push(call(7, None));
        assert_eq!(find(&gate, 7), Some(6));
    }

    #[test]
    fn what_has_been_asked_is_not_looked_at_again() {
        let mut gate = Gate::new("com.a".into());
        let number = |gate: &mut Gate| gate.next_question(64).map(|(number, ..)| number);
        gate.push(call(1, Some(State::Wanted)));
        for _ in 0..100 {
            gate.push(call(1, None));
        }
        assert_eq!(number(&mut gate), Some(0));
        assert_eq!((number(&mut gate), gate.looked), (None, 101));
        gate.push(call(2, Some(State::Wanted)));
        assert_eq!(number(&mut gate), Some(101));
        let want = Want { action: Action::Call, policy: MatchPolicy::Exact, uri: "com.p".into() };
        for message in [0, 101] {
            let session = SessionId::from_raw(1);
            let asking = Asking { session, gate: 0, message, want: want.clone(), epoch: 0 };
            gate.decide(&asking, Decision::Denied);
        }
        while gate.take_first().is_some() {}
        assert!(gate.is_empty() && gate.asked == 0);
        gate.push(call(3, Some(State::Wanted)));
        assert_eq!(number(&mut gate), Some(102));
    }
}
