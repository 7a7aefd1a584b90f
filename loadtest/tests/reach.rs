//! Routers behind TLS, and routers that ask who the sessions are.

mod common;

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::{Floor, run, scratch};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// A server that ends TLS and passes everything on to a plain one.
struct TlsFront {
    port: u16,
    ca: PathBuf,
}

impl TlsFront {
    fn start(name: &str, inner: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let ca = scratch(name);
        fs::write(&ca, made.cert.pem()).expect("written");
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("they fit");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let inner = inner.to_owned();
        thread::spawn(move || {
            for outer in listener.incoming().flatten() {
                let (config, inner) = (config.clone(), inner.clone());
                thread::spawn(move || drop(pass_on(outer, config, &inner)));
            }
        });
        Self { port, ca }
    }
}

fn pass_on(outer: TcpStream, config: Arc<ServerConfig>, inner: &str) -> io::Result<()> {
    let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut outer = outer;
    while session.is_handshaking() {
        session.complete_io(&mut outer)?;
    }
    let mut inner = TcpStream::connect(inner)?;
    inner.set_nonblocking(true)?;
    outer.set_nonblocking(true)?;
    let mut outer = StreamOwned::new(session, outer);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let mut idle = true;
        match outer.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => {
                idle = false;
                inner.set_nonblocking(false)?;
                inner.write_all(&buffer[..len])?;
                inner.set_nonblocking(true)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        match inner.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => {
                idle = false;
                outer.sock.set_nonblocking(false)?;
                outer.write_all(&buffer[..len])?;
                outer.sock.set_nonblocking(true)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if idle {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn both_transports_work_over_tls() {
    let floor = Floor::start(&["--mode", "coalesce"]);
    let front = TlsFront::start("ca-both.pem", floor.address());
    let ca = front.ca.to_str().expect("text");
    for scheme in ["wss", "rss"] {
        let url = format!("{scheme}://localhost:{}", front.port);
        for (rate, payload, trust) in [
            ("50", "100", &["--ca", ca][..]),
            ("10", "8000000", &["--insecure", "--patience", "10"][..]),
            ("max", "2000", &["--ca", ca][..]),
        ] {
            let arguments = ["fanout", "--url", &url, "--subscribers", "3", "--rate", rate, "--payload-bytes", payload];
            let output = run(&[&arguments[..], trust].concat(), None);
            let said = text(&output.stdout) + &text(&output.stderr);
            assert!(output.status.success(), "{url} {rate} {payload}: {said}");
            assert!(said.contains("lost 0, doubled 0") && !said.contains(" 0 of 0"), "{said}");
        }
    }
    fs::remove_file(&front.ca).expect("it was made");
}

#[test]
fn a_server_that_nobody_vouches_for_is_refused() {
    let floor = Floor::start(&[]);
    let front = TlsFront::start("ca-refused.pem", floor.address());
    let other = TlsFront::start("ca-other.pem", floor.address());
    let empty = scratch("empty.pem");
    fs::write(&empty, "").expect("written");
    let (localhost, address) = (format!("wss://localhost:{}/", front.port), format!("wss://127.0.0.1:{}/", front.port));
    let path = |path: &PathBuf| path.to_str().expect("text").to_owned();
    let cases = [
        (&localhost, path(&other.ca), "invalid peer certificate"),
        (&address, path(&front.ca), "not valid for name"),
        (&localhost, path(&empty), "has no certificate"),
        (&localhost, "/nonexistent/ca.pem".into(), "cannot read /nonexistent/ca.pem"),
    ];
    for (url, ca, reason) in cases {
        let output = run(&["fanout", "--url", url, "--ca", &ca], None);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(reason), "{reason}: {said}");
    }
    for file in [&front.ca, &other.ca, &empty] {
        fs::remove_file(file).expect("it was made");
    }
}

/// A router that asks who the sessions are, and is the built-in server to those that answer right. RawSocket, JSON.
struct Doorkeeper {
    challenge: Value,
    /// What HELLO must offer.
    offered: Value,
    signature: &'static str,
}

impl Doorkeeper {
    /// Opens the door; gives its URL.
    fn start(self, inner: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("rs://{}", listener.local_addr().expect("bound"));
        let (keeper, inner) = (Arc::new(self), inner.to_owned());
        thread::spawn(move || {
            for guest in listener.incoming().flatten() {
                let (keeper, inner) = (keeper.clone(), inner.clone());
                thread::spawn(move || drop(keeper.meet(guest, &inner)));
            }
        });
        url
    }

    fn meet(&self, mut guest: TcpStream, inner: &str) -> io::Result<()> {
        let mut opening = [0; 4];
        guest.read_exact(&mut opening)?;
        guest.write_all(&[0x7f, 0xf1, 0, 0])?;
        let hello = receive(&mut guest)?;
        if hello[2]["authmethods"] != self.offered || hello[2]["authid"] != "joe" {
            return send(&mut guest, &json!([3, {"message": format!("offered {hello}")}, "wamp.error.no_such_role"]));
        }
        send(&mut guest, &self.challenge)?;
        let answer = receive(&mut guest)?;
        if answer != json!([5, self.signature, {}]) {
            return send(&mut guest, &json!([3, {"message": format!("{answer}")}, "wamp.error.not_authorized"]));
        }
        let mut inner = TcpStream::connect(inner)?;
        inner.write_all(&opening)?;
        inner.read_exact(&mut opening)?;
        send(&mut inner, &hello)?;
        let (mut back, mut forth) = (inner.try_clone()?, guest.try_clone()?);
        thread::spawn(move || io::copy(&mut back, &mut forth));
        io::copy(&mut guest, &mut inner)?;
        Ok(())
    }
}

fn receive(stream: &mut TcpStream) -> io::Result<Value> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let mut body = vec![0; u32::from_be_bytes(head) as usize];
    stream.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

fn send(stream: &mut TcpStream, message: &Value) -> io::Result<()> {
    let body = message.to_string();
    stream.write_all(&(body.len() as u32).to_be_bytes())?;
    stream.write_all(body.as_bytes())
}

const CHALLENGE: &str = r#"{"nonce":"x"}"#;

fn admitted(keeper: Doorkeeper, options: &[&str]) -> (Option<i32>, String) {
    let floor = Floor::start(&[]);
    let url = keeper.start(floor.address());
    let arguments = ["fanout", "--url", &url, "--subscribers", "3", "--rate", "50", "--authid", "joe"];
    let output = run(&[&arguments[..], options].concat(), None);
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn sessions_identify_by_ticket() {
    let keeper =
        || Doorkeeper { challenge: json!([4, "ticket", {}]), offered: json!(["ticket"]), signature: "secret!!!" };
    let (status, said) = admitted(keeper(), &["--ticket", "secret!!!"]);
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = admitted(keeper(), &["--ticket", "wrong"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("wamp.error.not_authorized"), "{said}");
}

#[test]
fn sessions_identify_by_wamp_cra() {
    // Challenge, secret and signature as another implementation has them.
    let plain = json!([4, "wampcra", {"challenge": CHALLENGE}]);
    let salted = json!([4, "wampcra", {"challenge": CHALLENGE, "salt": "salt123", "iterations": 1000, "keylen": 32}]);
    let cases = [
        (plain, "secret", "Jg/rD/bSpsQrWMNg0V4AD5No21M4N764jilF34tGd5M="),
        (salted, "L3L1YUE8Txlw", "owMx6uEVFtLMu66Rbvk+ha92XEGLYj03KrrOrPxAKGk="),
    ];
    for (challenge, secret, signature) in cases {
        let keeper = || Doorkeeper { challenge: challenge.clone(), offered: json!(["wampcra"]), signature };
        let (status, said) = admitted(keeper(), &["--cra-secret", secret]);
        assert_eq!(status, Some(0), "{said}");
        let (status, said) = admitted(keeper(), &["--cra-secret", "wrong"]);
        assert_eq!(status, Some(2), "{said}");
    }
}

#[test]
fn what_was_not_offered_is_not_answered() {
    let challenge = json!([4, "cryptosign", {"challenge": "00"}]);
    let keeper = Doorkeeper { challenge, offered: json!(["anonymous"]), signature: "" };
    let (status, said) = admitted(keeper, &[]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("asks for authentication by cryptosign"), "{said}");
}
