//! Applications: handlers, what they share, and a session that is there for as long as they run.

use super::aloud::aloud;
use super::connect::Connect;
use super::error::{ConnectError, RequestError};
use super::handler::{Handle, Handler, Route, States, serve_calls, serve_events};
use super::parameter::Incoming;
use super::session::Session;
use super::state::{Hook, State};
use crate::wamp::{Dict, Uri, error};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Calls of a procedure that are worked on at a time.
const WORKING_MAX: usize = 1024;

#[derive(Debug)]
struct Entry {
    uri: Uri,
    options: Dict,
    route: Route,
}

/// An application made of handlers:
///
/// ```no_run
/// use corebar::client::{App, Shared};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), corebar::client::AppError> {
///     App::new("ws://127.0.0.1:8080/ws", "realm1")
///         .share(AtomicU64::new(0))
///         .event("com.example.hello", async |text: String| println!("{text}"))
///         .procedure("com.example.add", async |a: i64, b: i64| a + b)
///         .procedure("com.example.count", async |calls: Shared<AtomicU64>| calls.fetch_add(1, Ordering::Relaxed))
///         .run()
///         .await
/// }
/// ```
///
/// It waits for the router, comes back when the connection is lost, and takes leave in good order on SIGINT and SIGTERM:
/// procedures are withdrawn first, then calls that are worked on are finished, then the session ends. A second signal ends
/// it at once.
///
/// What goes wrong meanwhile is logged by `tracing`. Where the program has set no subscriber, warnings and errors go to
/// standard error, a line each.
pub struct App {
    connect: Connect,
    states: States,
    events: Vec<Entry>,
    procedures: Vec<Entry>,
    started: Vec<Route>,
    grace: Duration,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("events", &self.events)
            .field("procedures", &self.procedures)
            .finish_non_exhaustive()
    }
}

/// An application could not go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// There is no session.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The router does not let it offer a procedure, or hear a topic.
    #[error("'{uri}': {why}")]
    Refused {
        /// The procedure or topic.
        uri: Uri,
        /// Why.
        why: RequestError,
    },
    /// The session has ended otherwise than the application wanted.
    #[error("the session has ended: {0}")]
    Ended(String),
    /// A second signal came before calls that were worked on were finished.
    #[error("interrupted before everything was finished")]
    Interrupted,
    /// Signals cannot be listened to.
    #[error("signals: {0}")]
    Signals(std::io::Error),
}

impl App {
    /// An application in a realm, with nothing in it.
    #[must_use]
    pub fn new(url: &str, realm: &str) -> App {
        App::with(Connect::new(url, realm))
    }

    /// The same, with a session that is opened like this. However that is, the session tries from the start until a router
    /// is there, and again whenever a connection is lost; [`Connect::reconnect`] says how often. See [`App::once`].
    #[must_use]
    pub fn with(mut connect: Connect) -> App {
        connect.reconnect.get_or_insert_default().from_the_start = true;
        let grace = Duration::from_secs(10);
        App { connect, states: States::default(), events: vec![], procedures: vec![], started: vec![], grace }
    }

    /// It does not wait for the router, and does not come back: it ends when the router is not there, and when the connection
    /// is lost.
    #[must_use]
    pub fn once(mut self) -> App {
        self.connect.reconnect = None;
        self
    }

