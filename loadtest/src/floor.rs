//! The yardstick: a server that does no routing. It writes prepared frames to all subscribers.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::{self, FaultKind, FloorMode};
use crate::load::stamp::{self, Stamp};
use crate::machine;
use crate::wire::framing::{Framing, Kind};
use crate::wire::join::{
    CALL, EVENT, GOODBYE, HELLO, INVOCATION, PUBLISH, PUBLISHED, REGISTER, REGISTERED, RESULT, SUBSCRIBE, SUBSCRIBED,
    UNSUBSCRIBE, UNSUBSCRIBED, WELCOME, YIELD,
};
use crate::wire::net::{Handler, Net};
use crate::wire::serializer::{Head, Serializer};
use crate::wire::target::Address;
use crate::wire::template::Template;

/// Bytes that may wait for a subscriber before it is cut off.
const BACKLOG: usize = 256 << 20;

struct Floor {
    options: cli::FloorOptions,
    /// The subscribers of each topic, grouped by what their frames look like.
    topics: HashMap<u16, Vec<Group>>,
    /// The retained payload of each topic.
    retained: HashMap<u16, Vec<u8>>,
    /// Who has subscribed to what; kept only to misroute.
    asked: HashSet<(usize, u16)>,
    /// The callee of each procedure.
    procedures: HashMap<u16, usize>,
    /// Caller and request of each open invocation; its id is the place plus one.
    invocations: Vec<(usize, u64)>,
    free: Vec<usize>,
    templates: HashMap<(Serializer, u64), Template>,
    payload_len: usize,
    publications: u64,
    deliveries: u64,
    held: HashMap<usize, Vec<u8>>,
    scratch: Vec<u8>,
    frame: Vec<u8>,
}

struct Group {
    framing: Framing,
    serializer: Serializer,
    conns: Vec<usize>,
}

/// Serves until the process is killed.
///
/// # Errors
/// If the address cannot be listened on or the system refuses to wait.
pub(crate) fn serve(options: &cli::FloorOptions) -> Result<()> {
    machine::raise_file_limit();
    let mut net = Net::new()?;
    match net.listen(&Address::parse(&options.listen)?)? {
        Address::Tcp(address) => println!("listening on ws://{address}/"),
        Address::Unix(path) => println!("listening on unix:{}", path.display()),
    }
    let mut floor = Floor {
        options: options.clone(),
        topics: HashMap::new(),
        retained: HashMap::new(),
        asked: HashSet::new(),
        procedures: HashMap::new(),
        invocations: Vec::new(),
        free: Vec::new(),
        templates: HashMap::new(),
        payload_len: stamp::MIN_PAYLOAD,
        publications: 0,
        deliveries: 0,
        held: HashMap::new(),
        scratch: Vec::new(),
        frame: Vec::new(),
    };
    loop {
        net.turn(&mut floor, None)?;
    }
}

/// The number at the end of a topic or procedure.
fn number_of(uri: &Value) -> u16 {
    uri.as_str().and_then(|uri| uri.rsplit('.').next()?.parse().ok()).unwrap_or(0)
}

impl Floor {
    fn rare(&mut self, net: &mut Net, conn: usize, serializer: Serializer, message: &[u8]) -> Result<()> {
        let message = serializer.decode(message)?;
        let answer = match message[0].as_u64() {
            Some(HELLO) => json!([WELCOME, conn + 1, {"roles": {"broker": {}, "dealer": {}}}]),
            Some(SUBSCRIBE) => {
                let topic = number_of(&message[3]);
                self.subscribe(net, conn, topic);
                net.send(conn, &serializer.encode(&json!([SUBSCRIBED, message[1], u64::from(topic) + 1])));
                if message[2]["get_retained"] == true {
                    self.give_retained(net, conn, serializer, topic);
                }
                return Ok(());
            }
            Some(UNSUBSCRIBE) => {
                let topic = message[2].as_u64().unwrap_or(0).wrapping_sub(1) as u16;
                for group in self.topics.entry(topic).or_default() {
                    group.conns.retain(|member| *member != conn);
                }
                json!([UNSUBSCRIBED, message[1]])
            }
            Some(GOODBYE) => {
                self.forget(conn);
                json!([GOODBYE, {}, "wamp.close.goodbye_and_out"])
            }
            Some(REGISTER) => {
                let procedure = number_of(&message[3]);
                self.procedures.insert(procedure, conn);
                json!([REGISTERED, message[1], u64::from(procedure) + 1])
            }
            _ => return Ok(()),
        };
        net.send(conn, &serializer.encode(&answer));
        Ok(())
    }

