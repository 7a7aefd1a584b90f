//! The task that owns a connection: orders to octets, octets to whoever waits for them.

use super::error::{CallError, RequestError};
use super::link::{Input, Link, Output};
use super::order::{Answer, Invoked, Notice, Order};
use super::queue::{Feed, Tally};
use crate::wamp::id::{PublicationId, RegistrationId, RequestId, SubscriptionId};
use crate::wamp::message::{
    Cancel, Error, Event, Goodbye, MessageType, Result as CallResult, Unregister, Unsubscribe, Yield,
};
use crate::wamp::payload::Payload;
use crate::wamp::{Dict, Message, Uri, codec, error};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// No orders are taken while so many octets wait to be written.
const OUT_BYTES_MAX: usize = 256 * 1024;
/// Nothing is read while the application has not taken so many messages, unless it waits for an answer itself: what would
/// take them may be what waits.
const HELD_MAX: usize = 4096;

/// A router has so much time to answer GOODBYE, and the network to take the last octets.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(5);

/// Whoever waits for the answer to a request.
enum Waiter {
    Publish(Answer<PublicationId>),
    Subscribe(Feed<Event>, Answer<(SubscriptionId, u64)>),
    Register(Feed<Invoked>, Answer<RegistrationId>),
    Unregister(Answer<()>),
    Call(u64, Feed<Result<CallResult, RequestError>>),
    /// Nobody.
    Unsubscribe,
}

impl Waiter {
    fn fail(self, error: RequestError) {
        // Who does not wait any more need not know.
        match self {
            Waiter::Publish(answer) => drop(answer.send(Err(error))),
            Waiter::Subscribe(_, answer) => drop(answer.send(Err(error))),
            Waiter::Register(_, answer) => drop(answer.send(Err(error))),
            Waiter::Unregister(answer) => drop(answer.send(Err(error))),
            Waiter::Call(_, feed) => {
                let _ = feed.put(Err(error));
            }
            Waiter::Unsubscribe => {}
        }
    }
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ended {
    /// Both sides have said GOODBYE, or the router ABORT.
    Closed(Uri, Dict),
    /// The connection is lost.
    Lost(String),
}

/// The state of one session.
pub(super) struct Driver {
    pub(super) link: Link,
    pub(super) tally: Arc<Tally>,
    out: Vec<u8>,
    last: RequestId,
    waiters: HashMap<RequestId, Waiter>,
    calls: HashMap<u64, RequestId>,
    subscriptions: HashMap<SubscriptionId, Vec<(u64, Feed<Event>)>>,
    registrations: HashMap<RegistrationId, Feed<Invoked>>,
    /// Invocations that are worked on.
    working: HashMap<RequestId, oneshot::Sender<()>>,
    attached: u64,
    leaving: Option<oneshot::Sender<()>>,
    /// When leaving is given up, once it has begun.
    leave_by: Instant,
    ended: Option<Ended>,
}

impl Driver {
    pub(super) fn new(link: Link, tally: Arc<Tally>) -> Driver {
        Driver {
            link,
            tally,
            out: Vec::new(),
            last: RequestId::from_raw(0),
            waiters: HashMap::new(),
            calls: HashMap::new(),
            subscriptions: HashMap::new(),
            registrations: HashMap::new(),
            working: HashMap::new(),
            attached: 0,
            leaving: None,
            leave_by: Instant::now(),
            ended: None,
        }
    }

