//! What a load consists of: groups of sessions that run at the same time. All workers of a run have the same plan, and
//! each takes its share of every group.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::cli::Rate;

/// The whole load. Groups refer to each other by their place in these lists.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) sets: Vec<TopicSet>,
    pub(crate) publishers: Vec<Publishers>,
    pub(crate) subscribers: Vec<Subscribers>,
    pub(crate) callees: Vec<Callees>,
    pub(crate) callers: Vec<Callers>,
    pub(crate) visitors: Vec<Visitors>,
    pub(crate) order: Order,
    /// What is delivered, in the singular.
    pub(crate) unit: String,
}

/// What the events of one publisher at one subscriber are in order of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// All topics together.
    #[default]
    Publisher,
    /// Each topic by itself.
    Topic,
}

/// Topics that publishers and subscribers have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TopicSet {
    pub(crate) topics: u16,
}

/// Sessions that publish to the topics of a set in turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Publishers {
    /// What results are named by; empty if there is one such group only.
    pub(crate) name: String,
    pub(crate) set: usize,
    pub(crate) count: u16,
    /// Events per second of each.
    pub(crate) rate: Rate,
    /// Events that are due at one time.
    pub(crate) burst: u32,
    /// At the maximal rate: events of each that not every subscriber has got yet.
    pub(crate) window: u32,
    pub(crate) payload_bytes: usize,
}

/// Sessions that subscribe to some topics of a set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Subscribers {
    pub(crate) name: String,
    pub(crate) set: usize,
    pub(crate) count: u32,
    /// Topics of each: chosen at random, the same in every run.
    pub(crate) topics: u16,
    /// Seconds after the beginning of the measurement at which they stop reading.
    pub(crate) stop_reading: Option<f64>,
    /// Seconds after the beginning of the measurement that divide the latencies into "before" and "during".
    pub(crate) divide: Option<f64>,
}

/// Sessions that have registered a procedure each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Callees {
    pub(crate) count: u16,
}

/// Sessions that call the procedures of a group of callees in turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Callers {
    pub(crate) name: String,
    pub(crate) callees: usize,
    pub(crate) count: u16,
    /// Calls per second of each.
    pub(crate) rate: Rate,
    /// At the maximal rate: open calls of each.
    pub(crate) window: u32,
    pub(crate) payload_bytes: usize,
    /// Progressive results before the final one.
    pub(crate) progressive: u16,
}

/// Sessions that come, subscribe to a topic of a set, and go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Visitors {
    pub(crate) name: String,
    pub(crate) set: usize,
    /// Arrivals per second, of all together.
    pub(crate) rate: f64,
    /// Seconds that each stays subscribed.
    pub(crate) stay: f64,
}

/// The part of every group that one of several workers has.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) worker: usize,
    pub(crate) workers: usize,
}

impl Share {
    /// True if the member of this number is this worker's.
    pub(crate) fn owns(&self, number: usize) -> bool {
        number % self.workers == self.worker
    }

    /// How many of the first `count` members are this worker's.
    pub(crate) fn of(&self, count: usize) -> usize {
        (count + self.workers - 1 - self.worker) / self.workers
    }
}

impl Plan {
    /// A plan without groups. `unit` is what is delivered, in the singular.
    pub(crate) fn of(unit: &str) -> Self {
        Self { unit: unit.into(), ..Self::default() }
    }

    /// Connections that are open at one time, with a guess of how many of the visitors.
    pub(crate) fn sessions(&self) -> usize {
        let subscribers: usize = self.subscribers.iter().map(|group| group.count as usize).sum();
        let calling = self.callers.iter().map(|group| group.count).chain(self.callees.iter().map(|group| group.count));
        let calling: usize = calling.map(usize::from).sum();
        let visitors: f64 = self.visitors.iter().map(|group| group.rate * (group.stay + 1.0)).sum();
        subscribers + calling + self.sources() + visitors as usize
    }

    /// Publishers of all groups.
    pub(crate) fn sources(&self) -> usize {
        self.publishers.iter().map(|group| usize::from(group.count)).sum()
    }

    /// The number of a set's first topic among those of all sets.
    pub(crate) fn first_topic(&self, set: usize) -> u16 {
        self.sets[..set].iter().map(|set| set.topics).sum()
    }

    /// The number of a group's first procedure among those of all groups.
    pub(crate) fn first_procedure(&self, callees: usize) -> u16 {
        self.callees[..callees].iter().map(|group| group.count).sum()
    }

