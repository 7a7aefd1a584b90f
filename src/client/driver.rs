//! The part of a session that talks to the router: orders to octets, octets to whoever waits for them.

use super::attached::Subscriptions;
use super::call::CancelMode;
use super::error::{CallError, RequestError};
use super::link::{Input, Link, Output, Unsendable};
use super::offered::Registrations;
use super::order::{Answer, Notice, Order, Testament, Wanted};
use super::outbox::Outbox;
use super::queue::{Feed, Tally};
use super::settings::Settings;
use super::state::{Ended, Herald, State};
use super::waiter::Waiter;
use crate::wamp::id::{RegistrationId, RequestId, SessionId};
use crate::wamp::message::{
    Call, Cancel, Error, Goodbye, Invocation, MessageType, Publish, Register, Subscribe, Unregister, Unsubscribe, Yield,
};
use crate::wamp::payload::{Payload, Raw};
use crate::wamp::{Dict, Message, Uri, codec, error};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// No orders are taken while so many octets wait to be written.
const OUT_BYTES_MAX: usize = 256 * 1024;
/// Nothing is read while so many octets wait to be written, since answering what is read makes more of them.
const OUT_BYTES_FULL: usize = 16 << 20;
/// So many invocations that were answered before all of their arguments had come are remembered.
const CUT_SHORT_MAX: usize = 256;
/// Octets that are read at once.
const READ_BYTES: usize = 32 * 1024;
/// Who waits for an answer may be what takes messages: so many times more of them are held then.
const HELD_FACTOR: usize = 16;

/// An invocation that is worked on.
#[derive(Debug)]
pub(super) struct Working {
    pub(super) request: RequestId,
    pub(super) interrupt: oneshot::Sender<()>,
    /// Where more arguments go.
    pub(super) more: Option<Feed<Invocation>>,
}

/// What a session knows, over all of its connections.
pub(super) struct Driver {
    pub(super) link: Link,
    pub(super) settings: Settings,
    pub(super) tally: Arc<Tally>,
    pub(super) out: Outbox,
    last: RequestId,
    pub(super) waiters: HashMap<RequestId, Waiter>,
    pub(super) calls: HashMap<u64, RequestId>,
    pub(super) subscriptions: Subscriptions,
    pub(super) registrations: Registrations,
    pub(super) testaments: Vec<Testament>,
    /// Invocations that are worked on, by numbers of our own.
    pub(super) working: HashMap<u64, Working>,
    /// The same by the numbers of the router.
    pub(super) invoked: HashMap<RequestId, u64>,
    /// Invocations so far.
    pub(super) invocations: u64,
    /// Those that were answered while more arguments were to come, which may be on the way; the last ones.
    pub(super) cut_short: VecDeque<RequestId>,
    /// The router keeps histories, and gaps are to be filled.
    pub(super) fills_gaps: bool,
    pub(super) herald: Herald,
    /// The session, and the last request that asks for what was there: there is a session again when it is answered.
    returning: Option<(SessionId, RequestId)>,
    leaving: Option<oneshot::Sender<()>>,
    /// The application wants the session to end.
    pub(super) left: Option<Uri>,
    /// When leaving is given up, once it has begun.
    leave_by: Instant,
    pub(super) ended: Option<Ended>,
    /// Something has been read since then.
    heard: Instant,
    /// A ping has been sent then.
    asked: Option<Instant>,
}

/// What an application says to its session.
pub(super) struct Wishes {
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) notices: mpsc::UnboundedReceiver<Notice>,
}

impl Driver {
    pub(super) fn new(link: Link, settings: Settings, tally: Arc<Tally>, herald: Herald) -> Driver {
        Driver {
            link,
            settings,
            tally,
            out: Outbox::default(),
            last: RequestId::from_raw(0),
            waiters: HashMap::new(),
            calls: HashMap::new(),
            subscriptions: Subscriptions::default(),
            registrations: Registrations::default(),
            testaments: Vec::new(),
            working: HashMap::new(),
            invoked: HashMap::new(),
            invocations: 0,
            cut_short: VecDeque::new(),
            fills_gaps: false,
            herald,
            returning: None,
            leaving: None,
            left: None,
            leave_by: Instant::now(),
            ended: None,
            heard: Instant::now(),
            asked: None,
        }
    }

