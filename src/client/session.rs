//! A session with a router, as an application has it.

use super::call::{Outcome, Results};
use super::connect::{Connect, Joined};
use super::driver::{Driver, Wishes};
use super::error::RequestError;
use super::keeper::Keeper;
use super::link::{Link, Unsendable};
use super::order::{Answer, Notice, Order, Testament, Wanted};
use super::queue::{Feed, Queue, Tally, queue};
use super::registration::Registration;
use super::settings::{Census, Load, Settings};
use super::state::{Herald, State};
use super::subscription::Subscription;
use crate::wamp::id::{PublicationId, RequestId, SessionId};
use crate::wamp::message::{self, Welcome};
use crate::wamp::payload::Payload;
use crate::wamp::{Dict, Serializer, Uri, Value, codec};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// Orders that wait for the driver.
const ORDERS_MAX: usize = 256;

/// How the router knows a session.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) id: SessionId,
    details: Dict,
    serializer: Serializer,
    sent_max: usize,
}

impl Standing {
    pub(super) fn new(welcome: Welcome, link: &Link) -> Standing {
        let Link { serializer, sent_max, .. } = *link;
        Standing { id: welcome.session, details: welcome.details, serializer, sent_max }
    }

    /// True if the router announces a feature.
    pub(super) fn announces(&self, role: &'static str, feature: &'static str) -> bool {
        let inside = |dict: &Dict, key: &'static str| dict.dict(key).ok().flatten().cloned();
        let role = inside(&self.details, "roles").and_then(|roles| inside(&roles, role));
        role.and_then(|role| inside(&role, "features"))
            .is_some_and(|features| matches!(features.bool(feature), Ok(Some(true))))
    }
}

#[derive(Debug)]
struct Shared {
    orders: mpsc::Sender<Order>,
    notices: mpsc::UnboundedSender<Notice>,
    tally: Arc<Tally>,
    census: Arc<Census>,
    /// The number of what is asked for next.
    numbers: AtomicU64,
    call_timeout: Option<Duration>,
    /// Requests wait for a connection.
    requests_wait: bool,
    standing: watch::Receiver<Arc<Standing>>,
    state: watch::Receiver<State>,
}

/// A session with a router. Cheap to clone; it ends when the last clone is dropped, with all that was made of it.
///
/// Futures of its methods may be dropped at any time: what they have asked for is taken back, or ends by itself.
#[derive(Clone, Debug)]
pub struct Session(Arc<Shared>);

impl Session {
    pub(super) fn begin(connect: Connect, joined: Joined) -> Session {
        let (tally, census) = (Arc::new(Tally::default()), Arc::new(Census::default()));
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let (notify, notices) = mpsc::unbounded_channel();
        let Joined { link, sockets, octets, welcome } = joined;
        let first = Arc::new(Standing::new(welcome, &link));
        let (state_sender, state) = watch::channel(State::Joined(first.id));
        let (standing_sender, standing) = watch::channel(first);
        let shared = Shared {
            orders: sender,
            notices: notify,
            tally: tally.clone(),
            census: census.clone(),
            numbers: AtomicU64::new(1),
            call_timeout: connect.call_timeout,
            requests_wait: connect.reconnect.as_ref().is_some_and(|policy| policy.requests_wait),
            standing,
            state,
        };
        let settings = Settings::new(&connect, census);
        let herald = Herald { hook: connect.on_state.clone(), state: state_sender };
        let keeper = Keeper {
            connect: Arc::new(connect),
            driver: Driver::new(link, settings, tally, herald),
            wishes: Wishes { orders, notices },
            standing: standing_sender,
            waiting: VecDeque::new(),
            attempts: 0,
        };
        tokio::spawn(keeper.keep(sockets, octets));
        Session(Arc::new(shared))
    }

