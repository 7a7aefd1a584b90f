//! What concerns browsers: which pages may connect, cookies by which they are known again, and proxies in front of them.

mod support;

use corebar::auth::config::{Grant, Secret, Source, TicketUser};
use corebar::config::cookie::{CookieConfig, CookieStore};
use corebar::config::web::PathConfig;
use corebar::config::{ListenAddress, RuntimeConfig, TransportConfig};
use corebar::session::{Access, RealmConfig, RoleConfig};
use corebar::wire::forwarded::ForwardedHeader;
use serde_json::{Value as Json, json};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use support::browser::{Browser, Page};
use support::http::{Http, Poller, post};
use support::raw::{client_frame, connect, header, response_head, server_frame, status, upgrade_request};
use support::client::payload;
use support::{Client, Router, Serializer, Transport, Wire, node, router};

const WAMP: &str = "Sec-WebSocket-Protocol: wamp.2.json\r\n";

/// Asks for WebSocket at a path; gives the socket and the head of the response.
fn ask(address: SocketAddr, path: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = connect(address);
    stream.write_all(upgrade_request(path, &format!("{WAMP}{headers}")).as_bytes()).expect("the request can be sent");
    let head = response_head(&mut stream);
    (stream, head)
}

fn send(stream: &mut TcpStream, message: &Json) {
    stream.write_all(&client_frame(0x81, message.to_string().as_bytes())).expect("the message can be sent");
}

fn receive(stream: &mut TcpStream) -> Json {
    serde_json::from_slice(&server_frame(stream).1).expect("a message")
}

fn hello(stream: &mut TcpStream, methods: &[&str]) -> Json {
    send(stream, &json!([1, "realm1", {"roles": {"caller": {}}, "authid": "joe", "authmethods": methods}]));
    receive(stream)
}

/// Logs in by a ticket; gives `WELCOME.Details`.
fn log_in(stream: &mut TcpStream) -> Json {
    assert_eq!(hello(stream, &["cookie", "ticket"])[0], 4);
    send(stream, &json!([5, "secret", {}]));
    let welcome = receive(stream);
    assert_eq!(welcome[0], 2, "{welcome}");
    welcome[2].clone()
}

fn configure(config: &mut RuntimeConfig) {
    let role = |name: &str| RoleConfig { name: name.into(), access: Access::All };
    config.realms =
        vec![RealmConfig { roles: Some(vec![role("user"), role("anonymous")]), ..RealmConfig::new("realm1") }];
    let grant = Grant { role: Some("user".into()), ..Grant::default() };
    let user = TicketUser { ticket: Secret(b"secret".as_slice().into()), grant };
    let auth = &mut config.transports[0].auth;
    auth.ticket = Some(Source::Static([("joe".into(), user)].into()));
    auth.cookie = true;
    config.transports[0].cookie = Some(CookieConfig::default());
    config.shards = Some(4);
}

fn cookie_of(head: &str) -> String {
    let header = header(head, "set-cookie").expect("a cookie");
    header.split(';').next().expect("its value").to_string()
}

#[test]
fn a_browser_that_has_logged_in_is_known_again() {
    node::with_router(configure, |address| {
        let (mut first, head) = ask(address, "/", "");
        let cookie = cookie_of(&head);
        let shown = format!("Cookie: theme=dark; {cookie}\r\n");
        // Not known yet.
        assert_eq!(hello(&mut ask(address, "/", &shown).0, &["cookie"])[0], 3);
        assert_eq!(log_in(&mut first)["authmethod"], "ticket");
        for _ in 0..8 {
            let (mut again, head) = ask(address, "/ws", &shown);
            assert_eq!(header(&head, "set-cookie"), None);
            let welcome = hello(&mut again, &["cookie", "ticket"]);
            let details = &welcome[2];
            assert_eq!(
                ["authid", "authrole", "authmethod", "authprovider"].map(|key| details[key].as_str()),
                [Some("joe"), Some("user"), Some("cookie"), Some("cookie")],
                "{welcome}"
            );
        }
        // Who does not offer it is asked.
        assert_eq!(hello(&mut ask(address, "/", &shown).0, &["ticket"])[0], 4);
        let forged = format!("{}x", &cookie[..cookie.len() - 1]);
        assert_eq!(hello(&mut ask(address, "/", &format!("Cookie: {forged}\r\n")).0, &["cookie"])[0], 3);
        // Logging out ends it.
        let (mut last, _) = ask(address, "/", &shown);
        assert_eq!(hello(&mut last, &["cookie"])[0], 2);
        send(&mut last, &json!([6, {}, "wamp.close.logout"]));
        assert_eq!(receive(&mut last)[0], 6);
        assert_eq!(hello(&mut last, &["cookie"])[0], 3, "nor on the same connection");
        assert_eq!(hello(&mut ask(address, "/", &shown).0, &["cookie"])[0], 3);
    });
}