    /// Runs until the connection ends.
    pub(super) async fn drive(
        &mut self,
        (mut input, mut output): (Input, Output),
        mut octets: Vec<u8>,
        wishes: &mut Wishes,
    ) -> Ended {
        let mut reads = true;
        (self.heard, self.asked) = (Instant::now(), None);
        self.take(&mut octets);
        octets.reserve(READ_BYTES);
        loop {
            let over = self.ended.is_some();
            if over && self.out.is_idle() {
                break;
            }
            let read_before = std::mem::replace(&mut reads, !over && self.has_room());
            if reads && !read_before {
                // Who is not read cannot be heard.
                (self.heard, self.asked) = (Instant::now(), None);
            }
            self.settings.census.note(self);
            self.announce_return();
            let orders = !over && self.leaving.is_none() && self.out.len() < OUT_BYTES_MAX;
            let ping = self.next_ping().filter(|_| reads);
            let again = self.registrations.next_try().filter(|_| !over);
            tokio::select! {
                read = input.read_buf(&mut octets), if reads => match read {
                    Ok(0) => self.end(Ended::Lost("the router has closed the connection".into())),
                    Ok(_) => {
                        (self.heard, self.asked) = (Instant::now(), None);
                        self.take(&mut octets);
                    }
                    Err(why) => self.end(Ended::Lost(why.to_string())),
                },
                pushed = self.out.push(&mut output), if !self.out.is_idle() => {
                    if let Err(why) = pushed {
                        self.lose(&why.to_string());
                    }
                }
                order = wishes.orders.recv(), if orders => {
                    // What the application has dropped or answered before it asked for this comes before this.
                    while let Ok(notice) = wishes.notices.try_recv() {
                        self.heed(notice);
                    }
                    match order {
                        Some(order) => self.obey(order),
                        // The application has let the session go.
                        None => self.leave(error::CLOSE_REALM.into(), oneshot::channel().0),
                    }
                },
                Some(notice) = wishes.notices.recv(), if !over => self.heed(notice),
                () = self.tally.taken(), if !over && !reads => {}
                () = until(ping), if ping.is_some() => self.ping(),
                () = until(again), if again.is_some() => self.register_again(),
                () = tokio::time::sleep_until(self.leave_by), if !over && self.leaving.is_some() => {
                    self.lose("the router has not answered GOODBYE");
                }
                () = tokio::time::sleep(self.settings.leave_timeout), if over => self.out.clear(),
            }
        }
        self.ended.take().unwrap_or_else(|| Ended::Lost(String::new()))
    }

    /// False: the application has to take something first, or the network.
    fn has_room(&self) -> bool {
        let (held, max) = (self.tally.held(), self.settings.queue_max);
        let waits = !self.waiters.is_empty() && held < max.saturating_mul(HELD_FACTOR);
        // The answer to GOODBYE comes behind everything else.
        (held < max || waits || self.is_leaving()) && self.out.len() < OUT_BYTES_FULL
    }

    pub(super) fn lose(&mut self, why: &str) {
        self.out.clear();
        self.end(Ended::Lost(why.into()));
    }

    pub(super) fn end(&mut self, how: Ended) {
        self.ended.get_or_insert(how);
    }

    /// When the router is asked whether it is still there, or is late with its answer.
    fn next_ping(&self) -> Option<Instant> {
        let interval = self.settings.ping_interval;
        match self.asked {
            _ if interval.is_zero() => None,
            Some(asked) => Some(asked + self.settings.ping_timeout),
            None => self.link.is_pinged(self.settings.ping_rawsocket).then(|| self.heard + interval),
        }
    }

    fn ping(&mut self) {
        match self.asked {
            Some(_) => self.lose("the router has not answered a ping"),
            None => {
                self.link.ping(&mut self.out.octets);
                self.asked = Some(Instant::now());
            }
        }
    }

    /// Reads what has come.
    fn take(&mut self, octets: &mut Vec<u8>) {
        let mut messages = Vec::new();
        let read = self.link.receive(octets, &mut self.out.octets, |message| messages.push(message));
        octets.clear();
        for message in messages {
            if self.ended.is_none() {
                self.hear(message);
            }
        }
        match read {
            Ok(true) => {}
            Ok(false) => self.end(Ended::Lost("the router has closed the connection".into())),
            Err(why) => self.end(Ended::Lost(format!("the router broke the protocol: {why}"))),
        }
    }

    pub(super) fn send(&mut self, message: &Message) -> Result<(), Unsendable> {
        self.link.send(message, &mut self.out.octets)
    }