    /// Checks what the numbers inside payloads can hold, and that every part of a window's load has somebody who empties it.
    ///
    /// # Errors
    /// With what is too large or missing.
    pub(crate) fn check(&self, workers: usize) -> Result<()> {
        let topics: u32 = self.sets.iter().map(|set| u32::from(set.topics)).sum();
        ensure!(topics <= u32::from(u16::MAX), "{topics} topics; at most {} are possible", u16::MAX);
        ensure!(self.sources() <= usize::from(u16::MAX), "more than {} publishers", u16::MAX);
        let callers: usize = self.callers.iter().map(|group| usize::from(group.count)).sum();
        ensure!(callers <= usize::from(u16::MAX), "more than {} callers", u16::MAX);
        let callees: usize = self.callees.iter().map(|group| usize::from(group.count)).sum();
        ensure!(callees <= usize::from(u16::MAX), "more than {} callees", u16::MAX);
        for group in &self.subscribers {
            let topics = self.sets[group.set].topics;
            ensure!(
                (1..=topics).contains(&group.topics),
                "subscribers have {} topics each, and there are {topics}",
                group.topics
            );
        }
        for group in self.publishers.iter().filter(|group| group.rate == Rate::Max) {
            let reading =
                self.subscribers.iter().filter(|other| other.set == group.set && other.stop_reading.is_none());
            let readers: usize = reading.map(|group| group.count as usize).sum();
            ensure!(
                readers >= workers,
                "the maximal rate needs subscribers for every one of {workers} threads, there are {readers}"
            );
        }
        Ok(())
    }
}

/// Which topic of a set each event of a publisher is for: all of them in turn, each publisher in another order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    topics: u64,
    stride: u64,
    inverse: u64,
    offset: u64,
}

impl Round {
    /// The round of publisher `number` through this many topics.
    pub(crate) fn new(topics: u16, number: usize) -> Self {
        let topics = u64::from(topics.max(1));
        // Away from one half, so that neighbours in the round are no neighbours in any other order.
        let wanted = (topics * 7 / 18 + number as u64) % topics;
        let stride = (wanted.max(1)..topics).find(|stride| gcd(*stride, topics) == 1).unwrap_or(1);
        let inverse = (1..topics).find(|inverse| inverse * stride % topics == 1).unwrap_or(1);
        Self { topics, stride, inverse, offset: number as u64 % topics }
    }

    /// After how many events the same topic is due again.
    pub(crate) fn topics(&self) -> usize {
        self.topics as usize
    }

    /// The topic, within its set, of event `number`.
    pub(crate) fn topic(&self, number: u64) -> u16 {
        if self.topics == 1 {
            return 0;
        }
        ((number % self.topics * self.stride + self.offset) % self.topics) as u16
    }

    /// The number of event `number` among those for its topic.
    pub(crate) fn lap(&self, number: u64) -> u64 {
        if self.topics == 1 { number } else { number / self.topics }
    }

    /// How many of the first `sent` events are for this topic.
    pub(crate) fn sent(&self, topic: u16, sent: u64) -> u64 {
        let place = (u64::from(topic) + self.topics - self.offset) * self.inverse % self.topics;
        sent / self.topics + u64::from(place < sent % self.topics)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The topics, within a set of `of`, of subscriber `number`: `count` different ones, in ascending order.
pub(crate) fn choose(number: usize, count: u16, of: u16) -> Vec<u16> {
    if count == 1 {
        return vec![(number % usize::from(of.max(1))) as u16];
    }
    let mut random = fastrand::Rng::with_seed(number as u64);
    let mut chosen = random.choose_multiple(0..of, usize::from(count));
    chosen.sort_unstable();
    chosen
}

/// The URI of a topic.
pub(crate) fn topic_uri(number: u16) -> String {
    format!("bench.topic.{number}")
}

/// The URI of a procedure.
pub(crate) fn procedure_uri(number: u16) -> String {
    format!("bench.proc.{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_visits_every_topic_once() {
        for topics in [1, 2, 3, 6, 10, 97, 5000] {
            for number in [0, 1, 5, 7000] {
                let round = Round::new(topics, number);
                let mut visits = vec![0; usize::from(topics)];
                for event in 0..u64::from(topics) {
                    visits[usize::from(round.topic(event))] += 1;
                }
                assert!(visits.iter().all(|visits| *visits == 1), "{topics} {number}");
            }
        }
    }

    #[test]
    fn laps_and_counts_agree_with_the_round() {
        for topics in [1, 2, 7, 12] {
            for number in 0..3 {
                let round = Round::new(topics, number);
                let mut counts = vec![0u64; usize::from(topics)];
                for event in 0..40 {
                    for (topic, count) in (0..).zip(&counts) {
                        assert_eq!(round.sent(topic, event), *count, "{topics} {number} {event}");
                    }
                    let count = &mut counts[usize::from(round.topic(event))];
                    assert_eq!(round.lap(event), *count);
                    *count += 1;
                }
            }
        }
    }

    #[test]
    fn choices_differ_but_repeat() {
        let chosen = choose(3, 50, 5000);
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]) && chosen.len() == 50);
        assert_eq!(choose(3, 50, 5000), chosen);
        assert_ne!(choose(4, 50, 5000), chosen);
        assert_eq!(choose(7, 1, 4), [3]);
        assert_eq!(choose(7, 4, 4), [0, 1, 2, 3]);
    }

    #[test]
    fn shares_add_up() {
        for count in [0, 1, 5, 12] {
            let shares = (0..4).map(|worker| Share { worker, workers: 4 });
            assert_eq!(shares.clone().map(|share| share.of(count)).sum::<usize>(), count);
            for share in shares {
                assert_eq!((0..count).filter(|number| share.owns(*number)).count(), share.of(count));
            }
        }
    }
}
