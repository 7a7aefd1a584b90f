//! Wildcard patterns: a trie over components.

use super::nodes::{self, Nodes, ROOT};
use smallvec::{SmallVec, smallvec};
use std::collections::BTreeMap;

/// Values by wildcard pattern. An empty component of a pattern matches any one component; there must be as many
/// components in the URI as in the pattern.
///
/// Matching visits a node at most once, and only if the components that lead there match. So patterns with many empty
/// components cost no more than the nodes that they have been stored in.
#[derive(Debug)]
pub struct WildcardTrie<T> {
    nodes: Nodes<Node<T>>,
    len: usize,
}

/// Every node but the root has a value or a child.
#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    /// Below the empty component.
    any: Option<usize>,
    /// Below the other components. Sorted, not hashed: whoever chooses the patterns could also choose collisions.
    named: BTreeMap<Box<str>, usize>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node { value: None, any: None, named: BTreeMap::new() }
    }
}

impl<T> nodes::Node for Node<T> {
    fn relink(&mut self, moved: &[usize]) {
        self.any.iter_mut().chain(self.named.values_mut()).for_each(|index| *index = moved[*index]);
    }
}

impl<T> Node<T> {
    /// The child below a component of a pattern.
    fn child(&self, component: &str) -> Option<usize> {
        if component.is_empty() { self.any } else { self.named.get(component).copied() }
    }

    /// Makes a node the child below a component of a pattern.
    fn adopt(&mut self, component: &str, index: usize) {
        if component.is_empty() {
            self.any = Some(index);
        } else {
            self.named.insert(component.into(), index);
        }
    }

    /// Forgets the child below a component of a pattern.
    fn disown(&mut self, component: &str) {
        if component.is_empty() {
            self.any = None;
        } else {
            self.named.remove(component);
        }
    }

    fn is_unused(&self) -> bool {
        self.value.is_none() && self.any.is_none() && self.named.is_empty()
    }
}

impl<T> Default for WildcardTrie<T> {
    fn default() -> Self {
        WildcardTrie::new()
    }
}

impl<T> WildcardTrie<T> {
    /// No patterns.
    #[must_use]
    pub fn new() -> WildcardTrie<T> {
        WildcardTrie { nodes: Nodes::new(), len: 0 }
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

    /// Sets the value of a pattern; gives the one before. Every component of the pattern can take a node, so the
    /// length of patterns has to be limited before.
    pub fn insert(&mut self, pattern: &str, value: T) -> Option<T> {
        let mut index = ROOT;
        for component in pattern.split('.') {
            index = self.nodes[index].child(component).unwrap_or_else(|| {
                let child = self.nodes.add(Node::default());
                self.nodes[index].adopt(component, child);
                child
            });
        }
        let before = self.nodes[index].value.replace(value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Forgets a pattern; gives its value.
    pub fn remove(&mut self, pattern: &str) -> Option<T> {
        let mut index = ROOT;
        let mut above: SmallVec<[usize; 16]> = SmallVec::new();
        for component in pattern.split('.') {
            above.push(index);
            index = self.nodes[index].child(component)?;
        }
        let value = self.nodes[index].value.take()?;
        self.len -= 1;
        for (component, parent) in pattern.rsplit('.').zip(above.into_iter().rev()) {
            if !self.nodes[index].is_unused() {
                break;
            }
            self.nodes.take(index);
            self.nodes[parent].disown(component);
            index = parent;
        }
        self.nodes.tidy();
        Some(value)
    }

    /// Gives the value of every pattern that matches, the one first that is best for a call: of two patterns, the
    /// one that names the component at the first place where only one of them does (specification, "Calls matching
    /// multiple registrations").
    pub fn for_each_match(&self, uri: &str, mut each: impl FnMut(&T)) {
        if self.is_empty() {
            return;
        }
        self.visit(uri, |node, ends| {
            if ends && let Some(value) = &node.value {
                each(value);
            }
            true
        });
    }

    /// The value of the pattern that is best for a call.
    #[must_use]
    pub fn best_match(&self, uri: &str) -> Option<&T> {
        let mut best = None;
        if !self.is_empty() {
            self.visit(uri, |node, ends| {
                best = node.value.as_ref().filter(|_| ends);
                best.is_none()
            });
        }
        best
    }

    /// Gives every node that the URI leads to, and whether the URI ends there, until told not to go on.
    fn visit<'a>(&'a self, uri: &str, mut each: impl FnMut(&'a Node<T>, bool) -> bool) {
        let components: SmallVec<[&str; 16]> = uri.split('.').collect();
        // What is still to be visited, with the number of components that lead there: on the heap when there is much,
        // because URIs may have many components.
        let mut pending: SmallVec<[(usize, usize); 16]> = smallvec![(ROOT, 0)];
        while let Some((index, depth)) = pending.pop() {
            let node = &self.nodes[index];
            if !each(node, depth == components.len()) {
                return;
            }
            let Some(&component) = components.get(depth) else { continue };
            // The last one pushed is the next one visited.
            pending.extend(node.any.map(|child| (child, depth + 1)));
            pending.extend(node.named.get(component).map(|&child| (child, depth + 1)));
        }
    }

    /// The node where a pattern ends.
    fn find(&self, pattern: &str) -> Option<usize> {
        pattern.split('.').try_fold(ROOT, |index, component| self.nodes[index].child(component))
    }

    /// The number of nodes and of places for them, for tests of what is kept.
    #[cfg(test)]
    pub(super) const fn nodes(&self) -> (usize, usize) {
        (self.nodes.len(), self.nodes.capacity())
    }

    /// The number of visits that matching takes, for tests of what it costs.
    #[cfg(test)]
    pub(super) fn visits(&self, uri: &str) -> usize {
        let mut visits = 0;
        self.visit(uri, |_, _| {
            visits += 1;
            true
        });
        visits
    }
}
