//! Prefix patterns: a radix trie over octets.

/// Values by prefix pattern. A pattern matches a URI that begins with its characters; the empty pattern matches all.
#[derive(Debug)]
pub struct PrefixTrie<T> {
    root: Node<T>,
    len: usize,
}

#[derive(Debug)]
struct Node<T> {
    /// The octets between the parent and this node; empty at the root alone.
    label: Box<[u8]>,
    value: Option<T>,
    /// By the first octet of their labels.
    children: Vec<Node<T>>,
}

impl<T> Node<T> {
    fn child(&self, octets: &[u8]) -> Result<usize, usize> {
        match octets.first() {
            Some(first) => self.children.binary_search_by_key(first, |child| child.label[0]),
            None => Err(0),
        }
    }

    /// Cuts the label, so that a node stands at the cut.
    fn split(&mut self, at: usize) {
        let (front, back) = self.label.split_at(at);
        let (front, back): (Box<[u8]>, Box<[u8]>) = (front.into(), back.into());
        let children = std::mem::take(&mut self.children);
        let lower = Node { label: back, value: self.value.take(), children };
        self.label = front;
        self.children.push(lower);
    }

    /// Joins a node that says nothing with its only child.
    fn join(&mut self) {
        if self.value.is_some() || self.children.len() != 1 || self.label.is_empty() {
            return;
        }
        let Some(child) = self.children.pop() else { return };
        self.label = [&*self.label, &*child.label].concat().into();
        self.value = child.value;
        self.children = child.children;
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
        PrefixTrie { root: Node { label: Box::default(), value: None, children: Vec::new() }, len: 0 }
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
        let mut rest = pattern.as_bytes();
        while !rest.is_empty() {
            let at = node.child(rest).ok()?;
            node = &mut node.children[at];
            rest = rest.strip_prefix(&*node.label)?;
        }
        node.value.as_mut()
    }

    /// Sets the value of a pattern; gives the one before.
    pub fn insert(&mut self, pattern: &str, value: T) -> Option<T> {
        let mut node = &mut self.root;
        let mut rest = pattern.as_bytes();
        while !rest.is_empty() {
            match node.child(rest) {
                Ok(at) => {
                    node = &mut node.children[at];
                    let common = rest.iter().zip(&*node.label).take_while(|(a, b)| a == b).count();
                    if common < node.label.len() {
                        node.split(common);
                    }
                    rest = &rest[common..];
                }
                Err(at) => {
                    node.children.insert(at, Node { label: rest.into(), value: None, children: Vec::new() });
                    node = &mut node.children[at];
                    rest = &[];
                }
            }
        }
        let before = node.value.replace(value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Forgets a pattern; gives its value.
    pub fn remove(&mut self, pattern: &str) -> Option<T> {
        // The nodes on the way that may have to be joined are the last and the one before it.
        let mut rest = pattern.as_bytes();
        let mut node = &mut self.root;
        loop {
            if rest.is_empty() {
                // Only the root is reached without looking at it as a child.
                let value = node.value.take();
                self.len -= usize::from(value.is_some());
                return value;
            }
            let at = node.child(rest).ok()?;
            let after = rest.strip_prefix(&*node.children[at].label)?;
            if after.is_empty() {
                let child = &mut node.children[at];
                let value = child.value.take()?;
                if child.children.is_empty() {
                    node.children.remove(at);
                } else {
                    child.join();
                }
                node.join();
                self.len -= 1;
                return Some(value);
            }
            rest = after;
            node = &mut node.children[at];
        }
    }

    /// Gives the value of every pattern that matches, the shortest first.
    pub fn for_each_match(&self, uri: &str, mut each: impl FnMut(&T)) {
        let mut node = &self.root;
        let mut rest = uri.as_bytes();
        loop {
            if let Some(value) = &node.value {
                each(value);
            }
            let Ok(at) = node.child(rest) else { return };
            node = &node.children[at];
            let Some(after) = rest.strip_prefix(&*node.label) else { return };
            rest = after;
        }
    }

    /// The value of the longest pattern that matches.
    #[must_use]
    pub fn longest_match(&self, uri: &str) -> Option<&T> {
        let mut longest = None;
        let mut node = &self.root;
        let mut rest = uri.as_bytes();
        loop {
            longest = node.value.as_ref().or(longest);
            let Ok(at) = node.child(rest) else { return longest };
            node = &node.children[at];
            let Some(after) = rest.strip_prefix(&*node.label) else { return longest };
            rest = after;
        }
    }
}
