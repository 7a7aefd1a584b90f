//! Which nodes the members of subscriptions belong to, at their home (specification, "Sharded Subscription").

use super::{Home, Outbox};
use crate::router::index::ShardIndex;
use crate::router::nodes::NodeKey;
use crate::router::peer::{Answer, LogEntry};
use crate::router::subject::Subject;
use crate::wamp::{SessionId, SubscriptionId};
use std::collections::BTreeMap;

/// The members of a subscription that belong to nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    of: BTreeMap<SessionId, NodeKey>,
    places: BTreeMap<(NodeKey, ShardIndex), Place>,
}

/// That a shard has members of a node.
#[derive(Debug)]
struct Place {
    members: u32,
    since: u64,
}

impl Nodes {
    /// Adds a member; gives the position since when its shard has members of the node, `position` if it is the first.
    fn add(&mut self, session: SessionId, node: NodeKey, shard: ShardIndex, position: u64) -> u64 {
        let place = self.places.entry((node.clone(), shard)).or_insert(Place { members: 0, since: position });
        place.members += u32::from(self.of.insert(session, node).is_none());
        place.since
    }

    /// Takes a member out; gives its node if its shard has no other member of it.
    fn remove(&mut self, session: SessionId, shard: ShardIndex) -> Option<NodeKey> {
        let place = (self.of.remove(&session)?, shard);
        let left = self.places.get_mut(&place)?;
        left.members -= 1;
        if left.members > 0 {
            return None;
        }
        self.places.remove(&place);
        Some(place.0)
    }
}

impl Home {
    /// Counts a member to a node, and says when every shard knows of that.
    pub(super) fn join_node(
        &mut self,
        from: ShardIndex,
        session: SessionId,
        subject: &Subject,
        node: NodeKey,
        token: u32,
        out: &mut Outbox,
    ) {
        let next = self.log + 1;
        let topic = self.topic_ids.get(subject).and_then(|id| Some((*id, self.topics.get_mut(id)?)));
        let member = topic.filter(|(_, topic)| topic.has_member(session));
        // Otherwise it has been taken out meanwhile, and there is nothing to wait for.
        let mut position = 0;
        if let Some((id, topic)) = member {
            position = topic.nodes.get_or_insert_default().add(session, node.clone(), from, next);
            if position == next {
                self.next_position(from);
                self.broadcast(out, || LogEntry::NodeUp { position, id, node: node.clone(), shard: from });
            }
        }
        out.answer(from, Answer::NodeKnown(session, token, position));
    }

    /// Takes a member that leaves a subscription out of its node, if it belongs to one.
    pub(super) fn leave_node(&mut self, session: SessionId, shard: ShardIndex, id: SubscriptionId, out: &mut Outbox) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        let Some(nodes) = &mut topic.nodes else { return };
        let left = nodes.remove(session, shard);
        if nodes.of.is_empty() {
            topic.nodes = None;
        }
        if let Some(node) = left {
            let position = self.next_position(shard);
            self.forgotten[usize::from(shard)] = position;
            self.broadcast(out, || LogEntry::NodeDown { position, id, node: node.clone(), shard });
        }
    }
}
