//! The world: shards, the queues between them, and clients; one seed decides what happens next.

use super::auditor::{Auditor, Breach, not_clean};
use super::client::Client;
use super::content;
use super::disk::{Disk, Progress};
use super::setting::{Peer, Setting};
use crate::router::{ConnId, Effect, Ending, Limits, Link, Rule, Shard, ShardConfig, ShardIndex, ShardMsg, subject};
use crate::session::RealmConfig;
use crate::wamp::codec::{self, DecodeLimits};
use crate::wamp::{Message, Serializer};
use crate::wire::frame::{Frame, Framing};
use fastrand::Rng;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What passes with each step.
const STEP: Duration = Duration::from_micros(200);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Decides everything that happens.
    pub seed: u64,
    /// How many shards.
    pub shards: ShardIndex,
    /// How many connections.
    pub clients: usize,
    /// How many steps before everything is allowed to come to rest.
    pub steps: u32,
    /// A rule that every shard breaks.
    pub broken: Option<Rule>,
    /// Breaks rule R1: `Applied` travels on a queue of its own.
    pub own_queue_for_acks: bool,
    /// Clients use the Advanced Profile, and realms differ: testaments, audiences, disclosure, histories on a disk,
    /// and a process that dies.
    pub advanced: bool,
}

impl Scenario {
    /// A scenario in which every rule is kept.
    #[must_use]
    pub const fn new(seed: u64, shards: ShardIndex) -> Scenario {
        Scenario { seed, shards, clients: 6, steps: 260, broken: None, own_queue_for_acks: false, advanced: false }
    }

    /// The same, of the Advanced Profile.
    #[must_use]
    pub const fn advanced(seed: u64, shards: ShardIndex) -> Scenario {
        Scenario { advanced: true, ..Scenario::new(seed, shards) }
    }
}

/// What a run without a breach was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Depends on everything that was written, in order: equal for equal scenarios.
    pub fingerprint: u64,
    /// Messages that clients were written.
    pub written: u64,
}

struct World {
    scenario: Scenario,
    setting: Setting,
    rng: Rng,
    now: u64,
    shards: Vec<Shard>,
    queues: Vec<VecDeque<ShardMsg>>,
    /// How likely each queue is to move: some are slow.
    speed: Vec<u32>,
    clients: Vec<Client>,
    /// Connection numbers that are not in use, per shard.
    free: Vec<Vec<u32>>,
    by_conn: BTreeMap<(ShardIndex, ConnId), usize>,
    /// The connection whose message was read has been closed.
    closed: bool,
    keys: u32,
    disk: Disk,
    /// Whoever has got WELCOME, in that order.
    peers: Vec<Peer>,
    auditor: Auditor,
    fingerprint: u64,
    written: u64,
}

/// Runs a scenario.
///
/// # Errors
/// The first promise that was broken.
pub fn run(scenario: Scenario) -> Result<Outcome, Breach> {
    let mut world = World::new(scenario);
    for _ in 0..scenario.clients {
        world.join();
    }
    for step in 0..scenario.steps {
        if world.setting.crash == Some(step) {
            world.crash();
        }
        world.step()?;
    }
    world.rest()?;
    if scenario.advanced {
        // What has been remembered must be what was promised.
        world.clients.iter_mut().for_each(Client::ask_history);
        world.rest()?;
    }
    world.auditor.concludes()?;
    world.all_leave()?;
    for (index, shard) in world.shards.iter().enumerate() {
        if !shard.is_clean() {
            return Err(not_clean(ShardIndex::try_from(index).unwrap_or_default()));
        }
    }
    Ok(Outcome { fingerprint: world.fingerprint, written: world.written })
}

/// The shards of a process.
fn start(scenario: &Scenario, setting: &Setting, rng: &mut Rng) -> Vec<Shard> {
    let realms: Arc<[RealmConfig]> = Arc::from([setting.realm()]);
    let start = |index| {
        Shard::new(ShardConfig {
            index,
            shards: scenario.shards,
            seed: rng.u64(..),
            epoch: Duration::from_secs(1_700_000_000),
            realms: realms.clone(),
            auth: Arc::default(),
            limits: Limits::default(),
            traces: None,
            attempts: Arc::default(),
            census: Arc::default(),
            agent: "simulated".into(),
            broken: scenario.broken,
        })
    };
    (0..scenario.shards).map(start).collect()
}

