//! A live dashboard: `cargo run --example dashboard -- feed [URL]` publishes how busy this machine is, ten times a second;
//! `… dashboard -- view [URL]` shows it. A viewer begins with the last value, which the router retains, and what it has missed
//! while the router was away comes from the history, if the router keeps one of `com.example.load`.

use corebar::client::{App, AppError, Connect, Event, Failure, RequestError, Session};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const TOPIC: &str = "com.example.load";

#[derive(Debug, Serialize, Deserialize)]
struct Load {
    /// Programs that wanted to run, on the average of a minute.
    minute: f64,
    /// Seconds since the machine was started.
    uptime: f64,
}

fn measure() -> Result<Load, std::io::Error> {
    let first = |path: &str| {
        let text = std::fs::read_to_string(path)?;
        let number = text.split(' ').next().and_then(|word| word.parse::<f64>().ok());
        number.ok_or(std::io::Error::from(std::io::ErrorKind::InvalidData))
    };
    Ok(Load { minute: first("/proc/loadavg")?, uptime: first("/proc/uptime")? })
}

async fn feed(session: Session) -> Result<(), corebar::client::CallError> {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        let load = measure().map_err(Failure::into_error)?;
        match session.event(TOPIC).arg(load).retained().send().await {
            // What is measured while there is no router is of no use later.
            Ok(()) | Err(RequestError::Disconnected) => {}
            Err(why) => return Err(why.into()),
        }
    }
}

async fn view(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let session = Connect::new(url, "realm1").reconnecting().on_state(|state| eprintln!("{state}")).open().await?;
    let mut events = session.listen(TOPIC).retained().open().await?;
    while let Some(event) = events.next().await {
        let load: Load = event.arg(0)?;
        println!("{:8.2} {:5.2}{}", load.uptime, load.minute, kind(&event));
    }
    Ok(())
}

fn kind(event: &Event) -> &'static str {
    match (event.retained(), event.replayed()) {
        (true, _) => " (the last one)",
        (_, true) => " (missed)",
        _ => "",
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mode, url) = (arguments.next(), arguments.next().unwrap_or("ws://127.0.0.1:8080/".into()));
    match mode.as_deref() {
        Some("feed") => Ok(App::new(&url, "realm1").started(feed).run().await.map_err(Box::<AppError>::new)?),
        Some("view") => view(&url).await,
        _ => Err("it is one of: feed, view".into()),
    }
}
