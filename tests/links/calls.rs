//! Calls.

use super::{Net, SOON, chain, hops, mesh, registered, run, until};
use corebar::client::{CallError, Invoke, Progress, RequestError, Session};
use corebar::wamp::{Dict, Value};
use std::collections::BTreeSet;
use std::time::Duration;

/// Procedures of all kinds.
async fn offer(session: &Session) -> Vec<corebar::client::Handle> {
    let fails = session.offer("com.fails").handle(async || {
        let kwargs = Dict::new().with("why", "so");
        Err::<(), _>(CallError { error: "com.error.mine".into(), args: vec![1.into()], kwargs })
    });
    let counts = session.offer("com.counts").handle(async |progress: Progress, to: u64| {
        for number in 0..to {
            progress.send(number).await.expect("sent");
        }
        to
    });
    let pattern =
        session.offer("com.pattern.").prefix().handle(async |origin: corebar::client::Origin| origin.uri.to_string());
    vec![fails.await.expect("registered"), counts.await.expect("registered"), pattern.await.expect("registered")]
}

#[test]
fn a_chain_takes_calls_and_all_that_belongs_to_them() {
    run(async {
        let net = chain().await;
        for (callee, caller) in [(0, 2), (2, 0)] {
            let (callee, caller) = (net.join(callee).await, net.join(caller).await);
            let _handles = offer(&callee).await;
            let mut registration = callee.offer("com.slow").open().await.expect("registered");
            let mut several = callee.offer("com.several").open().await.expect("registered");
            for procedure in ["com.fails", "com.counts", "com.slow", "com.several"] {
                registered(&caller, procedure, true).await;
            }
            until(async || caller.ask("com.pattern.x").result::<String>().await.as_deref() == Ok("com.pattern.x"))
                .await;
            let failed = caller.ask("com.fails").outcome().await.expect_err("an error");
            let RequestError::Refused(error) = failed else { panic!("{failed:?}") };
            assert_eq!(
                (&*error.error, error.args, error.kwargs.str("why")),
                ("com.error.mine", vec![1.into()], Ok(Some("so")))
            );
            let mut results = caller.ask("com.counts").arg(3).results().await.expect("called");
            for number in 0..3 {
                let outcome = results.next().await.expect("a result");
                assert_eq!((outcome.arg::<u64>(0), outcome.progress), (Ok(number), true));
            }
            let last = results.next().await.expect("the last");
            assert_eq!((last.arg::<u64>(0), last.progress), (Ok(3), false));
            // It is canceled, and takes too long.
            let results = caller.ask("com.slow").arg("a").results().await.expect("called");
            let mut invocation = registration.next().await.expect("a call");
            assert_eq!((invocation.arg::<String>(0).as_deref(), hops(invocation.forward_for())), (Ok("a"), 2));
            drop(results);
            tokio::time::timeout(SOON, invocation.interrupted()).await.expect("canceled");
            let late = caller.ask("com.slow").option("timeout", 100).outcome();
            let (late, mut invocation) = tokio::join!(late, async { registration.next().await.expect("a call") });
            let RequestError::Refused(error) = late.expect_err("too late") else { panic!("an error of the router") };
            assert_eq!(&*error.error, "wamp.error.timeout");
            tokio::time::timeout(SOON, invocation.interrupted()).await.expect("canceled");
            // Arguments that follow one another.
            let (arguments, mut results) = caller.ask("com.several").arg(1).stream().await.expect("called");
            let mut invocation = several.next().await.expect("a call");
            arguments.send(2).await.expect("sent");
            invocation.progress(vec![Value::from(2)], Dict::new()).await.expect("sent");
            assert_eq!(results.next().await.expect("a result").arg::<u64>(0), Ok(2));
            arguments.finish(3).await.expect("sent");
            let mut sum = invocation.arg::<i64>(0).expect("a number");
            while let Some((args, _)) = invocation.more().await {
                sum += args[0].clone().to::<i64>().expect("a number");
            }
            invocation.answer(sum);
            assert_eq!(results.last().await.expect("a result").arg::<i64>(0), Ok(6));
            // When it is withdrawn, it is gone everywhere.
            registration.withdraw().await.expect("withdrawn");
            registered(&caller, "com.slow", false).await;
        }
        net.end().await;
    });
}

