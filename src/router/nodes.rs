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
    use crate::router::subject;
    use crate::router::{Effect, Limits, Link, ShardConfig, ShardMsg};
    use crate::session::RealmConfig;
    use crate::wamp::Serializer;
    use crate::wire::frame::Framing;
    use std::collections::VecDeque;
    use std::time::Duration;

    const NOW: Duration = Duration::ZERO;

    /// Two shards and the queues between them, which move when they are told to.
    struct Pair {
        shards: Vec<Shard>,
        queues: [VecDeque<ShardMsg>; 2],
        /// Written to connections of shard 0.
        written: Vec<(ConnId, String)>,
    }

    impl Pair {
        fn new() -> Pair {
            let shard = |index| {
                Shard::new(ShardConfig {
                    index,
                    shards: 2,
                    seed: 1,
                    epoch: NOW,
                    realms: [RealmConfig::new("realm1")].into(),
                    auth: Arc::default(),
                    limits: Limits::default(),
                    traces: None,
                    attempts: Arc::default(),
                    census: Arc::default(),
                    agent: "test".into(),
                    #[cfg(feature = "sim")]
                    broken: None,
                })
            };
            Pair { shards: vec![shard(0), shard(1)], queues: Default::default(), written: Vec::new() }
        }

        fn join(&mut self, conn: ConnId) {
            let link = Link { serializer: Serializer::Json, framing: Framing::Bare, message_max: usize::MAX };
            self.shards[0].open(NOW, conn, link, Arc::default());
            self.receive(conn, r#"[1,"realm1",{"roles":{"publisher":{},"subscriber":{}}}]"#);
            self.settle();
        }

        fn receive(&mut self, conn: ConnId, message: &str) {
            self.shards[0].receive(NOW, conn, message.as_bytes());
            self.effects(0);
        }

        /// Moves everything that waits now for a shard.
        fn deliver_to(&mut self, to: usize) {
            for message in std::mem::take(&mut self.queues[to]) {
                self.shards[to].peer(NOW, 1 - ShardIndex::try_from(to).expect("one of two"), message);
                self.effects(to);
            }
        }

        fn settle(&mut self) {
            while self.queues.iter().any(|queue| !queue.is_empty()) {
                self.deliver_to(0);
                self.deliver_to(1);
            }
        }

        fn effects(&mut self, shard: usize) {
            while let Some(effect) = self.shards[shard].poll() {
                match effect {
                    Effect::Send { conn, frame } => {
                        self.written.push((conn, String::from_utf8_lossy(&frame.parts().concat()).into_owned()));
                    }
                    Effect::Fan { conns, frame, .. } => {
                        let text = String::from_utf8_lossy(&frame.parts().concat()).into_owned();
                        self.written.extend(conns.iter().map(|conn| (*conn, text.clone())));
                        self.shards[shard].reuse(conns);
                    }
                    Effect::Peer { to, message } => self.queues[usize::from(to)].push_back(message),
                    _ => {}
                }
            }
        }

        fn heard(&mut self, conn: ConnId, what: &str) -> usize {
            let heard = self.written.iter().filter(|(of, text)| *of == conn && text.starts_with(what)).count();
            self.written.clear();
            heard
        }
    }

    #[test]
    fn a_wish_that_was_given_up_is_not_counted_to_its_node() {
        let topic =
            (0..).map(|n| format!("topic{n}")).find(|topic| subject::home(0, topic, 2) == 1).expect("half of them");
        let mut pair = Pair::new();
        let [first, second] = [ConnId(0), ConnId(1)];
        pair.join(first);
        pair.join(second);
        pair.receive(first, &format!(r#"[32,1,{{}},"{topic}"]"#));
        pair.settle();
        assert_eq!(pair.heard(first, "[33,1,2]"), 1, "the id of the subscription is 2");
        // The second is a member, and its retained events have been asked for.
        pair.receive(second, &format!(r#"[32,1,{{"nkey":"a","get_retained":true}},"{topic}"]"#));
        pair.deliver_to(1);
        pair.deliver_to(0);
        pair.receive(second, "[34,2,2]");
        pair.receive(second, &format!(r#"[32,3,{{"nkey":"b"}},"{topic}"]"#));
        pair.settle();
        assert_eq!(pair.heard(second, "[33,3,2]"), 1);
        for key in 0..16 {
            pair.receive(first, &format!(r#"[16,{},{{"rkey":"{key}"}},"{topic}"]"#, key + 2));
        }
        pair.settle();
        assert_eq!(pair.heard(second, "[36,2,"), 16, "there is no other node");
        for conn in [first, second] {
            pair.shards[0].lost(NOW, conn);
            pair.effects(0);
        }
        pair.settle();
        assert!(pair.shards.iter().all(Shard::is_clean));
    }

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
