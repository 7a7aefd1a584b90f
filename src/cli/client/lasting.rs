//! Sessions that come back when their connection is lost.

use super::login::seconds;
use super::output::Output;
use crate::client::{Connect, Hook, Reconnect, State};
use std::sync::mpsc;
use std::time::Duration;

/// Whether a session comes back when its connection is lost.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Reconnecting")]
pub(super) struct Lasting {
    /// Wait for the router if it is not there, and come back when the connection is lost. What the router has kept of the
    /// topics meanwhile is not missed.
    #[arg(long)]
    reconnect: bool,

    /// The longest time between two attempts; the first comes soon, each further one takes twice as long.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds, requires = "reconnect")]
    reconnect_delay_max: Duration,

    /// How many attempts are made in a row. [default: without end]
    #[arg(long, value_name = "N", requires = "reconnect")]
    reconnect_attempts: Option<u32>,
}

impl Lasting {
    /// Says it to the session that is about to be opened, which tells `output` when it is away and when it is back.
    pub(super) fn say(self, connect: &mut Connect, output: Output) {
        if !self.reconnect {
            return;
        }
        connect.reconnect = Some(Reconnect {
            delay_max: self.reconnect_delay_max,
            attempts_max: self.reconnect_attempts,
            from_the_start: true,
            requests_wait: true,
            ..Reconnect::default()
        });
        // What serves the session must not wait for whoever reads standard error.
        let (tell, told) = mpsc::channel::<String>();
        std::thread::spawn(move || told.iter().for_each(|line| output.hint(&line)));
        connect.on_state = Some(Hook::new(move |state| {
            if !matches!(state, State::Ended { .. }) {
                // The thread outlives the session.
                let _ = tell.send(format!("corebar: {state}"));
            }
        }));
    }
}
