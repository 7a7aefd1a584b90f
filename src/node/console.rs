//! What can be asked of a node that runs, from anywhere in its process.

use super::order;
use crate::auth::reach::Reach;
use crate::auth::{Inside, Peer};
use crate::client::{Connect, ConnectError, Session};
use crate::config::RuntimeConfig;
use crate::link::Directory;
use crate::process::Roster;
use crate::router::{SubjectPlace, SubjectQuery, SubjectView};
use crate::session::RealmIndex;
use crate::shard::{Command, Door, Loads, Report, SessionPage, SessionQuery, SessionReport, Vitals};
use crate::traces::{SpanNumbers, Spans};
use crate::transport::premises::Board;
use crate::wamp::{Serializer, SessionId, Uri};
use crate::wire::rawsocket;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

/// How long a shard may take to tell something. One that takes longer is stuck, or has a lot to do.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sessions that are told of at once, at most.
const SESSIONS_MAX: usize = 1000;

/// Subscriptions or registrations that are told of at once, at most.
const SUBJECTS_MAX: usize = 1000;

/// A way to ask a node for something. Cheap to clone; does not keep the node running.
#[derive(Clone, Debug)]
pub struct Console(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    doors: Arc<[Door]>,
    loads: Arc<Loads>,
    vitals: Arc<Vitals>,
    board: Arc<Board>,
    roster: Roster,
    spans: Arc<Spans>,
    links: Directory,
    /// The shard of the next session of this process.
    turn: AtomicUsize,
}

/// As whom a session of this process joins a realm.
#[derive(Clone, Debug)]
pub struct Insider {
    /// The realm.
    pub realm: Uri,
    /// The namespace of the realm: empty where there is but one, else the id of the worker that has it.
    pub namespace: Box<str>,
    /// The name under which others see the session.
    pub authid: Box<str>,
    /// Its role, which the realm has to have. None: it may do everything.
    pub role: Option<Box<str>>,
}

/// The role that sessions have which may do everything.
const TRUSTED: &str = crate::config::component::TRUSTED;

/// Where a list of sessions goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// On this shard.
    pub shard: usize,
    /// Behind this connection of it.
    pub after: Option<u32>,
}

impl Console {
    pub(super) fn new(
        (doors, loads): (Arc<[Door]>, Arc<Loads>),
        vitals: Arc<Vitals>,
        board: Arc<Board>,
        (roster, links): (Roster, Directory),
        spans: Arc<Spans>,
    ) -> Console {
        Console(Arc::new(Parts { doors, loads, vitals, board, roster, spans, links, turn: AtomicUsize::new(0) }))
    }

    /// The configuration in force, with what is closed.
    #[must_use]
    pub fn config(&self) -> Arc<RuntimeConfig> {
        self.0.board.read().config
    }

