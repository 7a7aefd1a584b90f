//! A session with a router, as an application has it.

use super::address::Address;
use super::driver::{Driver, Ended};
use super::error::{CallError, ConnectError, RequestError};
use super::link::{self, Input, Link, Opened, Output, Wish};
use super::order::{Invoked, Notice, Order};
use super::queue::{Queue, Tally, queue};
use super::tls::{Certificate, Trust};
use crate::auth::login::{Credential, Login};
use crate::wamp::id::{PublicationId, RegistrationId, RequestId, SessionId, SubscriptionId};
use crate::wamp::message::{self, Hello, Welcome};
use crate::wamp::payload::Payload;
use crate::wamp::{Dict, Message, Serializer, Uri, Value, codec, error};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};

/// Orders that wait for the driver.
const ORDERS_MAX: usize = 256;

/// How a session is opened.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Where the router is: see [`Address`].
    pub url: String,
    /// The realm to join.
    pub realm: String,
    /// Who the client says it is; none: the router gives it a name.
    pub authid: Option<String>,
    /// What it shows that with; none: nothing.
    pub credentials: Vec<Credential>,
    /// What it says besides, as `authextra`.
    pub authextra: Dict,
    /// How messages are written, the best first. RawSocket knows only one.
    pub serializers: Vec<Serializer>,
    /// Octets of the largest message that is taken.
    pub message_bytes_max: usize,
    /// Which routers are believed to be who they say, where there is TLS.
    pub trust: Trust,
    /// What the client shows of itself, where there is TLS; see [`Credential::Certificate`].
    pub certificate: Option<Certificate>,
    /// From the first octet to WELCOME.
    pub timeout: Duration,
}

impl Connect {
    /// Joins a realm without saying who it is.
    #[must_use]
    pub fn new(url: &str, realm: &str) -> Connect {
        Connect {
            url: url.into(),
            realm: realm.into(),
            authid: None,
            credentials: Vec::new(),
            authextra: Dict::new(),
            serializers: vec![Serializer::Cbor, Serializer::MsgPack, Serializer::Json],
            message_bytes_max: 16 << 20,
            trust: Trust::System,
            certificate: None,
            timeout: Duration::from_secs(10),
        }
    }

    /// Opens the session. The current tokio runtime serves it from then on. Deriving a key from a password (SCRAM, salted
    /// WAMP-CRA) keeps the calling thread busy for as long as the router wants it to, up to some seconds.
    ///
    /// # Errors
    /// The router cannot be reached, or does not let the client in.
    pub async fn open(self) -> Result<Session, ConnectError> {
        let timeout = self.timeout;
        let joined = async {
            let address: Address = self.url.parse()?;
            self.join(link::open(&address, self.wish()).await?).await
        };
        tokio::time::timeout(timeout, joined).await.map_err(|_| ConnectError::Timeout)?
    }

    /// Opens the session on a socket that leads to a router already, by RawSocket: one end of a pair, for example, whose
    /// other end a router in the same process has been given. The URL is not looked at.
    ///
    /// # Errors
    /// As [`Connect::open`].
    pub async fn open_on(self, socket: std::os::unix::net::UnixStream) -> Result<Session, ConnectError> {
        let joined = async {
            socket.set_nonblocking(true)?;
            let socket = tokio::net::UnixStream::from_std(socket)?;
            self.join(link::open_on(socket, self.wish()).await?).await
        };
        tokio::time::timeout(self.timeout, joined).await.map_err(|_| ConnectError::Timeout)?
    }

