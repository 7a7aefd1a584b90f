//! A node that is managed over WAMP: what is told, what can be done, and by whom.

mod support;

use corebar::auth::config::Secret;
use corebar::auth::login::Credential;
use corebar::client::{CallError, Connect, RequestError, Session};
use corebar::wamp::{Dict, Value};
use serde_json::{Value as Json, json};
use std::future::Future;
use std::time::{Duration, Instant};
use support::directory::Directory;
use support::router;

const NONE: Dict = Dict::new();

/// A node with two realms and a guest that sleeps; `admin` may manage it.
fn config(level: &str) -> String {
    let ticket = |role: &str, realm: &str| json!({"ticket": "x", "role": role, "realm": realm});
    json!({
        "version": 2,
        "corebar": {
            "shards": 2,
            "pin": false,
            "log": {"level": level},
            "management": {"realm": "manage", "role": "operator"}
        },
        "workers": [{
            "type": "router",
            "realms": [
                {"name": "realm1", "roles": [{"name": "user", "permissions": [
                    {"uri": "", "match": "prefix", "allow": {"call": true, "register": true, "publish": true, "subscribe": true}}
                ]}]}
            ],
            "transports": [{
                "type": "universal",
                "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
                "rawsocket": {"auth": {"ticket": {"type": "static", "principals": {
                    "joe": ticket("user", "realm1"), "admin": ticket("operator", "manage"), "mallory": ticket("user", "manage")
                }}}},
                "websocket": {"": {"type": "websocket", "auth": {"ticket": {"type": "static", "principals": {
                    "joe": ticket("user", "realm1"), "admin": ticket("operator", "manage")
                }}}}}
            }]
        }, {
            "type": "guest",
            "id": "sleeper",
            "executable": "/bin/sh",
            "arguments": ["-c", "echo begun as $$; echo an error >&2; exec sleep 1000"]
        }]
    })
    .to_string()
}

async fn join(url: &str, authid: &str, realm: &str) -> Session {
    let connect = Connect {
        authid: Some(authid.into()),
        credentials: vec![Credential::Ticket(Secret(b"x"[..].into()))],
        ..Connect::new(url, realm)
    };
    connect.open().await.unwrap_or_else(|why| panic!("{authid} has a session: {why}"))
}

async fn ask(session: &Session, procedure: &str, args: Vec<Value>) -> Result<Json, CallError> {
    match session.call(procedure, args, NONE, NONE).await {
        Ok(outcome) => Ok(outcome.args.into_iter().next().map_or(Json::Null, |value| value.to().expect("it is JSON"))),
        Err(RequestError::Refused(why)) => Err(why),
        Err(other) => panic!("{procedure}: {other}"),
    }
}

async fn told(session: &Session, procedure: &str, args: Vec<Value>) -> Json {
    ask(session, procedure, args).await.unwrap_or_else(|why| panic!("{procedure}: {why}"))
}

