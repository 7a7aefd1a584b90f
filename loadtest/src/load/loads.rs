//! The plans of the scenarios that have one.

use crate::cli::{self, Rate};
use crate::load::plan::{Callees, Callers, Plan, Publishers, Subscribers, TopicSet, Visitors};

/// Every subscriber gets every event.
pub(crate) fn fanout(options: &cli::FanoutOptions) -> Plan {
    Plan {
        sets: vec![TopicSet { topics: 1 }],
        publishers: vec![publishers(options.publishers, options.rate, options.window, options.payload_bytes)],
        subscribers: vec![subscribers("", options.subscribers)],
        ..Plan::of("delivery")
    }
}

/// Every subscriber has topics of its own choice.
pub(crate) fn topics(options: &cli::TopicsOptions) -> Plan {
    let publishers = publishers(options.publishers, options.rate, options.window, options.payload_bytes);
    Plan {
        sets: vec![TopicSet { topics: options.topics }],
        publishers: vec![Publishers { burst: options.burst, ..publishers }],
        subscribers: vec![Subscribers { topics: options.topics_each, ..subscribers("", options.clients) }],
        ..Plan::of("delivery")
    }
}

/// Callers and callees.
pub(crate) fn rpc(options: &cli::RpcOptions) -> Plan {
    Plan {
        callees: vec![Callees { count: options.callees }],
        callers: vec![Callers {
            name: String::new(),
            callees: 0,
            count: options.callers,
            rate: options.rate,
            window: options.window,
            payload_bytes: options.payload_bytes,
            progressive: options.progressive,
        }],
        ..Plan::of("call")
    }
}

/// Sessions come and go while others get events.
pub(crate) fn churn(options: &cli::ChurnOptions) -> Plan {
    Plan {
        sets: vec![TopicSet { topics: 1 }],
        publishers: vec![publishers(options.publishers, Rate::PerSecond(options.rate), 1, options.payload_bytes)],
        subscribers: vec![subscribers("", options.subscribers)],
        visitors: vec![Visitors { name: String::new(), set: 0, rate: options.visits, stay: options.stay }],
        ..Plan::of("delivery")
    }
}

/// Some subscribers stop reading. `duration` is that of the measurement, in seconds.
pub(crate) fn slow(options: &cli::SlowOptions, duration: f64) -> Plan {
    let slow = options.slow.of(options.subscribers);
    let at = options.after.unwrap_or(duration / 2.0);
    let reading = Subscribers { divide: Some(at), ..subscribers("", options.subscribers - slow) };
    let stopping = Subscribers { stop_reading: Some(at), ..subscribers("slow", slow) };
    Plan {
        sets: vec![TopicSet { topics: 1 }],
        publishers: vec![publishers(options.publishers, options.rate, options.window, options.payload_bytes)],
        subscribers: vec![reading, stopping],
        ..Plan::of("delivery")
    }
}

fn publishers(count: u16, rate: Rate, window: u32, payload_bytes: usize) -> Publishers {
    Publishers { name: String::new(), set: 0, count, rate, burst: 1, window, payload_bytes }
}

fn subscribers(name: &str, count: u32) -> Subscribers {
    Subscribers { name: name.into(), set: 0, count, topics: 1, stop_reading: None, divide: None }
}
