//! Requests with options, messages with their details, and calls of the router's own procedures.

use super::client::{Client, Incoming, extend, id};
use super::raw::PATIENCE;
use super::value::Value;
use super::wire::Wire;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// An EVENT.
#[derive(Debug)]
pub struct Event {
    pub subscription: u64,
    pub publication: u64,
    pub details: BTreeMap<String, Value>,
    /// The elements after the details.
    pub payload: Vec<Value>,
}

/// An INVOCATION.
#[derive(Debug)]
pub struct Invocation {
    pub request: u64,
    pub registration: u64,
    pub details: BTreeMap<String, Value>,
    /// The elements after the details.
    pub payload: Vec<Value>,
}

impl Invocation {
    #[track_caller]
    fn read(message: &[Value]) -> Invocation {
        assert_eq!(message[0].uint(), 68, "{message:?}");
        Invocation {
            request: id(&message[1]),
            registration: id(&message[2]),
            details: message[3].dict().clone(),
            payload: message[4..].to_vec(),
        }
    }
}

impl Client {
    /// Connects and joins `realm1` with all roles, each of which announces these features.
    pub fn join_featured(address: SocketAddr, wire: Wire, features: &[&str]) -> Client {
        let features: BTreeMap<&str, bool> = features.iter().map(|name| (*name, true)).collect();
        let role = json!({ "features": features });
        let roles = json!({"callee": role, "caller": role, "publisher": role, "subscriber": role});
        Client::join_with(address, wire, roles)
    }

    /// The `authid` of the session.
    #[track_caller]
    pub fn authid(&self) -> &str {
        self.welcome()["authid"].str()
    }

    /// True if the router announced a feature of its `broker` or `dealer`.
    #[track_caller]
    pub fn announced(&self, role: &str, feature: &str) -> bool {
        let features = self.welcome()["roles"].dict()[role].dict()["features"].dict();
        features.get(feature) == Some(&Value::Bool(true))
    }

    /// Sends a request `[code, id, options, uri, payload...]` and gives its id.
    #[track_caller]
    pub fn request(&mut self, code: u64, options: &serde_json::Value, uri: &str, payload: &[Value]) -> u64 {
        let request = self.next();
        let mut message = Value::from(json!([code, request, options, uri]));
        extend(&mut message, payload);
        self.send(message);
        request
    }

    /// Subscribes with options and gives the subscription's id.
    #[track_caller]
    pub fn subscribe_with(&mut self, topic: &str, options: &serde_json::Value) -> u64 {
        let request = self.request(32, options, topic, &[]);
        self.acknowledged(33, request)
    }

    /// Registers with options and gives the registration's id.
    #[track_caller]
    pub fn register_with(&mut self, procedure: &str, options: &serde_json::Value) -> u64 {
        let request = self.request(64, options, procedure, &[]);
        self.acknowledged(65, request)
    }

    /// Publishes with options and an acknowledgement, and gives the publication's id.
    #[track_caller]
    pub fn publish_with(&mut self, topic: &str, options: &serde_json::Value, payload: &[Value]) -> u64 {
        let mut options = options.clone();
        options["acknowledge"] = true.into();
        let request = self.request(16, &options, topic, payload);
        self.acknowledged(17, request)
    }

    /// Sends a CALL with options and gives its request id.
    #[track_caller]
    pub fn call_with(&mut self, procedure: &str, options: &serde_json::Value, payload: &[Value]) -> u64 {
        self.request(48, options, procedure, payload)
    }

    /// The third element of the next message, which must have this code and answer this request.
    #[track_caller]
    fn acknowledged(&mut self, code: u64, request: u64) -> u64 {
        let message = self.expect(code);
        assert_eq!((message.len(), message[1].uint()), (3, request), "{message:?}");
        id(&message[2])
    }

    /// The next message must be an EVENT.
    #[track_caller]
    pub fn event(&mut self) -> Event {
        let message = self.expect(36);
        Event {
            subscription: id(&message[1]),
            publication: id(&message[2]),
            details: message[3].dict().clone(),
            payload: message[4..].to_vec(),
        }
    }

    /// The next message must be an INVOCATION.
    #[track_caller]
    pub fn invocation(&mut self) -> Invocation {
        Invocation::read(&self.recv())
    }

    /// The next message must be a RESULT of this request. Gives its details and payload elements.
    #[track_caller]
    pub fn result(&mut self, request: u64) -> (BTreeMap<String, Value>, Vec<Value>) {
        let message = self.expect(50);
        assert_eq!(message[1].uint(), request, "{message:?}");
        (message[2].dict().clone(), message[3..].to_vec())
    }

    /// Answers an invocation with YIELD.
    #[track_caller]
    pub fn answer(&mut self, invocation: u64, options: &serde_json::Value, payload: &[Value]) {
        let mut message = Value::from(json!([70, invocation, options]));
        extend(&mut message, payload);
        self.send(message);
    }

    /// Answers an invocation with ERROR.
    #[track_caller]
    pub fn fail(&mut self, invocation: u64, error: &str) {
        self.send(json!([8, 68, invocation, {}, error]));
    }

    /// Calls a procedure that the router itself has. `payload` is a list of the elements after the URI. Gives the
    /// positional results, or the URI of the error.
    ///
    /// Nothing else may come in the meantime: ask by a session that does nothing else.
    #[track_caller]
    pub fn ask(&mut self, procedure: &str, payload: &serde_json::Value) -> Result<Vec<Value>, String> {
        let call = self.call(procedure, Value::from(payload.clone()).list());
        let message = self.recv();
        match message[0].uint() {
            50 => {
                assert_eq!(message[1].uint(), call, "{message:?}");
                Ok(message.get(3).map(|args| args.list().to_vec()).unwrap_or_default())
            }
            8 => {
                assert_eq!((message[1].uint(), message[2].uint()), (48, call), "{message:?}");
                Err(message[4].str().into())
            }
            _ => panic!("{message:?} in place of an answer of {procedure}"),
        }
    }

    /// The only positional result of a procedure that the router itself has.
    #[track_caller]
    pub fn told(&mut self, procedure: &str, payload: &serde_json::Value) -> Value {
        let results = self.ask(procedure, payload).unwrap_or_else(|error| panic!("{procedure}{payload}: {error}"));
        assert_eq!(results.len(), 1, "{results:?}");
        results[0].clone()
    }
}

/// The first of these clients to get a message, which must be an INVOCATION.
#[track_caller]
pub fn invoked(callees: &mut [Client]) -> (usize, Invocation) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        for (index, callee) in callees.iter_mut().enumerate() {
            match callee.poll(Duration::from_millis(1)) {
                Incoming::Nothing => {}
                Incoming::Message(message) => return (index, Invocation::read(&message)),
                end => panic!("{end:?} in place of an invocation"),
            }
        }
    }
    panic!("nobody is invoked");
}