#[test]
fn who_is_killed_is_not_known_any_longer() {
    node::with_router(configure, |address| {
        let (mut joe, head) = ask(address, "/", "");
        log_in(&mut joe);
        let (mut other, _) = ask(address, "/", "");
        log_in(&mut other);
        send(&mut other, &json!([48, 1, {}, "wamp.session.kill_by_authid", ["joe"]]));
        assert_eq!(receive(&mut other)[0], 50);
        assert_eq!(receive(&mut joe)[0], 6);
        let shown = format!("Cookie: {}\r\n", cookie_of(&head));
        assert_eq!(hello(&mut ask(address, "/", &shown).0, &["cookie"])[0], 3);
    });
}

#[test]
fn pages_of_other_sites_may_not_use_cookies() {
    let tries = |address: SocketAddr, expected: &[(&str, u16)]| {
        for (origin, code) in expected {
            let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
            assert_eq!(status(&ask(address, "/", &origin).1), *code, "{origin}");
        }
    };
    let evil = "https://evil.example";
    node::with_router(configure, |address| {
        tries(
            address,
            &[("", 101), ("http://localhost", 101), (evil, 403), ("null", 403), ("http://localhost:1", 403)],
        );
    });
    let change = |config: &mut RuntimeConfig| {
        configure(config);
        config.transports[0].origins = Some(vec!["https://*.example.org".into()]);
        config.transports[0].null_origin = Some(true);
    };
    node::with_router(change, |address| {
        tries(address, &[("https://app.example.org", 101), ("null", 101), (evil, 403), ("http://localhost", 403)]);
    });
    // Without cookies there is nothing that a page could use.
    node::with_router(|_| {}, |address| tries(address, &[(evil, 101), ("null", 101)]));
}

#[test]
fn each_path_has_its_own_door() {
    let change = |config: &mut RuntimeConfig| {
        configure(config);
        config.transports.push(TransportConfig::default());
        let path = |path: &str, deep, transport| PathConfig::websocket(path, deep, transport);
        config.listeners[0].paths = vec![path("/", false, 0), path("/open", true, 1), path("/open/not", true, 0)];
        config.listeners[0].rawsocket = None;
    };
    node::with_router(change, |address| {
        for (path, code) in [("/", 3), ("/open", 2), ("/open/x/y", 2), ("/open/not", 3), ("/open/not/x", 3)] {
            let (mut stream, head) = ask(address, path, "");
            assert_eq!(status(&head), 101, "{path}");
            assert_eq!(header(&head, "set-cookie").is_some(), code == 3, "{path}");
            assert_eq!(hello(&mut stream, &["anonymous"])[0], code, "{path}");
        }
        for (path, wanted) in [("/x", 404), ("/opened", 404), ("/open%2Fx", 400)] {
            assert_eq!(status(&ask(address, path, "").1), wanted, "{path}");
        }
        let mut raw = connect(address);
        raw.write_all(&[0x7f, 0xf1, 0, 0]).expect("room");
        assert_eq!(std::io::Read::read(&mut raw, &mut [0; 4]).ok(), Some(0), "no RawSocket");
    });
}

