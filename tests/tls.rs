//! TLS in front of every wire, and the PROXY protocol in front of that.

mod support;

use corebar::auth::config::{Cryptosign, Grant, KeyUser, Source};
use corebar::config::RuntimeConfig;
use corebar::config::relay::RelayConfig;
use corebar::config::tls::{CertificateConfig, TlsConfig};
use corebar::config::web::{PathConfig, Root, Service, StaticConfig};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, ClientConnection, StreamOwned, SupportedProtocolVersion};
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::client::payload;
use support::{Authority, Client, Http, Tunnel, Wire, node};

fn serve(certificates: Vec<CertificateConfig>) -> TlsConfig {
    TlsConfig { certificates, ..TlsConfig::default() }
}

fn tunnel(to: SocketAddr, config: Arc<ClientConfig>) -> SocketAddr {
    Tunnel { tls: Some((config, "one.example")), ..Tunnel::default() }.open(to)
}

/// Publications and calls, small ones and large ones, both ways.
fn talk(address: SocketAddr, wire: Wire) {
    let (mut one, mut two) = (Client::join(address, wire), Client::join(address, wire));
    let topic = one.subscribe("com.x");
    let large = "x".repeat(3_000_000);
    for text in ["small", &large, "", &large[..70_000]] {
        two.publish("com.x", &payload(json!([[text]])));
        assert_eq!(one.expect_event(topic).1[0].list()[0].str().len(), text.len());
    }
    let registration = one.register("com.p");
    for number in 0..20_u64 {
        let call = two.call("com.p", &payload(json!([[number]])));
        let (request, arguments) = one.expect_invocation(registration);
        one.send(json!([70, request, {}, [arguments[0].list()[0].uint() * 2]]));
        assert_eq!(two.expect_result(call)[0].list()[0].uint(), number * 2);
    }
    one.leave();
    two.leave();
}

#[test]
fn every_wire_goes_over_tls() {
    let authority = Authority::new("wires");
    let own = authority.sign("one", &["one.example"]);
    for shards in [1, 4] {
        for version in [&TLS12, &TLS13] {
            let change = |config: &mut RuntimeConfig| {
                config.listeners[0].tls = Some(serve(vec![own.clone()]));
                config.shards = Some(shards);
            };
            node::with_router(change, |address| {
                let address = tunnel(address, authority.client(&[version], None));
                Wire::all().for_each(|wire| talk(address, wire));
            });
        }
    }
}

#[test]
fn the_certificate_is_that_of_the_name() {
    let authority = Authority::new("names");
    let (one, two) = (authority.sign("one", &["one.example"]), authority.sign("two", &["*.two.example"]));
    let der = |own: &CertificateConfig| CertificateDer::from_pem_file(&own.certificate).expect("one").to_vec();
    let change = |config: &mut RuntimeConfig| config.listeners[0].tls = Some(serve(vec![one.clone(), two.clone()]));
    node::with_router(change, |address| {
        for (name, shown) in [("one.example", &one), ("a.two.example", &two)] {
            let tunnel = Tunnel { tls: Some((authority.client(&[&TLS13], None), name)), ..Tunnel::default() };
            let wire = Wire::all().next().expect("a wire");
            Client::join(tunnel.open(address), wire).leave();
            assert_eq!(*tunnel.shown.lock().expect("a list"), [der(shown)]);
        }
    });
}

fn refused(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("the tunnel");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(String::from_utf8_lossy(&answer), "");
}