    fn wish(&self) -> Wish<'_> {
        Wish {
            serializers: &self.serializers,
            message_bytes_max: self.message_bytes_max,
            trust: &self.trust,
            certificate: self.certificate.as_ref(),
        }
    }

    async fn join(&self, (link, input, output, octets): Opened) -> Result<Session, ConnectError> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(std::io::Error::from)?;
        let mut login = Login::new(self.authid.as_deref(), &self.credentials, nonce);
        let mut details = roles();
        login.introduce(&mut details, self.authextra.clone())?;
        let hello = Hello { realm: self.realm.as_str().into(), details };
        let mut opening = Opening { link, input, output, octets, heard: VecDeque::new() };
        opening.send(&hello.into()).await?;
        let welcome = loop {
            match opening.hear().await? {
                Message::Challenge(challenge) => {
                    let answer = login.answer(&challenge)?;
                    opening.send(&answer.into()).await?;
                }
                Message::Welcome(welcome) => break welcome,
                Message::Abort(abort) => {
                    return Err(ConnectError::Refused { reason: abort.reason, details: abort.details });
                }
                other => {
                    let why = format!("{} within the opening", other.message_type().name());
                    return Err(ConnectError::Protocol(why));
                }
            }
        };
        login.confirm(&welcome.details)?;
        Ok(Session::begin(opening, welcome))
    }
}

/// What a client can do (specification, "Client and Router Roles").
fn roles() -> Dict {
    let role = |features: &[&str]| {
        let features: Dict = features.iter().map(|name| ((*name).into(), Value::Bool(true))).collect();
        Dict::new().with("features", features)
    };
    let roles = Dict::new()
        .with("publisher", role(&["publisher_identification", "subscriber_blackwhite_listing", "publisher_exclusion"]))
        .with(
            "subscriber",
            role(&[
                "pattern_based_subscription",
                "publisher_identification",
                "event_history",
                "subscription_revocation",
            ]),
        )
        .with("caller", role(&["caller_identification", "call_canceling", "call_timeout", "progressive_call_results"]))
        .with(
            "callee",
            role(&[
                "caller_identification",
                "call_canceling",
                "progressive_call_results",
                "pattern_based_registration",
                "shared_registration",
                "registration_revocation",
            ]),
        );
    Dict::new().with("roles", roles).with("agent", concat!("corebar/", env!("CARGO_PKG_VERSION")))
}

/// A connection before there is a session.
struct Opening {
    link: Link,
    input: Input,
    output: Output,
    octets: Vec<u8>,
    heard: VecDeque<Message>,
}

impl Opening {
    async fn send(&mut self, message: &Message) -> Result<(), ConnectError> {
        let mut out = Vec::new();
        self.link.send(message, &mut out).map_err(|why| ConnectError::Handshake(why.to_string()))?;
        self.output.write_all(&out).await?;
        self.output.flush().await?;
        Ok(())
    }

    async fn hear(&mut self) -> Result<Message, ConnectError> {
        loop {
            if let Some(message) = self.heard.pop_front() {
                return Ok(message);
            }
            if self.octets.is_empty() && self.input.read_buf(&mut self.octets).await? == 0 {
                return Err(ConnectError::Protocol("the connection was closed before there was a session".into()));
            }
            let (mut out, heard) = (Vec::new(), &mut self.heard);
            let open = self.link.receive(&mut self.octets, &mut out, |message| heard.push_back(message));
            self.octets.clear();
            let open = open.map_err(ConnectError::Protocol)?;
            self.output.write_all(&out).await?;
            self.output.flush().await?;
            if !open && self.heard.is_empty() {
                return Err(ConnectError::Protocol("the connection was closed before there was a session".into()));
            }
        }
    }
}

#[derive(Debug)]
struct Shared {
    orders: mpsc::Sender<Order>,
    notices: mpsc::UnboundedSender<Notice>,
    tally: Arc<Tally>,
    tokens: AtomicU64,
    serializer: Serializer,
    welcome: Welcome,
    ended: watch::Receiver<Option<Ended>>,
}

/// A session with a router. Cheap to clone; it ends when the last clone is dropped, with all that was made of it.
#[derive(Clone, Debug)]
pub struct Session(Arc<Shared>);

