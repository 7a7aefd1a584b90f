//! How many calls and events one connection of this library takes, and who is on the other side when others are measured:
//! `benches/clients/run.py` runs it, in turns with other clients.

use corebar::client::{Connect, RequestError, Session};
use corebar::wamp::Serializer;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Calls and publications before it counts.
const WARM_UP: Duration = Duration::from_millis(500);
/// Events that are published at a time; two such bursts are under way.
const BURST: u64 = 1000;

type Failure = Box<dyn std::error::Error>;

/// The other side: a procedure, and events for whoever wants them.
async fn serve(session: Session) -> Result<(), Failure> {
    let _add = session.offer("bench.add").handle(async |a: i64, b: i64| a + b).await?;
    let publisher = session.clone();
    let burst = move |topic: String, count: u64| {
        let session = publisher.clone();
        async move {
            for number in 0..count {
                session.event(&topic).arg("Hello!").arg(number).send().await?;
            }
            Ok::<_, RequestError>(count)
        }
    };
    let _burst = session.offer("bench.burst").handle(burst).await?;
    println!("ready");
    tokio::signal::ctrl_c().await?;
    Ok(())
}

/// Calls for so long, so many at a time; gives how many there are in a second.
async fn calls(session: &Session, window: usize, time: Duration) -> Result<f64, RequestError> {
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for _ in 0..window {
        let session = session.clone();
        tasks.spawn(async move {
            let mut made = 0;
            while start.elapsed() < time {
                session.ask("bench.add").arg(23).arg(7).result::<i64>().await?;
                made += 1;
            }
            Ok::<u32, RequestError>(made)
        });
    }
    let mut made = 0;
    while let Some(done) = tasks.join_next().await {
        made += done.unwrap_or(Ok(0))?;
    }
    Ok(f64::from(made) / start.elapsed().as_secs_f64())
}

/// Publishes for so long, until the router has taken it all.
async fn publish(session: &Session, time: Duration) -> Result<f64, RequestError> {
    let (start, mut made) = (Instant::now(), 1);
    while start.elapsed() < time {
        for _ in 0..BURST {
            session.event("bench.nobody").arg("Hello!").arg(made).send().await?;
            made += 1;
        }
    }
    session.event("bench.nobody").acknowledged().await?;
    Ok(f64::from(made) / start.elapsed().as_secs_f64())
}

/// Takes events for so long.
async fn receive(session: &Session, time: Duration) -> Result<f64, RequestError> {
    let mut events = session.listen("bench.events").open().await?;
    let more = || {
        let ask = session.ask("bench.burst").arg("bench.events").arg(BURST);
        tokio::spawn(async move { ask.result::<u64>().await })
    };
    let (start, mut taken) = (Instant::now(), 0);
    more();
    more();
    while events.next().await.is_some() {
        taken += 1;
        if taken % BURST as u32 == 0 {
            if start.elapsed() >= time {
                break;
            }
            more();
        }
    }
    let rate = f64::from(taken) / start.elapsed().as_secs_f64();
    // What is still under way does not disturb what comes next.
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(rate)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (mode, url) =
        (arguments.next().unwrap_or_default(), arguments.next().ok_or("MODE URL [SECONDS] [SERIALIZER]")?);
    let time = Duration::from_secs_f64(arguments.next().map_or(Ok(2.0), |time| time.parse())?);
    let serializer = match arguments.next().as_deref() {
        Some("cbor") => Serializer::Cbor,
        Some("msgpack") => Serializer::MsgPack,
        _ => Serializer::Json,
    };
    let serializers = vec![serializer];
    let session = Connect { serializers, ..Connect::new(&url, "realm1") }.open().await?;
    if mode == "serve" {
        return serve(session).await;
    }
    calls(&session, 64, WARM_UP).await?;
    println!("call {}", calls(&session, 1, time).await?);
    println!("calls {}", calls(&session, 64, time).await?);
    println!("publish {}", publish(&session, time).await?);
    println!("receive {}", receive(&session, time).await?);
    session.leave("wamp.close.normal").await;
    Ok(())
}
