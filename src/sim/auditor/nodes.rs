//! Sharded subscriptions: of the members that belong to nodes, those of one node get what has a key (G16).

use super::{Auditor, Checked, Period, Published, breach, matches};

impl Auditor {
    /// A member of a subscription gets a publication.
    pub(super) fn shared_out(&mut self, period: usize, publication: usize) -> Checked {
        let Period { session, id, node, .. } = &self.periods[period];
        let Published { by, sequence, key, .. } = &self.publications[publication];
        let (Some((node, _)), Some(key)) = (node, key) else { return Ok(()) };
        let before = self.shares.entry((*id, publication)).or_insert_with(|| node.clone());
        if before != node {
            let text = format!("event {sequence} of {by} with the key {key:?} came to node {before:?}");
            return breach("G16", format!("{text} and to {session} of node {node:?}"));
        }
        Ok(())
    }

    /// At the end: what has a key has come to one node, and there to everybody.
    pub(super) fn everything_is_shared_out(&self) -> Checked {
        for (number, published) in self.publications.iter().enumerate().filter(|(_, p)| p.key.is_some()) {
            for period in self.periods.iter().filter(|period| self.waits(period, published)) {
                let Some((own, _)) = &period.node else { continue };
                let (who, Published { by, sequence, .. }) = (period.session, published);
                let got = self.sessions[&who].events.contains(&(period.id, *by, *sequence));
                match self.shares.get(&(period.id, number)) {
                    Some(node) if node == own && !got => {
                        let text = format!("event {sequence} of {by} came to node {node:?}, but not to {who} of it");
                        return breach("G16", text);
                    }
                    None if !self.may_be_lost(period, published) => {
                        let text = format!("event {sequence} of {by} came to no node, though {who} is of {own:?}");
                        return breach("G16", text);
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// True if the member was there from before the publication to the end.
    fn waits(&self, period: &Period, published: &Published) -> bool {
        period.from < published.at
            && period.until.is_none()
            && self.is_alive(period.session)
            && matches(period.policy, &period.uri, &published.topic)
            && published.is_for(period.session, &self.sessions[&period.session])
    }

    /// True if the publication may have gone to a node whose last member was leaving, or is not to have it.
    fn may_be_lost(&self, period: &Period, published: &Published) -> bool {
        let lost = |other: &Period| {
            let asked = other.node.as_ref().is_some_and(|(_, asked)| *asked < published.at);
            let chosen = asked && other.over.is_none_or(|over| over >= published.at);
            let leaving = other.until.is_some() || !self.is_alive(other.session);
            let unfit = !published.is_for(other.session, &self.sessions[&other.session]);
            other.id == period.id && chosen && (leaving || unfit)
        };
        self.periods.iter().any(lost) || self.has_left_early(period, published)
    }

    /// True if somebody has left who was becoming a member of a node of the same subscription, perhaps when this was
    /// published.
    fn has_left_early(&self, period: &Period, published: &Published) -> bool {
        let gone = self.sessions.values().filter(|record| record.ended.is_some());
        gone.flat_map(|record| record.subscribing.values())
            .chain(self.given_up.iter().map(|(_, wish)| wish))
            .filter(|wish| wish.node.is_some() && wish.read < published.at)
            .any(|wish| (wish.policy, &wish.uri) == (period.policy, &period.uri))
    }

    /// At the end: while no node comes or goes, equal keys have chosen equal nodes, whoever published.
    pub(super) fn keys_are_faithful(&self) -> Checked {
        let mut last = std::collections::BTreeMap::new();
        for ((id, number), node) in &self.shares {
            let published = &self.publications[*number];
            let Some(key) = &published.key else { continue };
            let Some((before, at)) = last.insert((*id, key), (node, published.at)) else { continue };
            let of = |period: &&Period| period.id == *id && period.node.is_some();
            let steady = |period: &Period| {
                let ended = self.sessions[&period.session].ended;
                let last = [period.until, ended].into_iter().flatten().min();
                let there = period.from < at && last.is_none_or(|last| last > published.at);
                let gone = period.over.is_some_and(|over| over < at);
                let later = period.node.as_ref().is_some_and(|(_, asked)| *asked > published.at);
                (there || gone || later) && !self.has_left_early(period, published)
            };
            let quiet = self.periods.iter().filter(of).all(steady);
            if quiet && before != node {
                return breach("G16", format!("the key {key:?} has chosen node {before:?} and then {node:?} of {id}"));
            }
        }
        Ok(())
    }
}