    /// How the guests and components are.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.0.roster
    }

    /// How the links to other routers are.
    #[must_use]
    pub fn links(&self) -> &Directory {
        &self.0.links
    }

    /// Connections now, also those of this process.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.loads.total()
    }

    /// For how long the node has run, whether it wants clients, and whether a shard is stuck.
    #[must_use]
    pub fn vitals(&self) -> &Vitals {
        &self.0.vitals
    }

    /// What has become of the spans.
    #[must_use]
    pub fn spans(&self) -> SpanNumbers {
        self.0.spans.numbers()
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.0.doors.len()
    }

    /// What each shard tells of itself; nothing from one that does not within two seconds.
    pub async fn reports(&self) -> Vec<Option<Report>> {
        let until = tokio::time::Instant::now() + PATIENCE;
        // All are asked before any is waited for. One at whose door there is no room tells nothing.
        let ask = |door: &Door| {
            let (to, told) = oneshot::channel();
            let _ = door.send(Command::Report(to));
            told
        };
        let asked: Vec<_> = self.0.doors.iter().map(ask).collect();
        let mut reports = Vec::with_capacity(asked.len());
        for told in asked {
            let report = tokio::time::timeout_at(until, told).await.ok().and_then(Result::ok);
            reports.push(report.map(|report| *report));
        }
        reports
    }

    /// Sessions, in no particular order but always the same, beginning at a place; gives where it goes on, if it does. What
    /// comes and goes meanwhile may be left out or be told of twice.
    pub async fn sessions(&self, query: &SessionQuery, from: Place) -> (Vec<(usize, SessionReport)>, Option<Place>) {
        let limit = query.limit.clamp(1, SESSIONS_MAX);
        let mut sessions = Vec::new();
        let mut place = from;
        while let Some(door) = self.0.doors.get(place.shard) {
            let wanted = SessionQuery { after: place.after, limit: limit - sessions.len(), ..query.clone() };
            let page = answer(door, |to| Command::Sessions(wanted, to)).await.unwrap_or_default();
            let SessionPage { sessions: more, next } = page;
            sessions.extend(more.into_iter().map(|session| (place.shard, session)));
            place = match next {
                Some(after) => Place { after: Some(after), ..place },
                None => Place { shard: place.shard + 1, after: None },
            };
            if sessions.len() == limit {
                break;
            }
        }
        let more = place.shard < self.0.doors.len();
        (sessions, more.then_some(place))
    }

    /// Subscriptions or registrations, those with the most members first; gives where the list goes on, if it does. What
    /// comes, goes and changes meanwhile may be left out or be told of twice.
    pub async fn subjects(&self, query: &SubjectQuery) -> (Vec<SubjectView>, Option<SubjectPlace>) {
        let limit = query.limit.clamp(1, SUBJECTS_MAX);
        let mut subjects = Vec::new();
        for door in self.0.doors.iter() {
            // One more than is told of, to know whether there are more.
            let wanted = Box::new(SubjectQuery { limit: limit + 1, ..query.clone() });
            subjects.extend(answer(door, |to| Command::Subjects(wanted, to)).await.unwrap_or_default());
        }
        subjects.sort_by_key(|one| one.place.rank());
        let more = subjects.len() > limit;
        subjects.truncate(limit);
        let last = subjects.last().map(|subject| subject.place);
        (subjects, last.filter(|_| more))
    }

    /// Ends a session with GOODBYE; false if there is none with this id.
    pub async fn kick(&self, id: SessionId, reason: &Uri, message: Option<&str>) -> bool {
        for door in self.0.doors.iter() {
            let order = |to| Command::Kick(id, reason.clone(), message.map(Into::into), to);
            if answer(door, order).await == Some(true) {
                return true;
            }
        }
        false
    }

    /// Joins a realm without a network in between. The session ends when it is killed, when its realm or role is taken out of
    /// the configuration, or when the router shuts down.
    ///
    /// # Errors
    /// There is no such realm or role, or the node is about to end.
    pub async fn join(&self, who: Insider) -> Result<Session, ConnectError> {
        let connect = Connect::new("unix:///", &who.realm);
        self.join_by(who, connect).await
    }

    /// The same for a session that passes messages on to another router; see [`Connect::passes_on`].
    ///
    /// # Errors
    /// As [`Console::join`].
    pub async fn join_to_pass_on(&self, who: Insider) -> Result<Session, ConnectError> {
        let connect = Connect { passes_on: true, ..Connect::new("unix:///", &who.realm) };
        self.join_by(who, connect).await
    }

    async fn join_by(&self, who: Insider, mut connect: Connect) -> Result<Session, ConnectError> {
        let (near, far) = UnixStream::pair()?;
        let trusted = who.role.is_none();
        let inside = Inside {
            authid: who.authid,
            authrole: who.role.unwrap_or_else(|| TRUSTED.into()),
            trusted,
            realm: who.realm.clone(),
            reach: Reach { namespace: who.namespace, routes: None },
        };
        let peer = Peer { label: "inside".into(), inside: Some(Box::new(inside)), ..Peer::default() };
        connect.serializers = vec![Serializer::MsgPack];
        let message_bytes_max = self.config().message_bytes_max;
        let (session, welcomed) = tokio::join!(connect.open_on(near), self.welcome(far, peer, message_bytes_max));
        welcomed?;
        session
    }

    /// Agrees with the other end, as a listener would, and hands this end to a shard.
    async fn welcome(&self, end: UnixStream, peer: Peer, message_bytes_max: usize) -> io::Result<()> {
        end.set_nonblocking(true)?;
        let mut stream = tokio::net::UnixStream::from_std(end)?;
        let mut request = [0; 4];
        stream.read_exact(&mut request).await?;
        let accepted = rawsocket::handshake(request, message_bytes_max, None)
            .map_err(|_| io::Error::other("the client of the own process is not understood"))?;
        stream.write_all(&accepted.reply).await?;
        let shard = self.0.turn.fetch_add(1, Ordering::Relaxed) % self.0.doors.len();
        self.0.loads.add(shard);
        order(&self.0.doors[shard], Command::Join(stream.into_std()?, Arc::new(peer), accepted)).await;
        Ok(())
    }

    /// The position of a realm that is open, by its name; the first one, if several namespaces have it.
    #[must_use]
    pub fn realm(&self, name: &str) -> Option<RealmIndex> {
        let config = self.config();
        let at = config.realms.iter().position(|realm| realm.is_shown() && *realm.name == *name)?;
        RealmIndex::try_from(at).ok()
    }
}

/// What a shard answers, if it does in time.
async fn answer<T>(door: &Door, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
    let (to, answer) = oneshot::channel();
    let asked = async {
        order(door, command(to)).await;
        answer.await.ok()
    };
    tokio::time::timeout(PATIENCE, asked).await.ok().flatten()
}
