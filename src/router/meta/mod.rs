//! The meta API: what the router tells of itself (specification, "Meta API").
//!
//! Meta procedures are answered by those who know: sessions are known by their shards, subscriptions and registrations
//! by their homes. The caller's shard asks, and puts the answers together. So an answer agrees with every
//! acknowledgement that was written before the question was read (rule R10 of `docs/ordering.md`).

pub(super) mod event;
pub(super) mod job;
mod procedures;
pub(super) mod reading;
mod sessions;
mod subjects;
pub(super) mod testament;

use super::effect::ConnId;
use super::peer::{Query, Reply, ShardMsg};
use super::shard::Shard;
use crate::session::RealmIndex;
use crate::wamp::codec::TranscodeError;
use crate::wamp::message;
use crate::wamp::{Dict, Message, MessageType, Payload, RequestId, Serializer, Value, codec, error};
use job::Job;
use procedures::{Plan, Targets};

impl Shard {
    /// Publishes something that happened, if anybody wants to know.
    pub(super) fn publish_meta(&mut self, realm: RealmIndex, topic: &str, arguments: impl FnOnce() -> Vec<Value>) {
        if !self.replica.is_wanted(realm, topic) {
            return;
        }
        let Ok(raw) = codec::payload(Serializer::Json, arguments(), Dict::new()) else { return };
        let publication = self.new_publication(None, topic.into(), Payload::new(raw), None);
        self.route(realm, publication, None, None);
    }

    /// A call of a procedure that is the router's own.
    pub(super) fn meta_call(&mut self, conn: ConnId, request: RequestId, procedure: &str, payload: &Payload) {
        let Some(session) = self.session_at(conn) else { return };
        let (id, realm, identity) = (session.id, session.realm, session.identity.clone());
        let plan = payload.values().map_err(|why| (error::INVALID_PAYLOAD, why.to_string()));
        let plan = plan.and_then(|(args, kwargs)| self.plan(conn, procedure, args, &kwargs));
        let (targets, question, merge) = match plan {
            Ok(Plan::Ask(targets, question, merge)) => (targets, question, merge),
            Ok(Plan::Done) => return self.give_result(conn, request, Vec::new()),
            Err(refused) => return self.refuse(conn, MessageType::Call, request, refused),
        };
        let shards = match targets {
            Targets::All => (0..self.config.shards).collect(),
            Targets::Shards(shards) => shards,
        };
        if let Some(session) = self.session_at(conn) {
            session.open.insert(request, ());
        }
        let job = self.jobs.begin(Job::new(id, request, shards.len(), merge));
        if shards.is_empty() {
            return self.finish_job(job);
        }
        for shard in shards {
            let (identity, question) = (identity.clone(), question.clone());
            let query = Query { job, realm, caller: id, identity, question };
            self.send_peer(shard, ShardMsg::Query(Box::new(query)));
        }
    }

    pub(super) fn arrive_reply(&mut self, reply: Reply) {
        if self.jobs.add(reply.job, reply.finding) {
            self.finish_job(reply.job);
        }
    }

    fn finish_job(&mut self, job: u64) {
        let Some(job) = self.jobs.finish(job) else { return };
        let (session, request) = (job.session, job.request);
        let Some(&conn) = self.sessions.get(&session) else { return };
        if let Some(session) = self.session_at(conn) {
            session.open.remove(&request);
        }
        let events = job.gives_events();
        match job.result() {
            Ok(arguments) if events => {
                let Some(class) = self.session_at(conn).map(|session| session.class) else { return };
                let arguments = reading::sayable(self.frames.serializer(class), arguments);
                self.give_payload(conn, request, arguments);
            }
            Ok(arguments) => self.give_result(conn, request, arguments),
            Err(refused) => self.refuse(conn, MessageType::Call, request, refused),
        }
    }

    fn give_result(&mut self, conn: ConnId, request: RequestId, arguments: Vec<Value>) {
        let Some(class) = self.session_at(conn).map(|session| session.class) else { return };
        let payload = if arguments.is_empty() {
            Ok(Payload::NONE)
        } else {
            codec::payload(self.frames.serializer(class), arguments, Dict::new()).map(Payload::new)
        };
        self.give_payload(conn, request, payload);
    }

    fn give_payload(&mut self, conn: ConnId, request: RequestId, payload: Result<Payload, TranscodeError>) {
        let Some(class) = self.session_at(conn).map(|session| session.class) else { return };
        let payload = match payload {
            Ok(payload) => payload,
            Err(why) => {
                return self.refuse(conn, MessageType::Call, request, (error::INVALID_PAYLOAD, why.to_string()));
            }
        };
        let result = Message::Result(message::Result { request, details: Dict::new(), payload });
        if let Err(reason) = self.send(conn, class, &result) {
            self.refuse(conn, MessageType::Call, request, super::call::undeliverable(&reason, "the caller"));
        }
    }
}
