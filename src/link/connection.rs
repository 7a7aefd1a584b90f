//! A link while both of its sessions are there.

use super::calls::{self, Registering};
use super::events::{self, Direct, Subscribing, excluded};
use super::follow;
use super::hops::End;
use super::mirror::Mirror;
use super::status::Standing;
use super::subjects::{Change, Key, Subject};
use super::view::{Kind, Mark, Side, View};
use crate::auth::hmac_sha256;
use crate::client::{EventGatherer, GatheredEvents, Held, RequestError, Session};
use crate::config::LinkConfig;
use crate::wamp::Dict;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// News that wait.
const NEWS_MAX: usize = 1024;

/// What a side tells.
#[derive(Debug)]
pub(super) enum News {
    /// There is this, as was asked.
    There(Side, Kind, u64, Subject),
    /// All that is there has been told.
    Told(Side),
    /// This has happened.
    Changed(Side, Kind, Change),
    /// It cannot be told.
    Failed(Side, RequestError),
}

/// What is carried from a side to the other one.
enum Flow {
    Events(Subscribing, Direct),
    Calls(Registering),
}

/// A link at work.
struct Connection {
    name: Arc<str>,
    view: View,
    flows: HashMap<(Side, Kind), (Flow, Mirror)>,
    /// Sides that have not told what is there.
    untold: Vec<Side>,
}

/// True if something is carried from a side to the other one.
const fn carries(config: &LinkConfig, from: Side, kind: Kind) -> bool {
    match (from, kind) {
        (Side::There, Kind::Events) => config.local_events,
        (Side::Here, Kind::Events) => config.remote_events,
        (Side::There, Kind::Calls) => config.local_calls,
        (Side::Here, Kind::Calls) => config.remote_calls,
    }
}

/// The router that a session leads to. One that does not say which it is, is known by what Crossbar.io says of itself, or by
/// its address.
fn end(session: &Session, config: &LinkConfig) -> End {
    let details = session.details();
    let text = |key: &'static str| details.str(key).ok().flatten().unwrap_or_default().to_owned();
    let router = session.router().unwrap_or_else(|| {
        let extra = details.dict("authextra").ok().flatten().cloned().unwrap_or_default();
        let named = ["x_cb_node", "x_cb_node_id", "x_cb_worker", "x_cb_pid"].map(|key| extra.get(key).cloned());
        let word = match named.iter().any(Option::is_some) {
            true => format!("{named:?}"),
            false => config.way.url.clone(),
        };
        let word = format!("{word} {}", config.remote_realm);
        data_encoding::HEXLOWER.encode(&hmac_sha256(b"router", word.as_bytes())[..8]).into()
    });
    let own = Dict::new().with("session", session.id().get());
    End { router, own: own.with("authid", text("authid")).with("authrole", text("authrole")) }
}

/// Serves until one of the sessions has ended; gives why.
pub(super) async fn serve(
    config: &LinkConfig,
    here: Session,
    there: Session,
    standing: &Standing,
    mut leaving: watch::Receiver<bool>,
) -> String {
    let ends = [end(&here, config), end(&there, config)];
    if ends[0].router == ends[1].router {
        return "it leads to the realm that it comes from".into();
    }
    let sessions = [here.clone(), there.clone()];
    let mut tasks = JoinSet::new();
    let mut flows = HashMap::new();
    for from in Side::BOTH {
        for kind in Kind::BOTH.into_iter().filter(|kind| carries(config, from, *kind)) {
            let flow = open_flow(config, (from, kind), (&sessions, &ends), standing, &mut tasks);
            flows.insert((from, kind), (flow, Mirror::default()));
        }
    }
    let (news, mut heard) = mpsc::channel(NEWS_MAX);
    let mut held = Vec::new();
    for side in Side::BOTH {
        let (session, other) = (&sessions[side as usize], (&*ends[side.other() as usize].router, &*standing.word));
        let (gatherer, gathered) = session.gather_events();
        let kinds = match watch_side(config, side, &gatherer, other, &mut held).await {
            Ok(kinds) => kinds,
            Err(error) => return told(side, &error),
        };
        tasks.spawn(tell(session.clone(), side, kinds, gathered, news.clone()));
        // It stands behind what has been asked for.
        tasks.spawn(async move {
            let _gatherer = gatherer;
            std::future::pending::<()>().await;
        });
    }
    let [one, other] = ends;
    let view = View::new(&standing.word, (one.router, here.id().get()), (other.router, there.id().get()));
    let name = config.name().to_string().into();
    let mut connection = Connection { name, view, flows, untold: Side::BOTH.to_vec() };
    let mut left = false;
    loop {
        tokio::select! {
            Some(news) = heard.recv() => match connection.hear(news) {
                Ok(false) => {}
                Ok(true) => standing.up(),
                Err(why) => return why,
            },
            why = here.ended() => return format!("the session here has ended: {why}"),
            why = there.ended() => return format!("the session there has ended: {why}"),
            _ = leaving.wait_for(|leaving| *leaving), if !left => {
                // What has begun goes on until the router here has taken leave of this session.
                left = true;
                connection.untold.push(Side::Here);
                connection.flows.iter_mut().filter(|((from, _), _)| *from == Side::There).for_each(|(_, flow)| flow.1.clear());
            }
        }
    }
}

/// Why a side cannot be followed.
fn told(side: Side, error: &RequestError) -> String {
    match side {
        Side::Here => format!("the realm here cannot be followed: {error}"),
        Side::There => format!("the realm there cannot be followed: {error}"),
    }
}

