//! The nodes of a trie in one vector.

use std::ops::{Index, IndexMut};

/// The index of the root, which is always there.
pub(super) const ROOT: usize = 0;

/// Below this many vacant places it is not worth moving the others together.
const VACANT_MIN: usize = 16;

/// What a trie consists of. The default is a node that says nothing and occupies no memory outside itself.
pub(super) trait Node: Default {
    /// Replaces the index of each child with what stands there in `moved`.
    fn relink(&mut self, moved: &[usize]);
}

/// Nodes by index. Vacant places are used again, and given back when they are most of all.
#[derive(Debug)]
pub(super) struct Nodes<N> {
    places: Vec<N>,
    vacant: Vec<usize>,
}

impl<N: Node> Nodes<N> {
    /// The root alone.
    pub(super) fn new() -> Nodes<N> {
        Nodes { places: vec![N::default()], vacant: Vec::new() }
    }

    /// Gives a node a place.
    pub(super) fn add(&mut self, node: N) -> usize {
        if let Some(index) = self.vacant.pop() {
            self.places[index] = node;
            return index;
        }
        self.places.push(node);
        self.places.len() - 1
    }

    /// Takes a node, to which nothing may lead any more, out of its place.
    pub(super) fn take(&mut self, index: usize) -> N {
        debug_assert_ne!(index, ROOT, "the root stays");
        self.vacant.push(index);
        std::mem::take(&mut self.places[index])
    }

    /// Moves the nodes together if more than three quarters of the places are vacant. So many nodes were taken since
    /// the last time that this costs each of them a constant. No index but the root's is valid afterwards.
    pub(super) fn tidy(&mut self) {
        if self.vacant.len() < VACANT_MIN || self.vacant.len() / 3 < self.len() {
            return;
        }
        let mut occupied = vec![true; self.places.len()];
        self.vacant.drain(..).for_each(|index| occupied[index] = false);
        self.vacant.shrink_to_fit();
        let moved: Vec<usize> = occupied
            .iter()
            .scan(0, |count, &stays| {
                let index = *count;
                *count += usize::from(stays);
                Some(index)
            })
            .collect();
        let mut stays = occupied.iter();
        self.places.retain(|_| stays.next().is_some_and(|stays| *stays));
        self.places.shrink_to_fit();
        self.places.iter_mut().for_each(|node| node.relink(&moved));
    }

    /// Number of nodes, the root included.
    pub(super) const fn len(&self) -> usize {
        self.places.len() - self.vacant.len()
    }

    /// Number of places, vacant or not, that memory is held for.
    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.places.capacity()
    }
}

impl<N> Index<usize> for Nodes<N> {
    type Output = N;

    fn index(&self, index: usize) -> &N {
        &self.places[index]
    }
}

impl<N> IndexMut<usize> for Nodes<N> {
    fn index_mut(&mut self, index: usize) -> &mut N {
        &mut self.places[index]
    }
}
