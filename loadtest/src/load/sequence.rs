//! The account of one row of numbered items.

use std::ops::Range;

/// Expects the numbers from a first one on, each once. Gaps are kept as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sequence {
    next: u64,
    gaps: Vec<Range<u64>>,
}

/// What an arrival turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is the highest number so far.
    Forward,
    /// A later one came before it.
    Late,
    Doubled,
}

impl Sequence {
    /// A row that begins with `first`.
    pub(crate) fn from(first: u64) -> Self {
        Self { next: first, gaps: Vec::new() }
    }

    pub(crate) fn arrive(&mut self, number: u64) -> Arrival {
        if number >= self.next {
            if number > self.next {
                self.gaps.push(self.next..number);
            }
            self.next = number + 1;
            Arrival::Forward
        } else if fill_gap(&mut self.gaps, number) {
            Arrival::Late
        } else {
            Arrival::Doubled
        }
    }

    /// The number after the highest that has arrived.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Numbers below the highest that have not arrived.
    pub(crate) fn missing(&self) -> u64 {
        self.gaps.iter().map(|gap| gap.end - gap.start).sum()
    }
}

/// Takes a number out of the gaps; false if it is in none.
pub(crate) fn fill_gap(gaps: &mut Vec<Range<u64>>, number: u64) -> bool {
    let Some(at) = gaps.iter().position(|gap| gap.contains(&number)) else { return false };
    let gap = gaps.swap_remove(at);
    gaps.extend([gap.start..number, number + 1..gap.end].into_iter().filter(|part| !part.is_empty()));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_arrival_is_what_it_is() {
        let mut row = Sequence::from(5);
        for (number, arrival) in [
            (5, Arrival::Forward),
            (8, Arrival::Forward),
            (7, Arrival::Late),
            (7, Arrival::Doubled),
            (4, Arrival::Doubled),
        ] {
            assert_eq!(row.arrive(number), arrival, "{number}");
        }
        assert_eq!((row.next(), row.missing()), (9, 1));
    }
}
