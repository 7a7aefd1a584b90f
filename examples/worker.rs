//! Workers that share tasks: `cargo run --example worker -- work [URL]`, as often as you like; `… worker -- ask N [URL]` has the
//! primes up to N counted, and shows how far that is. Whoever is interrupted (Ctrl-C) has its task dropped by the worker;
//! a worker that is interrupted finishes what it has begun.

use corebar::client::{App, Connect, Progress, RequestError};
use corebar::wamp::Dict;

const PROCEDURE: &str = "com.example.primes";

fn is_prime(number: u64) -> bool {
    number > 1 && (2..).take_while(|factor| factor * factor <= number).all(|factor| !number.is_multiple_of(factor))
}

/// Counts in steps, so that the session is served between them, and the task can be dropped there.
async fn count(to: u64, progress: Progress) -> Result<u64, RequestError> {
    let (mut found, mut percent) = (0, 0);
    for number in 0..=to {
        found += u64::from(is_prime(number));
        let done = number * 100 / to.max(1);
        if done != percent {
            percent = done;
            progress.send(percent).await?;
            tokio::task::yield_now().await;
        }
    }
    Ok(found)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next();
    let mut url = || arguments.next().unwrap_or("ws://127.0.0.1:8080/".into());
    match mode.as_deref() {
        Some("work") => {
            let one_each = Dict::new().with("invoke", "roundrobin").with("concurrency", 1);
            Ok(App::new(&url(), "realm1").procedure_with(PROCEDURE, one_each, count).run().await?)
        }
        Some("ask") => {
            let to: u64 = url().parse()?;
            let session = Connect::new(&url(), "realm1").open().await?;
            let mut results = session.ask(PROCEDURE).arg(to).results().await?;
            loop {
                let outcome = results.next().await?;
                if !outcome.progress {
                    println!("{} primes up to {to}", outcome.arg::<u64>(0)?);
                    return Ok(());
                }
                println!("{} %", outcome.arg::<u64>(0)?);
            }
        }
        _ => Err("it is one of: work, ask".into()),
    }
}