impl Session {
    fn begin(opening: Opening, welcome: Welcome) -> Session {
        let tally = Arc::new(Tally::default());
        let serializer = opening.link.serializer;
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let (notices, heeded) = mpsc::unbounded_channel();
        let (end, ended) = watch::channel(None);
        let driver = Driver::new(opening.link, tally.clone());
        // Nothing but WELCOME comes before the first request.
        tokio::spawn(driver.run((opening.input, opening.output), opening.octets, taken, heeded, end));
        let tokens = AtomicU64::new(0);
        Session(Arc::new(Shared { orders, notices, tally, tokens, serializer, welcome, ended }))
    }

    /// The id of the session.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.welcome.session
    }

    /// What the router has said in WELCOME: `authid`, `authrole`, its features.
    #[must_use]
    pub fn details(&self) -> &Dict {
        &self.0.welcome.details
    }

    fn payload(&self, args: Vec<Value>, kwargs: Dict) -> Result<Payload, RequestError> {
        if args.is_empty() && kwargs.is_empty() {
            return Ok(Payload::NONE);
        }
        let raw = codec::payload(self.0.serializer, args, kwargs);
        raw.map(Payload::new).map_err(|why| RequestError::Unsendable(why.to_string()))
    }

    fn publication(
        &self,
        topic: &str,
        args: Vec<Value>,
        kwargs: Dict,
        options: Dict,
    ) -> Result<message::Publish, RequestError> {
        let payload = self.payload(args, kwargs)?;
        Ok(message::Publish { request: RequestId::default(), options, topic: topic.into(), payload })
    }

    async fn order(&self, order: Order) -> Result<(), RequestError> {
        self.0.orders.send(order).await.map_err(|_| RequestError::Closed(None))
    }

    async fn ask<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, RequestError>>) -> Order,
    ) -> Result<T, RequestError> {
        let (answer, answered) = oneshot::channel();
        self.order(order(answer)).await?;
        answered.await.map_err(|_| RequestError::Closed(None))?
    }

    /// Publishes an event without waiting for anything but room in the queue. `options` as `PUBLISH.Options`.
    ///
    /// # Errors
    /// The session has ended, or the arguments cannot be said.
    pub async fn publish(
        &self,
        topic: &str,
        args: Vec<Value>,
        kwargs: Dict,
        options: Dict,
    ) -> Result<(), RequestError> {
        let publish = self.publication(topic, args, kwargs, options)?;
        self.order(Order::Publish(publish, None)).await
    }

    /// Publishes an event, and waits until the router has taken it.
    ///
    /// # Errors
    /// The router refuses, the session ends, or the arguments cannot be said.
    pub async fn publish_acknowledged(
        &self,
        topic: &str,
        args: Vec<Value>,
        kwargs: Dict,
        mut options: Dict,
    ) -> Result<PublicationId, RequestError> {
        options.remove("acknowledge");
        options.push("acknowledge", true);
        let publish = self.publication(topic, args, kwargs, options)?;
        self.ask(|answer| Order::Publish(publish, Some(answer))).await
    }

    /// Subscribes to a topic or a pattern. `options` as `SUBSCRIBE.Options`.
    ///
    /// # Errors
    /// The router refuses, or the session ends.
    pub async fn subscribe(&self, topic: &str, options: Dict) -> Result<Subscription, RequestError> {
        let (feed, events) = queue(&self.0.tally);
        let subscribe = message::Subscribe { request: RequestId::default(), options, topic: topic.into() };
        let (id, number) = self.ask(|answer| Order::Subscribe(subscribe, feed, answer)).await?;
        Ok(Subscription { session: self.clone(), id, number, topic: topic.into(), events })
    }

    /// Offers a procedure. `options` as `REGISTER.Options`.
    ///
    /// # Errors
    /// The router refuses, or the session ends.
    pub async fn register(&self, procedure: &str, options: Dict) -> Result<Registration, RequestError> {
        let (feed, invocations) = queue(&self.0.tally);
        let register = message::Register { request: RequestId::default(), options, procedure: procedure.into() };
        let id = self.ask(|answer| Order::Register(register, feed, answer)).await?;
        Ok(Registration { session: self.clone(), id, procedure: procedure.into(), invocations })
    }

    /// Calls a procedure, and waits for its result. Dropping the future cancels the call.
    ///
    /// # Errors
    /// The callee or the router answers with an error, or the session ends.
    pub async fn call(
        &self,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
        options: Dict,
    ) -> Result<Outcome, RequestError> {
        let mut results = self.start(procedure, args, kwargs, options).await?;
        loop {
            let outcome = results.next().await?;
            if !outcome.progress {
                return Ok(outcome);
            }
        }
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
        self.start(procedure, args, kwargs, options).await
    }

    async fn start(
        &self,
        procedure: &str,
        args: Vec<Value>,
        kwargs: Dict,
        options: Dict,
    ) -> Result<Results, RequestError> {
        let payload = self.payload(args, kwargs)?;
        let call = message::Call { request: RequestId::default(), options, procedure: procedure.into(), payload };
        let (feed, results) = queue(&self.0.tally);
        let token = self.0.tokens.fetch_add(1, Ordering::Relaxed);
        self.order(Order::Call(call, token, feed)).await?;
        Ok(Results { session: self.clone(), token, results, over: false })
    }

    /// Leaves the realm, and waits until the router has answered.
    pub async fn leave(&self, reason: &str) {
        let (done, gone) = oneshot::channel();
        if self.order(Order::Leave(Uri::from(reason), done)).await.is_ok() {
            // Without an answer the session has ended otherwise.
            let _ = gone.await;
        }
    }

    /// Waits until the session has ended; gives why, for a person.
    pub async fn ended(&self) -> String {
        let mut ended = self.0.ended.clone();
        let how = ended.wait_for(Option::is_some).await.ok().and_then(|how| how.clone());
        match how {
            Some(Ended::Closed(reason, _)) => reason.to_string(),
            Some(Ended::Lost(why)) => why,
            None => "the runtime has ended".into(),
        }
    }
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The topic it was published to.
    pub topic: Uri,
    /// The publication.
    pub publication: PublicationId,
    /// Its arguments.
    pub args: Vec<Value>,
    /// Its arguments by name.
    pub kwargs: Dict,
    /// `EVENT.Details`.
    pub details: Dict,
}