    /// Runs until the session ends, which is told to `ended`.
    pub(super) async fn run(
        mut self,
        (mut input, mut output): (Input, Output),
        mut octets: Vec<u8>,
        mut orders: mpsc::Receiver<Order>,
        mut notices: mpsc::UnboundedReceiver<Notice>,
        ended: watch::Sender<Option<Ended>>,
    ) {
        self.take(&mut octets);
        // TLS keeps what it has been given until it is told that nothing follows.
        let mut unflushed = false;
        while self.ended.is_none() || !self.out.is_empty() || unflushed {
            let over = self.ended.is_some();
            let reads = !over && (self.tally.held() < HELD_MAX || !self.waiters.is_empty());
            tokio::select! {
                read = input.read_buf(&mut octets), if reads => match read {
                    Ok(0) => self.end(Ended::Lost("the router has closed the connection".into())),
                    Ok(_) => self.take(&mut octets),
                    Err(why) => self.end(Ended::Lost(why.to_string())),
                },
                written = push(&mut output, &self.out), if !self.out.is_empty() || unflushed => match written {
                    Ok(0) if self.out.is_empty() => unflushed = false,
                    Ok(0) => self.lose("nothing can be written"),
                    Ok(count) => {
                        self.out.drain(..count);
                        unflushed = true;
                    }
                    Err(why) => {
                        unflushed = false;
                        self.lose(&why.to_string());
                    }
                },
                order = orders.recv(), if !over && self.leaving.is_none() && self.out.len() < OUT_BYTES_MAX => {
                    // What the application has dropped or answered before it asked for this comes before this.
                    while let Ok(notice) = notices.try_recv() {
                        self.heed(notice);
                    }
                    match order {
                        Some(order) => self.obey(order),
                        // The application has let the session go.
                        None => self.leave(error::CLOSE_REALM.into(), oneshot::channel().0),
                    }
                }
                Some(notice) = notices.recv(), if !over => self.heed(notice),
                () = self.tally.taken(), if !over && !reads => {}
                () = tokio::time::sleep_until(self.leave_by), if !over && self.leaving.is_some() => {
                    self.lose("the router has not answered GOODBYE");
                }
                () = tokio::time::sleep(LEAVE_TIME_MAX), if over => {
                    unflushed = false;
                    self.out.clear();
                }
            }
        }
        orders.close();
        while let Ok(order) = orders.try_recv() {
            self.refuse(order);
        }
        self.waiters.drain().for_each(|(_, waiter)| waiter.fail(RequestError::Closed(reason(&self.ended))));
        let _ = ended.send(self.ended);
    }

    fn lose(&mut self, why: &str) {
        self.out.clear();
        self.end(Ended::Lost(why.into()));
    }

    fn end(&mut self, how: Ended) {
        self.ended.get_or_insert(how);
    }

