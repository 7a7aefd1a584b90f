//! A worker's share of a storm of connections: sessions that join, subscribe and get a retained value, all at once or
//! at a rate, and again after they have been cut off.

use std::collections::VecDeque;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::{Rate, Router, Timing};
use crate::clock::{self, SECOND};
use crate::load::drive::{self, Window};
use crate::load::ledger::Tally;
use crate::load::plan::{self, Share};
use crate::load::stamp::{self, Stamp};
use crate::machine;
use crate::result::latency::Latency;
use crate::result::outcome::{Better, Combine, Outcome};
use crate::result::progress::Progress;
use crate::stop;
use crate::wire::auth::Credentials;
use crate::wire::join::{self, CHALLENGE, EVENT, SUBSCRIBE, SUBSCRIBED, WELCOME};
use crate::wire::link::{Link, Order, Report};
use crate::wire::net::{Handler, Net};
use crate::wire::serializer::Head;
use crate::wire::target::Target;

/// Until another attempt of a session that was refused or lost, in nanoseconds.
const RETRY: u64 = SECOND / 10;
/// Intervals of the time lines, in nanoseconds.
const INTERVAL: u64 = SECOND / 10;
const NOBODY: u32 = u32::MAX;

/// What all workers do together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Storm {
    pub(crate) sessions: u32,
    /// Topics that they subscribe to, in turn.
    pub(crate) topics: u16,
    /// Sessions that begin per second.
    pub(crate) rate: Rate,
    /// Sessions that may be on their way at one time, at the maximal rate.
    pub(crate) in_flight: u32,
    /// Whether each gets a retained value; else it is served when it has subscribed.
    pub(crate) retained: bool,
}

/// One session.
struct Comer {
    /// Its number among those of all workers.
    number: usize,
    topic: u16,
    conn: Option<usize>,
    stage: Stage,
    intended: u64,
    attempted: u64,
    subscription: u64,
    /// The subscription and the number of the value that came.
    value: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Away,
    Joining,
    Subscribing,
    Subscribed,
    Served,
}

/// One time that all of them come.
struct Wave {
    start: u64,
    /// How many have begun.
    begun: usize,
    in_flight: u64,
    served: u64,
    last_served: u64,
    /// When those that failed try again; in this order.
    again: VecDeque<(u64, usize)>,
    retries: u64,
    first_reason: Option<String>,
    tally: Tally,
    joined: Latency,
    until_served: Latency,
    lag: Latency,
}

struct Gathering<'a> {
    storm: &'a Storm,
    share: Share,
    router: Router,
    target: Target,
    credentials: Credentials,
    comers: Vec<Comer>,
    /// The comer of each connection, or [`NOBODY`].
    by_conn: Vec<u32>,
    wave: Wave,
    /// Sessions that were served and lost their connection.
    ended: u64,
    /// Live events that came to sessions that were served.
    events: Tally,
    delivery: Latency,
}

/// Carries a share of a storm out.
///
/// # Errors
/// If there are too few open files or the leader is gone.
pub(crate) fn run(storm: &Storm, share: Share, router: &Router, timing: &Timing, link: &Link) -> Result<Outcome> {
    let mut net = Net::new()?;
    let count = share.of(storm.sessions as usize) as u64;
    let limit = machine::raise_file_limit();
    ensure!(
        count + join::SPARE_FILES <= limit,
        "{count} sessions need more open files than {limit} (ulimit -Hn); --processes helps"
    );
    let start = link.await_start(&mut net)?;
    let own_cpu = clock::thread_cpu();
    let mut gathering = Gathering::new(storm, share, router, start)?;
    gathering.come(&mut net, timing)?;
    let wave = gathering.wave.replace(0);
    let window = Window {
        seconds: (wave.last_served.max(start) - start) as f64 / SECOND as f64,
        delivered: wave.served,
        generator_cpu: (clock::thread_cpu() - own_cpu) as f64 / (net.clock.now() - start).max(1) as f64,
        partial: stop::asked(),
        ..Window::default()
    };
    let mut outcome = Outcome::new("session", window, Default::default());
    wave.report(&mut outcome, count, "");
    link.report(Report::Settled);
    loop {
        match link.order() {
            Some(Order::Again { time, url }) => {
                gathering.cut(&mut net, time, url)?;
                gathering.come(&mut net, timing)?;
                gathering.wave.replace(0).report(&mut outcome, count, "again_");
                link.report(Report::Settled);
            }
            Some(Order::Events) => {
                gathering.await_events(&mut net, timing)?;
                let received = gathering.events.received;
                let expected = if stop::asked() { received } else { count };
                let tally = Tally { expected, lost: expected - received, ..gathering.events };
                outcome.accounts.insert("events".into(), tally);
                outcome.add_times("delivery", std::mem::replace(&mut gathering.delivery, Latency::new()));
                link.report(Report::Settled);
            }
            Some(Order::Finish) => break,
            Some(_) => bail!("an order that does not belong here"),
            None => {
                let wake = net.clock.now() + SECOND / 200;
                net.turn(&mut gathering, Some(wake))?;
            }
        }
    }
    if gathering.ended > 0 {
        outcome.failures.push(format!("{} sessions lost their connection after they were served", gathering.ended));
    }
    outcome.conclude();
    Ok(outcome)
}