/// A subscription. It ends when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    session: Session,
    id: SubscriptionId,
    number: u64,
    topic: Uri,
    events: Queue<message::Event>,
}

impl Subscription {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> SubscriptionId {
        self.id
    }

    /// The next event; none: the session has ended, or the router has revoked the subscription. May be dropped while it
    /// waits: no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        let message::Event { publication, details, payload, .. } = self.events.next().await?;
        // Payload that its sender has encrypted is not for us.
        let (args, kwargs) = payload.values().unwrap_or_default();
        let topic = details.str("topic").ok().flatten().map_or_else(|| self.topic.clone(), Uri::from);
        Some(Event { topic, publication, args, kwargs, details })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let _ = self.session.0.notices.send(Notice::Detach(self.id, self.number));
    }
}

/// A result of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What was returned.
    pub args: Vec<Value>,
    /// What was returned by name.
    pub kwargs: Dict,
    /// More will come.
    pub progress: bool,
    /// `RESULT.Details`.
    pub details: Dict,
}

/// The results of a call. Dropping it cancels the call.
#[derive(Debug)]
pub struct Results {
    session: Session,
    token: u64,
    results: Queue<Result<message::Result, RequestError>>,
    over: bool,
}

impl Results {
    /// The next result; the last has no `progress`. May be dropped while it waits.
    ///
    /// # Errors
    /// The call has failed, or is over.
    pub async fn next(&mut self) -> Result<Outcome, RequestError> {
        let result = self.results.next().await.unwrap_or(Err(RequestError::Closed(None)));
        let result = match result {
            Ok(result) => result,
            Err(why) => {
                self.over = true;
                return Err(why);
            }
        };
        let progress = matches!(result.details.bool("progress"), Ok(Some(true)));
        self.over |= !progress;
        let (args, kwargs) = result
            .payload
            .values()
            .map_err(|why| RequestError::Refused(CallError::new(error::INVALID_PAYLOAD, why.to_string())))?;
        Ok(Outcome { args, kwargs, progress, details: result.details })
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.session.0.notices.send(Notice::Forget(self.token));
        }
    }
}