#[test]
fn trusted_proxies_tell_where_browsers_are() {
    for header in [ForwardedHeader::XForwardedFor, ForwardedHeader::Forwarded] {
        for trusted in [true, false] {
            let change = |config: &mut RuntimeConfig| {
                let net = if trusted { "127.0.0.0/8" } else { "192.0.2.0/24" };
                config.listeners[0].forwarded = vec![net.parse().expect("a network")];
                config.listeners[0].forwarded_header = header;
                config.connections_per_address_max = Some(3);
            };
            node::with_router(change, |address| {
                let [first, second] = match header {
                    ForwardedHeader::XForwardedFor => [
                        "X-Forwarded-For: 1.1.1.1, 198.51.100.7\r\nForwarded: for=9.9.9.9\r\n",
                        "x-forwarded-for: 1.1.1.1\r\nX-Forwarded-For: 198.51.100.7, 127.0.0.1\r\n",
                    ],
                    ForwardedHeader::Forwarded => [
                        "Forwarded: for=1.1.1.1, for=198.51.100.7\r\nX-Forwarded-For: 9.9.9.9\r\n",
                        "Forwarded: for=\"198.51.100.7:80\";proto=http, for=127.0.0.1\r\n",
                    ],
                };
                let peer = |headers: &str| {
                    let (mut stream, _) = ask(address, "/", headers);
                    let session = hello(&mut stream, &["anonymous"])[1].clone();
                    send(&mut stream, &json!([48, 1, {}, "wamp.session.get", [session]]));
                    let peer = receive(&mut stream)[3][0]["transport"]["peer"].as_str().map(str::to_owned);
                    (stream, peer.expect("a peer"))
                };
                let clients = [first, second, first].map(peer);
                for (_, peer) in &clients {
                    if trusted {
                        assert_eq!(peer, "tcp4:198.51.100.7");
                    } else {
                        assert!(peer.starts_with("tcp4:127.0.0.1:"), "{peer}");
                    }
                }
                // The limit of connections is for the client.
                let mut fourth = connect(address);
                let request = upgrade_request("/", &format!("{WAMP}{first}"));
                let _ = fourth.write_all(request.as_bytes());
                let closed = matches!(std::io::Read::read(&mut fourth, &mut [0; 4]), Ok(0) | Err(_));
                assert!(closed, "a fourth of the same address");
                if trusted {
                    // They are counted as this client, and the sockets of the proxy as nobody.
                    drop(clients);
                    std::thread::sleep(std::time::Duration::from_millis(200));
                    let mut polling = [first, second, first].map(|headers| {
                        let mut poller = Poller::open_with(address, Serializer::Json, false, headers);
                        poller.hello();
                        poller
                    });
                    polling[0].send(json!([48, 1, {}, "wamp.session.list"]));
                    let list = polling[0].recv();
                    let session = list[3].list()[0].list()[0].uint();
                    polling[0].send(json!([48, 2, {}, "wamp.session.get", [session]]));
                    let details = polling[0].recv();
                    let transport = details[3].list()[0].dict()["transport"].clone();
                    assert_eq!(transport.dict()["peer"].str(), "tcp4:198.51.100.7 (long-poll)");
                    let mut fourth = Http::connect(address);
                    let request = String::from_utf8(post("/lp/open", br#"{"protocols": ["wamp.2.json"]}"#));
                    fourth.write(request.expect("JSON").replacen("\r\n", &format!("\r\n{first}"), 1));
                    fourth.response().expect(503);
                }
            });
        }
    }
}

#[test]
fn cookies_stay_when_their_rules_change() {
    let path = std::env::temp_dir().join(format!("corebar-browsers-{}", std::process::id()));
    let config = node::config(|config| {
        configure(config);
        let store = CookieStore::Database(path.clone());
        config.transports[0].cookie = Some(CookieConfig { store, ..CookieConfig::default() });
    });
    let mut shown = String::new();
    for round in 0..2 {
        node::with_reloader(config.clone(), |address, reloader| {
            let known = |shown: &str| hello(&mut ask(address, "/", shown).0, &["cookie"])[0] == 2;
            if round == 0 {
                let (mut first, head) = ask(address, "/", "");
                shown = format!("Cookie: {}\r\n", cookie_of(&head));
                log_in(&mut first);
            }
            assert!(known(&shown), "round {round}");
            let rules = |config: &mut RuntimeConfig| {
                config.transports[0].cookie.as_mut().expect("a cookie").length = 48;
            };
            reloader.reload(rules).expect("a good configuration");
            assert!(known(&shown));
            assert_eq!(cookie_of(&ask(address, "/", "").1).len(), "cbtid=".len() + 48);
            // So they do when the transport moves to another address.
            let moves = |config: &mut RuntimeConfig| {
                config.listeners[0].address = ListenAddress::Tcp { host: "127.0.0.1".into(), port: address.port() };
            };
            reloader.reload(moves).expect("a good configuration");
            assert!(known(&shown));
        });
    }
    std::fs::remove_file(path).expect("the database");
}

#[test]
fn a_browser_is_not_known_as_a_user_who_is_gone() {
    node::with_reloader(node::config(configure), |address, reloader| {
        let (mut first, head) = ask(address, "/", "");
        let shown = format!("Cookie: {}\r\n", cookie_of(&head));
        log_in(&mut first);
        let again = || hello(&mut ask(address, "/", &shown).0, &["cookie", "ticket"])[0].clone();
        let mut users = |name: &str| {
            let rename = |config: &mut RuntimeConfig| {
                let Some(Source::Static(users)) = &mut config.transports[0].auth.ticket else { panic!("users") };
                let user = users.pop_first().expect("a user").1;
                users.insert(name.into(), user);
            };
            reloader.reload(rename).expect("a good configuration");
        };
        // Nobody is there whose session could end.
        drop(first);
        let mut between = ask(address, "/", &shown).0;
        users("jane");
        assert_eq!(hello(&mut between, &["cookie", "ticket"])[0], 4, "it can log in otherwise");
        assert_eq!(again(), 4);
        users("joe");
        let mut there = ask(address, "/", &shown).0;
        assert_eq!(hello(&mut there, &["cookie"])[0], 2);
        users("jane");
        assert_eq!(receive(&mut there)[0], 6);
        users("joe");
        assert_eq!(again(), 4, "the session that was ended has taken its cookie along");
    });
}

/// An application with pages, on a port of its own.
struct Demo {
    application: std::path::PathBuf,
    port: u16,
}

impl Demo {
    /// That of `corebar init`.
    fn new() -> Demo {
        Demo::made(|path| {
            let path = path.to_str().expect("a path of plain characters");
            let made = router::command(&["init", "--appdir", path]).output().expect("the program can be run");
            assert!(made.status.success());
        })
    }

    /// That of `examples/js`.
    fn example() -> Demo {
        Demo::made(|path| {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/js");
            for name in [".crossbar/config.json", "page/index.html", "page/board.js"] {
                let file = path.join(name);
                std::fs::create_dir_all(file.parent().expect("a folder")).expect("a writable directory");
                std::fs::copy(source.join(name), file).expect("it is there");
            }
        })
    }

    fn made(make: impl FnOnce(&Path)) -> Demo {
        let application = std::env::temp_dir().join(format!("corebar-demo-{:x}", fastrand::u64(..)));
        make(&application);
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let file = application.join(".crossbar/config.json");
        let config = std::fs::read_to_string(&file).expect("it was written");
        std::fs::write(file, config.replace("8080", &port.to_string())).expect("a writable directory");
        Demo { application, port }
    }

    fn start(&self) -> Router {
        let node = self.application.join(".crossbar");
        Router::run(router::command(&["start", "--cbdir", node.to_str().expect("a path of plain characters")]))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.application);
    }
}

const CONNECTED: &str = "document.getElementById('state')?.innerText === 'connected'";

fn chat(from: &Page, to: &Page, text: &str) {
    from.click("text");
    from.enter(text);
    let line = format!("{} {text}", from.text("name"));
    for page in [from, to] {
        page.wait(&format!("document.getElementById('chat').innerText.includes('{line}')"));
    }
}

#[test]
fn the_demo_does_what_it_says() {
    let Some(browser) = Browser::start() else { return };
    let demo = Demo::new();
    let router = demo.start();
    let url = format!("http://127.0.0.1:{}/", demo.port);
    let (one, other) = (browser.open(&url), browser.open(&url));
    one.wait(CONNECTED);
    other.wait(CONNECTED);
    chat(&one, &other, "Hello!");
    chat(&other, &one, "Hello yourself! This line is long enough to need more than one line of a narrow screen.");
    // The chart moves, here and there, and who comes later knows the last value.
    one.click("run");
    for page in [&one, &other] {
        page.wait("/^[0-9]+$/.test(document.getElementById('value').innerText)");
    }
    let before = other.text("value");
    other.wait(&format!("document.getElementById('value').innerText !== '{before}'"));
    one.wait("document.getElementById('run').innerText === 'Stop'");
    one.click("run");
    one.wait("document.getElementById('run').innerText === 'Feed it'");
    let drawn = "document.getElementById('chart').toDataURL()";
    let before = other.value(drawn);
    one.value(
        "for (let step = 0; step < 60; step++) { slider.value = 50 + 45 * Math.sin(step / 8); slider.oninput(); }
        slider.value = 77; slider.oninput()",
    );
    other.wait("document.getElementById('value').innerText === '77' && slider.value === '77'");
    assert_ne!(other.value(drawn), before);
    let late = browser.open(&url);
    late.wait(CONNECTED);
    late.wait("document.getElementById('value').innerText === '77'");
    // Calls go from one page to the next.
    let mut names: Vec<String> = [&one, &other, &late].map(|page| page.text("name")).to_vec();
    names.sort();
    names.dedup();
    for name in &names {
        one.wait(&format!(
            "document.getElementById('ask').click() ?? document.getElementById('answer').innerText === '{name}'"
        ));
    }
    for (name, width, height, dark) in [
        ("desktop", 1280, 800, false),
        ("desktop-dark", 1280, 800, true),
        ("phone", 375, 740, false),
        ("phone-dark", 375, 740, true),
    ] {
        one.show(width, height, dark);
        assert_eq!(one.value("document.documentElement.scrollWidth <= innerWidth"), true, "{name}: nothing sticks out");
        one.picture(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{name}.png")));
    }
    // The pages come back when the router does.
    router.signal("TERM");
    assert!(router.wait(std::time::Duration::from_secs(20)).success());
    for page in [&one, &other, &late] {
        page.wait("document.getElementById('state').innerText === 'connecting …'");
    }
    let _router = demo.start();
    for page in [&one, &other, &late] {
        page.wait(CONNECTED);
    }
    chat(&one, &late, "Here we are again");
    one.wait(
        "document.getElementById('ask').click() ?? document.getElementById('answer').innerText.startsWith('guest')",
    );
    assert_eq!(browser.thrown(), Vec::<String>::new());
}

/// The page at a narrow and a wide screen, by day and by night.
fn look_at(page: &Page, what: &str) {
    for (name, width, height, dark) in [
        ("desktop", 1200, 900, false),
        ("desktop-dark", 1200, 900, true),
        ("phone", 380, 800, false),
        ("phone-dark", 380, 800, true),
    ] {
        page.show(width, height, dark);
        let fits = "document.documentElement.scrollWidth <= innerWidth";
        assert_eq!(page.value(fits), true, "{what} {name}: nothing sticks out");
        page.picture(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{what}-{name}.png")));
    }
}

/// Where somebody else serves a page with nothing in it.
fn empty_page() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Read::read(&mut stream, &mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\nConnection: close\r\n\r\n";
            let _ = write!(stream, "{head}<!doctype html>");
        }
    });
    address
}

