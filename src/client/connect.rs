//! How a session is opened.

use super::address::Address;
use super::error::ConnectError;
use super::link::{self as wire, Input, Link, Opened, Output, Wish};
use super::reconnect::{Reconnect, is_hopeless};
use super::session::Session;
use super::state::{Hook, State, advice_of};
use super::tls::{Certificate, Trust};
use crate::auth::config::Secret;
use crate::auth::login::{Credential, Login, LoginError};
use crate::wamp::link;
use crate::wamp::message::{Hello, Welcome};
use crate::wamp::{Dict, Message, Serializer, Value};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MESSAGE_BYTES_MAX: usize = 16 << 20;

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
    /// Octets of the largest message that is sent. A router ends a connection with a larger one than it takes: what is
    /// larger than this fails instead, with [`RequestError::Unsendable`](super::RequestError::Unsendable). 16 MiB, as
    /// routers take by default. On RawSocket the router says what it takes, and the smaller one holds.
    pub sent_message_bytes_max: usize,
    /// Which routers are believed to be who they say, where there is TLS.
    pub trust: Trust,
    /// The name that the router has in its certificate and in requests, if it is not that of the URL.
    pub server_name: Option<String>,
    /// What the client shows of itself, where there is TLS; see [`Credential::Certificate`].
    pub certificate: Option<Certificate>,
    /// From the first octet to WELCOME. 10 s.
    pub timeout: Duration,
    /// A router that has said nothing for so long is asked whether it is still there; zero: never. 15 s. On a RawSocket TCP
    /// asks instead.
    pub ping_interval: Duration,
    /// It has so much time to answer. 15 s.
    pub ping_timeout: Duration,
    /// RawSockets are asked like WebSockets. Some routers end the connection for that.
    pub ping_rawsocket: bool,
    /// Calls that are not answered within this time are canceled, and fail with
    /// [`RequestError::Timeout`](super::RequestError::Timeout), unless they have a time of their own. None: they wait.
    pub call_timeout: Option<Duration>,
    /// The router has so much time to answer GOODBYE, and the network to take the last octets. 5 s.
    pub leave_timeout: Duration,
    /// Nothing is read while the application has not taken so many messages; 4096, at least 1. One of more than 1 KiB counts
    /// as many as it has KiB. While it waits for an answer itself, sixteen times as many: what would take them may be
    /// what waits.
    pub queue_max: usize,
    /// How the session outlives its connections; none: it ends with the first.
    pub reconnect: Option<Reconnect>,
    /// The session passes messages on to another router, as they came: it announces payload passthru, and the router does not
    /// give it events that are for some of its own users alone.
    pub passes_on: bool,
    /// What is called whenever the state of the session changes.
    pub on_state: Option<Hook>,
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
            message_bytes_max: MESSAGE_BYTES_MAX,
            sent_message_bytes_max: MESSAGE_BYTES_MAX,
            trust: Trust::System,
            server_name: None,
            certificate: None,
            timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(15),
            ping_timeout: Duration::from_secs(15),
            ping_rawsocket: false,
            call_timeout: None,
            leave_timeout: Duration::from_secs(5),
            queue_max: 4096,
            reconnect: None,
            passes_on: false,
            on_state: None,
        }
    }

    /// The session outlives its connections: when one is lost there is soon another, with all subscriptions, registrations
    /// and testaments; see [`Reconnect`].
    #[must_use]
    pub fn reconnecting(mut self) -> Connect {
        self.reconnect.get_or_insert_default();
        self
    }

    /// Shows who it is with a ticket, as `authid`.
    #[must_use]
    pub fn ticket(self, authid: &str, ticket: &str) -> Connect {
        self.credential(authid, Credential::Ticket(secret(ticket)))
    }

    /// Shows who it is with a password, as `authid`, by WAMP-CRA or SCRAM as the router wants it.
    #[must_use]
    pub fn password(self, authid: &str, password: &str) -> Connect {
        let connect = self.credential(authid, Credential::Scram(secret(password)));
        connect.credential(authid, Credential::Cra(secret(password)))
    }

    /// Shows who it is as `authid`, with one more credential.
    #[must_use]
    pub fn credential(mut self, authid: &str, credential: Credential) -> Connect {
        self.authid = Some(authid.into());
        self.credentials.push(credential);
        self
    }

    /// Calls `hook` whenever the state of the session changes, on the task that serves it: it must not wait.
    #[must_use]
    pub fn on_state(mut self, hook: impl Fn(&State) + Send + Sync + 'static) -> Connect {
        self.on_state = Some(Hook(Arc::new(hook)));
        self
    }

    /// Opens the session. The current tokio runtime serves it from then on; it needs IO and time.
    ///
    /// # Errors
    /// The router cannot be reached, or does not let the client in.
    pub async fn open(self) -> Result<Session, ConnectError> {
        let mut attempts = 0;
        let joined = loop {
            attempts += 1;
            let failure = match self.reach().await {
                Ok(joined) => break joined,
                Err(failure) => failure,
            };
            let policy = self.reconnect.as_ref().filter(|policy| policy.from_the_start && !policy.gives_up(attempts));
            let Some(policy) = policy.filter(|_| !is_hopeless(&failure)) else { return Err(failure) };
            let retry_in = policy.delay(attempts, advice_of(&failure), fastrand::f64());
            tracing::info!(why = %failure, attempt = attempts, ?retry_in, "the router is away");
            if let Some(hook) = &self.on_state {
                (hook.0)(&State::Away { why: failure.to_string(), attempt: attempts, retry_in });
            }
            tokio::time::sleep(retry_in).await;
        };
        Ok(Session::begin(self, joined))
    }

    /// Opens the session on a socket that leads to a router already, by RawSocket: one end of a pair, for example, whose
    /// other end a router in the same process has been given. The URL is not looked at, and there is no second
    /// connection: [`Connect::reconnect`] has no effect.
    ///
    /// # Errors
    /// As [`Connect::open`].
    pub async fn open_on(mut self, socket: std::os::unix::net::UnixStream) -> Result<Session, ConnectError> {
        self.reconnect = None;
        let joined = async {
            socket.set_nonblocking(true)?;
            let socket = tokio::net::UnixStream::from_std(socket)?;
            self.join(wire::open_on(socket, self.wish()).await?).await
        };
        let joined = tokio::time::timeout(self.timeout, joined).await.map_err(|_| ConnectError::Timeout)??;
        Ok(Session::begin(self, joined))
    }

    /// Makes one attempt.
    pub(super) async fn reach(&self) -> Result<Joined, ConnectError> {
        let joined = async {
            let address: Address = self.url.parse()?;
            self.join(wire::open(&address, self.wish()).await?).await
        };
        tokio::time::timeout(self.timeout, joined).await.map_err(|_| ConnectError::Timeout)?
    }

    fn wish(&self) -> Wish<'_> {
        Wish {
            serializers: &self.serializers,
            message_bytes_max: self.message_bytes_max,
            sent_message_bytes_max: self.sent_message_bytes_max,
            trust: &self.trust,
            server_name: self.server_name.as_deref(),
            certificate: self.certificate.as_ref(),
            tcp_keepalive: self.ping_interval,
        }
    }

    async fn join(&self, (link, input, output, octets): Opened) -> Result<Joined, ConnectError> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(std::io::Error::from)?;
        let mut login = Login::new(self.authid.as_deref(), &self.credentials, nonce).into_owned();
        let mut details = roles(self.passes_on);
        login.introduce(&mut details, self.authextra.clone())?;
        let hello = Hello { realm: self.realm.as_str().into(), details };
        let mut opening = Opening { link, input, output, octets, heard: VecDeque::new() };
        opening.send(&hello.into()).await?;
        let welcome = loop {
            match opening.hear().await? {
                Message::Challenge(challenge) => {
                    // A password may take seconds to be derived from.
                    let work = tokio::task::spawn_blocking(move || (login.answer(&challenge), login));
                    let (answer, back) = work.await.map_err(|why| ConnectError::Login(LoginError(why.to_string())))?;
                    login = back;
                    opening.send(&answer?.into()).await?;
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
        let Opening { link, input, output, octets, .. } = opening;
        // Nothing but WELCOME comes before the first request.
        Ok(Joined { link, sockets: (input, output), octets, welcome })
    }
}

/// What a client can do (specification, "Client and Router Roles").
fn roles(passes_on: bool) -> Dict {
    let role = |features: &[&str]| {
        let more: &[&str] = if passes_on { &["payload_passthru_mode", link::FEATURE] } else { &[] };
        let features = features.iter().chain(more);
        let features: Dict = features.map(|name| ((*name).into(), Value::Bool(true))).collect();
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
        .with(
            "caller",
            role(&[
                "caller_identification",
                "call_canceling",
                "call_timeout",
                "progressive_call_results",
                "progressive_call_invocations",
            ]),
        )
        .with(
            "callee",
            role(&[
                "caller_identification",
                "call_canceling",
                "call_reroute",
                "progressive_call_results",
                "progressive_call_invocations",
                "pattern_based_registration",
                "shared_registration",
                "registration_revocation",
            ]),
        );
    Dict::new().with("roles", roles).with("agent", concat!("corebar/", env!("CARGO_PKG_VERSION")))
}

fn secret(text: &str) -> Secret {
    Secret(text.as_bytes().into())
}

/// A connection with a session.
pub(super) struct Joined {
    pub(super) link: Link,
    pub(super) sockets: (Input, Output),
    /// What came behind WELCOME.
    pub(super) octets: Vec<u8>,
    pub(super) welcome: Welcome,
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
