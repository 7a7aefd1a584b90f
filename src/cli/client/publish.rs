//! `corebar pub`: publishes events.

use super::arguments::{Arguments, Ready};
use super::failure::{Done, Failure};
use super::input;
use super::login::{Login, seconds};
use super::output::Output;
use super::stop::Stop;
use super::template::{self, Template};
use super::values::{self, Pair, put};
use crate::client::Session;
use crate::wamp::{Dict, Value};
use serde_json::json;
use std::time::Duration;

/// What to publish, and how.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = template::HELP)]
pub struct Publish {
    /// The topic.
    topic: String,

    #[command(flatten)]
    arguments: Arguments,

    /// Each line of standard input is an event: the line takes the place of the argument -, or comes last.
    #[arg(long, conflicts_with_all = ["count", "interval"])]
    lines: bool,

    /// How many events; 0: until Ctrl-C.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1)]
    count: u64,

    /// The time between two events, with --count.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    interval: Duration,

    /// Do not wait until the router has taken each event. Then errors are not seen, and nothing is printed.
    #[arg(long)]
    no_ack: bool,

    /// Variables in arguments are text like any other.
    #[arg(long)]
    no_templates: bool,

    /// Retain the event for those who subscribe later and ask for it.
    #[arg(long)]
    retain: bool,

    /// Tell receivers who publishes.
    #[arg(long)]
    disclose_me: bool,

    /// Any other option of PUBLISH. May be given more than once.
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<Pair>,

    #[command(flatten)]
    audience: Audience,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    pub(super) login: Login,
}

/// Who gets an event of those who subscribe.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Audience")]
struct Audience {
    /// Not the publisher itself, as is usual.
    #[arg(long, conflicts_with = "include_me")]
    exclude_me: bool,

    /// Also the publisher itself.
    #[arg(long)]
    include_me: bool,

    /// Only these sessions.
    #[arg(long, value_name = "SESSION", value_delimiter = ',')]
    eligible: Vec<u64>,

    /// Only those of these authids.
    #[arg(long, value_name = "AUTHID", value_delimiter = ',')]
    eligible_authid: Vec<String>,

    /// Only those of these roles.
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    eligible_authrole: Vec<String>,

    /// Not these sessions.
    #[arg(long, value_name = "SESSION", value_delimiter = ',')]
    exclude: Vec<u64>,

    /// Not those of these authids.
    #[arg(long, value_name = "AUTHID", value_delimiter = ',')]
    exclude_authid: Vec<String>,

    /// Not those of these roles.
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    exclude_authrole: Vec<String>,
}

impl Audience {
    fn say(&self, options: &mut Dict) {
        if self.exclude_me || self.include_me {
            options.push("exclude_me", self.exclude_me);
        }
        for (key, sessions) in [("eligible", &self.eligible), ("exclude", &self.exclude)] {
            if !sessions.is_empty() {
                options.push(key, sessions.iter().map(|id| Value::from(*id)).collect::<Vec<_>>());
            }
        }
        for (key, names) in [
            ("eligible_authid", &self.eligible_authid),
            ("eligible_authrole", &self.eligible_authrole),
            ("exclude_authid", &self.exclude_authid),
            ("exclude_authrole", &self.exclude_authrole),
        ] {
            if !names.is_empty() {
                options.push(key, names.iter().map(|name| Value::from(&**name)).collect::<Vec<_>>());
            }
        }
    }
}

impl Publish {
    fn options(&self) -> Dict {
        let mut options = Dict::new();
        self.audience.say(&mut options);
        for (key, set) in [("retain", self.retain), ("disclose_me", self.disclose_me)] {
            if set {
                put(&mut options, key, true);
            }
        }
        values::add_options(&mut options, &self.options);
        options
    }
}

/// Publishes.
///
/// # Errors
/// The arguments make no sense, there is no session, or the router refuses an event.
pub(super) async fn run(mut wanted: Publish) -> Done {
    let arguments = std::mem::take(&mut wanted.arguments);
    let ready = if wanted.lines { arguments.by_line() } else { arguments.ready() }?;
    let (session, stop) = wanted.login.begin().await?;
    let done = match wanted.lines {
        true => lines(&wanted, &session, ready, stop).await,
        false => repeat(&wanted, &session, &ready, stop).await,
    };
    // Whatever is not acknowledged has been read by the router when it says GOODBYE.
    session.leave(super::LEAVE).await;
    done
}

/// The same event again and again.
async fn repeat(wanted: &Publish, session: &Session, ready: &Ready, mut stop: Stop) -> Done {
    let mut number = 0;
    loop {
        number += 1;
        tokio::select! {
            done = one(wanted, session, ready, number) => done?,
            () = stop.asked() => return interrupted(wanted),
        }
        if number == wanted.count {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(wanted.interval), if !wanted.interval.is_zero() => {}
            () = std::future::ready(()), if wanted.interval.is_zero() => {}
            () = stop.asked() => return interrupted(wanted),
            why = session.ended() => return Err(Failure::lost(&why)),
        }
    }
}

fn interrupted(wanted: &Publish) -> Done {
    if wanted.count == 0 { Ok(()) } else { Err(Failure::interrupted()) }
}

/// An event for each line.
async fn lines(wanted: &Publish, session: &Session, mut ready: Ready, mut stop: Stop) -> Done {
    let mut lines = input::lines();
    let mut number = 0;
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            () = stop.asked() => return Err(Failure::interrupted()),
            why = session.ended() => return Err(Failure::lost(&why)),
        };
        let Some(line) = line else { return Ok(()) };
        ready.take(line?);
        number += 1;
        one(wanted, session, &ready, number).await?;
    }
}

async fn one(wanted: &Publish, session: &Session, ready: &Ready, number: u64) -> Done {
    let template = (!wanted.no_templates).then(|| Template::new(number));
    let (args, kwargs) = ready.values(template.as_ref())?;
    let (topic, options) = (&*wanted.topic, wanted.options());
    if wanted.no_ack {
        let sent = session.publish(topic, args, kwargs, options).await;
        return sent.map_err(|why| Failure::of_request(topic, &why));
    }
    let published = wanted.login.soon(topic, session.publish_acknowledged(topic, args, kwargs, options)).await?;
    let id = published.map_err(|why| Failure::of_request(topic, &why))?.get();
    match wanted.output.quiet && !wanted.output.json {
        true => Ok(()),
        false => wanted.output.print(&json!({"topic": topic, "publication": id}), || id.to_string()),
    }
}