#[test]
fn clients_show_certificates() {
    let (authority, foreign) = (Authority::new("clients"), Authority::new("foreign"));
    let own = authority.sign("one", &["one.example"]);
    let (joe, stranger) = (authority.sign("joe", &[]), foreign.sign("joe", &[]));
    for optional in [false, true] {
        let change = |config: &mut RuntimeConfig| {
            config.listeners[0].tls = Some(TlsConfig {
                client_authorities: vec![authority.path()],
                client_optional: optional,
                ..serve(vec![own.clone()])
            });
        };
        node::with_router(change, |address| {
            let wire = Wire::all().next().expect("a wire");
            let with = |own| tunnel(address, authority.client(&[&TLS13, &TLS12], own));
            let mut client = Client::join(with(Some(&joe)), wire);
            let session = client.session();
            let call = client.call("wamp.session.get", &payload(json!([[session]])));
            let details = client.expect_result(call);
            let transport = details[0].list()[0].dict()["transport"].dict();
            assert!(transport["tls"].str().starts_with("TLSv1_3"), "{transport:?}");
            client.leave();
            refused(with(Some(&stranger)));
            if optional {
                Client::join(with(None), wire).leave();
            } else {
                refused(with(None));
            }
        });
    }
}

#[test]
fn a_signature_is_bound_to_its_connection() {
    let authority = Authority::new("binding");
    let own = authority.sign("one", &["one.example"]);
    let key = SigningKey::from_bytes(&[7; 32]);
    let change = |config: &mut RuntimeConfig| {
        config.listeners[0].tls = Some(serve(vec![own.clone()]));
        let grant = Grant { role: Some("user".into()), ..Grant::default() };
        let user = KeyUser { keys: vec![key.verifying_key().to_bytes()], grant };
        config.transports[0].auth.cryptosign =
            Some(Source::Static(Cryptosign { users: [("joe".into(), user)].into() }));
    };
    node::with_router(change, |address| {
        for version in [&TLS12, &TLS13] {
            for foreign in [false, true] {
                let tls = Some((authority.client(&[version], None), "one.example"));
                let tunnel = Tunnel { tls, ..Tunnel::default() };
                let mut client = Client::connect(tunnel.open(address), Wire::all().next().expect("a wire"));
                let public = HEXLOWER.encode(&key.verifying_key().to_bytes());
                client.send(json!([1, "realm1", {
                    "roles": {"caller": {}}, "authid": "joe", "authmethods": ["cryptosign"],
                    "authextra": {"pubkey": public, "channel_binding": "tls-exporter"},
                }]));
                let challenge = client.expect(4);
                let challenge = challenge[2].dict()["challenge"].str().as_bytes().to_vec();
                let mut message = HEXLOWER.decode(&challenge).expect("hexadecimal digits");
                let mut exported = tunnel.exported.lock().expect("a list")[0];
                // Somebody in between has another connection to each side.
                exported[0] ^= u8::from(foreign);
                message.iter_mut().zip(exported).for_each(|(octet, other)| *octet ^= other);
                let signed = [&key.sign(&message).to_bytes()[..], &message].concat();
                client.send(json!([5, HEXLOWER.encode(&signed), {"channel_binding": "tls-exporter"}]));
                let answer = client.recv();
                assert_eq!(answer[0].uint(), if foreign { 3 } else { 2 }, "{answer:?}");
            }
        }
    });
}

