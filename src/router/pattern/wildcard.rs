//! Wildcard patterns: a trie over components.

use std::collections::BTreeMap;

/// Values by wildcard pattern. An empty component of a pattern matches any one component; there must be as many
/// components in the URI as in the pattern.
#[derive(Debug)]
pub struct WildcardTrie<T> {
    root: Node<T>,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    any: Option<Box<Node<T>>>,
    named: BTreeMap<Box<str>, Node<T>>,
}

impl<T> Node<T> {
    const fn new() -> Node<T> {
        Node { value: None, any: None, named: BTreeMap::new() }
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
    pub const fn new() -> WildcardTrie<T> {
        WildcardTrie { root: Node::new(), len: 0 }
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
    pub fn get_mut(&mut self, pattern: &str) -> Option<&mut T> {
        let mut node = &mut self.root;
        for component in pattern.split('.') {
            node = match component {
                "" => node.any.as_deref_mut()?,
                name => node.named.get_mut(name)?,
            };
        }
        node.value.as_mut()
    }

    /// Sets the value of a pattern; gives the one before.
    pub fn insert(&mut self, pattern: &str, value: T) -> Option<T> {
        let mut node = &mut self.root;
        for component in pattern.split('.') {
            node = match component {
                "" => node.any.get_or_insert_with(|| Box::new(Node::new())),
                name => {
                    if !node.named.contains_key(name) {
                        node.named.insert(name.into(), Node::new());
                    }
                    node.named.get_mut(name)?
                }
            };
        }
        let before = node.value.replace(value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Forgets a pattern; gives its value.
    pub fn remove(&mut self, pattern: &str) -> Option<T> {
        let value = self.get_mut(pattern).is_some().then(|| self.take(pattern))??;
        self.len -= 1;
        Some(value)
    }

    /// Takes the value of a pattern that is there. Nodes that only it needs are forgotten with the highest of them.
    fn take(&mut self, pattern: &str) -> Option<T> {
        // How many components lead to the last node that something else needs.
        let (mut kept, mut depth) = (0, 0);
        let mut node = &self.root;
        for component in pattern.split('.') {
            let others = usize::from(node.any.is_some()) + node.named.len() + usize::from(node.value.is_some());
            if others > 1 {
                kept = depth;
            }
            depth += 1;
            node = if component.is_empty() { node.any.as_deref()? } else { node.named.get(component)? };
        }
        if node.any.is_some() || !node.named.is_empty() {
            return self.slot(pattern).take();
        }
        let value = self.slot(pattern).take();
        let mut components = pattern.split('.');
        let mut node = &mut self.root;
        for component in components.by_ref().take(kept) {
            node = match component {
                "" => node.any.as_deref_mut()?,
                name => node.named.get_mut(name)?,
            };
        }
        match components.next()? {
            "" => node.any = None,
            name => drop(node.named.remove(name)),
        }
        debug_assert!(kept == 0 || !node.is_unused(), "a node is kept for nothing");
        value
    }

    /// Where the value of a pattern that is there stands.
    fn slot(&mut self, pattern: &str) -> &mut Option<T> {
        let mut node = &mut self.root;
        for component in pattern.split('.') {
            node = match component {
                "" => node.any.get_or_insert_with(|| Box::new(Node::new())),
                name => node.named.entry(name.into()).or_insert_with(Node::new),
            };
        }
        &mut node.value
    }

    /// Gives the value of every pattern that matches. No more nodes are visited than there are, and no more than two
    /// per component are possible continuations of each.
    pub fn for_each_match(&self, uri: &str, mut each: impl FnMut(&T)) {
        // One generation of nodes per component, on the heap: URIs may have many components.
        let mut nodes = vec![&self.root];
        let mut next = Vec::new();
        for component in uri.split('.') {
            for node in nodes.drain(..) {
                next.extend(node.named.get(component));
                next.extend(node.any.as_deref());
            }
            if next.is_empty() {
                return;
            }
            std::mem::swap(&mut nodes, &mut next);
        }
        nodes.iter().filter_map(|node| node.value.as_ref()).for_each(&mut each);
    }
}
