//! A session that watches meta events.

use super::client::Client;
use super::value::Value;
use super::wire::Wire;
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

/// Subscribed to meta topics; events wait until they are asked for.
pub struct Monitor {
    client: Client,
    topics: HashMap<u64, &'static str>,
    waiting: VecDeque<MetaEvent>,
}

/// A meta event: its topic without `wamp.`, and its arguments.
#[derive(Debug)]
pub struct MetaEvent {
    pub topic: &'static str,
    pub args: Vec<Value>,
}

impl MetaEvent {
    /// The session that it is about.
    #[track_caller]
    pub fn session(&self) -> u64 {
        match &self.args[0] {
            Value::Dict(details) => details["session"].uint(),
            session => session.uint(),
        }
    }
}

impl Monitor {
    pub const SESSION: &[&'static str] = &["session.on_join", "session.on_leave"];
    pub const SUBSCRIPTION: &[&'static str] = &[
        "subscription.on_create",
        "subscription.on_subscribe",
        "subscription.on_unsubscribe",
        "subscription.on_delete",
    ];
    pub const REGISTRATION: &[&'static str] =
        &["registration.on_create", "registration.on_register", "registration.on_unregister", "registration.on_delete"];

    /// Joins and subscribes to these topics, each with `wamp.` before it.
    #[track_caller]
    pub fn join(address: SocketAddr, wire: Wire, topics: &[&'static str]) -> Monitor {
        let client = Client::join(address, wire);
        let mut monitor = Monitor { client, topics: HashMap::new(), waiting: VecDeque::new() };
        for topic in topics {
            let request = monitor.client.next();
            monitor.client.send(json!([32, request, {}, format!("wamp.{topic}")]));
            loop {
                let message = monitor.client.recv();
                if message[0].uint() == 33 {
                    assert_eq!(message[1].uint(), request, "{message:?}");
                    monitor.topics.insert(message[2].uint(), topic);
                    break;
                }
                let event = monitor.read(&message);
                monitor.waiting.push_back(event);
            }
        }
        monitor
    }

    #[track_caller]
    fn read(&self, message: &[Value]) -> MetaEvent {
        assert_eq!(message[0].uint(), 36, "{message:?}");
        MetaEvent { topic: self.topics[&message[1].uint()], args: message[4].list().to_vec() }
    }

    /// The next event.
    #[track_caller]
    pub fn next(&mut self) -> MetaEvent {
        self.waiting.pop_front().unwrap_or_else(|| {
            let message = self.client.recv();
            self.read(&message)
        })
    }

    /// The next event that is about this session; others are left out.
    #[track_caller]
    pub fn about(&mut self, session: u64) -> MetaEvent {
        loop {
            let event = self.next();
            if event.session() == session {
                return event;
            }
        }
    }

    /// The next event about this session must have this topic. Gives its arguments.
    #[track_caller]
    pub fn expect(&mut self, topic: &str, session: u64) -> Vec<Value> {
        let event = self.about(session);
        assert_eq!(event.topic, topic, "{event:?}");
        event.args
    }
}