#[test]
fn what_is_no_tls_is_refused() {
    let authority = Authority::new("refused");
    let own = authority.sign("one", &["one.example"]);
    let change = |config: &mut RuntimeConfig| {
        config.listeners[0].tls = Some(serve(vec![own.clone()]));
        config.handshake_timeout = Duration::from_millis(300);
    };
    node::with_router(change, |address| {
        let ends = |octets: &[u8]| {
            let mut stream = TcpStream::connect(address).expect("the router");
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit");
            stream.write_all(octets).expect("room");
            let (begun, mut answer) = (Instant::now(), Vec::new());
            let _ = stream.read_to_end(&mut answer);
            (begun.elapsed(), answer)
        };
        let (time, answer) = ends(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(time < Duration::from_millis(250), "{time:?}");
        assert!(!answer.starts_with(b"HTTP"), "nothing is said in the clear");
        assert!(ends(&[0x7f, 0xf1, 0, 0]).0 < Duration::from_secs(1));
        // A handshake that does not go on ends in time.
        for begun in [&[][..], &[0x16, 3, 1]] {
            let (time, _) = ends(begun);
            assert!(time > Duration::from_millis(250) && time < Duration::from_secs(5), "{time:?}");
        }
        let address = tunnel(address, authority.client(&[&TLS13], None));
        Client::join(address, Wire::all().next().expect("a wire")).leave();
    });
}

#[test]
fn ciphers_can_be_chosen() {
    let authority = Authority::new("ciphers");
    let own = authority.sign("one", &["one.example"]);
    let chosen = CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
    for (ciphers, spoken) in [(None, true), (Some(vec![chosen]), true), (Some(Vec::new()), false)] {
        let change = |config: &mut RuntimeConfig| {
            config.listeners[0].tls = Some(TlsConfig { ciphers: ciphers.clone(), ..serve(vec![own.clone()]) });
        };
        node::with_router(change, |address| {
            let suite = |version: &'static SupportedProtocolVersion| {
                let name = ServerName::try_from("one.example").expect("a name");
                let session = ClientConnection::new(authority.client(&[version], None), name).expect("a session");
                let mut stream = StreamOwned::new(session, TcpStream::connect(address).expect("the router"));
                stream.sock.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
                stream.flush().ok()?;
                stream.conn.negotiated_cipher_suite().map(|suite| suite.suite())
            };
            let old = suite(&TLS12);
            assert_eq!(old.is_some(), spoken, "{old:?}");
            assert_eq!(old == Some(chosen), ciphers.as_ref().is_some_and(|list| !list.is_empty()), "{old:?}");
            assert!(suite(&TLS13).is_some(), "version 1.3 is always there");
        });
    }
}

#[test]
fn certificates_are_replaced_while_sessions_go_on() {
    let authority = Authority::new("reload");
    let own = authority.sign("one", &["one.example"]);
    let config = node::config(|config| {
        config.listeners[0].tls = Some(serve(vec![own.clone()]));
        config.shards = Some(2);
    });
    node::with_reloader(config, |address, reloader| {
        let wire = Wire::all().next().expect("a wire");
        let tunnel = Tunnel { tls: Some((authority.client(&[&TLS13], None), "one.example")), ..Tunnel::default() };
        let through = tunnel.open(address);
        let mut old = Client::join(through, wire);
        fs::write(&own.key, "nonsense").expect("a file");
        assert!(reloader.reload(|_| ()).is_err(), "a bad file is told");
        Client::join(through, wire).leave();
        authority.sign("one", &["one.example"]);
        assert!(reloader.reload(|_| ()).is_ok());
        Client::join(through, wire).leave();
        let topic = old.subscribe("com.x");
        old.unsubscribe(topic);
        old.leave();
        let shown = tunnel.shown.lock().expect("a list");
        assert!(shown[0] == shown[1] && shown[1] != shown[2]);
    });
}

fn header(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// What `wamp.session.get` says of the peer.
fn peer_of(address: SocketAddr, wire: Wire) -> String {
    let mut client = Client::join(address, wire);
    let session = client.session();
    let call = client.call("wamp.session.get", &payload(json!([[session]])));
    let details = client.expect_result(call);
    let peer = details[0].list()[0].dict()["transport"].dict()["peer"].str().to_string();
    client.leave();
    peer
}

#[test]
fn a_trusted_proxy_tells_the_address() {
    let authority = Authority::new("proxy");
    let own = authority.sign("one", &["one.example"]);
    let second =
        [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x21, 0x11, 0, 12], &[192, 0, 2, 7, 9, 9, 9, 9, 0, 80, 0, 1]].concat();
    for secure in [false, true] {
        let change = |config: &mut RuntimeConfig| {
            config.listeners[0].proxy_protocol = vec!["127.0.0.0/8".parse().expect("a network")];
            config.listeners[0].tls = secure.then(|| serve(vec![own.clone()]));
        };
        node::with_router(change, |address| {
            let tls = secure.then(|| (authority.client(&[&TLS13], None), "one.example"));
            let through = |first: Vec<u8>| Tunnel { first, tls: tls.clone(), ..Tunnel::default() }.open(address);
            let first = through(header("PROXY TCP4 192.0.2.7 192.0.2.1 80 1\r\n"));
            let six = through(header("PROXY TCP6 2001:db8::7 ::1 80 1\r\n"));
            let (second, own) = (through(second.clone()), through(header("PROXY UNKNOWN\r\n")));
            for wire in Wire::all() {
                assert_eq!(peer_of(first, wire), "tcp4:192.0.2.7:80");
                assert_eq!(peer_of(six, wire), "tcp6:[2001:db8::7]:80");
                assert_eq!(peer_of(second, wire), "tcp4:192.0.2.7:80");
                assert!(peer_of(own, wire).starts_with("tcp4:127.0.0.1:"));
            }
            refused(through(Vec::new()));
            refused(through(header("PROXY TCP4 nonsense\r\n")));
        });
    }
}

