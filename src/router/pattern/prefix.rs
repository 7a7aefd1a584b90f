//! Prefix patterns: a radix trie over octets.

use super::nodes::{self, Nodes, ROOT};
use std::iter;

/// Values by prefix pattern. A pattern matches a URI that begins with its characters, wherever components end; the
/// empty pattern matches all.
///
/// Matching costs a time in proportion to the length of the URI, whatever the number of patterns. There are fewer than
/// two nodes per pattern, besides the root.
#[derive(Debug)]
pub struct PrefixTrie<T> {
    nodes: Nodes<Node<T>>,
    len: usize,
}

/// Every node but the root has a value or at least two children.
#[derive(Debug)]
struct Node<T> {
    /// The octets between the parent and this node; empty at the root alone.
    label: Box<[u8]>,
    value: Option<T>,
    /// Sorted by the first octets of their labels.
    children: Vec<Child>,
}

#[derive(Clone, Copy, Debug)]
struct Child {
    first: u8,
    index: usize,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node { label: Box::default(), value: None, children: Vec::new() }
    }
}

impl<T> nodes::Node for Node<T> {
    fn relink(&mut self, moved: &[usize]) {
        self.children.iter_mut().for_each(|child| child.index = moved[child.index]);
    }
}

impl<T> Node<T> {
    /// Where among the children the one with this first octet is, or would have to be.
    fn search(&self, first: u8) -> Result<usize, usize> {
        self.children.binary_search_by_key(&first, |child| child.first)
    }

    /// The child below which everything is that begins with these octets.
    fn child(&self, octets: &[u8]) -> Option<usize> {
        let at = self.search(*octets.first()?).ok()?;
        Some(self.children[at].index)
    }

    /// Forgets the child with this first octet.
    fn disown(&mut self, first: u8) {
        self.children.retain(|child| child.first != first);
        // A branch that was once wide must not hold its memory for good.
        if self.children.len() < self.children.capacity() / 4 {
            self.children.shrink_to(self.children.len() * 2);
        }
    }
}

impl<T> Default for PrefixTrie<T> {
    fn default() -> Self {
        PrefixTrie::new()
    }
}

impl<T> PrefixTrie<T> {
    /// No patterns.
    #[must_use]
    pub fn new() -> PrefixTrie<T> {
        PrefixTrie { nodes: Nodes::new(), len: 0 }
    }

    /// Number of patterns.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True if there are no patterns.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of exactly this pattern.
    #[must_use]
    pub fn get(&self, pattern: &str) -> Option<&T> {
        self.nodes[self.find(pattern)?].value.as_ref()
    }

    /// The value of exactly this pattern.
    #[must_use]
    pub fn get_mut(&mut self, pattern: &str) -> Option<&mut T> {
        let index = self.find(pattern)?;
        self.nodes[index].value.as_mut()
    }

    /// Sets the value of a pattern; gives the one before.
    pub fn insert(&mut self, pattern: &str, value: T) -> Option<T> {
        let mut index = ROOT;
        let mut rest = pattern.as_bytes();
        while let Some(&first) = rest.first() {
            match self.nodes[index].search(first) {
                Ok(at) => {
                    let child = self.nodes[index].children[at].index;
                    let label = &self.nodes[child].label;
                    let common = rest.iter().zip(label).take_while(|(a, b)| a == b).count();
                    if common < label.len() {
                        self.split(child, common);
                    }
                    index = child;
                    rest = &rest[common..];
                }
                Err(at) => {
                    let leaf = self.nodes.add(Node { label: rest.into(), ..Node::default() });
                    self.nodes[index].children.insert(at, Child { first, index: leaf });
                    index = leaf;
                    rest = &[];
                }
            }
        }
        let before = self.nodes[index].value.replace(value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Forgets a pattern; gives its value.
    pub fn remove(&mut self, pattern: &str) -> Option<T> {
        let (mut parent, mut index) = (ROOT, ROOT);
        let mut rest = pattern.as_bytes();
        while !rest.is_empty() {
            parent = index;
            index = self.nodes[index].child(rest)?;
            rest = rest.strip_prefix(&*self.nodes[index].label)?;
        }
        let value = self.nodes[index].value.take()?;
        self.len -= 1;
        if index != ROOT && self.nodes[index].children.is_empty() {
            let node = self.nodes.take(index);
            self.nodes[parent].disown(node.label[0]);
            self.join(parent);
        } else {
            self.join(index);
        }
        self.nodes.tidy();
        Some(value)
    }

    /// Gives the value of every pattern that matches, the shortest first.
    pub fn for_each_match(&self, uri: &str, each: impl FnMut(&T)) {
        self.matches(uri).for_each(each);
    }

    /// The value of the longest pattern that matches.
    #[must_use]
    pub fn longest_match(&self, uri: &str) -> Option<&T> {
        self.matches(uri).last()
    }

    /// The values on the way down.
    fn matches(&self, uri: &str) -> impl Iterator<Item = &T> {
        let mut rest = uri.as_bytes();
        iter::successors(Some(&self.nodes[ROOT]), move |node| {
            let child = &self.nodes[node.child(rest)?];
            rest = rest.strip_prefix(&*child.label)?;
            Some(child)
        })
        .filter_map(|node| node.value.as_ref())
    }

    /// The node where a pattern ends.
    fn find(&self, pattern: &str) -> Option<usize> {
        let mut index = ROOT;
        let mut rest = pattern.as_bytes();
        while !rest.is_empty() {
            index = self.nodes[index].child(rest)?;
            rest = rest.strip_prefix(&*self.nodes[index].label)?;
        }
        Some(index)
    }

    /// Cuts a node in two: the upper one, with the first octets of the label, takes its place.
    fn split(&mut self, index: usize, at: usize) {
        let mut lower = std::mem::take(&mut self.nodes[index]);
        let (front, back) = lower.label.split_at(at);
        let (front, back): (Box<[u8]>, Box<[u8]>) = (front.into(), back.into());
        let first = back[0];
        lower.label = back;
        let lower = self.nodes.add(lower);
        self.nodes[index] = Node { label: front, value: None, children: vec![Child { first, index: lower }] };
    }

    /// Makes one node of a node that says nothing and its only child.
    fn join(&mut self, index: usize) {
        let node = &self.nodes[index];
        let &[child] = &*node.children else { return };
        if index == ROOT || node.value.is_some() {
            return;
        }
        let mut lower = self.nodes.take(child.index);
        lower.label = [&*self.nodes[index].label, &*lower.label].concat().into();
        self.nodes[index] = lower;
    }

    /// The number of nodes and of places for them, for tests of what is kept.
    #[cfg(test)]
    pub(super) const fn nodes(&self) -> (usize, usize) {
        (self.nodes.len(), self.nodes.capacity())
    }
}