    /// Something that all handlers share: they have it as a parameter [`Shared`](super::Shared). One of each type.
    #[must_use]
    pub fn share<S: Send + Sync + 'static>(mut self, state: S) -> App {
        self.states.put(Arc::new(state));
        self
    }

    /// A handler for the events of a topic.
    #[must_use]
    pub fn event<P>(self, topic: &str, handler: impl Handler<P>) -> App {
        self.event_with(topic, Dict::new(), handler)
    }

    /// A handler for the events of a topic or pattern. `options` as `SUBSCRIBE.Options`.
    #[must_use]
    pub fn event_with<P>(mut self, topic: &str, options: Dict, handler: impl Handler<P>) -> App {
        self.events.push(Entry { uri: topic.into(), options, route: handler.boxed() });
        self
    }

    /// A procedure.
    #[must_use]
    pub fn procedure<P>(self, procedure: &str, handler: impl Handler<P>) -> App {
        self.procedure_with(procedure, Dict::new(), handler)
    }

    /// A procedure, or a pattern of them. `options` as `REGISTER.Options`.
    #[must_use]
    pub fn procedure_with<P>(mut self, procedure: &str, options: Dict, handler: impl Handler<P>) -> App {
        self.procedures.push(Entry { uri: procedure.into(), options, route: handler.boxed() });
        self
    }

    /// What runs once everything else is there. It has no arguments, but may have what all handlers may: the session, what is
    /// shared. It is dropped when the application ends.
    #[must_use]
    pub fn started<P>(mut self, handler: impl Handler<P>) -> App {
        self.started.push(handler.boxed());
        self
    }

    /// Adds what a function adds: a part of an application, for example of [`component!`](crate::component).
    #[must_use]
    pub fn component(self, component: impl FnOnce(App) -> App) -> App {
        component(self)
    }

    /// Calls that are worked on when the application ends have so much time. 10 s.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> App {
        self.grace = grace;
        self
    }

    /// Opens the session and puts everything to work.
    ///
    /// # Errors
    /// There is no session, or the router does not allow something.
    pub async fn open(mut self) -> Result<Running, AppError> {
        // An application with a hook says it in its own words.
        self.connect.on_state.get_or_insert_with(|| Hook::new(warn_of_absence));
        let session = self.connect.open().await?;
        let states = Arc::new(self.states);
        let (mut listeners, mut callees) = (Vec::new(), Vec::new());
        for Entry { uri, options, route } in self.events {
            let subscription = session.subscribe(&uri, options).await;
            let subscription = subscription.map_err(|why| AppError::Refused { uri: uri.clone(), why })?;
            tracing::debug!(topic = %uri, "subscribed");
            listeners.push(serve_events(subscription, route, states.clone()));
        }
        for Entry { uri, options, route } in self.procedures {
            let registration = session.register(&uri, options).await;
            let registration = registration.map_err(|why| AppError::Refused { uri: uri.clone(), why })?;
            tracing::debug!(procedure = %uri, "registered");
            callees.push(serve_calls(registration, route, states.clone(), WORKING_MAX));
        }
        tracing::info!(session = %session.id(), topics = listeners.len(), procedures = callees.len(), "at work");
        let started = self.started.into_iter().map(|route| {
            let incoming = Incoming::nothing(session.clone(), states.clone());
            Handle::new(async move |_| {
                if let Err(error) = route.call(incoming).await {
                    aloud!(ERROR, "what was started has failed", error = error);
                }
            })
        });
        let started = started.collect();
        Ok(Running { session, listeners, callees, started, grace: self.grace })
    }

    /// Runs until SIGINT or SIGTERM, or until the session ends. After a second signal it does not finish anything.
    ///
    /// # Errors
    /// There is no session, the router does not allow something, the session ends otherwise than by being left, or there
    /// was a second signal ([`AppError::Interrupted`]).
    pub async fn run(self) -> Result<(), AppError> {
        let mut first = Signals::listen().map_err(AppError::Signals)?;
        let end = async move { first.next().await };
        // It is asked once the first has come, and hears none but those that follow.
        let enough = async {
            match Signals::listen() {
                Ok(mut second) => second.next().await,
                Err(_) => std::future::pending().await,
            }
        };
        self.run_between(end, enough).await
    }

    /// Runs until something happens, or until the session ends.
    ///
    /// # Errors
    /// As [`App::run`].
    pub async fn run_until(self, end: impl Future<Output = ()>) -> Result<(), AppError> {
        self.run_between(end, std::future::pending()).await
    }

    async fn run_between(
        self,
        end: impl Future<Output = ()>,
        enough: impl Future<Output = ()>,
    ) -> Result<(), AppError> {
        tokio::pin!(end);
        let running = tokio::select! {
            running = self.open() => running?,
            () = &mut end => return Ok(()),
        };
        tokio::select! {
            () = &mut end => {
                tracing::info!("the application takes its leave");
                tokio::select! {
                    biased;
                    () = enough => Err(AppError::Interrupted),
                    () = running.stop() => Ok(()),
                }
            }
            why = running.session.ended() => match running.session.state() {
                // The application has left by itself.
                State::Ended { reason: Some(reason), .. } if *reason == *error::GOODBYE_AND_OUT => Ok(()),
                _ => Err(AppError::Ended(why)),
            },
        }
    }
}