#[test]
fn the_first_page_shows_what_the_router_does() {
    let Some(browser) = Browser::start() else { return };
    let test = |address: SocketAddr| {
        let page = browser.open(&format!("http://{address}/"));
        page.wait("document.getElementById('state').innerText === 'connected'");
        page.wait("!document.getElementById('demo').hidden && document.getElementById('refused').hidden");
        assert_eq!([page.text("url"), page.text("realm")], [format!("ws://{address}/"), "realm1".into()]);
        assert_ne!(page.text("one-id"), page.text("two-id"), "two sessions");
        // They hear each other, and a program that comes besides.
        page.value("document.getElementById('one-text').value = ''");
        for (from, text) in [("one", "Hello, Grace!"), ("two", "Hello, Ada! This is long enough to need two lines.")] {
            page.click(&format!("{from}-text"));
            page.enter(text);
            for to in ["one", "two"] {
                page.wait(&format!("document.getElementById('{to}-chat').innerText.includes('{text}')"));
            }
        }
        let wire = Wire { transport: Transport::WebSocket, serializer: Serializer::Cbor };
        let mut client = Client::join(address, wire);
        let heard = client.subscribe("com.example.chat");
        client.publish("com.example.chat", &payload(json!([["Rust", "<b>Hello</b> from outside"]])));
        page.wait("document.getElementById('one-chat').innerText.includes('Rust <b>Hello</b> from outside')");
        page.click("one-text");
        page.enter("Who is there?");
        let (_, event) = client.expect_event(heard);
        assert_eq!(event[0].list()[1].str(), "Who is there?");
        // The chart is fed until it is not, and by hand.
        page.wait("Number(document.getElementById('count').innerText) > 5");
        page.wait("document.getElementById('line').getAttribute('d').split('L').length > 5");
        page.wait("/^[0-9.]+ ms$/.test(document.getElementById('delay').innerText)");
        page.click("run");
        page.wait("document.getElementById('run').innerText === 'Start'");
        page.value("slider.value = 77; slider.oninput()");
        page.wait("document.getElementById('value').innerText === '77'");
        // Code to copy, by mouse and keyboard.
        let shown = || page.value("[...document.querySelectorAll('pre')].filter((one) => !one.hidden).map((one) => one.id)");
        assert_eq!(shown(), json!(["code-js"]));
        page.click("tab-python");
        assert_eq!(shown(), json!(["code-python"]));
        page.value("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight' }))");
        assert_eq!((shown(), page.value("document.activeElement.id")), (json!(["code-rust"]), json!("tab-rust")));
        for language in ["js", "python", "rust", "shell"] {
            page.click(&format!("tab-{language}"));
            let code = page.text(&format!("code-{language}"));
            assert!(code.contains(&format!("ws://{address}/")) && code.contains("realm1"), "{code}");
            assert!(!code.contains('%'), "{code}");
        }
        page.click("copy-code");
        page.wait("document.getElementById('copy-code').innerText === 'Copied'");
        page.wait("document.getElementById('copy-code').innerText === 'Copy'");
        // What is shown runs, in a page from elsewhere, with the client that the router serves.
        let code = page.text("code-js");
        let (_, rest) = code.split_once(&format!("from \"http://{address}/corebar.js\";")).expect("an import");
        let elsewhere = browser.open(&format!("http://{}/", empty_page()));
        let import = format!("const {{ connect }} = await import('http://{address}/corebar.js');");
        assert_eq!(elsewhere.value(&format!("(async () => {{ {import} {rest}; return session.state; }})()")), "open");
        page.wait("document.getElementById('two-chat').innerText.includes('JavaScript Hello from my own program!')");
        look_at(&page, "welcome");
    };
    node::with_router(|_| {}, test);
    assert_eq!(browser.thrown(), Vec::<String>::new());
}

