//! Events for browsers, as server-sent events.

use super::configure;
use super::support::client::payload;
use super::support::http::{Http, get};
use super::support::raw::{PATIENCE, header, response_head, status};
use super::support::{Client, Wire, node};
use corebar::auth::config::{Grant, Secret, Source, TicketUser};
use corebar::config::RuntimeConfig;
use corebar::config::cookie::CookieConfig;
use corebar::config::events::EventsConfig;
use corebar::config::web::{PathConfig, Service};
use corebar::session::HistoryRule;
use corebar::wamp::MatchPolicy;
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A stream as a browser reads it.
struct Stream {
    reader: BufReader<TcpStream>,
    head: String,
    last: String,
    retry: u64,
}

/// An event.
#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    data: Json,
}

impl Stream {
    #[track_caller]
    fn open(address: SocketAddr, query: &str, headers: &str) -> Stream {
        let mut http = Http::connect(address);
        http.write(get(&format!("/events?{query}"), headers));
        http.0.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let head = response_head(&mut http.0);
        assert_eq!(status(&head), 200, "{head}");
        assert_eq!(header(&head, "content-type"), Some("text/event-stream"));
        Stream { reader: BufReader::new(http.0), head, last: String::new(), retry: 0 }
    }

    fn again(address: SocketAddr, query: &str, last: &str) -> Stream {
        Stream::open(address, query, &format!("Last-Event-ID: {last}\r\n"))
    }

    /// The next block that is an event; none at the end.
    fn next(&mut self) -> Option<Event> {
        let (mut name, mut data) = (String::from("message"), None);
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).expect("a line") == 0 {
                return None;
            }
            let line = line.strip_suffix('\n').expect("whole lines");
            match line.split_once(": ") {
                Some(("id", id)) => self.last = id.into(),
                Some(("event", told)) => name = told.into(),
                Some(("retry", told)) => self.retry = told.parse().expect("a number"),
                Some(("data", told)) => data = Some(serde_json::from_str(told).expect("JSON")),
                Some(other) => panic!("{other:?}"),
                None if line.is_empty() => match data {
                    Some(data) => return Some(Event { name, data }),
                    None if self.retry > 0 && self.last.is_empty() => panic!("the first id is there from the start"),
                    None => {}
                },
                None => assert_eq!(line, ":"),
            }
        }
    }

    #[track_caller]
    fn event(&mut self) -> Json {
        let event = self.next().expect("an event");
        assert_eq!(event.name, "message");
        event.data
    }

    /// The first argument of the next event.
    #[track_caller]
    fn number(&mut self) -> u64 {
        let event = self.event();
        event["args"][0].as_u64().unwrap_or_else(|| panic!("{event}"))
    }
}

/// A stream at `/events`.
pub(super) fn served(change: impl FnOnce(&mut EventsConfig)) -> PathConfig {
    let mut config = EventsConfig::new(1, "realm1");
    change(&mut config);
    PathConfig { path: "/events".into(), deep: false, service: Service::Events(Box::new(config)) }
}

fn serve(config: &mut RuntimeConfig, change: impl FnOnce(&mut EventsConfig)) {
    configure(config, vec![served(change)]);
    config.realms[0].history =
        vec![HistoryRule::new("com.kept.", MatchPolicy::Prefix), HistoryRule::new("com.one", MatchPolicy::Exact)];
}

/// On one shard and on several.
fn on_shards(change: fn(&mut EventsConfig), test: fn(SocketAddr)) {
    for shards in [1, 4] {
        let change = |config: &mut RuntimeConfig| {
            serve(config, change);
            config.shards = Some(shards);
        };
        node::with_router(change, test);
    }
}

fn publish(client: &mut Client, topic: &str, number: u64) -> u64 {
    client.publish(topic, &payload(json!([[number]])))
}