fn warn_of_absence(state: &State) {
    if let State::Away { why, retry_in, .. } = state {
        aloud!(
            WARN,
            "the router is away",
            why = why,
            next_attempt = format_args!("in {:.1} s", retry_in.as_secs_f32())
        );
    }
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// An application at work. Dropping it ends it at once.
#[derive(Debug)]
pub struct Running {
    session: Session,
    listeners: Vec<Handle>,
    callees: Vec<Handle>,
    started: Vec<Handle>,
    grace: Duration,
}

impl Running {
    /// Its session.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Takes its leave in good order: procedures are withdrawn, calls that are worked on are finished, the session ends.
    pub async fn stop(self) {
        drop(self.started);
        let finished = async {
            let stopping: Vec<_> = self.callees.into_iter().chain(self.listeners).map(Handle::stop).collect();
            // All at once: each has to take nothing more from now on.
            let mut all = tokio::task::JoinSet::new();
            stopping.into_iter().for_each(|stop| drop(all.spawn(stop)));
            while all.join_next().await.is_some() {}
        };
        if tokio::time::timeout(self.grace, finished).await.is_err() {
            aloud!(WARN, "calls were not finished in time");
        }
        self.session.leave(error::CLOSE_REALM).await;
    }
}

/// Functions with attributes, as a part of an application:
///
/// ```no_run
/// use corebar::client::App;
///
/// corebar::component! {
///     /// What can be calculated here.
///     pub fn arithmetic();
///
///     #[procedure("com.example.add")]
///     async fn add(a: i64, b: i64) -> i64 {
///         a + b
///     }
///
///     #[procedure("com.example.divide")]
///     async fn divide(a: i64, b: i64) -> Result<i64, &'static str> {
///         a.checked_div(b).ok_or("no number can be divided by zero")
///     }
///
///     #[event("com.example.hello")]
///     async fn heard(text: String) {
///         println!("{text}");
///     }
/// }
///
/// # async fn f() -> Result<(), corebar::client::AppError> {
/// App::new("ws://127.0.0.1:8080/ws", "realm1").component(arithmetic).run().await
/// # }
/// ```
///
/// Functions and other items without a mark may stand among them, and other attributes before and behind a mark. Handlers are
/// `async`, without generics.
///
/// Attributes of options follow the URI: `#[event("com.example.", match = "prefix")]`, `#[procedure("com.example.work", invoke =
/// "roundrobin", concurrency = 4)]`.
#[macro_export]
macro_rules! component {
    (@ [$($head:tt)*] [$($made:tt)*] [$($before:tt)*]
        $(#[doc = $doc:expr])* #[procedure($uri:expr $(, $option:tt = $value:expr)* $(,)?)]
        $(#[$meta:meta])* $v:vis async fn $name:ident ($($parameters:tt)*) $(-> $result:ty)? $body:block
        $($rest:tt)*
    ) => {
        $($before)* $(#[doc = $doc])* $(#[$meta])* $v async fn $name($($parameters)*) $(-> $result)? $body
        $crate::component!(@ [$($head)*] [$($made)* .procedure_with(
            $uri,
            $crate::wamp::Dict::new()$(.with(stringify!($option), $value))*,
            $name,
        )] [] $($rest)*);
    };
    (@ [$($head:tt)*] [$($made:tt)*] [$($before:tt)*]
        $(#[doc = $doc:expr])* #[event($uri:expr $(, $option:tt = $value:expr)* $(,)?)]
        $(#[$meta:meta])* $v:vis async fn $name:ident ($($parameters:tt)*) $(-> $result:ty)? $body:block
        $($rest:tt)*
    ) => {
        $($before)* $(#[doc = $doc])* $(#[$meta])* $v async fn $name($($parameters)*) $(-> $result)? $body
        $crate::component!(@ [$($head)*] [$($made)* .event_with(
            $uri,
            $crate::wamp::Dict::new()$(.with(stringify!($option), $value))*,
            $name,
        )] [] $($rest)*);
    };
    (@ $head:tt $made:tt [$($before:tt)*] $(#[doc = $doc:expr])* #[procedure $($of:tt)*] $($rest:tt)*) => {
        compile_error!("`#[procedure(\"uri\", option = value, …)]` stands before an `async fn` without generics");
    };
    (@ $head:tt $made:tt [$($before:tt)*] $(#[doc = $doc:expr])* #[event $($of:tt)*] $($rest:tt)*) => {
        compile_error!("`#[event(\"uri\", option = value, …)]` stands before an `async fn` without generics");
    };
    (@ $head:tt $made:tt [$($before:tt)*] #[$meta:meta] $($rest:tt)*) => {
        $crate::component!(@ $head $made [$($before)* #[$meta]] $($rest)*);
    };
    (@ [[$($meta:tt)*] $v:vis $name:ident] [$($made:tt)*] []) => {
        $($meta)*
        $v fn $name(app: $crate::client::App) -> $crate::client::App {
            app $($made)*
        }
    };
    (@ $head:tt $made:tt [$($before:tt)*] $item:item $($rest:tt)*) => {
        $($before)* $item
        $crate::component!(@ $head $made [] $($rest)*);
    };
    ($(#[$meta:meta])* $v:vis fn $name:ident(); $($rest:tt)*) => {
        $crate::component!(@ [[$(#[$meta])*] $v $name] [] [] $($rest)*);
    };
}
