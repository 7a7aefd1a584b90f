//! A session as its shard keeps it.

use super::access::Power;
use super::call::Call;
use super::effect::ConnId;
use super::frames::Class;
use super::invocation::Invocation;
use super::map::{Hashing, Map};
use super::meta::testament::Testaments;
use super::nodes::NodeKey;
use super::peer::{Answer, CallRef, Invoke, Part, Publication, Return, Revocation};
use super::replica::ShardSet;
use super::retained::{Marker, Skips};
use super::subject::Subject;
use crate::session::features::ClientFeatures;
use crate::session::{Identity, RealmIndex, RequestIds};
use crate::wamp::{RegistrationId, RequestId, SessionId, SubscriptionId};
use smallvec::SmallVec;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// An open session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) realm: RealmIndex,
    pub(super) conn: ConnId,
    pub(super) class: Class,
    pub(super) features: ClientFeatures,
    pub(super) identity: Arc<Identity>,
    /// What it may do.
    pub(super) power: Power,
    pub(super) requests: RequestIds,
    pub(super) subscriptions: Map<Subject, Subscription>,
    /// Requests other than calls that have not been answered.
    pub(super) open: Map<RequestId, ()>,
    /// What a session that neither calls nor registers does not pay for.
    pub(super) rpc: Option<Box<Rpc>>,
    pub(super) lane: Lane,
    /// The homes that it has asked for anything, which may have published about it.
    pub(super) homes: ShardSet,
    /// What is known of it only while others are told that it has joined.
    pub(super) joining: Option<Box<Joining>>,
    /// When it was opened, since the start of time.
    pub(super) since: Duration,
    /// When it ends at the latest, since the start of time.
    pub(super) expires: Option<Duration>,
    /// The router is about to take leave of it: it may not begin anything that takes time.
    pub(super) retiring: bool,
    /// What is published when it ends.
    pub(super) testaments: Option<Box<Testaments>>,
}

/// A session whose joining has not arrived everywhere where somebody wants to know of it.
#[derive(Debug, Default)]
pub(super) struct Joining {
    /// Acknowledgements that wait for that, so that what is published about them comes later.
    pub(super) answers: Vec<Answer>,
}

/// What a session has of a subject.
#[derive(Debug)]
pub(super) enum Subscription {
    /// The home has been asked.
    Pending(Box<Wish>),
    /// The session gets events.
    Active {
        id: SubscriptionId,
        /// Where it stands among the members of the subscription on this shard.
        position: u32,
        /// Tells this subscription from earlier ones of the same subject.
        generation: u32,
        /// Events that are on their way and have been had already, as retained events.
        skips: Option<Box<Skips>>,
        /// The node that it belongs to: of what has a routing key it gets that node's share.
        node: Option<NodeKey>,
    },
}

/// What a session wants of a subscription.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// The SUBSCRIBEs that are to be answered.
    pub(super) requests: SmallVec<[RequestId; 2]>,
    /// One of them wants retained events.
    pub(super) retained: bool,
    /// The node that the first of them named.
    pub(super) node: Option<NodeKey>,
}

/// The calls and registrations of a session.
#[derive(Debug)]
pub(super) struct Rpc {
    pub(super) procedures: Map<Subject, Offer>,
    pub(super) registrations: Map<RegistrationId, Subject>,
    pub(super) calls: Map<RequestId, Call>,
    /// Calls in several parts that are over, while the last part has not come: parts that come late are known by them.
    pub(super) finished: BTreeSet<RequestId>,
    pub(super) invocations: Map<RequestId, Invocation>,
    pub(super) by_call: Map<CallRef, RequestId>,
    /// The last INVOCATION; 0 before the first.
    pub(super) last_invocation: RequestId,
}