#[test]
fn browsers_get_events() {
    on_shards(
        |config| config.cross_origin = true,
        |address| {
            let mut client = Client::join(address, Wire::JSON);
            let mut streams: Vec<Stream> = (0..5)
                .map(|_| Stream::open(address, "topic=com.a&topic=com.kept.&match=exact&match=prefix", ""))
                .collect();
            let first = client.publish("com.a", &payload(json!([[1, "é\n"], {"k": [null]}])));
            client.publish("com.b", &[]);
            let second = client.publish("com.kept.x", &[]);
            for stream in &mut streams {
                let expected =
                    json!({"topic": "com.a", "publication": first, "args": [1, "é\n"], "kwargs": {"k": [null]}});
                assert_eq!(stream.event(), expected);
                let event = stream.event();
                assert_eq!((&event["topic"], &event["publication"]), (&json!("com.kept.x"), &json!(second)));
                assert_eq!(event.get("args"), None);
                assert_eq!(stream.retry, 3000);
                assert_eq!(header(&stream.head, "access-control-allow-origin"), Some("*"));
                assert_eq!(header(&stream.head, "cache-control"), Some("no-store"));
            }
            // Sessions go with their streams.
            let there = |client: &mut Client| client.told("wamp.session.count", &json!([[["web"]]])).uint();
            assert_eq!(there(&mut client), 5);
            drop(streams);
            while there(&mut client) > 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        },
    );
}

#[test]
fn bad_requests_are_told_why() {
    on_shards(
        |config| config.topics_max = 2,
        |address| {
            for (query, expected, error) in [
                ("", 400, "'topic' has to be there, at most 2 times"),
                ("?topic=a&topic=b&topic=c", 400, "'topic' has to be there, at most 2 times"),
                ("?topic=com.a&get_retained=maybe", 400, "'get_retained' has to be true or false"),
                ("?topic=com.a&match=some", 400, "'match' has to be exact, prefix or wildcard"),
                ("?topic=secret.x", 403, "wamp.error.not_authorized"),
                ("?topic=com.a&topic=secret.x", 403, "wamp.error.not_authorized"),
                ("?topic=a..b", 400, "wamp.error.invalid_uri"),
            ] {
                let answer = Http::connect(address).get(&format!("/events{query}"), "").expect(expected);
                let told: Json = serde_json::from_slice(&answer.body).expect("JSON");
                assert_eq!((&told["error"], answer.header("content-type")), (&json!(error), Some("application/json")));
            }
            let mut http = Http::connect(address);
            let answer = http.post("/events?topic=com.a", b"").expect(405);
            assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
            // No body comes to HEAD, whatever is said of one.
            for (query, expected) in [("", 400), ("?topic=com.a", 200)] {
                http.write(format!("HEAD /events{query} HTTP/1.1\r\nHost: x\r\n\r\n"));
                assert!(http.head_only().expect(expected).header("date").is_some());
            }
            http.write("OPTIONS /events HTTP/1.1\r\nHost: x\r\nOrigin: https://a\r\n\r\n");
            assert_eq!(http.response().expect(204).header("access-control-allow-origin"), None);
            assert_eq!(Http::connect(address).get("/events/x?topic=com.a", "").status, 404);
        },
    );
}

#[test]
fn who_comes_again_gets_what_was_missed() {
    on_shards(
        |config| config.window = 256,
        |address| {
            let query = "topic=com.kept.&topic=com.one&match=prefix&match=exact";
            let mut publishers: Vec<Client> = (0..4).map(|_| Client::join(address, Wire::JSON)).collect();
            let mut stream = Stream::open(address, query, "");
            publish(&mut publishers[0], "com.kept.a", 1);
            assert_eq!(stream.number(), 1);
            let mut last = stream.last.clone();
            drop(stream);
            // More than a page of the history.
            for number in 2..90 {
                publish(&mut publishers[0], "com.kept.a", number);
            }
            publish(&mut publishers[1], "com.one", 90);
            let mut stream = Stream::again(address, query, &last);
            assert_eq!((0..89).map(|_| stream.number()).collect::<Vec<_>>(), (2..=90).collect::<Vec<_>>());
            publish(&mut publishers[1], "com.one", 91);
            assert_eq!(stream.number(), 91);
            last.clone_from(&stream.last);
            drop(stream);
            // While several publish, the stream ends again and again.
            let working = publishers.into_iter().enumerate().map(|(at, mut client)| {
                std::thread::spawn(move || {
                    let numbers = (0..100).map(|number| 1000 * (at as u64 + 1) + number);
                    for number in numbers {
                        publish(&mut client, ["com.kept.b", "com.one"][at % 2], number);
                    }
                })
            });
            let working: Vec<_> = working.collect();
            let mut got: Vec<u64> = Vec::new();
            while got.len() < 400 {
                let mut stream = Stream::again(address, query, &last);
                (0..23.min(400 - got.len())).for_each(|_| got.push(stream.number()));
                last = stream.last;
            }
            working.into_iter().for_each(|thread| thread.join().expect("a publisher"));
            for publisher in 1..=4 {
                let own: Vec<u64> = got.iter().copied().filter(|number| number / 1000 == publisher).collect();
                assert_eq!(own, (1000 * publisher..1000 * publisher + 100).collect::<Vec<_>>());
            }
            let mut stream = Stream::again(address, query, &last);
            let mut client = Client::join(address, Wire::JSON);
            publish(&mut client, "com.one", 7);
            assert_eq!(stream.number(), 7, "nothing comes twice");
            // With the first request of a page.
            let mut stream = Stream::open(address, &format!("{query}&last_event_id={last}"), "");
            assert_eq!(stream.number(), 7);
        },
    );
}