impl Wave {
    fn new(start: u64) -> Self {
        let times = || Latency::timed(start, INTERVAL);
        Self {
            start,
            begun: 0,
            in_flight: 0,
            served: 0,
            last_served: 0,
            again: VecDeque::new(),
            retries: 0,
            first_reason: None,
            tally: Tally::default(),
            joined: times(),
            until_served: times(),
            lag: times(),
        }
    }

    /// Begins another wave; gives this one.
    fn replace(&mut self, start: u64) -> Self {
        std::mem::replace(self, Self::new(start))
    }

    /// Puts the results into the outcome; `again` goes before their names.
    fn report(self, outcome: &mut Outcome, expected: u64, again: &str) {
        // After an interrupt those that had not come yet are not waited for.
        let expected = if stop::asked() { self.served } else { expected };
        let lost = expected - self.served;
        let tally = Tally { expected, received: self.served, lost, ..self.tally };
        outcome.accounts.insert(format!("{again}sessions"), tally);
        let seconds = self.last_served.saturating_sub(self.start) as f64 / SECOND as f64;
        outcome.metric(&format!("{again}all_served"), seconds, "s", Better::Lower, Combine::Max);
        outcome.add_times(&format!("{again}joined"), self.joined);
        outcome.add_times(&format!("{again}served"), self.until_served);
        outcome.generator.send_lag.merge(self.lag.finish());
        outcome.sent += expected;
        if self.retries > 0 {
            let reason = self.first_reason.unwrap_or_default();
            outcome.notes.push(format!("{} attempts failed and were repeated, the first: {reason}", self.retries));
        }
    }
}

impl<'a> Gathering<'a> {
    fn new(storm: &'a Storm, share: Share, router: &Router, start: u64) -> Result<Self> {
        let comer = |number: usize| Comer {
            number,
            topic: (number % usize::from(storm.topics)) as u16,
            conn: None,
            stage: Stage::Away,
            intended: 0,
            attempted: 0,
            subscription: 0,
            value: None,
        };
        Ok(Self {
            storm,
            share,
            target: Target::new(router)?,
            credentials: Credentials::new(router)?,
            router: router.clone(),
            comers: (0..storm.sessions as usize).filter(|number| share.owns(*number)).map(comer).collect(),
            by_conn: Vec::new(),
            wave: Wave::new(start),
            ended: 0,
            events: Tally::default(),
            delivery: Latency::new(),
        })
    }

    /// Lets all come, until each is served or nothing has happened for as long as one should wait.
    fn come(&mut self, net: &mut Net, timing: &Timing) -> Result<()> {
        let mut last = ((0, 0), self.wave.start);
        let mut progress = Progress::new();
        while self.wave.served < self.comers.len() as u64 && !stop::asked() {
            let now = net.clock.now();
            let due = self.pump(net, now);
            net.flush();
            if progress.is_due(now) {
                let (served, all) = (self.wave.served, self.comers.len());
                progress.show(served as f64 / all as f64, &format!("{served} of {all} sessions are served"));
            }
            let state = (self.wave.begun, self.wave.served);
            if state != last.0 {
                last = (state, now);
            }
            if now.saturating_sub(last.1) > drive::seconds(timing.patience)
                && due.is_none_or(|due| due < now + RETRY * 2)
            {
                break;
            }
            let latest = now + SECOND / 10;
            net.turn(self, Some(due.map_or(latest, |due| due.min(latest))))?;
        }
        self.linger(net)
    }