#[test]
fn callees_on_all_routers_share() {
    run(async {
        let net = mesh().await;
        let sessions = [net.join(0).await, net.join(1).await, net.join(2).await];
        let mut handles = Vec::new();
        for (at, session) in sessions.iter().enumerate() {
            let handle =
                session.offer("com.shared").invoke(Invoke::RoundRobin).handle(move || async move { at as u64 });
            handles.push(handle.await.expect("registered"));
        }
        // Each knows those of the others.
        for session in &sessions {
            let found = std::cell::RefCell::new(BTreeSet::new());
            until(async || {
                let answer = session.ask("com.shared").result::<u64>().await.expect("an answer");
                found.borrow_mut().insert(answer);
                found.borrow().len() == 3
            })
            .await;
            for _ in 0..30 {
                session.ask("com.shared").result::<u64>().await.expect("an answer");
            }
        }
        // What is single on two routers stays what it is on each, and comes over the link when one is gone.
        let one = sessions[0].offer("com.single").handle(async || 0_u64).await.expect("registered");
        registered(&sessions[1], "com.single", true).await;
        registered(&sessions[2], "com.single", true).await;
        let taken = sessions[1].offer("com.single").handle(async || 1_u64).await;
        assert!(matches!(taken, Err(RequestError::Refused(_))));
        drop(one);
        for session in &sessions {
            registered(session, "com.single", false).await;
        }
        drop(handles);
        for session in &sessions {
            registered(session, "com.shared", false).await;
        }
        net.end().await;
    });
}

#[test]
fn what_both_have_is_brought_when_one_has_it_no_more() {
    run(async {
        let mut net = Net::default();
        net.add(1, &[], |_| {});
        let to = net.address(0);
        net.add(1, &[], |_| {});
        let (there, here) = (net.join(0).await, net.join(1).await);
        let _one = there.offer("com.single").handle(async || 0_u64).await.expect("registered");
        let other = here.offer("com.single").handle(async || 1_u64).await.expect("registered");
        let mut config = net.nodes[1].config().clone();
        config.links = vec![super::link("late", to)];
        let reload = net.nodes[1].reload(&config).await.expect("reloaded");
        assert!(reload.changes.iter().any(|change| change.contains("link")), "{:?}", reload.changes);
        net.up().await;
        assert_eq!(here.ask("com.single").result::<u64>().await, Ok(1));
        assert_eq!(there.ask("com.single").result::<u64>().await, Ok(0));
        drop(other);
        until(async || here.ask("com.single").result::<u64>().await == Ok(0)).await;
        // A link that is taken out takes everything with it.
        config.links.clear();
        net.nodes[1].reload(&config).await.expect("reloaded");
        registered(&here, "com.single", false).await;
        assert!(net.links(1).is_empty());
        net.end().await;
    });
}

#[test]
fn too_many_calls_are_refused() {
    run(async {
        let mut net = Net::default();
        net.add(1, &[], |_| {});
        net.add(1, &[0], |config| config.links[0].calls_max = 2);
        net.up().await;
        let (there, here) = (net.join(0).await, net.join(1).await);
        let mut slow = there.offer("com.slow").open().await.expect("registered");
        registered(&here, "com.slow", true).await;
        let first = [here.ask("com.slow").results().await, here.ask("com.slow").results().await];
        let (one, _two) = (slow.next().await.expect("a call"), slow.next().await.expect("a call"));
        let more = here.ask("com.slow").timeout(SOON).outcome().await.expect_err("refused");
        assert!(matches!(more, RequestError::Refused(_)), "{more:?}");
        one.answer(1);
        let [first, _] = first;
        let _ = tokio::time::timeout(Duration::from_secs(10), first.expect("called").last()).await.expect("an answer");
        net.end().await;
    });
}