#[test]
fn gaps_are_told() {
    let change = |config: &mut RuntimeConfig| {
        serve(config, |config| config.named = true);
        config.realms[0].history[0].events_max = 3;
    };
    node::with_router(change, |address| {
        let mut client = Client::join(address, Wire::JSON);
        let mut stream = Stream::open(address, "topic=com.kept.&match=prefix", "");
        publish(&mut client, "com.kept.a", 0);
        assert_eq!(stream.next().expect("an event").name, "com.kept.a");
        let last = stream.last.clone();
        for number in 1..=5 {
            publish(&mut client, "com.kept.a", number);
        }
        let mut stream = Stream::again(address, "topic=com.kept.&match=prefix", &last);
        let gap = Event { name: "gap".into(), data: json!({"topic": "com.kept.", "match": "prefix"}) };
        assert_eq!(stream.next(), Some(gap));
        for number in 3..=5 {
            assert_eq!(stream.next().expect("an event").data["args"], json!([number]));
        }
    });
}

/// Where a stream is that has not got any event.
fn beginning(address: SocketAddr, query: &str) -> String {
    let mut stream = Stream::open(address, query, "");
    while stream.last.is_empty() {
        let mut line = String::new();
        stream.reader.read_line(&mut line).expect("a line");
        stream.last = line.trim_end().strip_prefix("id: ").unwrap_or_default().into();
    }
    stream.last
}

#[test]
fn who_has_got_nothing_yet_is_told_of_gaps_as_well() {
    let change = |config: &mut RuntimeConfig| {
        serve(config, |_| {});
        config.realms[0].history[0].events_max = 3;
        config.realms[0].history[1].events_max = 3;
    };
    let query = "topic=com.kept.&topic=com.one&match=prefix&match=exact";
    let gap =
        |uri: &str, policy: &str| Some(Event { name: "gap".into(), data: json!({"topic": uri, "match": policy}) });
    // A router that has kept them in memory alone, and is another one now.
    let before = std::sync::Mutex::new(String::new());
    node::with_router(change, |address| *before.lock().expect("a lock") = beginning(address, query));
    let before = before.into_inner().expect("a lock");
    node::with_router(change, |address| {
        let mut stream = Stream::again(address, query, &before);
        assert_eq!((stream.next(), stream.next()), (gap("com.kept.", "prefix"), gap("com.one", "exact")));
    });
    node::with_router(change, |address| {
        let mut client = Client::join(address, Wire::JSON);
        let begun = beginning(address, query);
        // All of it is there.
        for number in 1..=3 {
            publish(&mut client, "com.kept.a", number);
        }
        let mut stream = Stream::again(address, query, &begun);
        assert_eq!([1, 2, 3].map(|_| stream.number()), [1, 2, 3]);
        // Not all of it is, of one topic.
        for number in 4..=7 {
            publish(&mut client, "com.one", number);
        }
        let mut stream = Stream::again(address, query, &begun);
        assert_eq!([1, 2, 3].map(|_| stream.number()), [1, 2, 3]);
        assert_eq!(stream.next(), gap("com.one", "exact"));
        assert_eq!([5, 6, 7].map(|_| stream.number()), [5, 6, 7]);
        for unreadable in ["garbage", &"a".repeat(5000)] {
            let mut stream = Stream::again(address, query, unreadable);
            assert_eq!((stream.next(), stream.next()), (gap("com.kept.", "prefix"), gap("com.one", "exact")));
            assert_eq!([1, 2, 3, 5, 6, 7].map(|_| stream.number()), [1, 2, 3, 5, 6, 7]);
        }
    });
}

