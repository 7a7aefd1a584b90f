//! The scenarios `fanout` (every subscriber gets every event) and `topics` (every subscriber has topics of its own).

use crate::cli;
use crate::plan::{Order, Plan, Publishers, Subscribers, TopicSet};

/// The load of `fanout`.
pub(crate) fn fanout(options: &cli::FanoutOptions) -> Plan {
    Plan {
        unit: "delivery".into(),
        sets: vec![TopicSet { topics: 1 }],
        publishers: vec![Publishers {
            name: String::new(),
            set: 0,
            count: options.publishers,
            rate: options.rate,
            burst: 1,
            window: options.window,
            payload_bytes: options.payload_bytes,
        }],
        subscribers: vec![subscribers(options.subscribers, 1)],
        ..Plan::default()
    }
}

/// The load of `topics`.
pub(crate) fn topics(options: &cli::TopicsOptions, order: Order) -> Plan {
    Plan {
        unit: "delivery".into(),
        order,
        sets: vec![TopicSet { topics: options.topics }],
        publishers: vec![Publishers {
            name: String::new(),
            set: 0,
            count: options.publishers,
            rate: options.rate,
            burst: options.burst,
            window: options.window,
            payload_bytes: options.payload_bytes,
        }],
        subscribers: vec![subscribers(options.clients, options.topics_each)],
        ..Plan::default()
    }
}

/// A nameless group of subscribers to the first set.
pub(crate) fn subscribers(count: u32, topics: u16) -> Subscribers {
    Subscribers { name: String::new(), set: 0, count, topics, stop_reading: None, divide: None }
}