    /// Reads what has come.
    fn take(&mut self, octets: &mut Vec<u8>) {
        let mut messages = Vec::new();
        let read = self.link.receive(octets, &mut self.out, |message| messages.push(message));
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

    fn send(&mut self, message: &Message) -> Result<(), RequestError> {
        self.link.send(message, &mut self.out).map_err(|why| RequestError::Unsendable(why.to_string()))
    }

    /// Sends a request by the next number, and remembers who waits for its answer.
    fn request(&mut self, message: impl FnOnce(RequestId) -> Message, waiter: Option<Waiter>) {
        let request = self.last.next();
        match (self.send(&message(request)), waiter) {
            (Ok(()), Some(waiter)) => {
                self.last = request;
                if let Waiter::Call(token, _) = &waiter {
                    self.calls.insert(*token, request);
                }
                self.waiters.insert(request, waiter);
            }
            (Ok(()), None) => self.last = request,
            (Err(error), Some(waiter)) => waiter.fail(error),
            (Err(_), None) => {}
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Publish(publish, answer) => {
                self.request(
                    |request| Message::Publish(crate::wamp::message::Publish { request, ..publish }),
                    answer.map(Waiter::Publish),
                );
            }
            Order::Subscribe(subscribe, feed, answer) => {
                let waiter = Waiter::Subscribe(feed, answer);
                self.request(|request| crate::wamp::message::Subscribe { request, ..subscribe }.into(), Some(waiter));
            }
            Order::Register(register, feed, answer) => {
                let waiter = Waiter::Register(feed, answer);
                self.request(|request| crate::wamp::message::Register { request, ..register }.into(), Some(waiter));
            }
            Order::Unregister(registration, answer) => {
                self.registrations.remove(&registration);
                self.request(|request| Unregister { request, registration }.into(), Some(Waiter::Unregister(answer)));
            }
            // Who has given the call up before it was sent is heard of before it.
            Order::Call(_, _, feed) if feed.is_closed() => {}
            Order::Call(call, token, feed) => {
                let waiter = Waiter::Call(token, feed);
                self.request(|request| crate::wamp::message::Call { request, ..call }.into(), Some(waiter));
            }
            Order::Progress(request, payload, answer) => {
                let options = Dict::new().with("progress", true);
                let sent = match self.working.contains_key(&request) {
                    true => self.send(&Yield { request, options, payload }.into()),
                    false => Ok(()),
                };
                let _ = answer.send(sent);
            }
            Order::Leave(reason, done) => self.leave(reason, done),
        }
    }

    fn refuse(&self, order: Order) {
        let closed = || RequestError::Closed(reason(&self.ended));
        match order {
            Order::Publish(_, Some(answer)) => Waiter::Publish(answer).fail(closed()),
            Order::Subscribe(_, feed, answer) => Waiter::Subscribe(feed, answer).fail(closed()),
            Order::Register(_, feed, answer) => Waiter::Register(feed, answer).fail(closed()),
            Order::Unregister(_, answer) => Waiter::Unregister(answer).fail(closed()),
            Order::Call(_, token, feed) => Waiter::Call(token, feed).fail(closed()),
            Order::Progress(_, _, answer) => drop(answer.send(Err(closed()))),
            Order::Publish(_, None) | Order::Leave(..) => {}
        }
    }

    fn leave(&mut self, reason: Uri, done: oneshot::Sender<()>) {
        let _ = self.send(&Goodbye { details: Dict::new(), reason }.into());
        self.leaving = Some(done);
        self.leave_by = Instant::now() + LEAVE_TIME_MAX;
    }

    fn heed(&mut self, notice: Notice) {
        match notice {
            Notice::Forget(token) => {
                if let Some(request) = self.calls.get(&token) {
                    let options = Dict::new().with("mode", "killnowait");
                    let _ = self.send(&Cancel { request: *request, options }.into());
                }
            }
            Notice::Detach(subscription, feed) => self.detach(subscription, feed),
            Notice::Done(request, result) => self.answer(request, result),
        }
    }

    fn detach(&mut self, subscription: SubscriptionId, feed: u64) {
        let Some(feeds) = self.subscriptions.get_mut(&subscription) else { return };
        feeds.retain(|(known, _)| *known != feed);
        if feeds.is_empty() {
            self.unsubscribe_unwanted();
        }
    }

    /// Unsubscribes from what nobody listens to, once no SUBSCRIBE is on the way: it may be for the same topic, which
    /// UNSUBSCRIBE would take away from it.
    fn unsubscribe_unwanted(&mut self) {
        if self.waiters.values().any(|waiter| matches!(waiter, Waiter::Subscribe(..))) {
            return;
        }
        let unwanted = self.subscriptions.iter().filter(|(_, feeds)| feeds.is_empty()).map(|(id, _)| *id);
        for subscription in unwanted.collect::<Vec<_>>() {
            self.subscriptions.remove(&subscription);
            self.request(|request| Unsubscribe { request, subscription }.into(), Some(Waiter::Unsubscribe));
        }
    }

    /// Answers an invocation, unless its caller does not wait any more.
    fn answer(&mut self, request: RequestId, result: Result<(Dict, Payload), CallError>) {
        if self.working.remove(&request).is_none() {
            return;
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
            let _ = self.fail(request, error::INVALID_PAYLOAD.into(), payload.unwrap_or_default());
        }
    }

    fn fail(&mut self, request: RequestId, error: Uri, payload: Payload) -> Result<(), RequestError> {
        let request_type = MessageType::Invocation;
        self.send(&Error { request_type, request, details: Dict::new(), error, payload }.into())
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Event(event) => {
                let feeds = self.subscriptions.get(&event.subscription).map(Vec::as_slice).unwrap_or_default();
                for (_, feed) in feeds {
                    // Who has dropped its end is about to be detached.
                    let _ = feed.put(event.clone());
                }
            }
            Message::Invocation(invocation) => {
                let (interrupt, interrupted) = oneshot::channel();
                let request = invocation.request;
                self.working.insert(request, interrupt);
                let feed = self.registrations.get(&invocation.registration);
                if !feed.is_some_and(|feed| feed.put(Invoked { invocation, interrupted })) {
                    let why = CallError::new(error::UNAVAILABLE, "the procedure is being withdrawn");
                    self.answer(request, Err(why));
                }
            }
            Message::Interrupt(interrupt) => {
                if let Some(working) = self.working.remove(&interrupt.request) {
                    let _ = working.send(());
                    let _ = self.fail(interrupt.request, error::CANCELED.into(), Payload::NONE);
                }
            }
            Message::Goodbye(goodbye) => {
                if self.leaving.is_none() {
                    let reason = error::GOODBYE_AND_OUT.into();
                    let _ = self.send(&Goodbye { details: Dict::new(), reason }.into());
                }
                self.end(Ended::Closed(goodbye.reason, goodbye.details));
                if let Some(done) = self.leaving.take() {
                    let _ = done.send(());
                }
            }
            Message::Abort(abort) => self.end(Ended::Closed(abort.reason, abort.details)),
            Message::Unsubscribed(gone) if gone.request.get() == 0 => {
                let id = gone.details.and_then(|details| details.uint("subscription").ok().flatten());
                self.subscriptions.remove(&SubscriptionId::from_raw(id.unwrap_or_default()));
            }
            Message::Unregistered(gone) if gone.request.get() == 0 => {
                let id = gone.details.and_then(|details| details.uint("registration").ok().flatten());
                self.registrations.remove(&RegistrationId::from_raw(id.unwrap_or_default()));
            }
            answer => self.hand_out(answer),
        }
    }