    fn subscribe(&mut self, net: &Net, conn: usize, topic: u16) {
        let Some((framing, serializer)) = net.framing(conn) else { return };
        if self.options.fault.is_some_and(|fault| fault.kind == FaultKind::Misroute) {
            self.asked.insert((conn, topic));
        }
        let groups = self.topics.entry(topic).or_default();
        match groups.iter_mut().find(|group| (group.framing, group.serializer) == (framing, serializer)) {
            Some(group) => group.conns.push(conn),
            None => groups.push(Group { framing, serializer, conns: vec![conn] }),
        }
    }

    fn give_retained(&mut self, net: &mut Net, conn: usize, serializer: Serializer, topic: u16) {
        let Some(payload) = self.retained.remove(&topic) else { return };
        // It may have another length, and has other options.
        self.templates.clear();
        self.prepare(serializer, &[EVENT, u64::from(topic) + 1], 1, &[json!({"retained": true})], &payload);
        self.forward(net, conn);
        self.retained.insert(topic, payload);
        self.templates.clear();
    }

    fn forget(&mut self, conn: usize) {
        for groups in self.topics.values_mut() {
            for group in groups {
                group.conns.retain(|member| *member != conn);
            }
        }
        self.procedures.retain(|_, callee| *callee != conn);
        self.held.remove(&conn);
    }

