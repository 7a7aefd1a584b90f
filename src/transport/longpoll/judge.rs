//! What to do with a request for the long-poll transport when its head is known.

use super::reply::ReplyTo;
use crate::config::listener::TransportIndex;
use crate::transport::exchange::{Coming, Options, Target, Verdict, refuse};
use crate::wire::longpoll::{Action, Endpoint, TransportId};
use crate::wire::provenance::Provenance;
use crate::wire::request::{BodyLength, BodyReader, RequestHead};

/// Decides about a request for `path` below a path where long-polling is served.
pub(in crate::transport) fn judge(
    head: &RequestHead<'_>,
    path: &str,
    (transport, provenance): (TransportIndex, Provenance),
    options: &Options,
) -> Verdict {
    let mut reply = ReplyTo::new(!head.keep_alive, head.origin);
    reply.head_only = head.method == "HEAD";
    // A body that nobody reads stands in front of the next request.
    let bodyless = matches!(head.body, BodyLength::Absent | BodyLength::Octets(0));
    let answer = |mut reply: ReplyTo, status: u16, text: &str| {
        reply.close |= !bodyless;
        Verdict::Answer { response: reply.error(status, text), close: reply.close }
    };
    let Some(endpoint) = Endpoint::from_path(path) else {
        return answer(reply, 404, "long-polling has open, and receive, send and close of each transport");
    };
    if head.method == "OPTIONS" {
        reply.close |= !bodyless;
        return Verdict::Answer { response: reply.preflight(head.wanted_headers), close: reply.close };
    }
    if head.method != "POST" {
        return answer(reply, 405, "only POST is served here");
    }
    let needs_body = matches!(endpoint, Endpoint::Open | Endpoint::Transport(_, Action::Send));
    if needs_body && head.body == BodyLength::Absent {
        return answer(reply, 411, "the length of the body is missing");
    }
    match endpoint {
        Endpoint::Transport(Some(TransportId { shard, .. }), _) if shard != options.shard && shard < options.shards => {
            return Verdict::Move(shard);
        }
        _ => {}
    }
    let octets_max = match endpoint {
        Endpoint::Transport(_, Action::Send) => options.lines.of(transport).message_bytes_max,
        _ => options.header_bytes_max,
    };
    match BodyReader::new(head.body, octets_max) {
        Ok(reader) => {
            let said = head.forwarded.iter().filter(|_| endpoint == Endpoint::Open);
            let forwarded = said.map(|(header, value)| (*header, (*value).to_owned())).collect();
            let target = Target::LongPoll { endpoint, transport, forwarded, provenance };
            let coming = Coming { target, reply, reader };
            Verdict::Read(Box::new(coming), head.expects_continue)
        }
        Err(refusal) => refuse(refusal, reply),
    }
}
