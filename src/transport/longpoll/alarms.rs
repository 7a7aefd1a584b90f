//! Time limits of different lengths, of which each connection has one at most.

use std::collections::BTreeSet;
use std::time::Duration;

/// Which connection: its key, and its serial, since keys are used again.
pub(in crate::transport) type Entry = (usize, u32);

/// When something is due, in order.
#[derive(Debug, Default)]
pub(in crate::transport) struct Alarms(BTreeSet<(Duration, Entry)>);

impl Alarms {
    /// Puts `due` in the place of what was set before, which `slot` remembers.
    pub(in crate::transport) fn replace(&mut self, slot: &mut Option<Duration>, due: Option<Duration>, entry: Entry) {
        if let Some(old) = std::mem::replace(slot, due) {
            self.0.remove(&(old, entry));
        }
        if let Some(due) = due {
            self.0.insert((due, entry));
        }
    }

    /// When the next one falls due.
    pub(in crate::transport) fn next(&self) -> Option<Duration> {
        self.0.first().map(|&(due, _)| due)
    }

    /// One that is due. Its slot still remembers it.
    pub(in crate::transport) fn take_due(&mut self, now: Duration) -> Option<Entry> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_set_counts() {
        let second = Duration::from_secs(1);
        let mut alarms = Alarms::default();
        let (mut a, mut b) = (None, None);
        alarms.replace(&mut a, Some(second * 5), (1, 1));
        alarms.replace(&mut b, Some(second * 5), (2, 1));
        assert_eq!(alarms.next(), Some(second * 5));
        alarms.replace(&mut a, Some(second * 9), (1, 1));
        assert_eq!(alarms.take_due(second * 6), Some((2, 1)));
        assert_eq!(alarms.take_due(second * 6), None);
        assert_eq!(alarms.next(), Some(second * 9));
        alarms.replace(&mut a, None, (1, 1));
        assert_eq!((a, alarms.next()), (None, None));
    }
}
