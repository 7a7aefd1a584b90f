//! Who gets an event, gathered by class before anything is built: one frame and one effect for each class.

use super::effect::ConnId;
use super::frames::Class;

/// Emptied lists of receivers that are kept for the next event.
const SPARE_MAX: usize = 4;

/// The receivers of one event. Allocates nothing once its lists have grown to the size that is needed.
#[derive(Debug, Default)]
pub(super) struct Fan {
    lists: Vec<(Class, Vec<ConnId>)>,
    spare: Vec<Vec<ConnId>>,
}

impl Fan {
    /// Adds a receiver. Neighbours are nearly always of one class, and there are few classes.
    pub(super) fn add(&mut self, class: Class, conn: ConnId) {
        if let Some((last, list)) = self.lists.last_mut()
            && *last == class
        {
            return list.push(conn);
        }
        self.add_to(class, conn);
    }

    #[cold]
    fn add_to(&mut self, class: Class, conn: ConnId) {
        let at = self.lists.iter().position(|(known, _)| *known == class).unwrap_or_else(|| {
            self.lists.push((class, self.spare.pop().unwrap_or_default()));
            self.lists.len() - 1
        });
        self.lists[at].1.push(conn);
        let last = self.lists.len() - 1;
        self.lists.swap(at, last);
    }

    /// True if nobody has been added.
    pub(super) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// The receivers of one class; none when there are no more.
    pub(super) fn next(&mut self) -> Option<(Class, Vec<ConnId>)> {
        self.lists.pop()
    }

    /// Keeps a list for the next event.
    pub(super) fn reuse(&mut self, mut list: Vec<ConnId>) {
        if self.spare.len() < SPARE_MAX {
            list.clear();
            self.spare.push(list);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::effect::Link;
    use crate::router::frames::Frames;
    use crate::wamp::Serializer;
    use crate::wire::Framing;
    use std::collections::BTreeMap;

    #[test]
    fn every_receiver_is_in_the_list_of_its_class() {
        let mut frames = Frames::default();
        let classes = [1_000, 2_000, 3_000].map(|message_max| {
            frames.class(Link { serializer: Serializer::Json, framing: Framing::RawSocket, message_max })
        });
        let mut fan = Fan::default();
        for _ in 0..2 {
            let mut expected: BTreeMap<usize, Vec<ConnId>> = BTreeMap::new();
            for (n, class) in [0, 0, 1, 0, 2, 1, 1, 2, 0].into_iter().enumerate() {
                let conn = ConnId(u32::try_from(n).expect("small"));
                fan.add(classes[class], conn);
                expected.entry(class).or_default().push(conn);
            }
            let mut found = BTreeMap::new();
            while let Some((class, list)) = fan.next() {
                let at = classes.iter().position(|known| *known == class).expect("known");
                assert!(found.insert(at, list.clone()).is_none());
                fan.reuse(list);
            }
            assert_eq!(found, expected);
        }
    }
}