/// What a session has of a procedure.
#[derive(Debug, Default)]
pub(super) struct Offer {
    /// REGISTERs that the home has not answered, or whose answer waits for the other shards.
    pub(super) asking: SmallVec<[RequestId; 1]>,
    /// The registration, from REGISTERED to UNREGISTERED.
    pub(super) active: Option<RegistrationId>,
    /// UNREGISTER has come.
    pub(super) ending: bool,
    /// REGISTERs that came after that UNREGISTER; they are asked for when it is done.
    pub(super) next: SmallVec<[RegisterWish; 1]>,
}

/// A REGISTER that waits for the UNREGISTER before it.
#[derive(Debug)]
pub(super) struct RegisterWish {
    pub(super) request: RequestId,
    pub(super) options: crate::session::options::RegisterOptions,
}

/// What arrives for a session, in order (rule R7): nearly always empty, since nearly nothing has to wait.
pub(super) type Lane = VecDeque<Arrival>;

/// Something that arrives for a session.
#[derive(Debug)]
pub(super) enum Arrival {
    Event { subscription: SubscriptionId, generation: u32, publication: Arc<Publication> },
    Marker(Box<Marker>),
    Invoke(Box<Invoke>),
    Part(Box<Part>),
    Return(Box<Return>),
    Unregistered { subject: Subject, request: RequestId, id: RegistrationId },
    RegistrationRevoked { subject: Subject, revocation: Revocation<RegistrationId> },
}

impl Rpc {
    /// Parts of this call that come late are to be dropped. So many calls are remembered at most: clients count them, so
    /// that the lowest is the oldest.
    pub(super) fn remember_finished(&mut self, request: RequestId, max: u32) {
        self.finished.insert(request);
        if self.finished.len() > max as usize {
            self.finished.pop_first();
        }
    }
}

impl Session {
    /// A session that has just been opened.
    pub(super) fn new(
        id: SessionId,
        realm: RealmIndex,
        (conn, class): (ConnId, Class),
        features: ClientFeatures,
        (identity, power): (Arc<Identity>, Power),
        hashing: &Hashing,
    ) -> Session {
        Session {
            id,
            realm,
            conn,
            class,
            features,
            identity,
            power,
            requests: RequestIds::default(),
            subscriptions: hashing.map(),
            open: hashing.map(),
            rpc: None,
            lane: Lane::new(),
            homes: ShardSet::default(),
            joining: None,
            since: Duration::ZERO,
            expires: None,
            retiring: false,
            testaments: None,
        }
    }

    /// The calls and registrations, made when they are needed for the first time.
    pub(super) fn rpc(&mut self, hashing: &Hashing) -> &mut Rpc {
        self.rpc.get_or_insert_with(|| {
            Box::new(Rpc {
                procedures: hashing.map(),
                registrations: hashing.map(),
                calls: hashing.map(),
                finished: BTreeSet::new(),
                invocations: hashing.map(),
                by_call: hashing.map(),
                last_invocation: RequestId::default(),
            })
        })
    }

    /// True if a request with this id has not been answered yet.
    pub(super) fn is_open(&self, request: RequestId) -> bool {
        self.open.contains_key(&request) || self.rpc.as_ref().is_some_and(|rpc| rpc.calls.contains_key(&request))
    }

    /// The marker at which a new subscription waits for SUBSCRIBED.
    pub(super) fn fresh_marker(&mut self, subject: &Subject, generation: u32) -> Option<&mut Marker> {
        self.lane.iter_mut().find_map(|arrival| match arrival {
            Arrival::Marker(marker) if marker.generation == generation && marker.subject == *subject => {
                Some(&mut **marker).filter(|marker| !marker.requests.is_empty())
            }
            _ => None,
        })
    }

    /// The invocation must wait: its REGISTERED has not been queued.
    pub(super) fn is_early(&self, invoke: &Invoke) -> bool {
        // A REGISTER is open until it is answered, and hardly any is.
        if self.open.is_empty() {
            return false;
        }
        let offer = self.rpc.as_ref().and_then(|rpc| rpc.procedures.get(&invoke.subject));
        offer.is_some_and(|offer| offer.active != Some(invoke.registration) && !offer.asking.is_empty())
    }
}