    /// Sends a request by the next number, and remembers who waits for its answer. What cannot be sent is failed.
    pub(super) fn request(&mut self, message: impl FnOnce(RequestId) -> Message, waiter: Option<Waiter>) {
        let request = self.last.next();
        match (self.send(&message(request)).map_err(RequestError::from), waiter) {
            (Ok(()), Some(waiter)) => {
                self.last = request;
                match &waiter {
                    Waiter::Call(number, _) => drop(self.calls.insert(*number, request)),
                    Waiter::Subscribe(_) => self.subscriptions.asking += 1,
                    _ => {}
                }
                self.waiters.insert(request, waiter);
            }
            (Ok(()), None) => self.last = request,
            (Err(error), Some(Waiter::Subscribe(number))) => self.subscriptions.refused(number, error),
            (Err(error), Some(Waiter::Register(number))) => self.registrations.refused(number, error),
            (Err(error), Some(waiter)) => waiter.fail(error),
            // A publication, just too large for its frame.
            (Err(error), None) => tracing::warn!(%error, "not published"),
        }
    }

    /// The numbers of requests begin anew with each connection.
    pub(super) fn number_anew(&mut self) {
        self.last = RequestId::from_raw(0);
        self.returning = None;
    }

    /// The session is there when all that has been asked for so far is answered.
    pub(super) fn await_return(&mut self, session: SessionId) {
        self.returning = Some((session, self.last));
    }