/// A procedure that this session offers. Dropping it leaves the procedure registered, with calls answered by an error:
/// use [`Registration::withdraw`].
#[derive(Debug)]
pub struct Registration {
    session: Session,
    id: RegistrationId,
    procedure: Uri,
    invocations: Queue<Invoked>,
}

impl Registration {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> RegistrationId {
        self.id
    }

    /// The next call; none: the session has ended, or the router has revoked the registration.
    pub async fn next(&mut self) -> Option<Invocation> {
        loop {
            let Invoked { invocation, interrupted } = self.invocations.next().await?;
            let message::Invocation { request, details, payload, .. } = invocation;
            match payload.values() {
                Ok((args, kwargs)) => {
                    let procedure = details.str("procedure").ok().flatten();
                    let procedure = procedure.map_or_else(|| self.procedure.clone(), Uri::from);
                    let session = Some(self.session.clone());
                    return Some(Invocation { session, request, procedure, args, kwargs, details, interrupted });
                }
                Err(why) => {
                    let why = CallError::new(error::INVALID_ARGUMENT, why.to_string());
                    let _ = self.session.0.notices.send(Notice::Done(request, Err(why)));
                }
            }
        }
    }

    /// Withdraws the procedure.
    ///
    /// # Errors
    /// The router does not know it any more, or the session ends.
    pub async fn withdraw(self) -> Result<(), RequestError> {
        self.session.ask(|answer| Order::Unregister(self.id, answer)).await
    }
}

/// A call that this session has to answer. Dropped without an answer, it is answered with `wamp.error.canceled`.
#[derive(Debug)]
pub struct Invocation {
    session: Option<Session>,
    request: RequestId,
    /// The procedure that was called.
    pub procedure: Uri,
    /// Its arguments.
    pub args: Vec<Value>,
    /// Its arguments by name.
    pub kwargs: Dict,
    /// `INVOCATION.Details`.
    pub details: Dict,
    interrupted: oneshot::Receiver<()>,
}

impl Invocation {
    /// True if the caller takes results as they come.
    #[must_use]
    pub fn wants_progress(&self) -> bool {
        matches!(self.details.bool("receive_progress"), Ok(Some(true)))
    }

    /// Waits until the caller does not wait any more.
    pub async fn interrupted(&mut self) {
        // Without a sender the session has ended.
        let _ = (&mut self.interrupted).await;
    }

    /// Gives a result on the way.
    ///
    /// # Errors
    /// The session has ended, or the result cannot be said.
    pub async fn progress(&self, args: Vec<Value>, kwargs: Dict) -> Result<(), RequestError> {
        let Some(session) = &self.session else { return Ok(()) };
        let payload = session.payload(args, kwargs)?;
        session.ask(|answer| Order::Progress(self.request, payload, answer)).await
    }

    /// Answers with a result.
    pub fn finish(mut self, args: Vec<Value>, kwargs: Dict) {
        let Some(session) = self.session.take() else { return };
        let done = match session.payload(args, kwargs) {
            Ok(payload) => Ok((Dict::new(), payload)),
            Err(why) => Err(CallError::new(error::INVALID_PAYLOAD, why.to_string())),
        };
        let _ = session.0.notices.send(Notice::Done(self.request, done));
    }

    /// Answers with an error.
    pub fn fail(mut self, why: CallError) {
        if let Some(session) = self.session.take() {
            let _ = session.0.notices.send(Notice::Done(self.request, Err(why)));
        }
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let why = CallError::new(error::CANCELED, "the callee has not answered");
            let _ = session.0.notices.send(Notice::Done(self.request, Err(why)));
        }
    }
}