impl World {
    fn new(scenario: Scenario) -> World {
        let mut rng = Rng::with_seed(scenario.seed);
        let setting = if scenario.advanced { Setting::advanced(&mut rng, scenario.steps) } else { Setting::default() };
        let shards = start(&scenario, &setting, &mut rng);
        // The second half is for acknowledgements, if they have queues of their own.
        let queues = 2 * usize::from(scenario.shards).pow(2);
        World {
            scenario,
            setting,
            now: 0,
            shards,
            queues: (0..queues).map(|_| VecDeque::new()).collect(),
            speed: (0..queues).map(|_| if rng.u8(..) < 64 { 1 } else { 16 }).collect(),
            clients: Vec::new(),
            free: vec![Vec::new(); usize::from(scenario.shards)],
            by_conn: BTreeMap::new(),
            closed: false,
            keys: 0,
            disk: Disk::default(),
            peers: Vec::new(),
            auditor: Auditor::new(setting),
            fingerprint: scenario.seed,
            written: 0,
            rng,
        }
    }

    fn time(&self) -> Duration {
        STEP * u32::try_from(self.now).unwrap_or(u32::MAX)
    }

    fn join(&mut self) {
        let shard = self.rng.u16(0..self.scenario.shards);
        let taken = self.clients.iter().filter(|client| client.shard == shard).count();
        let number = self.free[usize::from(shard)].pop().unwrap_or(u32::try_from(taken).unwrap_or(u32::MAX));
        let serializer = Serializer::ALL[self.rng.usize(..Serializer::ALL.len())];
        let client = self.new_client(shard, ConnId(number), serializer);
        let link = Link { serializer, framing: Framing::Bare, message_max: usize::MAX };
        self.by_conn.insert((shard, client.conn), self.clients.len());
        let (at, conn) = (usize::from(shard), client.conn);
        self.clients.push(client);
        let now = self.time();
        self.shards[at].open(now, conn, link, Arc::default());
    }

    fn new_client(&mut self, shard: ShardIndex, conn: ConnId, serializer: Serializer) -> Client {
        self.keys += 1;
        let mut client = Client::new(self.keys, shard, conn, serializer, content::history_id(self.scenario.shards))
            .with_advanced(self.setting.advanced);
        // Nodes come and go too rarely for anybody to see what is lost between them, unless nothing else happens.
        if self.scenario.seed % 8 == 7 {
            client.focus();
        }
        client
    }

    fn step(&mut self) -> Result<(), Breach> {
        self.now += 1;
        self.expire()?;
        if self.setting.disk.is_some() && self.rng.u8(..) < 24 {
            return self.disk_works();
        }
        let who = self.rng.usize(..self.clients.len());
        // Whoever has left a testament leaves sooner than others.
        if self.clients[who].testaments > 0 && self.rng.u8(..) < 5 {
            return self.drop_connection(who);
        }
        match self.rng.u32(0..200) {
            0 => self.drop_connection(who),
            1..66 => self.move_queue(),
            66..110 => self.router_reads(who),
            110..150 => self.client_reads(who),
            _ => {
                self.clients[who].act(&mut self.rng, &self.peers);
                Ok(())
            }
        }
    }

    /// Lets every shard do what is due.
    fn expire(&mut self) -> Result<(), Breach> {
        let now = self.time();
        for shard in 0..self.scenario.shards {
            let core = &mut self.shards[usize::from(shard)];
            if core.next_deadline().is_some_and(|deadline| deadline <= now) {
                core.expire(now);
                self.effects(shard)?;
            }
        }
        Ok(())
    }

    fn disk_works(&mut self) -> Result<(), Breach> {
        if self.rng.bool() {
            self.disk.write(&mut self.rng, self.setting.failing);
        }
        self.tell_of_disk()
    }