    fn announce_return(&mut self) {
        let Some((session, last)) = self.returning.filter(|_| self.ended.is_none()) else { return };
        if self.waiters.keys().all(|request| *request > last) {
            self.returning = None;
            tracing::debug!(%session, "joined");
            self.herald.announce(State::Joined(session));
        }
    }

    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Publish(publish, answer) => {
                let excluded = !matches!(publish.options.bool("exclude_me"), Ok(Some(false)));
                let waiter = answer.map(|answer| Waiter::Publish(answer, excluded));
                self.request(|request| Publish { request, ..publish }.into(), waiter);
            }
            Order::Subscribe(number, wanted) => {
                self.subscriptions.add(number, wanted, self.settings.reconnects);
                self.subscribe(number);
            }
            Order::Register(number, wanted) => {
                self.registrations.add(number, wanted);
                self.register(number);
            }
            Order::Unregister(number, answer) => match self.registrations.remove(number) {
                Some(id) => self.unregister(id, Some(answer)),
                // It does not exist at the router, or not any more.
                None => drop(answer.send(Ok(()))),
            },
            // Who has given the call up before it was sent is heard of before it.
            Order::Call(_, _, feed) if feed.is_closed() => {}
            Order::Call(_, number, feed) if feed.is_canceled() => Waiter::Call(number, feed).cancel(),
            Order::Call(call, number, feed) => self.call(call, Waiter::Call(number, feed)),
            Order::More(call, number, answer) => {
                let sent = match self.calls.get(&number).copied() {
                    Some(request) => self.send(&Call { request, ..call }.into()),
                    None => Ok(()),
                };
                let _ = answer.send(sent.map_err(RequestError::from));
            }
            Order::Progress(number, options, payload, answer) => {
                let options = options.with("progress", true);
                let sent = match self.working.get(&number).map(|working| working.request) {
                    Some(request) => self.send(&Yield { request, options, payload }.into()),
                    None => Ok(()),
                };
                let _ = answer.send(sent.map_err(RequestError::from));
            }
            Order::Testament(testament, answer) => self.bequeath(testament, Some(answer)),
            Order::Flush(scope, answer) => {
                let kwargs = Dict::new().with("scope", scope);
                match codec::payload(self.link.serializer, Vec::new(), kwargs) {
                    Ok(raw) => self.ask_router("wamp.session.flush_testaments", raw, Waiter::Flush(scope, answer)),
                    Err(why) => drop(answer.send(Err(RequestError::Unsendable(why.to_string())))),
                }
            }
            Order::Leave(reason, done) => self.leave(reason, done),
        }
    }

    pub(super) fn subscribe(&mut self, number: u64) {
        let Some(Wanted { uri, options, .. }) = self.subscriptions.get(number) else { return };
        let (topic, options) = (uri.clone(), options.clone());
        self.request(|request| Subscribe { request, options, topic }.into(), Some(Waiter::Subscribe(number)));
    }

    pub(super) fn register(&mut self, number: u64) {
        let Some(Wanted { uri, options, .. }) = self.registrations.get(number) else { return };
        let (procedure, options) = (uri.clone(), options.clone());
        self.request(|request| Register { request, options, procedure }.into(), Some(Waiter::Register(number)));
    }

    fn register_again(&mut self) {
        for number in self.registrations.take_due(Instant::now()) {
            self.register(number);
        }
    }

    pub(super) fn unregister(&mut self, registration: RegistrationId, answer: Option<Answer<()>>) {
        self.request(|request| Unregister { request, registration }.into(), Some(Waiter::Unregister(answer)));
    }

    fn call(&mut self, call: Call, waiter: Waiter) {
        self.request(|request| Call { request, ..call }.into(), Some(waiter));
    }

    /// Calls a procedure of the router.
    pub(super) fn ask_router(&mut self, procedure: &str, raw: Raw, waiter: Waiter) {
        let (request, options, payload) = (RequestId::default(), Dict::new(), Payload::new(raw));
        self.call(Call { request, options, procedure: procedure.into(), payload }, waiter);
    }

    /// Leaves a testament, for the first time if somebody waits for the answer.
    pub(super) fn bequeath(&mut self, testament: Testament, answer: Option<Answer<()>>) {
        let Some(raw) = testament.payload.origin().cloned() else { return };
        let waiter = Waiter::Testament(answer.map(|answer| (testament, answer)));
        self.ask_router("wamp.session.add_testament", raw, waiter);
    }

    fn leave(&mut self, reason: Uri, done: oneshot::Sender<()>) {
        self.left = Some(reason.clone());
        let _ = self.send(&Goodbye { details: Dict::new(), reason }.into());
        self.leaving = Some(done);
        self.leave_by = Instant::now() + self.settings.leave_timeout;
    }

    /// True if GOODBYE has been sent.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Tells who leaves that it is over.
    pub(super) fn left(&mut self) {
        if let Some(done) = self.leaving.take() {
            let _ = done.send(());
        }
    }

    fn cancel(&mut self, number: u64, mode: CancelMode) {
        if let Some(request) = self.calls.get(&number) {
            let options = Dict::new().with("mode", mode.name());
            let _ = self.send(&Cancel { request: *request, options }.into());
        }
    }

    pub(super) fn heed(&mut self, notice: Notice) {
        match notice {
            Notice::Forget(number) => self.cancel(number, CancelMode::KillNoWait),
            Notice::Cancel(number, mode) => self.cancel(number, mode),
            Notice::Detach(number) => {
                self.subscriptions.remove(number);
                self.unsubscribe_unwanted();
            }
            Notice::Withdraw(number) => {
                if let Some(id) = self.registrations.remove(number) {
                    self.unregister(id, None);
                }
            }
            Notice::Done(number, result) => self.answer(number, result),
            // GOODBYE follows what has been ordered before.
            Notice::Leaving(reason) => self.left = Some(reason),
        }
    }

    pub(super) fn unsubscribe_unwanted(&mut self) {
        for subscription in self.subscriptions.take_unwanted() {
            self.request(|request| Unsubscribe { request, subscription }.into(), Some(Waiter::Unsubscribe));
        }
    }

    /// Answers an invocation, unless its caller does not wait any more.
    pub(super) fn answer(&mut self, number: u64, result: Result<(Dict, Payload), CallError>) {
        let Some(Working { request, more, .. }) = self.working.remove(&number) else { return };
        self.invoked.remove(&request);
        if more.is_some() {
            self.cut_short(request);
        }
        let sent = match result {
            Ok((options, payload)) => self.send(&Yield { request, options, payload }.into()),
            Err(why) => {
                let payload = codec::payload(self.link.serializer, why.args, why.kwargs);
                self.fail(request, why.error, payload.map(Payload::new).unwrap_or_default())
            }
        };
        if let Err(why) = sent {
            let args = vec![why.to_string().into()];
            let payload = codec::payload(self.link.serializer, args, Dict::new()).map(Payload::new);
            let _ = self.fail(request, why.error().into(), payload.unwrap_or_default());
        }
    }

    /// More arguments of an invocation may be on the way, though it has its answer.
    pub(super) fn cut_short(&mut self, request: RequestId) {
        self.cut_short.truncate(CUT_SHORT_MAX - 1);
        self.cut_short.push_front(request);
    }

    pub(super) fn fail(&mut self, request: RequestId, error: Uri, payload: Payload) -> Result<(), Unsendable> {
        let request_type = MessageType::Invocation;
        self.send(&Error { request_type, request, details: Dict::new(), error, payload }.into())
    }
}

/// Waits until then.
async fn until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// Tells whoever has asked that it was in vain.
pub(super) fn refuse(order: Order, error: RequestError) {
    match order {
        Order::Publish(_, Some(answer)) => Waiter::Publish(answer, true).fail(error),
        Order::Subscribe(_, Wanted { answer: Some(answer), .. })
        | Order::Register(_, Wanted { answer: Some(answer), .. })
        | Order::Unregister(_, answer)
        | Order::More(_, _, answer)
        | Order::Progress(_, _, _, answer)
        | Order::Testament(_, answer)
        | Order::Flush(_, answer) => drop(answer.send(Err(error))),
        Order::Call(_, number, feed) => Waiter::Call(number, feed).fail(error),
        Order::Publish(_, None) | Order::Subscribe(..) | Order::Register(..) | Order::Leave(..) => {}
    }
}