    /// Waits until every session has got a live event.
    fn await_events(&mut self, net: &mut Net, timing: &Timing) -> Result<()> {
        let end = net.clock.now() + drive::seconds(timing.patience);
        while self.events.received < self.comers.len() as u64 && net.clock.now() < end && !stop::asked() {
            let wake = net.clock.now() + SECOND / 10;
            net.turn(self, Some(wake))?;
        }
        self.linger(net)
    }

    /// What is doubled would come right after the first.
    fn linger(&mut self, net: &mut Net) -> Result<()> {
        let grace = net.clock.now() + SECOND / 10;
        while net.clock.now() < grace {
            net.turn(self, Some(grace))?;
        }
        Ok(())
    }

    /// Begins sessions whose time has come; gives when the next is due.
    fn pump(&mut self, net: &mut Net, now: u64) -> Option<u64> {
        if now < self.wave.start {
            return Some(self.wave.start);
        }
        while let Some((time, place)) = self.wave.again.front().copied() {
            if time > now {
                break;
            }
            self.wave.again.pop_front();
            self.begin(net, place, now);
        }
        let retry = self.wave.again.front().map(|(time, _)| *time);
        while self.wave.begun < self.comers.len() {
            let place = self.wave.begun;
            let intended = match self.storm.rate {
                Rate::Max => {
                    let room = (u64::from(self.storm.in_flight) / self.share.workers as u64).max(1);
                    if self.wave.in_flight >= room {
                        return retry;
                    }
                    self.wave.start
                }
                Rate::PerSecond(rate) => {
                    let number = self.comers[place].number as f64;
                    let intended = self.wave.start + (number * SECOND as f64 / rate) as u64;
                    if intended > now {
                        return Some(retry.map_or(intended, |retry| retry.min(intended)));
                    }
                    self.wave.lag.record(now - intended, now);
                    intended
                }
            };
            self.wave.begun += 1;
            self.comers[place].intended = intended;
            self.begin(net, place, now);
        }
        retry
    }

    fn begin(&mut self, net: &mut Net, place: usize, now: u64) {
        let comer = &mut self.comers[place];
        comer.attempted = now;
        self.wave.in_flight += 1;
        match net.connect(&self.target, self.router.serializer, comer.number, self.router.sources) {
            Ok(conn) => {
                comer.conn = Some(conn);
                comer.stage = Stage::Joining;
                if self.by_conn.len() <= conn {
                    self.by_conn.resize(conn + 1, NOBODY);
                }
                self.by_conn[conn] = place as u32;
            }
            Err(error) => self.retry(place, now, &format!("{error:#}")),
        }
    }

    fn retry(&mut self, place: usize, now: u64, reason: &str) {
        let comer = &mut self.comers[place];
        (comer.conn, comer.stage, comer.value) = (None, Stage::Away, None);
        self.wave.in_flight -= 1;
        self.wave.retries += 1;
        self.wave.first_reason.get_or_insert_with(|| reason.to_owned());
        self.wave.again.push_back((now + RETRY, place));
    }

    /// Cuts every connection off and begins another wave at this time, to this address.
    fn cut(&mut self, net: &mut Net, time: u64, url: String) -> Result<()> {
        for comer in &mut self.comers {
            if let Some(conn) = comer.conn.take() {
                net.close(conn);
            }
            (comer.stage, comer.value) = (Stage::Away, None);
        }
        self.by_conn.fill(NOBODY);
        // A router that was restarted has ended them itself.
        self.ended = 0;
        self.router.url = url;
        self.target = Target::new(&self.router)?;
        self.wave = Wave::new(time);
        Ok(())
    }