    fn tell_of_disk(&mut self) -> Result<(), Breach> {
        let Some(Progress { shard, upto, failed }) = self.disk.tell() else { return Ok(()) };
        let now = self.time();
        let failure = failed.then(|| Arc::from("the disk is full"));
        self.shards[usize::from(shard)].recorded(now, upto, failure.as_ref());
        self.effects(shard)
    }

    /// The process dies; another one begins with what is on the disk, and other clients come.
    fn crash(&mut self) {
        self.now += 1;
        self.auditor.crashes(self.now);
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.clients.clear();
        self.by_conn.clear();
        self.free.iter_mut().for_each(Vec::clear);
        self.shards = start(&self.scenario, &self.setting, &mut self.rng);
        for past in self.disk.crash() {
            let home = subject::home(past.subject.realm, &past.subject.uri, self.scenario.shards);
            self.shards[usize::from(home)].restore(past);
        }
        for _ in 0..self.scenario.clients {
            self.join();
        }
    }

    /// Lets everything arrive and every invocation be answered.
    fn rest(&mut self) -> Result<(), Breach> {
        loop {
            let mut moved = false;
            for _ in 0..4 {
                self.now += 1;
                self.expire()?;
                moved |= self.queues.iter().any(|queue| !queue.is_empty());
                self.move_queue()?;
            }
            if !self.disk.is_idle() {
                moved = true;
                self.disk.write(&mut self.rng, self.setting.failing);
                self.tell_of_disk()?;
            }
            for who in 0..self.clients.len() {
                self.now += 1;
                let client = &mut self.clients[who];
                moved |= !client.up.is_empty() || !client.down.is_empty();
                moved |= !client.leaving && client.answer(&mut self.rng);
                self.router_reads(who)?;
                self.client_reads(who)?;
            }
            if !moved {
                return Ok(());
            }
        }
    }

    fn all_leave(&mut self) -> Result<(), Breach> {
        for who in 0..self.clients.len() {
            let (shard, conn) = (self.clients[who].shard, self.clients[who].conn);
            self.auditor.ends(self.now, self.clients[who].key);
            let now = self.time();
            self.shards[usize::from(shard)].lost(now, conn);
            self.effects(shard)?;
        }
        while self.queues.iter().any(|queue| !queue.is_empty()) || !self.disk.is_idle() {
            self.move_queue()?;
            if !self.disk.is_idle() {
                self.disk.write(&mut self.rng, self.setting.failing);
                self.tell_of_disk()?;
            }
        }
        Ok(())
    }

    fn drop_connection(&mut self, who: usize) -> Result<(), Breach> {
        let (shard, conn, key) = (self.clients[who].shard, self.clients[who].conn, self.clients[who].key);
        self.auditor.ends(self.now, key);
        let now = self.time();
        self.shards[usize::from(shard)].lost(now, conn);
        self.effects(shard)?;
        // It comes back as another client, on a shard of its own choice.
        self.clients.swap_remove(who);
        self.by_conn.remove(&(shard, conn));
        if let Some(moved) = self.clients.get(who) {
            self.by_conn.insert((moved.shard, moved.conn), who);
        }
        self.free[usize::from(shard)].push(conn.0);
        self.join();
        Ok(())
    }

    fn move_queue(&mut self) -> Result<(), Breach> {
        let full = |(at, queue): (usize, &VecDeque<ShardMsg>)| (!queue.is_empty()).then_some(self.speed[at]);
        let total: u32 = self.queues.iter().enumerate().filter_map(full).sum();
        if total == 0 {
            return Ok(());
        }
        let mut pick = self.rng.u32(0..total);
        let at = (0..self.queues.len()).find(|at| {
            let speed = if self.queues[*at].is_empty() { 0 } else { self.speed[*at] };
            let found = pick < speed;
            pick = pick.saturating_sub(speed);
            found
        });
        let Some((at, message)) = at.and_then(|at| Some((at, self.queues[at].pop_front()?))) else { return Ok(()) };
        let shards = usize::from(self.scenario.shards);
        let pair = at % (shards * shards);
        let (from, to) = (pair / shards, pair % shards);
        let now = self.time();
        self.shards[to].peer(now, ShardIndex::try_from(from).unwrap_or_default(), message);
        self.effects(ShardIndex::try_from(to).unwrap_or_default())
    }

