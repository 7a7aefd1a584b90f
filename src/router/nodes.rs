//! Which nodes share out what has a routing key (specification, "Sharded Subscription"; R13 of `docs/ordering.md`).
//!
//! The publisher's shard chooses, from what its replica knows, one node for each subscription; the shards of the
//! subscribers compare. A subscriber becomes a member first and is counted to its node then, so that what goes to a new
//! node finds somebody there; what comes meanwhile waits in its lane, behind a marker in place of SUBSCRIBED.

use super::choice::Ranking;
use super::config::Rule;
use super::effect::ConnId;
use super::index::ShardIndex;
use super::map::{Hashing, Map};
use super::peer::Publication;
use super::replica::ShardSet;
use super::session::Subscription;
use super::shard::Shard;
use super::subject::Subject;
use crate::wamp::{SessionId, SubscriptionId};
use std::sync::Arc;

/// `SUBSCRIBE.Options.nkey`: the name of a node, any text.
pub type NodeKey = Arc<str>;

/// The nodes of the subscriptions that have some, as far as a publisher's shard has to know them.
#[derive(Debug)]
pub(super) struct Nodes {
    /// Sorted by name, with the shards where each has members; never none.
    of: Map<SubscriptionId, Vec<(NodeKey, ShardSet)>>,
}

impl Nodes {
    pub(super) fn new(hashing: &Hashing) -> Nodes {
        Nodes { of: hashing.map() }
    }

    /// A shard has its first member of a node.
    pub(super) fn up(&mut self, id: SubscriptionId, node: NodeKey, shard: ShardIndex) {
        let nodes = self.of.entry(id).or_default();
        let at = nodes.binary_search_by(|(known, _)| known.cmp(&node)).unwrap_or_else(|at| {
            nodes.insert(at, (node, ShardSet::default()));
            at
        });
        nodes[at].1.insert(shard);
    }

    /// A shard has no member of a node any longer.
    pub(super) fn down(&mut self, id: SubscriptionId, node: &NodeKey, shard: ShardIndex) {
        let Some(nodes) = self.of.get_mut(&id) else { return };
        let Ok(at) = nodes.binary_search_by(|(known, _)| known.cmp(node)) else { return };
        nodes[at].1.remove(shard);
        if nodes[at].1.is_empty() {
            nodes.remove(at);
        }
        if nodes.is_empty() {
            self.of.remove(&id);
        }
    }

    /// The node of a subscription that gets what has this key; none if no node is known. A node that comes or goes
    /// changes the choice for its own keys alone.
    pub(super) fn choose(&self, id: SubscriptionId, ranking: Ranking) -> Option<&NodeKey> {
        let names = self.of.get(&id)?.iter().map(|(node, _)| node);
        names.min_by_key(|node| (ranking.of(node.as_bytes()), *node))
    }

    /// True if no subscription has any.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}

impl Shard {
    /// Every shard knows the node of a subscriber that waits for that.
    pub(super) fn node_known(&mut self, session: SessionId, token: u32) {
        if self.config.keeps(Rule::NodeKnown) {
            self.advance_marker(session, token, |marker| marker.missing -= 1);
        }
    }

    /// True if an event is for everybody, or for the node that a member of a subscription belongs to.
    pub(super) fn gets_share(
        &mut self,
        conn: ConnId,
        id: SubscriptionId,
        subject: &Subject,
        publication: &Publication,
    ) -> bool {
        let Some(nodes) = publication.nodes() else { return true };
        let Some(session) = self.session_at(conn) else { return false };
        match session.subscriptions.get(subject) {
            Some(Subscription::Active { node: Some(own), .. }) => {
                nodes.iter().any(|(of, node)| *of == id && node == own)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: SubscriptionId = SubscriptionId::from_raw(7);

    fn nodes(names: &[String]) -> Nodes {
        let mut nodes = Nodes::new(&Hashing::new(1));
        names.iter().for_each(|name| nodes.up(ID, name.as_str().into(), 0));
        nodes
    }

    #[test]
    fn nodes_are_there_while_a_shard_has_members() {
        let mut nodes = nodes(&[]);
        assert_eq!(nodes.choose(ID, Ranking::by("key")), None);
        let node = NodeKey::from("a");
        nodes.up(ID, node.clone(), 0);
        nodes.up(ID, node.clone(), 3);
        nodes.down(ID, &node, 0);
        assert_eq!(nodes.choose(ID, Ranking::by("key")), Some(&node));
        assert_eq!(nodes.choose(SubscriptionId::from_raw(8), Ranking::by("key")), None, "another subscription");
        nodes.down(ID, &node, 3);
        assert!(nodes.is_empty());
    }

    #[test]
    fn keys_choose_the_same_node_and_spread() {
        let names: Vec<String> = (0..8).map(|n| format!("node{n}.example.com")).collect();
        let reversed: Vec<String> = names.iter().rev().cloned().collect();
        let (all, same, fewer) = (nodes(&names), nodes(&reversed), nodes(&names[1..]));
        let mut counts = [0; 8];
        for n in 0..8_000 {
            let ranking = Ranking::by(&format!("sn{n}"));
            let chosen = all.choose(ID, ranking).expect("there are nodes");
            assert_eq!(Some(chosen), same.choose(ID, ranking), "in whatever order the nodes came");
            if **chosen != *names[0] {
                assert_eq!(Some(chosen), fewer.choose(ID, ranking), "only the keys of the one that left move");
            }
            counts[names.iter().position(|name| **name == **chosen).expect("a node")] += 1;
        }
        assert!(counts.iter().all(|count| (700..1_300).contains(count)), "{counts:?}");
    }
}