#[test]
fn the_first_page_says_where_it_may_not() {
    let Some(browser) = Browser::start() else { return };
    let refused = |address: SocketAddr| {
        let page = browser.open(&format!("http://{address}/"));
        page.wait("document.getElementById('refused').innerText.includes('has no login')");
        assert_eq!(page.value("document.getElementById('demo').hidden"), true);
        assert_eq!(page.text("state"), "running");
        assert!(page.text("code-js").contains(&format!("ws://{address}/")));
        page
    };
    // Nobody comes in without a ticket.
    node::with_router(configure, |address| look_at(&refused(address), "welcome-login"));
    // Everybody does, and may do nothing.
    let barred = |config: &mut RuntimeConfig| {
        let role = RoleConfig { name: "anonymous".into(), access: Access::Rules(Default::default()) };
        config.realms = vec![RealmConfig { roles: Some(vec![role]), ..RealmConfig::new("realm1") }];
    };
    node::with_router(barred, |address| drop(refused(address)));
    assert_eq!(browser.thrown(), Vec::<String>::new());
}

#[test]
fn the_board_of_the_examples_is_shared() {
    let Some(browser) = Browser::start() else { return };
    let board = Demo::example();
    let _router = board.start();
    let url = format!("http://127.0.0.1:{}/", board.port);
    let ready = "document.getElementById('state').innerText.startsWith('Draw')";
    let (one, other) = (browser.open(&url), browser.open(&url));
    one.wait(ready);
    other.wait(ready);
    let drawn = "document.getElementById('board').getContext('2d').getImageData(0, 0, board.width, board.height)
        .data.some((octet) => octet > 0)";
    assert_eq!((one.value(drawn), other.value(drawn)), (json!(false), json!(false)));
    one.value(
        "for (const [type, x] of [['down', 20], ['move', 60], ['move', 120], ['up', 120]]) {
            board.setPointerCapture = () => {};
            const event = new PointerEvent(`pointer${type}`, { clientX: x + 20, clientY: 120, pointerId: 1 });
            board.dispatchEvent(event);
        }",
    );
    one.wait(drawn);
    other.wait(drawn);
    // Who comes later is told by one of them.
    let late = browser.open(&url);
    late.wait(ready);
    late.wait(drawn);
    late.click("clear");
    for page in [&one, &other, &late] {
        page.wait(&format!("!({drawn})"));
    }
    assert_eq!(browser.thrown(), Vec::<String>::new());
}
