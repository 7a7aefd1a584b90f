//! The account of everything that was sent: what was lost, doubled or out of order.

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Expects, at every receiver, the numbers 0, 1, 2, ... of every source, each once and in order.
///
/// In the good case one comparison and one addition per item; gaps are kept as ranges, so memory is bounded by the
/// number of gaps and not by their size.
pub(crate) struct Ledger {
    sources: usize,
    next: Vec<u64>,
    gaps: HashMap<usize, Vec<Range<u64>>>,
    tally: Tally,
}

/// The sums of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Items that should have arrived, over all receivers.
    pub(crate) expected: u64,
    /// Items that arrived, the doubled ones not counted twice.
    pub(crate) received: u64,
    /// Items that never arrived.
    pub(crate) lost: u64,
    /// Arrivals of an item that had arrived before.
    pub(crate) doubled: u64,
    /// Items that arrived after a later one of the same source.
    pub(crate) misordered: u64,
    /// Messages that should not have come at all: unreadable, of an unknown source, or for another receiver.
    pub(crate) stray: u64,
}

impl Tally {
    /// Adds the sums of another one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.received += other.received;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.misordered += other.misordered;
        self.stray += other.stray;
    }

    /// True if everything arrived exactly once, in order, and nothing else did.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.misordered == 0 && self.stray == 0
    }
}

impl Ledger {
    pub(crate) fn new(receivers: usize, sources: usize) -> Self {
        Self { sources, next: vec![0; receivers * sources], gaps: HashMap::new(), tally: Tally::default() }
    }

    /// Takes the arrival of item `number` of `source` at `receiver`. True unless it had arrived before or the source
    /// is unknown.
    pub(crate) fn arrive(&mut self, receiver: usize, source: usize, number: u64) -> bool {
        if source >= self.sources {
            self.stray();
            return false;
        }
        let cell = receiver * self.sources + source;
        let next = &mut self.next[cell];
        if number == *next {
            *next += 1;
        } else if number > *next {
            self.gaps.entry(cell).or_default().push(*next..number);
            *next = number + 1;
        } else if self.fill_gap(cell, number) {
            self.tally.misordered += 1;
        } else {
            self.tally.doubled += 1;
            return false;
        }
        self.tally.received += 1;
        true
    }

    /// Counts a message that should not have come.
    pub(crate) fn stray(&mut self) {
        self.tally.stray += 1;
    }

    /// The number after the highest that has arrived.
    pub(crate) fn next(&self, receiver: usize, source: usize) -> u64 {
        self.next[receiver * self.sources + source]
    }

    /// Items that have arrived so far.
    pub(crate) fn received(&self) -> u64 {
        self.tally.received
    }

    /// The sums, if `expected` items should have arrived over all receivers.
    pub(crate) fn tally(&self, expected: u64) -> Tally {
        Tally { expected, lost: expected.saturating_sub(self.tally.received), ..self.tally }
    }

    fn fill_gap(&mut self, cell: usize, number: u64) -> bool {
        let Some(gaps) = self.gaps.get_mut(&cell) else { return false };
        let Some(at) = gaps.iter().position(|gap| gap.contains(&number)) else { return false };
        let gap = gaps.swap_remove(at);
        gaps.extend([gap.start..number, number + 1..gap.end].into_iter().filter(|part| !part.is_empty()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(numbers: &[u64], expected: u64) -> Tally {
        let mut ledger = Ledger::new(2, 3);
        for number in numbers {
            ledger.arrive(1, 2, *number);
        }
        ledger.tally(expected)
    }

    #[test]
    fn order_without_gaps_is_clean() {
        let tally = play(&[0, 1, 2, 3], 4);
        assert!(tally.is_clean());
        assert_eq!(tally.received, 4);
    }

    #[test]
    fn each_fault_is_counted_as_what_it_is() {
        let faults = |numbers: &[u64], expected| {
            let tally = play(numbers, expected);
            (tally.lost, tally.doubled, tally.misordered)
        };
        assert_eq!(faults(&[0, 1, 3], 4), (1, 0, 0));
        assert_eq!(faults(&[0, 1], 4), (2, 0, 0));
        assert_eq!(faults(&[5], 6), (5, 0, 0));
        assert_eq!(faults(&[0, 1, 1, 2], 3), (0, 1, 0));
        assert_eq!(faults(&[0, 2, 1, 3], 4), (0, 0, 1));
        assert_eq!(faults(&[0, 2, 1, 1, 3], 4), (0, 1, 1));
        assert_eq!(faults(&[9, 5, 3, 4, 0, 9, 1, 2, 6, 7, 8], 10), (0, 1, 9));
    }

    #[test]
    fn receivers_and_sources_do_not_mix() {
        let mut ledger = Ledger::new(2, 2);
        for receiver in 0..2 {
            for source in 0..2 {
                assert!(ledger.arrive(receiver, source, 0));
            }
        }
        assert!(!ledger.arrive(0, 2, 0));
        let tally = ledger.tally(4);
        assert_eq!((tally.lost, tally.stray), (0, 1));
        assert!(!tally.is_clean());
    }
}
