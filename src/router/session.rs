//! A session as its shard keeps it.

use super::effect::ConnId;
use super::frames::Class;
use super::index::ShardIndex;
use super::map::{Hashing, Map};
use super::peer::{CallRef, Invoke, Publication, Return};
use super::subject::Subject;
use crate::session::features::ClientFeatures;
use crate::session::{RealmIndex, RequestIds};
use crate::wamp::{RegistrationId, RequestId, SessionId, SubscriptionId, Uri};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;

/// An open session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) realm: RealmIndex,
    pub(super) conn: ConnId,
    pub(super) class: Class,
    pub(super) features: ClientFeatures,
    pub(super) requests: RequestIds,
    pub(super) subscriptions: Map<Subject, Subscription>,
    /// Requests other than calls that have not been answered.
    pub(super) open: Map<RequestId, ()>,
    /// What a session that neither calls nor registers does not pay for.
    pub(super) rpc: Option<Box<Rpc>>,
    pub(super) lane: Lane,
}

/// What a session has of a subject.
#[derive(Debug)]
pub(super) enum Subscription {
    /// The home has been asked on behalf of these requests.
    Pending(SmallVec<[RequestId; 2]>),
    /// The session gets events.
    Active {
        id: SubscriptionId,
        /// Where it stands among the members of the subscription on this shard.
        position: u32,
        /// Tells this subscription from earlier ones of the same subject.
        generation: u32,
    },
}

/// The calls and registrations of a session.
#[derive(Debug)]
pub(super) struct Rpc {
    pub(super) procedures: Map<Uri, Offer>,
    pub(super) registrations: Map<RegistrationId, Uri>,
    pub(super) calls: Map<RequestId, Call>,
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
    pub(super) next: SmallVec<[RequestId; 1]>,
}

/// A call that a session has made and that has no final answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) call: CallRef,
    pub(super) callee: SessionId,
    pub(super) shard: ShardIndex,
    /// CANCEL with mode `kill` has come.
    pub(super) killed: bool,
}

/// A call that a session has to answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Invocation {
    pub(super) call: CallRef,
    pub(super) caller: SessionId,
    pub(super) request: RequestId,
    pub(super) progress: bool,
}

/// What arrives for a session, in order (rule R7): nearly always empty, since nearly nothing has to wait.
pub(super) type Lane = VecDeque<Arrival>;

/// Something that arrives for a session.
#[derive(Debug)]
pub(super) enum Arrival {
    Event { subscription: SubscriptionId, generation: u32, publication: Arc<Publication> },
    Invoke(Box<Invoke>),
    Return(Box<Return>),
    Unregistered { procedure: Uri, request: RequestId },
}

impl Session {
    /// The calls and registrations, made when they are needed for the first time.
    pub(super) fn rpc(&mut self, hashing: &Hashing) -> &mut Rpc {
        self.rpc.get_or_insert_with(|| {
            Box::new(Rpc {
                procedures: hashing.map(),
                registrations: hashing.map(),
                calls: hashing.map(),
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

    /// The invocation must wait: its REGISTERED has not been queued.
    pub(super) fn is_early(&self, invoke: &Invoke) -> bool {
        let offer = self.rpc.as_ref().and_then(|rpc| rpc.procedures.get(&*invoke.procedure));
        offer.is_some_and(|offer| offer.active.is_none() && !offer.asking.is_empty())
    }
}