/// Runs a test with the URL of a node.
fn with_node<F: Future<Output = ()>>(name: &str, test: impl FnOnce(String, Directory) -> F) {
    let directory = Directory::new(name, &config("info"));
    let node = directory.start();
    let url = format!("ws://{}/", node.address());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test(url, directory)).await.expect("the test does not hang");
    });
    drop(node);
}

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(what: &str, mut is: impl FnMut() -> F) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is().await {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The node offers its procedures a moment after it has begun to serve.
async fn admin(url: &str) -> Session {
    let admin = join(url, "admin", "manage").await;
    until("the node offers its procedures", async || {
        ask(&admin, "corebar.realm.tail", vec![]).await.is_err_and(|why| &*why.error == "wamp.error.invalid_argument")
    })
    .await;
    admin
}

#[test]
fn a_node_tells_how_it_is() {
    with_node("management-tells", async |url, _directory| {
        let (admin, joe) = (admin(&url).await, join(&url, "joe", "realm1").await);
        let status = told(&admin, "corebar.node.status", vec![]).await;
        assert_eq!(
            (&status["shards"], &status["ready"], &status["stuck_shard"]),
            (&json!(2), &json!(true), &Json::Null)
        );
        assert_eq!(status["processes"][0]["id"], "sleeper");

        let _events = joe.subscribe("com.example.topic", NONE).await.expect("subscribed");
        let other = join(&url, "joe", "realm1").await;
        for _ in 0..10 {
            other.publish_acknowledged("com.example.topic", vec![1.into()], NONE, NONE).await.expect("published");
        }
        assert!(joe.call("com.example.nothing", vec![], NONE, NONE).await.is_err());
        until("all is counted", async || {
            let stats = told(&admin, "corebar.node.stats", vec![]).await;
            let shards = stats["shards"].as_array().expect("shards").clone();
            let sum = |key: &str| shards.iter().filter_map(|shard| shard[key].as_u64()).sum::<u64>();
            let errors =
                shards.iter().filter_map(|shard| shard["errors"]["wamp.error.no_such_procedure"].as_u64()).sum::<u64>();
            let delivered = shards.iter().filter_map(|shard| shard["delivery_time"]["count"].as_u64()).sum::<u64>();
            let realm =
                stats["realms"].as_array().expect("realms").iter().find(|realm| realm["realm"] == "realm1").cloned();
            let realm = realm.expect("it is there");
            assert_eq!((&realm["sessions"], &realm["joined"]), (&json!(2), &json!(2)));
            assert_eq!((&realm["publications"], &realm["calls"]), (&json!(10), &json!(1)));
            sum("events") == 10 && errors >= 1 && delivered == 10
        })
        .await;

        let realms = told(&admin, "corebar.realm.list", vec![]).await;
        assert_eq!((&realms[0]["realm"], &realms[1]["realm"]), (&json!("realm1"), &json!("manage")));
        let transports = told(&admin, "corebar.transport.list", vec![]).await;
        assert_eq!((transports.as_array().map(Vec::len), &transports[0]["rawsocket"]), (Some(1), &json!(true)));
        let workers = told(&admin, "corebar.worker.list", vec![]).await;
        assert_eq!((&workers[0]["type"], &workers[1]["type"]), (&json!("router"), &json!("guest")));
        let settings = told(&admin, "corebar.node.config", vec![]).await;
        assert_eq!(settings["transport.message_bytes_max"], 16_777_216);

        let sessions = told(&admin, "corebar.session.list", vec!["realm1".into()]).await;
        assert_eq!(sessions["next"], Json::Null);
        let sessions = sessions["sessions"].as_array().expect("sessions").clone();
        assert_eq!(sessions.len(), 2);
        let known = sessions.iter().find(|session| session["session"] == joe.id().get()).expect("it is listed");
        assert_eq!((&known["authid"], &known["subscriptions"]), (&json!("joe"), &json!(1)));
        assert_eq!((&known["transport"], &known["serializer"]), (&json!("websocket"), &json!("cbor")));
        assert!(known["address"].as_str().is_some_and(|address| address.starts_with("tcp4:127.0.0.1:")));
    });
}

#[test]
fn long_lists_come_in_pages() {
    with_node("management-pages", async |url, _directory| {
        let admin = admin(&url).await;
        let mut others = Vec::new();
        for _ in 0..23 {
            others.push(join(&url, "joe", "realm1").await);
        }
        let (mut seen, mut after, mut pages) = (Vec::new(), Value::Null, 0);
        loop {
            let args = vec!["realm1".into(), "joe".into(), Value::Int(10), after];
            let page = told(&admin, "corebar.session.list", args).await;
            pages += 1;
            seen.extend(
                page["sessions"].as_array().expect("sessions").iter().filter_map(|session| session["session"].as_u64()),
            );
            match page["next"].as_str() {
                Some(next) => after = next.into(),
                None => break,
            }
        }
        let mut ids: Vec<u64> = others.iter().map(|session| session.id().get()).collect();
        ids.sort_unstable();
        seen.sort_unstable();
        assert_eq!((seen, pages >= 3), (ids, true));
        let wrong = ask(&admin, "corebar.session.list", vec!["realm9".into()]).await.expect_err("no such realm");
        assert_eq!(&*wrong.error, "wamp.error.no_such_realm");
        let wrong = vec![Value::Null, Value::Null, Value::Null, "x".into()];
        let wrong = ask(&admin, "corebar.session.list", wrong).await.expect_err("no such place");
        assert_eq!(&*wrong.error, "wamp.error.invalid_argument");
    });
}

#[test]
fn subscriptions_and_registrations_come_with_the_largest_first() {
    with_node("management-subjects", async |url, _directory| {
        let admin = admin(&url).await;
        let mut sessions = Vec::new();
        let mut held = Vec::new();
        for number in 0..5 {
            let session = join(&url, "joe", "realm1").await;
            // The topic 0 has one subscriber, the topic 4 has five.
            for topic in number..5 {
                let topic = format!("com.example.topic.{topic}");
                held.push(session.subscribe(&topic, NONE).await.expect("subscribed"));
            }
            sessions.push(session);
        }
        let pattern = Dict::new().with("match", "prefix");
        held.push(sessions[0].subscribe("com.example.", pattern).await.expect("subscribed"));
        let _work = sessions[0].register("com.example.work", NONE).await.expect("registered");

        let listed = async |kwargs: Dict| {
            let mut all: Vec<(String, u64)> = Vec::new();
            let mut after = Value::Null;
            loop {
                let mut asked = kwargs.clone();
                asked.push("after", after);
                let page = admin.call("corebar.subscription.list", vec![], asked, NONE).await.expect("a list");
                let page: Json = page.args[0].clone().to().expect("it is JSON");
                for one in page["subscriptions"].as_array().expect("a list") {
                    assert_eq!((&one["realm"], &one["history"]), (&json!("realm1"), &json!(false)), "{one}");
                    assert!(
                        one["created"].as_f64().is_some_and(|created| created > 1e9) && one["id"].is_u64(),
                        "{one}"
                    );
                    all.push((one["uri"].as_str().expect("a URI").into(), one["sessions"].as_u64().expect("a number")));
                }
                match page["next"].as_str() {
                    Some(next) => after = next.into(),
                    None => return all,
                }
            }
        };
        let sizes = |all: &[(String, u64)]| all.iter().map(|(_, sessions)| *sessions).collect::<Vec<_>>();
        let in_realm = || Dict::new().with("realm", "realm1");
        for limit in [1u64, 2, 100] {
            let all = listed(in_realm().with("limit", limit).with("match", "exact")).await;
            assert_eq!(sizes(&all), [5, 4, 3, 2, 1], "{all:?}");
            assert_eq!(all[0].0, "com.example.topic.4");
        }
        assert_eq!(listed(in_realm().with("match", "prefix")).await, [("com.example.".into(), 1)]);
        assert_eq!(listed(in_realm().with("text", "topic.3")).await, [("com.example.topic.3".into(), 4)]);
        assert_eq!(listed(in_realm().with("text", "nothing")).await, []);

        let work = told(&admin, "corebar.registration.list", vec!["realm1".into()]).await;
        let work = &work["registrations"];
        assert_eq!((work.as_array().map(Vec::len), &work[0]["uri"]), (Some(1), &json!("com.example.work")));
        assert_eq!((&work[0]["invoke"], &work[0]["sessions"]), (&json!("single"), &json!(1)));
        // Without a realm those of all, the node's own among them.
        let all = told(&admin, "corebar.registration.list", vec![]).await;
        assert!(all["registrations"].as_array().is_some_and(|all| all.iter().any(|one| one["realm"] == "manage")));
        for wrong in [
            vec![Value::Null, Value::Null, "odd".into()],
            vec![Value::Null, Value::Null, Value::Null, Value::Null, "x".into()],
        ] {
            let wrong = ask(&admin, "corebar.subscription.list", wrong).await.expect_err("it makes no sense");
            assert_eq!(&*wrong.error, "wamp.error.invalid_argument");
        }
    });
}

#[test]
fn what_processes_write_is_kept_and_followed() {
    with_node("management-logs", async |url, _directory| {
        let admin = admin(&url).await;
        let lines = async || told(&admin, "corebar.process.log", vec!["sleeper".into()]).await["lines"].clone();
        until("the guest has said something", async || lines().await.as_array().is_some_and(|lines| lines.len() == 2))
            .await;
        let lines = lines().await;
        let of = |stream: &str| lines.as_array().expect("lines").iter().find(|line| line["stream"] == stream).cloned();
        assert_eq!(of("stderr").expect("an error")["text"], "an error");
        let begun = of("stdout").expect("a line");
        assert!(begun["text"].as_str().is_some_and(|text| text.starts_with("begun as ")), "{begun}");
        assert!(begun["time"].as_f64().is_some_and(|time| time > 1e9), "{begun}");

        let args = vec!["sleeper".into(), 1u64.into(), true.into()];
        let mut log = admin.call_progressively("corebar.process.log", args, NONE, NONE).await.expect("called");
        let next = async |log: &mut corebar::client::Results| -> Json {
            let part = log.next().await.expect("more").args.swap_remove(0);
            part.to().expect("it is JSON")
        };
        let first = next(&mut log).await;
        assert_eq!((first["lines"].as_array().map(Vec::len), &first["missed"]), (Some(1), &json!(0)), "{first}");
        told(&admin, "corebar.process.restart", vec!["sleeper".into()]).await;
        let mut more = Vec::new();
        while more.len() < 2 {
            more.extend(next(&mut log).await["lines"].as_array().expect("lines").clone());
        }
        let numbers: Vec<u64> = more.iter().filter_map(|line| line["number"].as_u64()).collect();
        assert_eq!(numbers, [2, 3], "{more:?}");

        let unknown = ask(&admin, "corebar.process.log", vec!["nobody".into()]).await.expect_err("nobody");
        assert_eq!(&*unknown.error, "wamp.error.invalid_argument");
        let args = vec!["sleeper".into(), 1u64.into(), true.into()];
        let plain = ask(&admin, "corebar.process.log", args).await.expect_err("it takes no results on the way");
        assert_eq!(&*plain.error, "wamp.error.invalid_argument");
    });
}

#[test]
fn realms_and_transports_that_come_and_go_are_told() {
    with_node("management-doors", async |url, directory| {
        let admin = admin(&url).await;
        let mut news = admin.subscribe("corebar.", Dict::new().with("match", "prefix")).await.expect("subscribed");
        let mut heard = async |count: usize| {
            let mut topics = Vec::new();
            while topics.len() < count {
                let event = news.next().await.expect("it is told");
                let about = event.args[0].clone().to::<Json>().expect("it is JSON");
                let name = about["realm"].as_str().or(about["address"].as_str()).map(str::to_owned);
                if let Some(name) = name {
                    topics.push((event.topic.to_string(), name));
                }
            }
            topics
        };
        let before = config("info");
        let mut more: Json = serde_json::from_str(&before).expect("it is JSON");
        more["workers"][0]["realms"].as_array_mut().expect("realms").push(json!({"name": "realm2"}));
        let socket = directory.path("more.sock");
        let transport = json!({
            "type": "rawsocket", "endpoint": {"type": "unix", "path": socket.to_str().expect("a plain path")}
        });
        more["workers"][0]["transports"].as_array_mut().expect("transports").push(transport);
        let address = format!("unix:{}", socket.display());
        let pair = |what: &str| {
            [
                (format!("corebar.realm.{what}"), "realm2".to_owned()),
                (format!("corebar.transport.{what}"), address.clone()),
            ]
        };
        directory.write(&more.to_string());
        told(&admin, "corebar.node.reload", vec![]).await;
        assert_eq!(heard(2).await, pair("on_open"));
        directory.write(&before);
        told(&admin, "corebar.node.reload", vec![]).await;
        assert_eq!(heard(2).await, pair("on_close"));
    });
}

#[test]
fn sessions_and_processes_are_ended() {
    with_node("management-kicks", async |url, _directory| {
        let (admin, joe) = (admin(&url).await, join(&url, "joe", "realm1").await);
        let args = vec![joe.id().get().into(), "com.example.enough".into(), "off you go".into()];
        told(&admin, "corebar.session.kick", args.clone()).await;
        assert_eq!(joe.ended().await, "com.example.enough (off you go)");
        let again = ask(&admin, "corebar.session.kick", args).await.expect_err("it is gone");
        assert_eq!(&*again.error, "wamp.error.no_such_session");

        let pid = async || told(&admin, "corebar.process.list", vec![]).await[0]["pid"].clone();
        until("the guest runs", async || pid().await.is_u64()).await;
        let before = pid().await;
        let mut states = admin.subscribe("corebar.process.on_state", NONE).await.expect("subscribed");
        told(&admin, "corebar.process.restart", vec!["sleeper".into()]).await;
        until("it is another process", async || {
            let now = pid().await;
            now.is_u64() && now != before
        })
        .await;
        let event = states.next().await.expect("it is told");
        assert_eq!(event.args[0].as_dict().and_then(|state| state.str("id").ok().flatten()), Some("sleeper"));
        let unknown = ask(&admin, "corebar.process.restart", vec!["nobody".into()]).await.expect_err("nobody");
        assert_eq!(&*unknown.error, "wamp.error.invalid_argument");
    });
}

#[test]
fn a_guest_is_ready_when_a_procedure_is_there() {
    with_node("management-ready", async |url, directory| {
        let (admin, joe) = (admin(&url).await, join(&url, "joe", "realm1").await);
        let mut with_worker: Json = serde_json::from_str(&config("info")).expect("it is JSON");
        let worker = json!({
            "type": "guest",
            "id": "worker",
            "executable": "/bin/sleep",
            "arguments": ["1000"],
            "options": {"ready": {"type": "procedure", "realm": "realm1", "procedure": "com.example.work"}}
        });
        with_worker["workers"].as_array_mut().expect("workers").push(worker);
        directory.write(&with_worker.to_string());
        told(&admin, "corebar.node.reload", vec![]).await;
        let state = async || told(&admin, "corebar.process.list", vec![]).await[1]["state"].clone();
        until("the guest runs", async || state().await == "running").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(state().await, "running", "nobody has registered its procedure");
        let _work = joe.register("com.example.work", NONE).await.expect("registered");
        until("the guest is ready", async || state().await == "ready").await;
    });
}

#[test]
fn the_configuration_is_read_again() {
    with_node("management-reloads", async |url, directory| {
        let admin = admin(&url).await;
        let mut news = admin.subscribe("corebar.node.on_reload", NONE).await.expect("subscribed");
        assert_eq!(told(&admin, "corebar.log.level", vec![]).await, "info");
        directory.write(&config("debug"));
        let rehearsed = told(&admin, "corebar.node.reload", vec![true.into()]).await;
        assert_eq!(rehearsed["changes"].as_array().map(Vec::len), Some(1), "{rehearsed}");
        assert_eq!(told(&admin, "corebar.log.level", vec![]).await, "info");
        told(&admin, "corebar.node.reload", vec![]).await;
        assert_eq!(told(&admin, "corebar.log.level", vec![]).await, "debug");
        news.next().await.expect("it is told");
        assert_eq!(told(&admin, "corebar.log.level", vec!["warn".into()]).await, "warn");
        let wrong = ask(&admin, "corebar.log.level", vec!["a=b=c".into()]).await.expect_err("no level");
        assert_eq!(&*wrong.error, "wamp.error.invalid_argument");
        directory.write("{");
        let wrong = ask(&admin, "corebar.node.reload", vec![]).await.expect_err("no configuration");
        assert_eq!(&*wrong.error, "corebar.error.bad_configuration");
    });
}

#[test]
fn the_other_realms_are_reached() {
    with_node("management-reaches", async |url, _directory| {
        let (admin, joe) = (admin(&url).await, join(&url, "joe", "realm1").await);
        let mut doubled = joe.register("com.example.double", NONE).await.expect("registered");
        let serve = tokio::spawn(async move {
            while let Some(call) = doubled.next().await {
                let number = call.args[0].as_uint().unwrap_or_default();
                call.finish(vec![(2 * number).into()], NONE);
            }
        });
        let args = vec!["realm1".into(), "com.example.double".into(), vec![Value::Int(21)].into()];
        assert_eq!(told(&admin, "corebar.realm.call", args).await, 42);
        let args = vec!["realm1".into(), "com.example.nothing".into()];
        let wrong = ask(&admin, "corebar.realm.call", args).await.expect_err("nobody");
        assert_eq!(&*wrong.error, "wamp.error.no_such_procedure");

        let mut events = joe.subscribe("com.example.topic", NONE).await.expect("subscribed");
        let args = vec!["realm1".into(), "com.example.".into(), "prefix".into()];
        let mut tail = admin.call_progressively("corebar.realm.tail", args, NONE, NONE).await.expect("called");
        // The tail has begun when an event comes by it.
        let args = || vec!["realm1".into(), "com.example.topic".into(), vec!["hello".into()].into()];
        let first = async {
            loop {
                told(&admin, "corebar.realm.publish", args()).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let seen = tokio::select! {
            seen = tail.next() => seen.expect("an event"),
            () = first => unreachable!(),
        };
        let seen: Json = seen.args[0].clone().to().expect("it is JSON");
        assert_eq!((&seen["topic"], &seen["args"]), (&json!("com.example.topic"), &json!(["hello"])));
        assert_eq!(events.next().await.expect("an event").args, [Value::from("hello")]);
        drop(tail);
        until("the tail has let go", async || {
            let sessions = told(&admin, "corebar.session.list", vec!["realm1".into()]).await;
            sessions["sessions"].as_array().map(Vec::len) == Some(1)
        })
        .await;
        serve.abort();
    });
}

#[test]
fn top_shows_what_a_node_does() {
    with_node("management-top", async |url, _directory| {
        let (_admin, joe) = (admin(&url).await, join(&url, "joe", "realm1").await);
        let top = |more: &[&str]| {
            let login = ["--url", &url, "--realm", "manage", "--authid", "admin", "--ticket", "x"];
            router::command(&[&["top", "--interval", "0.2", "--count", "1"], &login[..], more].concat())
        };
        let output = tokio::task::spawn_blocking({
            let mut command = top(&["--json"]);
            move || command.output().expect("the program can be run")
        });
        // Something is published between the two looks, however late they are.
        let output = async {
            let busy = async {
                loop {
                    joe.publish("com.example.topic", vec![], NONE, NONE).await.expect("published");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::select! {
                output = output => output.expect("it ends"),
                () = busy => unreachable!(),
            }
        }
        .await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let look: Json = serde_json::from_slice(&output.stdout).expect("one object");
        assert!(look["rates"]["all"]["publications"].as_f64().is_some_and(|rate| rate > 0.0), "{look}");
        assert_eq!(look["status"]["processes"][0]["id"], "sleeper");
        let output = top(&[]).output().expect("the program can be run");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for part in ["SHARD", "realm1", "sleeper"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let mut wrong =
            router::command(&["top", "--url", &url, "--realm", "realm1", "--authid", "joe", "--ticket", "x"]);
        let output = wrong.output().expect("the program can be run");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("this is no realm of management (--realm)"), "{said}");
    });
}

#[test]
fn only_the_configured_role_may() {
    with_node("management-roles", async |url, _directory| {
        let admin = admin(&url).await;
        let raw = url.replace("ws://", "rs://");
        let mallory = Connect {
            authid: Some("mallory".into()),
            credentials: vec![Credential::Ticket(Secret(b"x"[..].into()))],
            ..Connect::new(raw.trim_end_matches('/'), "manage")
        };
        assert!(mallory.open().await.is_err(), "the realm has no such role");
        let joe = join(&url, "joe", "realm1").await;
        let nobody = ask(&joe, "corebar.node.status", vec![]).await.expect_err("another realm");
        assert_eq!(&*nobody.error, "wamp.error.no_such_procedure");
        assert!(admin.publish_acknowledged("corebar.node.on_drain", vec![], NONE, NONE).await.is_err());
        assert!(admin.register("corebar.node.other", NONE).await.is_err());
    });
}

#[test]
fn a_mistake_in_an_argument_does_nothing() {
    with_node("management-mistakes", async |url, directory| {
        let admin = admin(&url).await;
        let call = async |procedure: &str, args: Vec<Value>, kwargs: Dict| match admin
            .call(procedure, args, kwargs, NONE)
            .await
        {
            Err(RequestError::Refused(why)) => {
                (why.error.to_string(), why.args[0].as_str().unwrap_or_default().to_string())
            }
            other => panic!("{procedure}: {other:?}"),
        };
        directory.write(&config("warn"));
        let invalid = "wamp.error.invalid_argument";
        let (error, text) = call("corebar.node.reload", vec![], Dict::new().with("dryrun", true)).await;
        assert_eq!((&*error, text.contains("\"dryrun\" is no argument")), (invalid, true), "{text}");
        assert_eq!(told(&admin, "corebar.log.level", vec![]).await, json!("info"), "nothing was read again");
        assert_eq!(call("corebar.node.drain", vec![Value::from(1u64)], NONE).await.0, invalid);
        assert_eq!(call("corebar.log.level", vec!["".into()], NONE).await.0, invalid);
        assert_eq!(told(&admin, "corebar.node.status", vec![]).await["ready"], true);
    });
}

#[test]
fn a_node_ends_when_it_is_told_to() {
    with_node("management-drains", async |url, directory| {
        let admin = admin(&url).await;
        let mut leave = admin.subscribe("corebar.node.on_drain", NONE).await.expect("subscribed");
        told(&admin, "corebar.node.drain", vec![]).await;
        assert!(leave.next().await.is_some(), "the end is told of before it begins");
        assert!(admin.ended().await.starts_with("wamp.close.system_shutdown"));
        until("no node runs any more", async || directory.output("status", &["--assert", "stopped"]).status.success())
            .await;
    });
}