#[test]
fn streams_that_are_silent_show_that_they_live() {
    on_shards(
        |config| config.heartbeat = Duration::from_millis(30),
        |address| {
            let mut stream = Stream::open(address, "topic=com.a", "");
            let mut beats = 0;
            while beats < 3 {
                let mut line = String::new();
                stream.reader.read_line(&mut line).expect("a line");
                beats += usize::from(line == ":\n");
            }
        },
    );
}

#[test]
fn who_does_not_read_loses_the_stream_and_nothing_else() {
    let change = |config: &mut RuntimeConfig| {
        serve(config, |config| config.heartbeat = Duration::from_secs(60));
        config.shards = Some(4);
        config.out_queue_bytes_max = 1 << 20;
    };
    node::with_router(change, |address| {
        let mut lazy = Stream::open(address, "topic=com.a", "");
        let mut busy = Stream::open(address, "topic=com.a", "");
        let mut client = Client::join(address, Wire::JSON);
        let text = "x".repeat(100_000);
        for number in 0..300 {
            client.publish("com.a", &payload(json!([[number, text]])));
            assert_eq!(busy.number(), number);
        }
        let ended = loop {
            match lazy.reader.read(&mut [0; 65536]) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        assert!(ended);
        assert_eq!(client.told("wamp.session.count", &json!([[["web"]]])).uint(), 1);
    });
}

#[test]
fn streams_end_with_their_sessions_and_paths() {
    let config = node::config(|config| {
        serve(config, |config| config.retry = Duration::from_millis(700));
        config.shards = Some(4);
    });
    let mut left = None;
    node::with_reloader(config, |address, reloader| {
        let mut admin = Client::join(address, Wire::JSON);
        let mut streams: Vec<Stream> = (0..4).map(|_| Stream::open(address, "topic=com.a", "")).collect();
        admin.ask("wamp.session.kill_by_authrole", &json!([["web"]])).expect("a right");
        for stream in &mut streams {
            assert_eq!(stream.next(), None);
            assert_eq!(stream.retry, 700);
        }
        let mut stream = Stream::open(address, "topic=com.a", "");
        reloader.reload(|config| drop(config.listeners[0].paths.pop())).expect("a good configuration");
        assert_eq!(stream.next(), None);
        reloader.reload(|config| config.listeners[0].paths.push(served(|_| {}))).expect("a good configuration");
        left = Some(Stream::open(address, "topic=com.a", ""));
    });
    assert_eq!(left.expect("a stream").next(), None, "it ends with the router");
}

#[test]
fn browsers_are_known_by_their_cookies() {
    let change = |config: &mut RuntimeConfig| {
        serve(config, |config| {
            config.transport = 0;
            config.cookie = true;
        });
        let grant = Grant { role: Some("web".into()), ..Grant::default() };
        let user = TicketUser { ticket: Secret(b"secret".as_slice().into()), grant };
        config.transports[0].auth.ticket = Some(Source::Static([("joe".into(), user)].into()));
        config.transports[0].auth.cookie = true;
        config.transports[0].cookie = Some(CookieConfig::default());
        config.shards = Some(4);
    };
    node::with_router(change, |address| {
        let mut socket = super::support::raw::connect(address);
        let upgrade = super::support::raw::upgrade_request("/ws", "Sec-WebSocket-Protocol: wamp.2.json\r\n");
        socket.write_all(upgrade.as_bytes()).expect("room");
        let head = response_head(&mut socket);
        let cookie = header(&head, "set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie");
        let shown = format!("Cookie: {cookie}\r\n");
        let refused = Http::connect(address).get("/events?topic=com.a", &shown);
        assert_eq!((refused.status, refused.header("set-cookie")), (403, None));
        let mut send = |message: Json| {
            let frame = super::support::raw::client_frame(0x81, message.to_string().as_bytes());
            socket.write_all(&frame).expect("room");
            let answer = super::support::raw::server_frame(&mut socket).1;
            serde_json::from_slice::<Json>(&answer).expect("a message")
        };
        let hello = json!([1, "realm1", {"roles": {"publisher": {}}, "authid": "joe", "authmethods": ["ticket"]}]);
        assert_eq!(send(hello)[0], 4);
        assert_eq!(send(json!([5, "secret", {}]))[0], 2);
        let mut stream = Stream::open(address, "topic=com.a", &shown);
        send(json!([16, 1, {"acknowledge": true, "exclude_me": false}, "com.a", [5]]));
        assert_eq!(stream.number(), 5);
    });
}