    /// The payload of a message: of the same length as the last one, as a rule.
    fn payload<'a>(&mut self, message: &'a [u8]) -> Option<(&'a [u8], Stamp)> {
        if let Some(place) = stamp::locate(message, self.payload_len)
            && let Some(stamp) = Stamp::read(&message[place.clone()])
        {
            return Some((&message[place], stamp));
        }
        let place = stamp::locate_any(message)?;
        self.payload_len = place.len();
        self.templates.clear();
        Some((&message[place.clone()], Stamp::read(&message[place])?))
    }

    /// Writes `[lead..., id, {}, [payload]]` over the scratch.
    fn prepare(&mut self, serializer: Serializer, lead: &[u64], id: u64, rest: &[Value], payload: &[u8]) {
        // Of one kind of message there is one second number per topic; results have none, but may be progressive.
        let number = lead.get(1).copied().or(rest[0].as_u64());
        let progress = || u64::from(rest[0].as_object().is_some_and(|options| !options.is_empty()));
        let key = (serializer, lead[0] << 32 | number.unwrap_or_else(progress));
        let len = payload.len();
        let template = self.templates.entry(key).or_insert_with(|| Template::new(serializer, lead, rest, len));
        template.write(&mut self.scratch, id).copy_from_slice(payload);
    }

    fn publish(&mut self, net: &mut Net, conn: usize, message: &[u8]) {
        let Some((payload, stamp)) = self.payload(message) else { return };
        self.publications += 1;
        let head = &message[..payload.as_ptr().addr() - message.as_ptr().addr()];
        if memchr::memmem::find(head, b"retain").is_some() {
            self.retained.insert(stamp.topic, payload.to_vec());
        }
        if memchr::memmem::find(head, b"acknowledge").is_some()
            && let Some((_, serializer)) = net.framing(conn)
            && let Some(head) = serializer.head(message)
        {
            net.send(conn, &serializer.encode(&json!([PUBLISHED, head.first, self.publications])));
        }
        let publication = self.publications;
        let Some(mut groups) = self.topics.remove(&stamp.topic) else { return };
        let mut frame = std::mem::take(&mut self.frame);
        for group in &mut groups {
            self.prepare(group.serializer, &[EVENT, u64::from(stamp.topic) + 1], publication, &[json!({})], payload);
            frame.clear();
            group.framing.put(&mut frame, Kind::Message, &self.scratch);
            group.conns.retain(|conn| self.deliver(net, *conn, stamp.topic, &frame));
        }
        self.frame = frame;
        self.topics.insert(stamp.topic, groups);
    }

    /// Sends a frame, or does the fault that is due instead. False if the receiver is gone or does not read.
    fn deliver(&mut self, net: &mut Net, conn: usize, topic: u16, frame: &[u8]) -> bool {
        let now = self.options.mode == FloorMode::Single;
        let Some(fault) = self.options.fault else { return send(net, conn, frame, now) };
        self.deliveries += 1;
        let due = self.deliveries.is_multiple_of(fault.every);
        match fault.kind {
            FaultKind::Drop if due => net.framing(conn).is_some(),
            FaultKind::Double if due => send(net, conn, frame, now) && send(net, conn, frame, now),
            FaultKind::Damage if due => {
                let mut spoiled = frame.to_vec();
                if let Some(place) = stamp::locate_any(&spoiled) {
                    spoiled[place.end - 1] = b'#';
                }
                send(net, conn, &spoiled, now)
            }
            FaultKind::Misroute if due => {
                send(net, conn, frame, now);
                match self.bystander(topic) {
                    Some(other) => send(net, other, frame, now),
                    None => true,
                };
                net.framing(conn).is_some()
            }
            FaultKind::Swap if due && !self.held.contains_key(&conn) => {
                self.held.insert(conn, frame.to_vec());
                net.framing(conn).is_some()
            }
            _ => {
                let sent = send(net, conn, frame, now);
                match self.held.remove(&conn) {
                    Some(held) => sent && send(net, conn, &held, now),
                    None => sent,
                }
            }
        }
    }

    /// Somebody who has not subscribed to a topic, but to others. The topic's own subscribers are taken out just now.
    fn bystander(&self, topic: u16) -> Option<usize> {
        let members =
            |groups: &[Group]| groups.iter().flat_map(|group| group.conns.iter().copied()).collect::<Vec<_>>();
        let asked = &self.asked;
        self.topics.values().flat_map(|groups| members(groups)).find(|conn| !asked.contains(&(*conn, topic)))
    }

    fn forward(&mut self, net: &mut Net, conn: usize) {
        let Some((framing, _)) = net.framing(conn) else { return };
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        framing.put(&mut frame, Kind::Message, &self.scratch);
        self.deliver(net, conn, u16::MAX, &frame);
        self.frame = frame;
    }

    fn call(&mut self, net: &mut Net, caller: usize, head: Head, message: &[u8]) {
        let Some((payload, stamp)) = self.payload(message) else { return };
        let Some(callee) = self.procedures.get(&stamp.topic).copied() else { return };
        let Some((_, serializer)) = net.framing(callee) else { return };
        let place = self.free.pop().unwrap_or(self.invocations.len());
        if place == self.invocations.len() {
            self.invocations.push((0, 0));
        }
        self.invocations[place] = (caller, head.first);
        let registration = json!(u64::from(stamp.topic) + 1);
        self.prepare(serializer, &[INVOCATION], place as u64 + 1, &[registration, json!({})], payload);
        self.forward(net, callee);
    }

    fn yielded(&mut self, net: &mut Net, conn: usize, head: Head, message: &[u8]) {
        let Some((payload, _)) = self.payload(message) else { return };
        let options = &message[..payload.as_ptr().addr() - message.as_ptr().addr()];
        let progress = net.framing(conn).is_some_and(|(_, serializer)| serializer.is_progress(options));
        let place = (head.first as usize).wrapping_sub(1);
        let Some(slot) = self.invocations.get_mut(place) else { return };
        let (caller, request) = if progress { *slot } else { std::mem::replace(slot, (usize::MAX, 0)) };
        let Some((_, serializer)) = net.framing(caller) else { return };
        if progress {
            self.prepare(serializer, &[RESULT], request, &[json!({"progress": true})], payload);
        } else {
            self.free.push(place);
            self.prepare(serializer, &[RESULT], request, &[json!({})], payload);
        }
        self.forward(net, caller);
    }
}

fn send(net: &mut Net, conn: usize, frame: &[u8], now: bool) -> bool {
    net.send_frame(conn, frame, now);
    if net.backlog(conn) > BACKLOG {
        net.close(conn);
    }
    net.framing(conn).is_some()
}

impl Handler for Floor {
    fn opened(&mut self, _: &mut Net, _: usize) {}

    fn message(&mut self, net: &mut Net, conn: usize, message: &[u8], _: u64) {
        let Some((_, serializer)) = net.framing(conn) else { return };
        match serializer.head(message) {
            Some(head) if head.kind == PUBLISH => self.publish(net, conn, message),
            Some(head) if head.kind == CALL => self.call(net, conn, head, message),
            Some(head) if head.kind == YIELD => self.yielded(net, conn, head, message),
            _ => {
                if self.rare(net, conn, serializer, message).is_err() {
                    net.close(conn);
                }
            }
        }
    }

    fn closed(&mut self, _: &mut Net, conn: usize, _: &str) {
        self.forget(conn);
    }
}
