//! Our clients with Crossbar.io as the router: the library for Rust, that for JavaScript, and the package for Python.

use crate::support::{Crossbar, install};
use crate::{Program, root};
use corebar::auth::config::Secret;
use corebar::auth::login::Credential;
use corebar::client::{
    CallError, CancelMode, Connect, ConnectError, Progress, Reconnect, RequestError, Session, State, TestamentScope,
};
use corebar::wamp::{Dict, Serializer, Value};
use std::process::Command;
use std::time::Duration;

const NONE: Dict = Dict::new();
const PATIENCE: Duration = Duration::from_secs(60);

async fn join(url: &str, serializer: Serializer) -> Session {
    let connect = Connect { serializers: vec![serializer], ..Connect::new(url, "realm1") };
    connect.open().await.unwrap_or_else(|why| panic!("{url}, {serializer:?}: {why}"))
}

fn refused<T: std::fmt::Debug>(ended: Result<T, RequestError>, error: &str) {
    assert!(matches!(&ended, Err(RequestError::Refused(why)) if *why.error == *error), "{ended:?}, not {error}");
}

async fn events(one: &Session, other: &Session) {
    let mut exact = one.listen("rs.a.b").open().await.expect("subscribed");
    let mut prefix = one.listen("rs.a.").prefix().open().await.expect("subscribed");
    let mut wildcard = one.listen("rs..b").wildcard().open().await.expect("subscribed");
    let publish = || other.event("rs.a.b").arg(-1).arg("ü").kwarg("k", "v");
    let published = publish().acknowledged().await.expect("published");
    for (subscription, topic) in [(&mut exact, "rs.a.b"), (&mut prefix, "rs.a.b"), (&mut wildcard, "rs.a.b")] {
        let event = subscription.next().await.expect("an event");
        assert_eq!((event.publication, &*event.topic), (published, topic));
        assert_eq!((&event.args, event.kwargs.get("k")), (&vec![Value::Int(-1), "ü".into()], Some(&"v".into())));
    }
    publish().send().await.expect("sent");
    assert!(exact.next().await.is_some() && prefix.next().await.is_some());
    drop(exact);
    publish().to_all().acknowledged().await.expect("published");
    assert!(prefix.next().await.is_some());
    one.add_testament("rs.will", vec![7.into()], NONE, NONE, TestamentScope::Destroyed).await.expect("left");
    one.flush_testaments(TestamentScope::Destroyed).await.expect("taken back");
}