#[test]
fn others_tell_no_address() {
    let change = |config: &mut RuntimeConfig| {
        config.listeners[0].proxy_protocol = vec!["192.0.2.0/24".parse().expect("a network")];
    };
    node::with_router(change, |address| {
        let wire = Wire::all().next().expect("a wire");
        assert!(peer_of(address, wire).starts_with("tcp4:127.0.0.1:"));
        let mut stream = TcpStream::connect(address).expect("the router");
        stream.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 80 1\r\n\r\n").expect("room");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 505 "), "{answer}");
    });
}

#[test]
fn files_go_over_tls_and_browsers_are_told_to_stay_there() {
    let authority = Authority::new("files");
    let own = authority.sign("one", &["one.example"]);
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    fs::write(authority.folder.join("big"), &content).expect("a file");
    for hsts in [None, Some(77)] {
        let change = |config: &mut RuntimeConfig| {
            let listener = &mut config.listeners[0];
            listener.tls = Some(serve(vec![own.clone()]));
            listener.web.hsts = hsts;
            let files = StaticConfig::new(Root::Directory(authority.folder.clone()));
            listener.paths.push(PathConfig { path: "/f".into(), deep: true, service: Service::Static(files) });
        };
        node::with_router(change, |address| {
            let mut http = Http::connect(tunnel(address, authority.client(&[&TLS13], None)));
            let told = hsts.map(|_| "max-age=77");
            for (path, status) in [("/f/big", 200), ("/ws", 200), ("/x", 404)] {
                http.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
                let answer = http.response().expect(status);
                assert_eq!(answer.header("strict-transport-security"), told, "{path}");
                assert!(path != "/f/big" || answer.body == content);
            }
        });
    }
}

#[test]
fn requests_are_passed_on_from_tls_and_the_connection_goes_on() {
    let authority = Authority::new("relay");
    let own = authority.sign("one", &["one.example"]);
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    fs::write(authority.folder.join("big"), &content).expect("a file");
    let files = |path: &str| {
        let files = StaticConfig::new(Root::Directory(authority.folder.clone()));
        PathConfig { path: path.into(), deep: true, service: Service::Static(files) }
    };
    let plain = |config: &mut RuntimeConfig| config.listeners[0].paths.push(files("/f"));
    node::with_router(plain, |behind| {
        let change = |config: &mut RuntimeConfig| {
            let relay = RelayConfig::http("127.0.0.1", behind.port());
            let listener = &mut config.listeners[0];
            listener.tls = Some(serve(vec![own.clone()]));
            listener.web.hsts = Some(77);
            listener.paths = vec![PathConfig::websocket("/ws", true, 0), files("/own")];
            listener.paths.push(PathConfig { path: "/".into(), deep: true, service: Service::Relay(Box::new(relay)) });
            config.shards = Some(4);
        };
        node::with_router(change, |address| {
            let mut http = Http::connect(tunnel(address, authority.client(&[&TLS13], None)));
            for path in ["/f/big", "/own/big", "/f/big", "/f/big"] {
                http.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
                let answer = http.response().expect(200);
                assert!(answer.body == content, "{path}");
                assert_eq!(answer.header("strict-transport-security"), Some("max-age=77"));
            }
        });
    });
}
