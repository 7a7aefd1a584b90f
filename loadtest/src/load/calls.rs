//! The account of one caller's calls: each gets its progressive results in order, and exactly one final reply.

use std::collections::VecDeque;

use crate::load::sequence::{Arrival, Sequence};

/// The open calls of a caller, which have consecutive numbers from 0.
#[derive(Default)]
pub(crate) struct Calls {
    /// The calls from `oldest` on; None once it is answered.
    open: VecDeque<Option<Call>>,
    oldest: u64,
    answered: u64,
}

struct Call {
    intended: u64,
    progress: Sequence,
}

/// What a final reply turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The first one.
    First {
        /// Intended time of the call.
        intended: u64,
        /// Progressive results that had not come before it.
        missing: u64,
    },
    Doubled,
    /// No such call was made.
    Unknown,
}

impl Calls {
    /// Notes a call; gives its number.
    pub(crate) fn begin(&mut self, intended: u64) -> u64 {
        self.open.push_back(Some(Call { intended, progress: Sequence::default() }));
        self.made() - 1
    }

    /// Takes progressive result `step` of a call; None if the call is not open.
    pub(crate) fn progress(&mut self, number: u64, step: u64) -> Option<Arrival> {
        let place = number.checked_sub(self.oldest)?;
        let call = self.open.get_mut(place as usize)?.as_mut()?;
        Some(call.progress.arrive(step))
    }

    /// Takes the final reply to a call, which `steps` progressive results should have come before.
    pub(crate) fn end(&mut self, number: u64, steps: u64) -> Reply {
        let Some(place) = number.checked_sub(self.oldest) else { return Reply::Doubled };
        let Some(slot) = self.open.get_mut(place as usize) else { return Reply::Unknown };
        let Some(call) = slot.take() else { return Reply::Doubled };
        self.answered += 1;
        while matches!(self.open.front(), Some(None)) {
            self.open.pop_front();
            self.oldest += 1;
        }
        Reply::First { intended: call.intended, missing: call.missing(steps) }
    }

    /// Calls made so far.
    pub(crate) fn made(&self) -> u64 {
        self.oldest + self.open.len() as u64
    }

    /// Calls without a reply.
    pub(crate) fn pending(&self) -> u64 {
        self.made() - self.answered
    }

    /// Progressive results that the open calls have not got, of `steps` each.
    pub(crate) fn missing(&self, steps: u64) -> u64 {
        self.open.iter().flatten().map(|call| call.missing(steps)).sum()
    }
}

impl Call {
    fn missing(&self, steps: u64) -> u64 {
        steps.saturating_sub(self.progress.next()) + self.progress.missing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_gets_one_reply_in_any_order() {
        let mut calls = Calls::default();
        for number in 0..5 {
            assert_eq!(calls.begin(100 + number), number);
        }
        for number in [3, 0, 1] {
            assert_eq!(calls.end(number, 0), Reply::First { intended: 100 + number, missing: 0 });
            assert_eq!(calls.end(number, 0), Reply::Doubled);
        }
        assert_eq!((calls.made(), calls.pending()), (5, 2));
        assert_eq!(calls.end(5, 0), Reply::Unknown);
        assert_eq!(calls.end(u64::MAX, 0), Reply::Unknown);
        assert_eq!(calls.end(2, 0), Reply::First { intended: 102, missing: 0 });
        assert_eq!(calls.begin(105), 5);
        assert_eq!((calls.made(), calls.pending()), (6, 2));
    }

    #[test]
    fn progressive_results_come_in_order_before_the_final_one() {
        let mut calls = Calls::default();
        calls.begin(7);
        calls.begin(8);
        for (step, arrival) in [(0, Arrival::Forward), (2, Arrival::Forward), (1, Arrival::Late), (2, Arrival::Doubled)]
        {
            assert_eq!(calls.progress(0, step), Some(arrival));
        }
        assert_eq!(calls.missing(5), 2 + 5);
        assert_eq!(calls.end(0, 5), Reply::First { intended: 7, missing: 2 });
        assert_eq!(calls.progress(0, 3), None);
        assert_eq!(calls.missing(5), 5);
    }
}