    fn router_reads(&mut self, who: usize) -> Result<(), Breach> {
        let client = &mut self.clients[who];
        let Some(message) = client.up.pop_front() else { return Ok(()) };
        let (shard, conn, key) = (client.shard, client.conn, client.key);
        let octets = codec::encode_to_vec(client.serializer, &message).map_err(|error| Breach {
            guarantee: "protocol",
            what: format!("a client's message cannot be encoded: {error}"),
        })?;
        self.auditor.reads(self.now, key, &message)?;
        let now = self.time();
        self.shards[usize::from(shard)].receive(now, conn, &octets);
        self.effects(shard)?;
        match std::mem::take(&mut self.closed) {
            false => Ok(()),
            true => self.drop_connection(who),
        }
    }

    fn client_reads(&mut self, who: usize) -> Result<(), Breach> {
        if self.clients[who].read() {
            // GOODBYE has come: the connection serves another session.
            let (shard, conn, serializer) =
                (self.clients[who].shard, self.clients[who].conn, self.clients[who].serializer);
            self.clients[who] = self.new_client(shard, conn, serializer);
        }
        Ok(())
    }

    /// A frame is on its way to a client.
    fn write(&mut self, shard: ShardIndex, conn: ConnId, frame: &Frame) -> Result<(), Breach> {
        let Some(&who) = self.by_conn.get(&(shard, conn)) else { return Ok(()) };
        let client = &mut self.clients[who];
        let octets = frame.parts().concat();
        let message = codec::decode(client.serializer, &octets, DecodeLimits::default()).map_err(|e| Breach {
            guarantee: "protocol",
            what: format!("the router wrote what cannot be read: {e}"),
        })?;
        self.fingerprint = fold(self.fingerprint, client.key, &message, &octets);
        self.written += 1;
        self.auditor.writes(self.now, client.key, &message)?;
        if let Message::Welcome(welcome) = &message {
            let authid = welcome.details.get("authid").and_then(|authid| authid.as_str());
            let (session, authid) = (welcome.session.get(), authid.unwrap_or_default().into());
            self.peers.push(Peer { session, authid });
        }
        client.down.push_back(message);
        Ok(())
    }

    /// Takes what a shard wants done.
    fn effects(&mut self, shard: ShardIndex) -> Result<(), Breach> {
        while let Some(effect) = self.shards[usize::from(shard)].poll() {
            match effect {
                Effect::Send { conn, frame } => self.write(shard, conn, &frame)?,
                Effect::Fan { conns, frame, .. } => {
                    for conn in &conns {
                        self.write(shard, *conn, &frame)?;
                    }
                    self.shards[usize::from(shard)].reuse(conns);
                }
                // Only a socket can be read any later.
                Effect::Hold { .. }
                | Effect::Resume { .. }
                | Effect::Remember { .. }
                | Effect::Forget { .. }
                | Effect::CallOut(_)
                | Effect::Span(_) => {}
                // A session that was killed, and has answered.
                Effect::Close { ending: Ending::Normal, .. } => self.closed = true,
                Effect::Record(record) => self.disk.take(shard, record),
                Effect::Close { conn, ending } => {
                    let what = format!("connection {} of shard {shard} was closed: {ending:?}", conn.0);
                    return Err(Breach { guarantee: "protocol", what });
                }
                Effect::Peer { to, message } => {
                    let shards = usize::from(self.scenario.shards);
                    let pair = usize::from(shard) * shards + usize::from(to);
                    let own = self.scenario.own_queue_for_acks && matches!(message, ShardMsg::Applied { .. });
                    self.queues[pair + if own { shards * shards } else { 0 }].push_back(message);
                }
            }
        }
        Ok(())
    }
}

fn fold(hash: u64, key: u32, message: &Message, octets: &[u8]) -> u64 {
    let start = hash ^ u64::from(key) ^ u64::from(message.message_type().code());
    octets.iter().fold(start, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}
