//! The other way round: which of many topics match one pattern.

use super::nodes::{self, Nodes, ROOT};
use crate::wamp::MatchPolicy;
use smallvec::{SmallVec, smallvec};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Values by topic. Finding those that match a pattern costs a time in proportion to what is found and to the
/// components that match on the way, whatever else is there.
#[derive(Debug)]
pub struct TopicTree<T> {
    nodes: Nodes<Node<T>>,
    len: usize,
}

/// Every node but the root has a value or a child.
#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    /// By component; sorted, so that those with a common beginning stand together.
    children: BTreeMap<Box<str>, usize>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node { value: None, children: BTreeMap::new() }
    }
}

impl<T> nodes::Node for Node<T> {
    fn relink(&mut self, moved: &[usize]) {
        self.children.values_mut().for_each(|index| *index = moved[*index]);
    }
}

impl<T> Default for TopicTree<T> {
    fn default() -> Self {
        TopicTree { nodes: Nodes::new(), len: 0 }
    }
}

impl<T> TopicTree<T> {
    /// Number of topics.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if there are no topics.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a topic, made if there is none. Every component can take a node, so the length of topics has to
    /// be limited before.
    pub fn entry(&mut self, topic: &str, make: impl FnOnce() -> T) -> &mut T {
        let mut index = ROOT;
        for component in topic.split('.') {
            index = match self.nodes[index].children.get(component) {
                Some(child) => *child,
                None => {
                    let child = self.nodes.add(Node::default());
                    self.nodes[index].children.insert(component.into(), child);
                    child
                }
            };
        }
        self.len += usize::from(self.nodes[index].value.is_none());
        self.nodes[index].value.get_or_insert_with(make)
    }

    /// The value of a topic.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&T> {
        let find = |index: usize, component| self.nodes[index].children.get(component).copied();
        self.nodes[topic.split('.').try_fold(ROOT, find)?].value.as_ref()
    }

    /// Forgets a topic; gives its value.
    pub fn remove(&mut self, topic: &str) -> Option<T> {
        let mut index = ROOT;
        let mut above: SmallVec<[usize; 16]> = SmallVec::new();
        for component in topic.split('.') {
            above.push(index);
            index = *self.nodes[index].children.get(component)?;
        }
        let value = self.nodes[index].value.take()?;
        self.len -= 1;
        for (component, parent) in topic.rsplit('.').zip(above.into_iter().rev()) {
            if self.nodes[index].value.is_some() || !self.nodes[index].children.is_empty() {
                break;
            }
            self.nodes.take(index);
            self.nodes[parent].children.remove(component);
            index = parent;
        }
        self.nodes.tidy();
        Some(value)
    }

    /// Gives the value of every topic that matches a pattern, in the order of their components.
    pub fn for_each_match(&self, policy: MatchPolicy, pattern: &str, mut each: impl FnMut(&T)) {
        match policy {
            MatchPolicy::Exact => self.get(pattern).into_iter().for_each(each),
            MatchPolicy::Prefix => self.below(pattern, each),
            MatchPolicy::Wildcard => {
                let components: SmallVec<[&str; 16]> = pattern.split('.').collect();
                let mut pending: SmallVec<[(usize, usize); 16]> = smallvec![(ROOT, 0)];
                while let Some((index, depth)) = pending.pop() {
                    let node = &self.nodes[index];
                    match components.get(depth) {
                        None => node.value.iter().for_each(&mut each),
                        Some(&"") => pending.extend(node.children.values().rev().map(|child| (*child, depth + 1))),
                        Some(&component) => {
                            pending.extend(node.children.get(component).map(|child| (*child, depth + 1)))
                        }
                    }
                }
            }
        }
    }

    /// Gives the value of every topic that begins with these characters.
    fn below(&self, prefix: &str, mut each: impl FnMut(&T)) {
        let (whole, begun) = prefix.rsplit_once('.').map_or((None, prefix), |(whole, begun)| (Some(whole), begun));
        let mut index = ROOT;
        for component in whole.into_iter().flat_map(|whole| whole.split('.')) {
            let Some(child) = self.nodes[index].children.get(component) else { return };
            index = *child;
        }
        let from = (Bound::Included(begun), Bound::Unbounded);
        let children = self.nodes[index].children.range::<str, _>(from);
        let begins = children.take_while(|(component, _)| component.starts_with(begun)).map(|(_, child)| *child);
        let mut pending: Vec<usize> = begins.collect();
        pending.reverse();
        while let Some(index) = pending.pop() {
            let node = &self.nodes[index];
            node.value.iter().for_each(&mut each);
            pending.extend(node.children.values().rev());
        }
    }

    /// The number of nodes, for tests of what is kept.
    #[cfg(test)]
    pub(super) const fn nodes(&self) -> usize {
        self.nodes.len()
    }
}
