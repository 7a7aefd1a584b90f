//! What stands in `docs/client.md`.

use crate::with_router;
use corebar::auth::config::{Grant, Secret, Source, TicketUser};
use corebar::client::{
    App, AppError, CancelMode, Connect, Named, Progress, RequestError, Rest, Session, TestamentScope, Trust,
};
use corebar::config::RuntimeConfig;
use corebar::session::HistoryRule;
use corebar::wamp::{Dict, MatchPolicy, Value};
use serde::Deserialize;

type Done = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// The snippets of the page are parts of this file.
#[test]
fn what_the_page_shows_is_run() {
    let flat = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let (page, own) = (include_str!("../../docs/client.md"), flat(include_str!("manual.rs")));
    let snippets: Vec<_> = page.split("```rust,ignore\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    assert!(snippets.len() >= 8, "{}", snippets.len());
    for snippet in snippets {
        assert!(own.contains(flat(snippet).trim()), "{snippet}");
    }
}

#[derive(Deserialize)]
struct Style {
    loud: bool,
}

async fn arguments(session: Session) -> Done {
    let say = async |Named(style): Named<Style>, to: String, Rest(words): Rest<String>| {
        let text = format!("{to}: {}", words.join(" "));
        if style.loud { text.to_uppercase() } else { text }
    };
    let _say = session.offer("com.example.say").handle(say).await?;
    let said = session.ask("com.example.say").arg("joe").arg("good").arg("morning").kwarg("loud", true);
    assert_eq!(said.result::<String>().await?, "JOE: GOOD MORNING");
    Ok(())
}

async fn octets(session: Session) -> Done {
    let reverse = async |octets: Vec<u8>| Value::Bin(octets.into_iter().rev().collect());
    let _reverse = session.offer("com.example.reverse").handle(reverse).await?;
    let octets = Value::Bin(vec![1, 2, 255].into());
    let back: Vec<u8> = session.ask("com.example.reverse").arg(octets).result().await?;
    assert_eq!(back, [255, 2, 1]);
    Ok(())
}

async fn progress_and_cancel(session: Session) -> Done {
    let count = async |to: u64, progress: Progress| -> Result<u64, RequestError> {
        for number in 0..to {
            progress.send(number).await?;
        }
        Ok(to)
    };
    let _count = session.offer("com.example.count").handle(count).await?;

    let mut results = session.ask("com.example.count").arg(3).results().await?;
    loop {
        let outcome = results.next().await?;
        println!("{}", outcome.arg::<u64>(0)?);
        if !outcome.progress {
            break;
        }
    }

    let mut results = session.ask("com.example.count").arg(u64::MAX).results().await?;
    results.next().await?;
    results.cancel(CancelMode::Kill);
    match results.last().await {
        Err(RequestError::Refused(why)) => println!("{why}"),
        other => println!("it was not canceled: {other:?}"),
    }
    // Or, where nobody waits for what becomes of it:
    drop(results);
    Ok(())
}

async fn sum(session: Session) -> Done {
    let mut calls = session.offer("com.example.sum").open().await?;
    while let Some(mut call) = calls.next().await {
        let mut sum: u64 = call.arg(0)?;
        while let Some((args, _)) = call.more().await {
            sum += args.first().and_then(Value::as_uint).unwrap_or(0);
            if call.has_more() {
                call.progress(vec![sum.into()], Dict::new()).await?;
            }
        }
        call.answer(sum);
    }
    Ok(())
}

async fn both_ways(session: Session) -> Done {
    let callee = tokio::spawn(sum(session.clone()));
    let registered = || session.ask("wamp.registration.lookup").arg("com.example.sum").result::<Option<u64>>();
    while registered().await?.is_none() {}
    let (arguments, mut results) = session.ask("com.example.sum").arg(1).stream().await?;
    arguments.send(2).await?;
    println!("so far: {}", results.next().await?.arg::<u64>(0)?);
    arguments.finish(3).await?;
    let all: u64 = results.last().await?.arg(0)?;
    assert_eq!(all, 6);
    callee.abort();
    Ok(())
}

async fn past(session: Session) -> Done {
    for load in 0..3 {
        session.event("com.example.load").arg(load).acknowledged().await?;
    }
    let newest = session.history("com.example.load").newest(10).fetch().await?;
    if let Some(first) = newest.first() {
        let later = session.history("com.example.load").after(first.publication).oldest(100).fetch().await?;
        println!("{} events, {} of them after the first", newest.len(), later.len());
    }
    assert_eq!(newest.len(), 3);
    Ok(())
}

async fn testament(session: Session, other: Session) -> Done {
    let mut gone = other.listen("com.example.gone").open().await?;
    let args = vec!["joe".into()];
    session.add_testament("com.example.gone", args, Dict::new(), Dict::new(), TestamentScope::Destroyed).await?;
    session.leave("wamp.close.normal").await;
    assert_eq!(gone.next().await.map(|event| event.arg(0)), Some(Ok("joe".to_owned())));
    Ok(())
}

#[test]
fn snippets() {
    let change = |config: &mut RuntimeConfig| {
        config.realms[0].history = vec![HistoryRule::new("com.example.load", MatchPolicy::Exact)];
    };
    with_router(change, async |urls| {
        let open = async || Connect::new(&urls[0], "realm1").open().await.expect("a session");
        arguments(open().await).await.expect("arguments");
        octets(open().await).await.expect("octets");
        progress_and_cancel(open().await).await.expect("progress");
        both_ways(open().await).await.expect("progress both ways");
        past(open().await).await.expect("the past");
        testament(open().await, open().await).await.expect("a testament");
    });
}

async fn application(url: &str, end: impl Future<Output = ()>) -> Result<(), AppError> {
    let connect = Connect { trust: Trust::Authorities("ca.pem".into()), ..Connect::new(url, "realm1") };
    let app = App::with(connect.ticket("joe", "secret"))
        .event_with("com.example.", Dict::new().with("match", "prefix"), async |text: String| println!("{text}"))
        .procedure_with("com.example.add", Dict::new().with("invoke", "roundrobin"), async |a: i64, b: i64| a + b);
    app.run_until(end).await
}

#[test]
fn an_application_that_shows_who_it_is() {
    let change = |config: &mut RuntimeConfig| {
        let grant = Grant { role: Some("anonymous".into()), ..Grant::default() };
        let user = TicketUser { ticket: Secret(b"secret".as_slice().into()), grant };
        config.transports[0].auth.ticket = Some(Source::Static([("joe".into(), user)].into()));
    };
    with_router(change, async |urls| {
        let session = Connect::new(&urls[0], "realm1").ticket("joe", "secret").open().await.expect("a session");
        let asked = async {
            // It offers its procedure a moment later.
            loop {
                match session.ask("com.example.add").arg(2).arg(3).result::<i64>().await {
                    Ok(sum) => break assert_eq!(sum, 5),
                    Err(why) => assert!(why.to_string().contains("no_such_procedure"), "{why}"),
                }
            }
        };
        application(&urls[0], asked).await.expect("it takes its leave");
    });
}