async fn calls(one: &Session, other: &Session) {
    let add = one.offer("rs.add").handle(async |a: i64, b: i64| a + b).await.expect("registered");
    assert_eq!(other.ask("rs.add").arg(23).arg(7).result().await, Ok(30));
    let fail = async || Err::<(), _>(CallError::new("rs.error", 1));
    let _fail = one.offer("rs.fail").handle(fail).await.expect("registered");
    refused(other.ask("rs.fail").outcome().await, "rs.error");
    refused(other.ask("rs.nobody").outcome().await, "wamp.error.no_such_procedure");
    refused(other.offer("rs.add").open().await, "wamp.error.procedure_already_exists");
    let whole = async |origin: corebar::client::Origin| origin.uri.to_string();
    let _any = one.offer("rs.any.").prefix().handle(whole).await.expect("registered");
    assert_eq!(other.ask("rs.any.thing").result::<String>().await.as_deref(), Ok("rs.any.thing"));
    let count = async |to: u64, progress: Progress| {
        for at in 0..to {
            progress.send(at).await?;
        }
        Ok::<_, RequestError>(to)
    };
    let _count = one.offer("rs.count").handle(count).await.expect("registered");
    let mut results = other.ask("rs.count").arg(3).results().await.expect("called");
    for at in 0..=3 {
        let outcome = results.next().await.expect("a result");
        assert_eq!((outcome.arg::<u64>(0), outcome.progress), (Ok(at), at < 3));
    }
    let mut never = one.offer("rs.never").open().await.expect("registered");
    for kind in 0..4 {
        let mut results = other.ask("rs.never").timeout(PATIENCE).results().await.expect("called");
        let mut call = never.next().await.expect("a call");
        match kind {
            0 => drop(results),
            1 | 2 => {
                results.cancel(if kind == 1 { CancelMode::Kill } else { CancelMode::KillNoWait });
                refused(results.last().await, "wamp.error.canceled");
            }
            _ => {
                let late = other.ask("rs.never").timeout(Duration::from_millis(20)).outcome().await;
                assert_eq!(late, Err(RequestError::Timeout));
                never.next().await.expect("a call").interrupted().await;
                drop(results);
            }
        }
        tokio::time::timeout(PATIENCE, call.interrupted()).await.expect("the callee learns of it");
    }
    add.stop().await;
    refused(other.ask("rs.add").arg(1).arg(2).outcome().await, "wamp.error.no_such_procedure");
    for session in [one, other] {
        let start = tokio::time::Instant::now();
        while session.load().requests > 0 || session.load().invocations > 0 {
            assert!(start.elapsed() < PATIENCE, "{:?}", session.load());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn logins(base: &str) {
    let secret = |text: &str| Secret(text.as_bytes().into());
    let key = |octet: u8| Credential::Cryptosign(Secret([octet; 32].as_slice().into()));
    for (path, good, bad) in [
        ("ticket", Credential::Ticket(secret("secret!")), Credential::Ticket(secret("secret?"))),
        ("cra", Credential::Cra(secret("secret!")), Credential::Cra(secret("secret?"))),
        ("salted", Credential::Cra(secret("secret!")), Credential::Cra(secret("secret?"))),
        ("cryptosign", key(7), key(8)),
        ("scram", Credential::Scram(secret("secret!")), Credential::Scram(secret("secret?"))),
    ] {
        let connect = |credential| Connect::new(&format!("{base}/{path}"), "realm1").credential("joe", credential);
        let session = connect(good).open().await.unwrap_or_else(|why| panic!("{path}: {why}"));
        assert_eq!(session.details().str("authid"), Ok(Some("joe")), "{path}");
        session.leave("wamp.close.normal").await;
        let ended = connect(bad).open().await;
        assert!(matches!(ended, Err(ConnectError::Refused { .. })), "{path}: {ended:?}");
    }
    // One word for a password, however the router wants it shown.
    for path in ["cra", "salted", "scram"] {
        let connect = Connect::new(&format!("{base}/{path}"), "realm1").password("joe", "secret!");
        connect.open().await.unwrap_or_else(|why| panic!("{path}: {why}")).leave("wamp.close.normal").await;
    }
}

async fn everything(web: &str, raw: &str) {
    for url in [&format!("{web}/ws"), raw] {
        for serializer in [Serializer::Cbor, Serializer::MsgPack, Serializer::Json, Serializer::Ubjson] {
            let (one, other) = (join(url, serializer).await, join(url, serializer).await);
            events(&one, &other).await;
            calls(&one, &other).await;
            one.leave("wamp.close.normal").await;
            other.leave("wamp.close.normal").await;
        }
    }
    logins(web).await;
}

/// Sessions over both transports that lose Crossbar.io, and find it again.
struct Lasting {
    session: Session,
    events: corebar::client::Subscription,
    _add: corebar::client::Handle,
    prefix: String,
}

impl Lasting {
    async fn new(url: &str, prefix: &str) -> Lasting {
        let quick = Reconnect {
            delay_first: Duration::from_millis(50),
            delay_max: Duration::from_millis(500),
            ..Reconnect::default()
        };
        let session =
            Connect { reconnect: Some(quick), ..Connect::new(url, "realm1") }.open().await.expect("a session");
        let events = session.listen(&format!("{prefix}.back")).open().await.expect("subscribed");
        let add = session.offer(&format!("{prefix}.add")).handle(async |a: i64, b: i64| a + b).await;
        session
            .add_testament("rs.will", vec![prefix.into()], NONE, NONE, TestamentScope::Destroyed)
            .await
            .expect("left");
        Lasting { session, events, _add: add.expect("registered"), prefix: prefix.into() }
    }

    async fn lost(&self) {
        let mut states = self.session.states();
        let away = states.wait_for(|state| matches!(state, State::Away { .. }));
        tokio::time::timeout(PATIENCE, away).await.expect("it notices").expect("it goes on");
        assert_eq!(self.session.ask("a.b").outcome().await, Err(RequestError::Disconnected));
    }

    async fn works(&mut self, web: &str) {
        let mut states = self.session.states();
        let joined = states.wait_for(|state| matches!(state, State::Joined(_)));
        tokio::time::timeout(PATIENCE, joined).await.expect("it comes back").expect("it goes on");
        let other = join(&format!("{web}/ws"), Serializer::Json).await;
        assert_eq!(other.ask(&format!("{}.add", self.prefix)).arg(2).arg(3).result().await, Ok(5));
        other.event(&format!("{}.back", self.prefix)).arg(7).acknowledged().await.expect("published");
        assert_eq!(self.events.next().await.expect("an event").arg::<i64>(0), Ok(7));
        let mut wills = other.listen("rs.will").open().await.expect("subscribed");
        self.session.leave("wamp.close.normal").await;
        assert_eq!(wills.next().await.expect("the testament").arg::<String>(0), Ok(self.prefix.clone()));
    }
}

#[test]
fn clients_with_crossbar_as_the_router() {
    let (crossbar, node) = (install::crossbar(), install::node("js", &root("tests/clients/js")));
    let (Some(installed), Some(node), Some(python)) = (crossbar, node, install::corebar_python()) else { return };
    let mut crossbar = Crossbar::start(&installed);
    let (web, raw) = (format!("ws://{}", crossbar.web), format!("rs://{}", crossbar.raw));
    let mut script = Command::new("node");
    script.arg(root("tests/clients/js/corebar-crossbar.mjs")).arg(&web).env("NODE_PATH", node.join("node_modules"));
    let mut programs =
        [Program::start(script), Program::python(&python, &root("tests/clients/app_crossbar.py"), &[&web], "")];
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let mut lasting = runtime.block_on(async {
        tokio::time::timeout(PATIENCE * 2, everything(&web, &raw)).await.expect("it does not hang");
        [Lasting::new(&format!("{web}/ws"), "rs.ws").await, Lasting::new(&raw, "rs.raw").await]
    });
    for program in &mut programs {
        program.expect("away");
    }
    crossbar.kill();
    for one in &lasting {
        runtime.block_on(one.lost());
    }
    crossbar.start_again();
    for one in &mut lasting {
        runtime.block_on(one.works(&web));
    }
    for program in &mut programs {
        assert_eq!(program.succeeds().last().map(String::as_str), Some("OK"));
    }
}
