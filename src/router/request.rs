//! What requests of clients have in common: their ids and URIs are checked, and what cannot be done is refused.

use super::effect::ConnId;
use super::shard::Shard;
use crate::session::RealmIndex;
use crate::session::options::{Refused, Unfit};
use crate::wamp::message::Error;
use crate::wamp::uri::is_reserved;
use crate::wamp::{Dict, MatchPolicy, Message, MessageType, Payload, RequestId, error};

impl Shard {
    /// Checks the id of a client's request; false if the session has been ended for it.
    pub(super) fn accept_request(&mut self, conn: ConnId, request: RequestId, name: &str) -> bool {
        let Some(realm) = self.session_at(conn).map(|session| session.realm) else { return false };
        let strict = self.config.realms[usize::from(realm)].strict;
        let Some(session) = self.session_at(conn) else { return false };
        if session.is_open(request) {
            self.violation(conn, &format!("{name}: request {request} is still open"));
            return false;
        }
        if let Err(wanted) = session.requests.accept(request, strict) {
            self.violation(conn, &format!("{name}: request id {request}, but {wanted} comes next"));
            return false;
        }
        true
    }

    /// Checks a topic, procedure or pattern that a client names.
    pub(super) fn check_uri(&self, realm: RealmIndex, uri: &str, policy: MatchPolicy) -> Result<(), Refused> {
        let max = self.config.limits.uri_bytes_max;
        if uri.len() > max as usize {
            return Err((error::INVALID_URI, format!("a URI may have {max} octets, this one has {}", uri.len())));
        }
        if !self.config.realms[usize::from(realm)].uri_rules.allow_pattern(uri, policy) {
            return Err((error::INVALID_URI, format!("{uri:?} is not a URI that this realm allows")));
        }
        Ok(())
    }

    /// Refuses URIs that are the router's own, for what is published or registered.
    pub(super) fn check_not_reserved(&self, realm: RealmIndex, uri: &str) -> Result<(), Refused> {
        if is_reserved(uri) {
            return Err((error::INVALID_URI, format!("{uri:?} is reserved: 'wamp' must not be the first component")));
        }
        let reserved = &self.config.realms[usize::from(realm)].reserved;
        match reserved.iter().find(|prefix| uri.starts_with(&***prefix)) {
            None => Ok(()),
            Some(prefix) => {
                Err((error::INVALID_URI, format!("{uri:?} is reserved: this realm keeps {prefix:?} for itself")))
            }
        }
    }

    /// Answers a request with ERROR.
    pub(super) fn refuse(&mut self, conn: ConnId, request_type: MessageType, request: RequestId, refused: Refused) {
        let Some(session) = self.session_at(conn) else { return };
        let class = session.class;
        let (error, message) = refused;
        let details = Dict::new().with("message", &*message);
        let error = Error { request_type, request, details, error: error.into(), payload: Payload::NONE };
        let _ = self.send(conn, class, &Message::Error(error));
    }

    /// Answers a request whose options cannot be acted on.
    pub(super) fn unfit(&mut self, conn: ConnId, request_type: MessageType, request: RequestId, unfit: Unfit) {
        match unfit {
            Unfit::Breach(wrong) => self.violation(conn, &format!("{}.Options: {wrong}", request_type.name())),
            Unfit::Refused(refused) => self.refuse(conn, request_type, request, refused),
        }
    }
}