    /// Gives an answer to who waits for it.
    fn hand_out(&mut self, message: Message) {
        let (request, error) = match &message {
            Message::Published(m) => (m.request, None),
            Message::Subscribed(m) => (m.request, None),
            Message::Unsubscribed(m) => (m.request, None),
            Message::Registered(m) => (m.request, None),
            Message::Unregistered(m) => (m.request, None),
            Message::Result(m) => (m.request, None),
            Message::Error(m) => {
                let (args, kwargs) = m.payload.values().unwrap_or_default();
                (m.request, Some(CallError { error: m.error.clone(), args, kwargs }))
            }
            other => {
                let why = format!("the router broke the protocol: {} is not for clients", other.message_type().name());
                return self.end(Ended::Lost(why));
            }
        };
        if let Message::Result(result) = &message
            && matches!(result.details.bool("progress"), Ok(Some(true)))
        {
            if let Some(Waiter::Call(_, feed)) = self.waiters.get(&request) {
                feed.put(Ok(result.clone()));
            }
            return;
        }
        let Some(waiter) = self.waiters.remove(&request) else { return };
        if let Waiter::Call(token, _) = &waiter {
            self.calls.remove(token);
        }
        let subscribes = matches!(waiter, Waiter::Subscribe(..));
        match error {
            Some(error) => waiter.fail(RequestError::Refused(error)),
            None => self.satisfy(waiter, message),
        }
        if subscribes {
            self.unsubscribe_unwanted();
        }
    }

    fn satisfy(&mut self, waiter: Waiter, message: Message) {
        match (waiter, message) {
            (Waiter::Publish(answer), Message::Published(m)) => drop(answer.send(Ok(m.publication))),
            (Waiter::Subscribe(feed, answer), Message::Subscribed(m)) => {
                self.attached += 1;
                self.subscriptions.entry(m.subscription).or_default().push((self.attached, feed));
                if answer.send(Ok((m.subscription, self.attached))).is_err() {
                    self.detach(m.subscription, self.attached);
                }
            }
            (Waiter::Register(feed, answer), Message::Registered(m)) => {
                self.registrations.insert(m.registration, feed);
                if answer.send(Ok(m.registration)).is_err() {
                    self.obey(Order::Unregister(m.registration, oneshot::channel().0));
                }
            }
            (Waiter::Unregister(answer), Message::Unregistered(_)) => drop(answer.send(Ok(()))),
            (Waiter::Call(_, feed), Message::Result(m)) => {
                let _ = feed.put(Ok(m));
            }
            (Waiter::Unsubscribe, Message::Unsubscribed(_)) => {}
            (waiter, other) => {
                waiter.fail(RequestError::Closed(None));
                let why = format!("the router broke the protocol: {} is not the answer", other.message_type().name());
                self.end(Ended::Lost(why));
            }
        }
    }
}

/// Writes some octets, or where there are none makes sure that those before them leave.
async fn push(output: &mut Output, octets: &[u8]) -> std::io::Result<usize> {
    match octets.is_empty() {
        true => output.flush().await.map(|()| 0),
        false => output.write(octets).await,
    }
}

fn reason(ended: &Option<Ended>) -> Option<Uri> {
    match ended {
        Some(Ended::Closed(reason, _)) => Some(reason.clone()),
        Some(Ended::Lost(_)) | None => None,
    }
}