    fn answer(&mut self, net: &mut Net, place: usize, message: &[u8], now: u64) -> Result<()> {
        let serializer = self.router.serializer;
        let comer = &mut self.comers[place];
        let head = serializer.head(message).unwrap_or(Head { kind: 0, first: 0, second: 0 });
        match (comer.stage, head.kind) {
            (Stage::Joining, CHALLENGE) => {
                let answer = join::authenticate(&serializer.decode(message)?, &mut self.credentials)?;
                if let Some(conn) = comer.conn {
                    net.send(conn, &serializer.encode(&answer));
                }
            }
            (Stage::Joining, WELCOME) => {
                comer.stage = Stage::Subscribing;
                self.wave.joined.record(now.saturating_sub(comer.attempted), now);
                let options = if self.storm.retained { json!({"get_retained": true}) } else { json!({}) };
                let subscribe = json!([SUBSCRIBE, 1, options, plan::topic_uri(comer.topic)]);
                if let Some(conn) = comer.conn {
                    net.send(conn, &serializer.encode(&subscribe));
                }
            }
            (Stage::Subscribing, SUBSCRIBED) => {
                comer.stage = Stage::Subscribed;
                comer.subscription = head.second;
                if comer.value.is_some_and(|(subscription, _)| subscription != head.second) {
                    self.wave.tally.misrouted += 1;
                }
                self.look(place, now);
            }
            // Some routers send the value before they say that the subscription is there.
            (Stage::Subscribing | Stage::Subscribed | Stage::Served, EVENT) => {
                let stamp = stamp::locate_any(message).and_then(|found| Stamp::read(&message[found]));
                match (stamp, comer.value) {
                    (None, _) => self.wave.tally.stray += 1,
                    (Some(stamp), _)
                        if stamp.topic != comer.topic
                            || comer.stage != Stage::Subscribing && head.first != comer.subscription =>
                    {
                        self.wave.tally.misrouted += 1;
                    }
                    (Some(stamp), Some((_, number))) if number == stamp.sequence => self.wave.tally.doubled += 1,
                    (Some(stamp), _) => {
                        comer.value = Some((head.first, stamp.sequence));
                        if comer.stage == Stage::Served {
                            self.events.received += 1;
                            self.delivery.record(now.saturating_sub(stamp.time), now);
                        }
                        self.look(place, now);
                    }
                }
            }
            _ => return Err(join::refusal(&serializer.decode(message)?)),
        }
        Ok(())
    }

    /// Looks whether a session has all that it wants.
    fn look(&mut self, place: usize, now: u64) {
        let comer = &mut self.comers[place];
        if comer.stage != Stage::Subscribed || self.storm.retained && comer.value.is_none() {
            return;
        }
        comer.stage = Stage::Served;
        self.wave.served += 1;
        self.wave.in_flight -= 1;
        self.wave.last_served = now;
        self.wave.until_served.record(now.saturating_sub(comer.intended), now);
    }

    fn lost(&mut self, conn: usize, now: u64, reason: &str) {
        let Some(place) = self.by_conn.get_mut(conn).map(|place| std::mem::replace(place, NOBODY)) else { return };
        let Some(comer) = self.comers.get_mut(place as usize) else { return };
        if comer.stage == Stage::Served {
            comer.conn = None;
            self.ended += 1;
        } else {
            self.retry(place as usize, now, reason);
        }
    }
}

impl Handler for Gathering<'_> {
    fn opened(&mut self, net: &mut Net, conn: usize) {
        net.send(conn, &self.router.serializer.encode(&join::hello(&self.router.realm, &self.credentials)));
    }

    fn message(&mut self, net: &mut Net, conn: usize, message: &[u8], now: u64) {
        let place = self.by_conn.get(conn).copied().filter(|place| *place != NOBODY);
        let Some(place) = place else { return self.wave.tally.stray += 1 };
        if let Err(error) = self.answer(net, place as usize, message, now) {
            net.close(conn);
            self.lost(conn, now, &format!("{error:#}"));
        }
    }

    fn closed(&mut self, net: &mut Net, conn: usize, reason: &str) {
        self.lost(conn, net.clock.now(), reason);
    }
}
