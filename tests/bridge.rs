//! Publications and calls for programs that speak HTTP alone.

#[path = "bridge/chromium.rs"]
mod chromium;
#[path = "bridge/clients.rs"]
mod clients;
#[path = "bridge/events.rs"]
mod events;
#[path = "bridge/repeats.rs"]
mod repeats;
mod support;

use corebar::auth::config::{Anonymous, Grant, Secret, Source};
use corebar::config::RuntimeConfig;
use corebar::config::TransportConfig;
use corebar::config::bridge::{Action, BridgeConfig};
use corebar::config::web::{PathConfig, Service};
use corebar::session::role::{Actions, Disclose};
use corebar::session::{Access, Permission, RealmConfig, RoleConfig};
use corebar::wamp::MatchPolicy;
use data_encoding::{BASE64URL, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use support::client::payload;
use support::http::{Http, Response, post};
use support::{Client, Wire, node};

fn bridge(path: &str, action: Action, change: impl FnOnce(&mut BridgeConfig)) -> PathConfig {
    let mut config = BridgeConfig {
        action,
        transport: 1,
        realm: "realm1".into(),
        signed: None,
        timestamp_delta_max: Some(BridgeConfig::TIMESTAMP_DELTA),
        require_tls: false,
        require_ip: Vec::new(),
        body_bytes_max: Some(1000),
        batch_max: 3,
        cross_origin: false,
    };
    change(&mut config);
    PathConfig { path: path.into(), deep: true, service: Service::Bridge(Box::new(config)) }
}

/// Clients may do everything; who comes over a bridge may not use what begins with `secret.`.
fn configure(config: &mut RuntimeConfig, paths: Vec<PathConfig>) {
    let allow = Actions { call: true, register: true, publish: true, subscribe: true };
    let rule = |uri: &str, allow| Permission {
        uri: uri.into(),
        policy: MatchPolicy::Prefix,
        allow,
        disclose: Disclose::default(),
    };
    let rules = Access::Rules(vec![rule("", allow), rule("secret.", Actions::default())]);
    let role = |name: &str, access| RoleConfig { name: name.into(), access };
    let roles = vec![role("anonymous", Access::All), role("web", rules)];
    config.realms = vec![RealmConfig { roles: Some(roles), ..RealmConfig::new("realm1") }];
    let mut own = TransportConfig::default();
    let grant = Grant { role: Some("web".into()), realm: Some("realm1".into()), ..Grant::default() };
    own.auth.anonymous = Some(Source::Static(Anonymous { grant, authid: None }));
    config.transports.push(own);
    config.listeners[0].paths.extend(paths);
}

fn hook(secret: Option<&str>) -> Action {
    Action::Hook {
        topic: "com.hook".into(),
        success: "fine".into(),
        failure: "not fine".into(),
        github_secret: secret.map(|secret| Secret(secret.as_bytes().into())),
    }
}

#[track_caller]
fn ask(http: &mut Http, path: &str, body: Json) -> (u16, Json) {
    let answer = http.post(path, body.to_string().as_bytes());
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text())))
}

fn with(path: &str, headers: &str, body: &str) -> String {
    let request = String::from_utf8(post(path, body.as_bytes())).expect("text");
    request.replacen("\r\n", &format!("\r\n{headers}"), 1)
}

/// On one shard and on several, so that the sessions are elsewhere than the clients.
fn on_shards(paths: impl Fn() -> Vec<PathConfig>, test: fn(SocketAddr)) {
    for shards in [1, 4] {
        let change = |config: &mut RuntimeConfig| {
            configure(config, paths());
            config.shards = Some(shards);
            config.web_call_timeout = Duration::from_millis(300);
        };
        node::with_router(change, test);
    }
}