    /// The id of the session: another one after each connection.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.standing.borrow().id
    }

    /// What the router has said in WELCOME: `authid`, `authrole`, its features.
    #[must_use]
    pub fn details(&self) -> Dict {
        self.0.standing.borrow().details.clone()
    }

    /// True if the router announces a feature, for example `event_history` of its role `broker`.
    #[must_use]
    pub fn announces(&self, role: &'static str, feature: &'static str) -> bool {
        self.0.standing.borrow().announces(role, feature)
    }

    /// How the session is.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.state.borrow().clone()
    }

    /// Tells of changes of the state. States that pass quickly may be left out: see
    /// [`Connect::on_state`](super::Connect::on_state).
    #[must_use]
    pub fn states(&self) -> watch::Receiver<State> {
        self.0.state.clone()
    }

    /// What the session has on hand.
    #[must_use]
    pub fn load(&self) -> Load {
        self.0.census.load(self.0.tally.held())
    }

    pub(super) fn payload(&self, args: Vec<Value>, kwargs: Dict) -> Result<Payload, RequestError> {
        if args.is_empty() && kwargs.is_empty() {
            return Ok(Payload::NONE);
        }
        let serializer = self.0.standing.borrow().serializer;
        let raw = codec::payload(serializer, args, kwargs);
        raw.map(Payload::new).map_err(|why| RequestError::Unsendable(why.to_string()))
    }

    pub(super) fn notice(&self, notice: Notice) {
        // Without a driver the session has ended.
        let _ = self.0.notices.send(notice);
    }

    /// A queue that counts with the others of the session.
    pub(super) fn row<T>(&self) -> (Feed<T>, Queue<T>) {
        queue(&self.0.tally)
    }

    pub(super) fn number(&self) -> u64 {
        self.0.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn closed(&self) -> RequestError {
        match &*self.0.state.borrow() {
            State::Ended { reason, .. } => RequestError::Closed(reason.clone()),
            _ => RequestError::Closed(None),
        }
    }

    pub(super) async fn order(&self, order: Order) -> Result<(), RequestError> {
        self.0.orders.send(order).await.map_err(|_| self.closed())
    }

    pub(super) async fn ask_driver<T>(&self, order: impl FnOnce(Answer<T>) -> Order) -> Result<T, RequestError> {
        let (answer, answered) = oneshot::channel();
        self.order(order(answer)).await?;
        answered.await.map_err(|_| self.closed())?
    }

    /// Publishes an event without waiting for anything but room in the queue. `options` as `PUBLISH.Options`. See
    /// [`Session::event`] for types and options by name.
    ///
    /// # Errors
    /// There is no connection, the session has ended, or the arguments cannot be said.
    pub async fn publish(
        &self,
        topic: &str,
        args: Vec<Value>,
        kwargs: Dict,
        options: Dict,
    ) -> Result<(), RequestError> {
        if !self.0.requests_wait && matches!(*self.0.state.borrow(), State::Away { .. }) {
            return Err(RequestError::Disconnected);
        }
        let payload = self.payload(args, kwargs)?;
        // Nobody waits for what becomes of it.
        let sent_max = self.0.standing.borrow().sent_max;
        if payload.len() > sent_max {
            return Err(Unsendable::TooLarge(sent_max).into());
        }
        let request = RequestId::default();
        let publish = message::Publish { request, options, topic: topic.into(), payload };
        self.order(Order::Publish(publish, None)).await
    }

    /// Publishes an event, and waits until the router has taken it.
    ///
    /// # Errors
    /// The router refuses, the connection or the session ends, or the arguments cannot be said.
    pub async fn publish_acknowledged(
        &self,
        topic: &str,
        args: Vec<Value>,
        kwargs: Dict,
        mut options: Dict,
    ) -> Result<PublicationId, RequestError> {
        options.remove("acknowledge");
        options.push("acknowledge", true);
        let payload = self.payload(args, kwargs)?;
        let request = RequestId::default();
        let publish = message::Publish { request, options, topic: topic.into(), payload };
        self.ask_driver(|answer| Order::Publish(publish, Some(answer))).await
    }

    /// Subscribes to a topic or a pattern. `options` as `SUBSCRIBE.Options`. See [`Session::listen`] for options by name,
    /// and for handlers. While there is no connection it waits for one.
    ///
    /// # Errors
    /// The router refuses, or the session ends.
    pub async fn subscribe(&self, topic: &str, options: Dict) -> Result<Subscription, RequestError> {
        let (feed, events) = self.row();
        let (uri, number, id) = (Uri::from(topic), self.number(), Arc::new(AtomicU64::new(0)));
        // It is there before the answer: who stops waiting for it detaches it.
        let subscription = Subscription::new(self.clone(), number, id.clone(), uri.clone(), events);
        let wanted = |answer| Wanted { uri, options, feed, id, answer: Some(answer) };
        self.ask_driver(|answer| Order::Subscribe(number, wanted(answer))).await?;
        Ok(subscription)
    }

    /// Offers a procedure. `options` as `REGISTER.Options`. See [`Session::offer`] for options by name, and for handlers.
    /// While there is no connection it waits for one.
    ///
    /// # Errors
    /// The router refuses, or the session ends.
    pub async fn register(&self, procedure: &str, options: Dict) -> Result<Registration, RequestError> {
        let (feed, invocations) = self.row();
        let (uri, number, id) = (Uri::from(procedure), self.number(), Arc::new(AtomicU64::new(0)));
        // It is there before the answer: who stops waiting for it withdraws it.
        let registration = Registration::new(self.clone(), number, id.clone(), uri.clone(), invocations);
        let wanted = |answer| Wanted { uri, options, feed, id, answer: Some(answer) };
        self.ask_driver(|answer| Order::Register(number, wanted(answer))).await?;
        Ok(registration)
    }

    /// Calls a procedure, and waits for its result. Dropping the future cancels the call. `options` as `CALL.Options`. See
    /// [`Session::ask`] for types and options by name.
    ///
    /// # Errors
    /// The callee or the router answers with an error, [`Connect::call_timeout`](super::Connect::call_timeout) has passed,
    /// or the connection or the session ends.
    pub async fn call(
        &self,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
        options: Dict,
    ) -> Result<Outcome, RequestError> {
        self.start(procedure, args, kwargs, options, None).await?.last().await
    }

    /// Calls a procedure that gives results as it goes on. Dropping what is returned cancels the call.
    ///
    /// # Errors
    /// The session has ended, or the arguments cannot be said.
    pub async fn call_progressively(
        &self,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
        mut options: Dict,
    ) -> Result<Results, RequestError> {
        options.remove("receive_progress");
        options.push("receive_progress", true);
        self.start(procedure, args, kwargs, options, None).await
    }

    /// Calls a procedure as [`Session::call`] does; what is returned can be waited for, and canceled in any way.
    ///
    /// # Errors
    /// The session has ended, or the arguments cannot be said.
    pub async fn start_call(
        &self,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
        options: Dict,
    ) -> Result<Results, RequestError> {
        self.start(procedure, args, kwargs, options, None).await
    }

    pub(super) async fn start(
        &self,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
        options: Dict,
        timeout: Option<Duration>,
    ) -> Result<Results, RequestError> {
        let payload = self.payload(args, kwargs)?;
        self.start_with(procedure, payload, options, timeout.or(self.0.call_timeout)).await
    }

    pub(super) async fn start_with(
        &self,
        procedure: &str,
        payload: Payload,
        options: Dict,
        timeout: Option<Duration>,
    ) -> Result<Results, RequestError> {
        let call = message::Call { request: RequestId::default(), options, procedure: procedure.into(), payload };
        let (feed, results) = queue(&self.0.tally);
        let number = self.number();
        // A time that is too far away to be said is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let results = Results::new(self.clone(), number, results, deadline);
        self.order(Order::Call(call, number, feed)).await?;
        Ok(results)
    }

    pub(super) async fn more(&self, number: u64, call: message::Call) -> Result<(), RequestError> {
        self.ask_driver(|answer| Order::More(call, number, answer)).await
    }

    /// Leaves something to be published by the router when the session ends, and with it the connection (specification,
    /// "Session Testament"). It is left again after each reconnection. `options` as `PUBLISH.Options`.
    ///
    /// # Errors
    /// The router refuses, the connection or the session ends, or the arguments cannot be said.
    pub async fn add_testament(
        &self,
        topic: &str,
        args: Vec<Value>,
        kwargs: Dict,
        options: Dict,
        scope: TestamentScope,
    ) -> Result<(), RequestError> {
        let named = Dict::new().with("publish_options", options).with("scope", scope.name());
        let payload = self.payload(vec![topic.into(), args.into(), kwargs.into()], named)?;
        let testament = Testament { payload, scope: scope.name() };
        self.ask_driver(|answer| Order::Testament(testament, answer)).await
    }

    /// Takes the testaments of a scope back.
    ///
    /// # Errors
    /// The router refuses, or the connection or the session ends.
    pub async fn flush_testaments(&self, scope: TestamentScope) -> Result<(), RequestError> {
        self.ask_driver(|answer| Order::Flush(scope.name(), answer)).await
    }

    /// Leaves the realm, and waits until the router has answered. What was asked for before is sent before.
    pub async fn leave(&self, reason: &str) {
        let (done, gone) = oneshot::channel();
        // While there is no connection, orders may wait for one.
        self.notice(Notice::Leaving(Uri::from(reason)));
        if self.order(Order::Leave(Uri::from(reason), done)).await.is_ok() {
            // Without an answer the session has ended otherwise.
            let _ = gone.await;
        }
    }

    /// Waits until the session has ended; gives why, for a person.
    pub async fn ended(&self) -> String {
        let mut state = self.0.state.clone();
        let ended = state.wait_for(|state| matches!(state, State::Ended { .. })).await;
        match ended.as_deref() {
            Ok(State::Ended { why, .. }) => why.clone(),
            _ => "the runtime has ended".into(),
        }
    }
}

/// When a testament is published (specification, "Session Testament").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TestamentScope {
    /// When the session is gone for good.
    #[default]
    Destroyed,
    /// When its connection is lost.
    Detached,
}

impl TestamentScope {
    const fn name(self) -> &'static str {
        match self {
            TestamentScope::Destroyed => "destroyed",
            TestamentScope::Detached => "detached",
        }
    }
}
