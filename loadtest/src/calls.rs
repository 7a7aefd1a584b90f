//! The account of one caller's calls: each gets exactly one final reply.

use std::collections::VecDeque;

/// The open calls of a caller, which have consecutive numbers from 0.
#[derive(Default)]
pub(crate) struct Calls {
    /// When each call from `oldest` on was meant to be sent; None once it is answered.
    open: VecDeque<Option<u64>>,
    oldest: u64,
    answered: u64,
}

/// What a reply turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The first one; holds the intended time of the call.
    First(u64),
    Doubled,
    /// No such call was made.
    Unknown,
}

impl Calls {
    /// Notes a call; gives its number.
    pub(crate) fn begin(&mut self, intended: u64) -> u64 {
        self.open.push_back(Some(intended));
        self.made() - 1
    }

    /// Takes the final reply to a call.
    pub(crate) fn end(&mut self, number: u64) -> Reply {
        let Some(place) = number.checked_sub(self.oldest) else { return Reply::Doubled };
        let Some(slot) = self.open.get_mut(place as usize) else { return Reply::Unknown };
        let Some(intended) = slot.take() else { return Reply::Doubled };
        self.answered += 1;
        while self.open.front() == Some(&None) {
            self.open.pop_front();
            self.oldest += 1;
        }
        Reply::First(intended)
    }

    /// Calls made so far.
    pub(crate) fn made(&self) -> u64 {
        self.oldest + self.open.len() as u64
    }

    /// Calls without a reply.
    pub(crate) fn pending(&self) -> u64 {
        self.made() - self.answered
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
            assert_eq!(calls.end(number), Reply::First(100 + number));
            assert_eq!(calls.end(number), Reply::Doubled);
        }
        assert_eq!((calls.made(), calls.pending()), (5, 2));
        assert_eq!(calls.end(5), Reply::Unknown);
        assert_eq!(calls.end(u64::MAX), Reply::Unknown);
        assert_eq!(calls.end(2), Reply::First(102));
        assert_eq!(calls.begin(105), 5);
        assert_eq!((calls.made(), calls.pending()), (6, 2));
    }
}
