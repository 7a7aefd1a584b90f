//! `corebar sub`: prints the events of topics.

use super::events::Events;
use super::failure::{Done, Failure};
use super::history::{self, Past};
use super::lasting::Lasting;
use super::login::{Login, seconds};
use super::output::{self, Output};
use super::pattern::Match;
use super::stop::Stop;
use super::values::{self, Pair, ShownDict, ShownList};
use crate::client::{Event, Session};
use crate::wamp::Dict;
use serde::Serialize;
use std::collections::HashSet;
use std::time::Duration;

/// Which events to print, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Subscribe {
    /// The topics, or patterns with --match.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,

    /// How topics are matched.
    #[arg(long = "match", value_enum, value_name = "POLICY", default_value = "exact")]
    policy: Match,

    /// End after so many events. [default: at Ctrl-C, with exit code 0]
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// End after so many seconds; with exit code 75 if --count events have not come.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,

    /// First the event that is retained for each topic.
    #[arg(long)]
    retained: bool,

    /// First the last N events of each topic, where the router keeps them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    history: Option<u64>,

    /// Any other option of SUBSCRIBE. May be given more than once.
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<Pair>,

    /// Arguments alone, and text as it is: without time and topic, without quotes.
    #[arg(long, conflicts_with = "json")]
    raw: bool,

    /// A second line for each event: its publication, and what else the router says of it.
    #[arg(long, conflicts_with_all = ["json", "raw"])]
    details: bool,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    lasting: Lasting,

    #[command(flatten)]
    pub(super) login: Login,
}

/// An event as it is printed in JSON.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    pub(super) time: &'a str,
    pub(super) topic: &'a str,
    pub(super) publication: u64,
    pub(super) args: ShownList<'a>,
    pub(super) kwargs: ShownDict<'a>,
    pub(super) details: ShownDict<'a>,
}

impl<'a> Record<'a> {
    /// Of an event, and when it was published or came.
    pub(super) fn new(time: &'a str, event: &'a Event) -> Record<'a> {
        Record {
            time,
            topic: &event.topic,
            publication: event.publication.get(),
            args: ShownList(&event.args),
            kwargs: ShownDict(&event.kwargs),
            details: ShownDict(&event.details),
        }
    }
}

/// Subscribes, and prints until it is enough.
///
/// # Errors
/// There is no session, the router refuses, the session ends, or what was waited for does not come.
pub(super) async fn run(wanted: Subscribe) -> Done {
    let (session, stop) = wanted.login.begin_lasting(wanted.lasting, wanted.output).await?;
    let done = follow(&wanted, &session, stop).await;
    session.leave(super::LEAVE).await;
    done
}

async fn follow(wanted: &Subscribe, session: &Session, mut stop: Stop) -> Done {
    let until = wanted.wait.map(|wait| tokio::time::Instant::now() + wait);
    let mut options = Dict::new();
    wanted.policy.say(&mut options);
    if wanted.retained {
        options.push("get_retained", true);
    }
    values::add_options(&mut options, &wanted.options);
    let mut events = Events::new(session);
    let mut printed = Printed { wanted, count: 0, seen: HashSet::new() };
    for topic in &wanted.topics {
        let subscribed = wanted.login.soon(topic, session.subscribe(topic, options.clone())).await?;
        let subscription = subscribed.map_err(|why| Failure::of_request(topic, &why))?;
        wanted.output.hint(&format!("subscribed to {topic} ({})", wanted.policy.policy().name()));
        if let Some(limit) = wanted.history {
            let past = wanted
                .login
                .soon(topic, history::last(session, topic, wanted.policy, subscription.id(), limit))
                .await??;
            if past.is_empty() {
                wanted.output.hint(&format!("the router has kept no events of {topic}"));
            }
            for event in past {
                if printed.past(event)? {
                    return Ok(());
                }
            }
        }
        events.add(topic.clone(), subscription);
    }
    loop {
        let (topic, event) = tokio::select! {
            next = events.next() => next?,
            () = stop.asked() => return Ok(()),
            () = sleep_until(until) => return late(wanted, printed.count),
        };
        match event {
            Some(event) if printed.live(&event)? => return Ok(()),
            Some(_) => {}
            None => return Err(Failure::refused(format!("{topic}: the router has taken the subscription away"))),
        }
    }
}

async fn sleep_until(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn late(wanted: &Subscribe, came: u64) -> Done {
    match wanted.count {
        Some(count) => Err(Failure::late(format!("{came} of {count} events have come in time"))),
        None => Ok(()),
    }
}

/// What has been printed.
struct Printed<'a> {
    wanted: &'a Subscribe,
    count: u64,
    /// Publications of the past, which may come once more.
    seen: HashSet<u64>,
}

impl Printed<'_> {
    /// Prints an event of the past. True: it is enough.
    fn past(&mut self, past: Past) -> Done<bool> {
        self.seen.insert(past.event.publication.get());
        self.print(&past.time, &past.event)
    }

    /// Prints an event that has just come. True: it is enough.
    fn live(&mut self, event: &Event) -> Done<bool> {
        match self.seen.remove(&event.publication.get()) {
            true => Ok(false),
            false => self.print(&output::now(), event),
        }
    }

    fn print(&mut self, time: &str, event: &Event) -> Done<bool> {
        match self.wanted.raw {
            true => output::print(&values::raw_line(&event.args, &event.kwargs)),
            false => self.wanted.output.print(&Record::new(time, event), || self.text(time, event)),
        }?;
        self.count += 1;
        Ok(Some(self.count) == self.wanted.count)
    }

    fn text(&self, time: &str, event: &Event) -> String {
        let mut text = format!("{time} {} {}", event.topic, values::line(&event.args, &event.kwargs));
        text.truncate(text.trim_end().len());
        if self.wanted.details {
            let publication = event.publication.get();
            text.push_str(&format!("\n    publication {publication} {}", values::text(&ShownDict(&event.details))));
        }
        text
    }
}