fn open_flow(
    config: &LinkConfig,
    (from, kind): (Side, Kind),
    (sessions, ends): (&[Session; 2], &[End; 2]),
    standing: &Standing,
    tasks: &mut JoinSet<()>,
) -> Flow {
    let (source, target) = (&sessions[from as usize], sessions[from.other() as usize].clone());
    let (here, there) = (ends[from as usize].clone(), ends[from.other() as usize].router.clone());
    let (counts, hops_max) = (standing.counts[from as usize].clone(), config.hops_max);
    match kind {
        Kind::Events => {
            let (gatherer, gathered) = source.gather_events();
            let direct = Direct::default();
            let link = config.name().to_string().into();
            let (queue_max, options) = (config.queue_max, excluded(config));
            let road = events::Road {
                link,
                here,
                there,
                target,
                direct: direct.clone(),
                counts,
                hops_max,
                queue_max,
                options,
            };
            tasks.spawn(events::carry(road, gathered));
            Flow::Events(Subscribing(Arc::new(gatherer)), direct)
        }
        Kind::Calls => {
            let (gatherer, gathered) = source.gather_calls();
            let road = calls::Road { here, there, target, counts, hops_max, calls_max: config.calls_max };
            tasks.spawn(calls::carry(road, gathered));
            Flow::Calls(Registering(Arc::new(gatherer)))
        }
    }
}

/// Says on a side what the link carries, and has changes told; gives of what. A router that does not let it know, and from which
/// it need not, is not followed.
async fn watch_side(
    config: &LinkConfig,
    side: Side,
    gatherer: &EventGatherer,
    (other, link): (&str, &str),
    held: &mut Vec<Held>,
) -> Result<Vec<Kind>, RequestError> {
    let marks = [
        (Mark::EventsOut, carries(config, side, Kind::Events)),
        (Mark::EventsIn, carries(config, side.other(), Kind::Events)),
        (Mark::CallsOut, carries(config, side, Kind::Calls)),
    ];
    for (mark, _) in marks.into_iter().filter(|(_, carried)| *carried) {
        match gatherer.subscribe(&mark.topic(other, link), Dict::new()).await {
            Ok(mark) => held.push(mark),
            Err(error @ RequestError::Refused(_)) => {
                let (link, realm) = (config.name(), &config.remote_realm);
                tracing::warn!(%link, %realm, %error, "a link cannot tell other links of itself: things may go by two ways");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let mut kinds = Vec::new();
    for kind in Kind::BOTH {
        let needed = carries(config, side.other(), kind);
        if !needed && kind == Kind::Calls {
            continue;
        }
        match follow::listen(gatherer, kind).await {
            Ok(more) => {
                held.extend(more);
                kinds.push(kind);
            }
            Err(RequestError::Refused(_)) if !needed => {}
            Err(error) => return Err(error),
        }
    }
    Ok(kinds)
}

/// Tells what there is on a side, and then what happens: what has been told of late would not be true any more.
async fn tell(session: Session, side: Side, kinds: Vec<Kind>, mut events: GatheredEvents, news: mpsc::Sender<News>) {
    for kind in kinds {
        if let Err(error) = follow::look(&session, side, kind, &news).await {
            let _ = news.send(News::Failed(side, error)).await;
            return;
        }
    }
    let _ = news.send(News::Told(side)).await;
    while let Some(event) = events.next().await {
        if let Some(change) = follow::read(&event.topic, &event.payload)
            && news.send(News::Changed(side, follow::kind_of(&event.topic), change)).await.is_err()
        {
            return;
        }
    }
}

impl Connection {
    /// Takes what a side has told. True: that was all that was missing.
    fn hear(&mut self, news: News) -> Result<bool, String> {
        match news {
            News::There(side, kind, id, subject) => self.view.add(side, kind, id, subject),
            News::Failed(side, error) => return Err(told(side, &error)),
            News::Told(side) => {
                self.untold.retain(|untold| *untold != side);
                if self.untold.is_empty() {
                    self.ask_for_all();
                    return Ok(true);
                }
            }
            News::Changed(side, kind, change) => {
                let given_back = matches!(change, Change::Left(..) | Change::Deleted(_));
                let Some((key, marks)) = self.view.apply(side, kind, change) else { return Ok(false) };
                if !self.untold.is_empty() {
                    return Ok(false);
                }
                if marks {
                    self.ask_for_all();
                } else {
                    self.ask_for(side.other(), kind, &key);
                }
                if given_back && let Some((_, mirror)) = self.flows.get(&(side, kind)) {
                    mirror.is_free(&key);
                }
            }
        }
        Ok(false)
    }

    /// Asks on a side for what is wanted there because of something on the other side.
    fn ask_for(&mut self, from: Side, kind: Kind, key: &Key) {
        let Some((flow, mirror)) = self.flows.get_mut(&(from, kind)) else { return };
        let wanted = self.view.wanted(from, kind, key);
        match flow {
            Flow::Events(ask, _) => mirror.set(key, wanted, ask, &self.name),
            Flow::Calls(ask) => mirror.set(key, wanted, ask, &self.name),
        }
    }

    /// The same for everything.
    fn ask_for_all(&mut self) {
        for ((from, kind), (flow, mirror)) in &mut self.flows {
            let wanted = self.view.all_wanted(*from, *kind);
            match flow {
                Flow::Events(ask, direct) => {
                    *direct.lock().unwrap_or_else(PoisonError::into_inner) = self.view.direct(*from);
                    mirror.set_all(wanted, ask, &self.name);
                }
                Flow::Calls(ask) => mirror.set_all(wanted, ask, &self.name),
            }
        }
    }
}