#[test]
fn requests_become_publications() {
    let paths = || vec![bridge("/publish", Action::Publish, |_| {})];
    on_shards(paths, |address| {
        let mut client = Client::join(address, Wire::JSON);
        let topic = client.subscribe("com.x");
        for _ in 0..6 {
            let mut http = Http::connect(address);
            for number in 0..3 {
                let body = json!({"topic": "com.x", "args": [number, "é"], "kwargs": {"a": 1.5}});
                let (status, answer) = ask(&mut http, "/publish", body);
                assert!(status == 200 && answer["id"].as_u64().is_some(), "{status} {answer}");
                let event = client.event();
                assert_eq!(event.subscription, topic);
                assert_eq!(Some(event.publication), answer["id"].as_u64());
                assert_eq!(event.payload, payload(json!([[number, "é"], {"a": 1.5}])));
            }
            // Errors of WAMP are answers.
            let (status, answer) = ask(&mut http, "/publish", json!({"topic": "secret.x"}));
            assert_eq!((status, &answer["error"]), (200, &json!("wamp.error.not_authorized")));
            assert_eq!(ask(&mut http, "/publish", json!({"topic": "a..b"})).1["error"], "wamp.error.invalid_uri");
            for body in [
                json!({}),
                json!([]),
                json!({"topic": "com.x", "args": 1}),
                json!({"topic": "com.x", "options": {"exclude": "x"}}),
            ] {
                let (status, answer) = ask(&mut http, "/publish", body);
                assert!(status == 400 && answer["error"].is_string(), "{status} {answer}");
            }
            let refused = |request: String, status: u16| http_answer(address, &request).expect(status);
            refused("GET /publish HTTP/1.1\r\nHost: x\r\n\r\n".into(), 405);
            refused(with("/publish", "Content-Type: text/plain\r\n", "{}"), 400);
            let large = refused(with("/publish", "", &" ".repeat(1001)), 413);
            assert_eq!(large.text(), r#"{"error":"the body is too large","args":[],"kwargs":{}}"#);
            let put = with("/publish", "Content-Type: application/json; charset=UTF-8\r\n", r#"{"topic": "com.x"}"#);
            let answer = refused(put.replacen("POST", "PUT", 1), 200);
            assert_eq!(answer.header("access-control-allow-origin"), None);
            client.event();
            let audience = json!({"topic": "com.x", "options": {"exclude_authrole": ["anonymous"]}});
            assert_eq!(ask(&mut http, "/publish", audience).0, 200);
        }
    });
}

#[test]
fn pages_of_others_are_refused_unless_they_may() {
    let paths = || {
        vec![
            bridge("/publish", Action::Publish, |_| {}),
            bridge("/call", Action::Call, |_| {}),
            bridge("/hook", hook(None), |_| {}),
            events::served(|_| {}),
            bridge("/open", Action::Publish, |config| config.cross_origin = true),
        ]
    };
    on_shards(paths, |address| {
        let mut client = Client::join(address, Wire::JSON);
        client.subscribe("com.csrf");
        client.subscribe("com.hook");
        let body = r#"{"topic": "com.csrf", "procedure": "com.csrf"}"#;
        for headers in [
            "Origin: http://evil.example\r\n",
            "Origin: http://localhost:1\r\n",
            "Origin: null\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
        ] {
            for path in ["/publish", "/call", "/hook"] {
                let refused = http_answer(address, &with(path, headers, body)).expect(403);
                assert_eq!(refused.header("content-type"), Some("application/json"), "{path} {headers}");
            }
            let stream = Http::connect(address).get("/events?topic=com.csrf", headers).expect(403);
            assert_eq!(stream.header("content-type"), Some("application/json"));
        }
        let allowed = http_answer(
            address,
            &with("/open", "Origin: http://evil.example\r\n", r#"{"topic": "com.csrf", "args": [1]}"#),
        );
        assert_eq!(allowed.expect(200).header("access-control-expose-headers"), Some("Idempotent-Replayed"));
        // Nothing of the others has been published.
        assert_eq!(client.event().payload, payload(json!([[1]])));
        let large =
            http_answer(address, &with("/open", "Origin: http://evil.example\r\n", &" ".repeat(1001))).expect(413);
        assert_eq!(large.header("access-control-allow-origin"), Some("*"));
        for own in ["Origin: http://localhost\r\n", "Sec-Fetch-Site: same-origin\r\n", ""] {
            http_answer(address, &with("/publish", own, r#"{"topic": "com.csrf"}"#)).expect(200);
        }
        let mut http = Http::connect(address);
        for path in ["/publish", "/hook", "/call"] {
            http.write(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
            assert_eq!(http.head_only().expect(405).header("content-type"), Some("application/json"));
        }
    });
}

fn http_answer(address: SocketAddr, request: &str) -> Response {
    let mut http = Http::connect(address);
    http.write(request);
    http.response()
}

#[test]
fn requests_become_calls() {
    let paths = || vec![bridge("/call", Action::Call, |config| config.cross_origin = true)];
    on_shards(paths, |address| {
        let mut callee = Client::join(address, Wire::JSON);
        let double = callee.register("com.double");
        callee.register("com.silent");
        let mut http = Http::connect(address);
        let answers = thread::spawn(move || {
            let mut http = Http::connect(address);
            let call = |args: Json| json!({"procedure": "com.double", "args": args});
            let all = [
                ask(&mut http, "/call", call(json!([4]))),
                ask(&mut http, "/call", call(json!([5]))),
                ask(&mut http, "/call", call(json!([]))),
            ];
            // Several at once, of which one is never answered.
            let silent = json!({"procedure": "com.silent"});
            let late = ask(&mut Http::connect(address), "/call", silent);
            (all, late)
        });
        let (request, arguments) = callee.expect_invocation(double);
        callee.send(json!([70, request, {}, [arguments[0].list()[0].uint() * 2]]));
        let (request, _) = callee.expect_invocation(double);
        callee.send(json!([70, request, {}, [1, 2], {"a": null}]));
        let (request, _) = callee.expect_invocation(double);
        callee.send(json!([8, 68, request, {}, "com.wrong", ["why"]]));
        let ([one, two, three], late) = answers.join().expect("answers");
        assert_eq!(one, (200, json!({"args": [8]})));
        assert_eq!(two, (200, json!({"args": [1, 2], "kwargs": {"a": null}})));
        assert_eq!(three, (200, json!({"error": "com.wrong", "args": ["why"], "kwargs": {}})));
        assert_eq!((late.0, &late.1["error"]), (200, &json!("wamp.error.timeout")));
        let (status, none) = ask(&mut http, "/call", json!({"procedure": "com.nobody"}));
        assert_eq!((status, &none["error"]), (200, &json!("wamp.error.no_such_procedure")));
        assert_eq!(ask(&mut http, "/call", json!({"procedure": "secret.x"})).1["error"], "wamp.error.not_authorized");
        // Whoever is thrown out comes again.
        let mut admin = Client::join(address, Wire::JSON);
        admin.ask("wamp.session.kill_by_authrole", &json!([["web"]])).expect("a right");
        let (status, again) = ask(&mut http, "/call", json!({"procedure": "com.nobody"}));
        assert_eq!((status, &again["error"]), (200, &json!("wamp.error.no_such_procedure")));
        http.write("OPTIONS /call HTTP/1.1\r\nHost: x\r\nOrigin: https://a\r\n\r\n");
        assert_eq!(http.response().expect(204).header("access-control-allow-origin"), Some("*"));
    });
}

fn now_as_text() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    jiff::Timestamp::from_second(i64::try_from(since).expect("a time")).expect("a time").to_string()
}

fn sign(secret: &str, parts: &[&str]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    parts.iter().for_each(|part| mac.update(part.as_bytes()));
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn only_those_who_may_are_heard() {
    let paths = || {
        let key = |config: &mut BridgeConfig| config.signed = Some(("me".into(), Secret(b"secret".as_slice().into())));
        let net = |text: &'static str| {
            move |config: &mut BridgeConfig| config.require_ip = vec![text.parse().expect("a net")]
        };
        vec![
            bridge("/signed", Action::Publish, key),
            bridge("/here", Action::Publish, net("127.0.0.0/8")),
            bridge("/there", Action::Publish, net("192.0.2.0/24")),
            bridge("/tls", Action::Publish, |config| config.require_tls = true),
        ]
    };
    on_shards(paths, |address| {
        let body = r#"{"topic":"com.x"}"#;
        let now = now_as_text();
        let signed = |key: &str, time: &str, secret: &str| {
            let signature = BASE64URL.encode(&sign(secret, &[key, time, "1", "2", body]));
            let path = format!("/signed?key={key}&timestamp={time}&seq=1&nonce=2&signature={signature}");
            http_answer(address, &with(&path, "", body)).status
        };
        assert_eq!(signed("me", &now, "secret"), 200);
        assert_eq!(signed("me", &now, "Secret"), 401);
        assert_eq!(signed("you", &now, "secret"), 401);
        assert_eq!(signed("me", "2011-10-14T16:59:51.123Z", "secret"), 400);
        for (path, status) in [("/signed", 400), ("/here", 200), ("/there", 403), ("/tls", 403)] {
            assert_eq!(http_answer(address, &with(path, "", body)).status, status, "{path}");
        }
    });
}

#[test]
fn hooks_are_published_as_they_come() {
    let paths = || {
        let closed = |config: &mut BridgeConfig| {
            if let Action::Hook { topic, .. } = &mut config.action {
                *topic = "secret.hook".into();
            }
        };
        vec![
            bridge("/hook", hook(None), |_| {}),
            bridge("/github", hook(Some("secret")), |_| {}),
            bridge("/closed", hook(None), closed),
        ]
    };
    on_shards(paths, |address| {
        let mut client = Client::join(address, Wire::JSON);
        client.subscribe("com.hook");
        let answer = http_answer(address, &with("/hook", "X-Event: push\r\n", "any text"));
        assert_eq!((answer.status, answer.text().as_str()), (202, "fine"));
        let event = client.event();
        let told = event.payload[0].list()[0].dict().clone();
        assert_eq!((told["body"].str(), told["headers"].dict()["X-Event"].list()[0].str()), ("any text", "push"));
        let signature = HEXLOWER.encode(&sign("secret", &["{}"]));
        for (headers, status) in [
            (format!("X-Hub-Signature-256: sha256={signature}\r\n"), 202),
            (String::new(), 401),
            ("X-Hub-Signature-256: sha256=00\r\n".into(), 401),
        ] {
            assert_eq!(http_answer(address, &with("/github", &headers, "{}")).status, status, "{headers}");
        }
        client.event();
        let answer = http_answer(address, &with("/closed", "", "x"));
        assert_eq!((answer.status, answer.text().as_str()), (500, "not fine"));
    });
}

#[test]
fn a_way_that_is_closed_answers() {
    // No realm of that name.
    let paths = || vec![bridge("/publish", Action::Publish, |config| config.realm = "nowhere".into())];
    on_shards(paths, |address| {
        let mut http = Http::connect(address);
        for _ in 0..3 {
            assert_eq!(ask(&mut http, "/publish", json!({"topic": "com.x"})).0, 503);
        }
    });
}

#[test]
fn a_reload_ends_sessions_that_no_path_leads_to() {
    let paths = vec![bridge("/publish", Action::Publish, |_| {})];
    let config = node::config(|config| configure(config, paths));
    node::with_reloader(config, |address, reloader| {
        let mut http = Http::connect(address);
        let mut client = Client::join(address, Wire::JSON);
        let mut there = || client.told("wamp.session.count", &json!([[["web"]]])).uint();
        let publish = json!({"topic": "com.x"});
        assert_eq!((there(), ask(&mut http, "/publish", publish.clone()).0, there()), (0, 200, 1));
        assert_eq!((ask(&mut http, "/publish", publish.clone()).0, there()), (200, 1));
        reloader.reload(|config| drop(config.listeners[0].paths.pop())).expect("a good configuration");
        assert_eq!(there(), 0);
        http.write(post("/publish", b"{}"));
        http.response().expect(405);
        let again = bridge("/again", Action::Publish, |_| {});
        reloader.reload(|config| config.listeners[0].paths.push(again)).expect("a good configuration");
        let mut http = Http::connect(address);
        assert_eq!((ask(&mut http, "/again", publish).0, there()), (200, 1));
    });
}

#[test]
fn who_waits_is_told_when_the_session_ends() {
    let change = |config: &mut RuntimeConfig| {
        configure(config, vec![bridge("/call", Action::Call, |_| {})]);
        config.shards = Some(4);
    };
    node::with_router(change, |address| {
        let (mut callee, mut admin) = (Client::join(address, Wire::JSON), Client::join(address, Wire::JSON));
        let silent = callee.register("com.silent");
        let mut waiting: Vec<Http> = (0..8).map(|_| Http::connect(address)).collect();
        for http in &mut waiting {
            http.write(post("/call", br#"{"procedure": "com.silent"}"#));
        }
        let mut calls: Vec<_> = waiting.iter().map(|_| callee.expect_invocation(silent).0).collect();
        admin.ask("wamp.session.kill_by_authrole", &json!([["web"]])).expect("a right");
        for http in &mut waiting {
            http.response().expect(503);
        }
        // The callee may still answer; and a client that has gone away meanwhile costs nothing.
        calls.drain(..).for_each(|call| callee.send(json!([70, call, {}, [1]])));
        let mut gone = Http::connect(address);
        gone.write(post("/call", br#"{"procedure": "com.silent"}"#));
        callee.expect_invocation(silent);
        drop(gone);
        assert_eq!(ask(&mut waiting[0], "/call", json!({"procedure": "com.nobody"})).0, 200);
    });
}

#[test]
fn who_has_said_all_still_gets_the_answer() {
    on_shards(
        || vec![bridge("/call", Action::Call, |_| {})],
        |address| {
            let mut callee = Client::join(address, Wire::JSON);
            let procedure = callee.register("com.later");
            for _ in 0..4 {
                let mut http = Http::connect(address);
                http.write(post("/call", json!({"procedure": "com.later"}).to_string().as_bytes()));
                http.0.shutdown(std::net::Shutdown::Write).expect("a socket");
                let (request, _) = callee.expect_invocation(procedure);
                // So that the end has come before the answer does.
                thread::sleep(Duration::from_millis(30));
                callee.send(json!([70, request, {}, [5]]));
                assert_eq!(http.response().expect(200).text(), r#"{"args":[5]}"#);
                http.expect_end();
            }
        },
    );
}
