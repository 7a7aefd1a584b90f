//! Pages, files and values on the port of the router.

#[path = "web/http.rs"]
mod http;
#[path = "web/policy.rs"]
mod policy;
#[path = "web/sharing.rs"]
mod sharing;
mod support;

use corebar::auth::config::{Grant, Secret, Source, TicketUser};
use corebar::config::RuntimeConfig;
use corebar::config::TransportConfig;
use corebar::config::web::{ArchiveConfig, JsonConfig, PathConfig, Root, Service, StaticConfig, WebOptions};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::directory::Directory;
use support::http::{Http, get, post};
use support::raw::{PATIENCE, header, read_to_end, response_head, status, upgrade_request};
use support::{Client, Poller, Wire, node};

/// A directory that goes with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("corebar-web-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("web")).expect("a writable directory");
        Folder(path)
    }

    fn web(&self) -> PathBuf {
        self.0.join("web")
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let file = self.web().join(name);
        fs::create_dir_all(file.parent().expect("a directory")).expect("a writable directory");
        fs::write(file, content).expect("a file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn files(path: &str, root: &Path, change: impl FnOnce(&mut StaticConfig)) -> PathConfig {
    let mut config = StaticConfig::new(Root::Directory(root.into()));
    change(&mut config);
    PathConfig { path: path.into(), deep: true, service: Service::Static(config) }
}

fn serve(config: &mut RuntimeConfig, more: Vec<PathConfig>) {
    config.listeners[0].paths =
        [vec![PathConfig::websocket("/ws", true, 0), PathConfig::longpoll("/lp", 0)], more].concat();
}

#[test]
fn files_are_served() {
    let folder = Folder::new("files");
    folder.write("index.html", "<h1>root</h1>");
    folder.write("app.js", "let x = 1;");
    folder.write("sub/index.html", "sub");
    folder.write("a b/\u{e9}.txt", "text");
    folder.write("empty", "");
    folder.write("x.own", "own");
    folder.write(".env", "secret");
    folder.write(".well-known/x", "known");
    for shards in [1, 4] {
        let change = |config: &mut RuntimeConfig| {
            config.shards = Some(shards);
            let types = [(".own".into(), "text/x-own".into())].into();
            let set = |files: &mut StaticConfig| files.types = types;
            serve(config, vec![files("/", &folder.web(), set)]);
        };
        node::with_router(change, |address| {
            let mut http = Http::connect(address);
            let index = http.get("/", "").expect(200);
            assert_eq!(
                (index.text().as_str(), index.header("content-type")),
                ("<h1>root</h1>", Some("text/html; charset=utf-8"))
            );
            assert_eq!(index.header("cache-control"), Some("public, max-age=43200"));
            assert_eq!(index.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(index.header("access-control-allow-origin"), None);
            assert!(index.header("date").is_some() && index.header("last-modified").is_some());
            let script = http.get("/app.js?v=1", "Origin: https://a.example\r\n").expect(200);
            assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
            assert_eq!(http.get("/sub/", "").expect(200).text(), "sub");
            assert_eq!(http.get("/a%20b/%C3%A9.txt", "").expect(200).text(), "text");
            assert_eq!(http.get("/x.own", "").expect(200).header("content-type"), Some("text/x-own"));
            assert_eq!(http.get("/empty", "").expect(200).header("content-length"), Some("0"));
            assert_eq!(http.get("/.well-known/x", "").expect(200).text(), "known");
            let moved = http.get("/sub?x=1", "").expect(301);
            assert_eq!(moved.header("location"), Some("/sub/?x=1"));
            assert_eq!(http.get("/a%20b", "").expect(301).header("location"), Some("/a%20b/"));
            for missing in ["/nothing", "/app.js/", "/sub/x", "/.env", "/a%20b/", "/sub//index.html", "/app.js/x"] {
                http.get(missing, "").expect(404);
            }
            http.write(get("/app.js", "").replace("GET", "HEAD"));
            let head = http.head_only().expect(200);
            assert_eq!(head.header("content-length"), Some("10"));
            // Nothing of the body has come: the next response is where it should be.
            assert_eq!(http.get("/app.js", "").expect(200).text(), "let x = 1;");
            let refused = Http::connect(address).post("/app.js", b"x");
            assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
        });
    }
}

#[test]
fn clients_get_what_they_have_not() {
    let folder = Folder::new("conditions");
    folder.write("a.txt", "0123456789");
    node::with_router(
        |config| serve(config, vec![files("/", &folder.web(), |files| files.cache = None)]),
        |address| {
            let mut http = Http::connect(address);
            let whole = http.get("/a.txt", "").expect(200);
            let tag = whole.header("etag").expect("a tag").to_string();
            let modified = whole.header("last-modified").expect("a date").to_string();
            assert_eq!((whole.header("cache-control"), whole.header("accept-ranges")), (None, Some("bytes")));
            let same = http.get("/a.txt", &format!("If-None-Match: \"x\", {tag}\r\n")).expect(304);
            assert_eq!((same.header("etag"), same.header("content-length")), (Some(&*tag), None));
            http.get("/a.txt", &format!("If-Modified-Since: {modified}\r\n")).expect(304);
            http.get("/a.txt", "If-None-Match: \"x\"\r\n").expect(200);
            let part = http.get("/a.txt", "Range: bytes=2-4\r\n").expect(206);
            assert_eq!((part.text().as_str(), part.header("content-range")), ("234", Some("bytes 2-4/10")));
            assert_eq!(http.get("/a.txt", "Range: bytes=-2\r\n").expect(206).text(), "89");
            assert_eq!(http.get("/a.txt", "Range: bytes=8-\r\n").expect(206).text(), "89");
            let none = http.get("/a.txt", "Range: bytes=10-\r\n").expect(416);
            assert_eq!(none.header("content-range"), Some("bytes */10"));
            assert_eq!(none.header("cache-control"), Some("no-store"));
            assert_eq!(none.header("content-type"), Some("text/plain; charset=utf-8"));
            let told = http.get("/a.txt", "Range: bytes=10-\r\nAccept: application/json\r\n").expect(416);
            assert_eq!(told.header("content-type"), Some("application/json"));
            assert_eq!(http.get("/a.txt", "Range: bytes=0-1,4-5\r\n").expect(200).text(), "0123456789");
            let with_tag = |tag: &str| format!("Range: bytes=0-0\r\nIf-Range: {tag}\r\n");
            http.get("/a.txt", &with_tag(&tag)).expect(206);
            http.get("/a.txt", &with_tag(&modified)).expect(206);
            http.get("/a.txt", &with_tag("\"x\"")).expect(200);
            // Another file of another length.
            folder.write("a.txt", "01234567890");
            let other = http.get("/a.txt", &format!("If-None-Match: {tag}\r\n")).expect(200);
            assert_ne!(other.header("etag"), Some(&*tag));
        },
    );
}

#[test]
fn files_that_are_packed_beforehand_are_sent_so() {
    let folder = Folder::new("packed");
    folder.write("a.js", "plain");
    folder.write("a.js.br", "brotli");
    folder.write("a.js.gz", "gzipped");
    folder.write("b.js", "plain");
    node::with_router(
        |config| serve(config, vec![files("/", &folder.web(), |_| {})]),
        |address| {
            let mut http = Http::connect(address);
            for (accepted, coding, text) in [
                ("", None, "plain"),
                ("Accept-Encoding: gzip, deflate, br\r\n", Some("br"), "brotli"),
                ("Accept-Encoding: gzip\r\n", Some("gzip"), "gzipped"),
                ("Accept-Encoding: br;q=0, gzip;q=0\r\n", None, "plain"),
            ] {
                let answer = http.get("/a.js", accepted).expect(200);
                assert_eq!((answer.header("content-encoding"), answer.text().as_str()), (coding, text));
                assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
                assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
                // The tag is that of this coding.
                let tag = answer.header("etag").expect("a tag").to_string();
                http.get("/a.js", &format!("{accepted}If-None-Match: {tag}\r\n")).expect(304);
            }
            assert_eq!(http.get("/b.js", "Accept-Encoding: gzip\r\n").expect(200).header("vary"), None);
        },
    );
}

#[test]
fn nothing_outside_is_served() {
    let folder = Folder::new("outside");
    fs::write(folder.0.join("secret"), "secret").expect("a file");
    folder.write("index.html", "root");
    folder.write("in.txt", "inside");
    symlink("../secret", folder.web().join("out")).expect("a link");
    symlink(folder.0.join("secret"), folder.web().join("far")).expect("a link");
    symlink("..", folder.web().join("up")).expect("a link");
    symlink("/", folder.web().join("system")).expect("a link");
    symlink("in.txt", folder.web().join("good")).expect("a link");
    let pipe = Command::new("mkfifo").arg(folder.web().join("pipe")).status();
    assert!(pipe.expect("mkfifo is there").success());
    node::with_router(
        |config| serve(config, vec![files("/", &folder.web(), |files| files.listing = true)]),
        |address| {
            let mut http = Http::connect(address);
            assert_eq!(http.get("/good", "").expect(200).text(), "inside");
            for path in [
                "/../secret",
                "/..%2fsecret",
                "/%2e%2e/secret",
                "/%2e%2e%2fsecret",
                "/.%2e/secret",
                "/..\\secret",
                "/..%5csecret",
                "/x/../../secret",
                "/in.txt%00",
                "/in.txt%0d%0aX:%20y",
                "/%",
                "/%zz",
                "/./in.txt",
                "/%ff",
                "/in.txt/..",
            ] {
                let answer = http.get(path, "").expect(400);
                assert!(!answer.text().contains("secret\n") && answer.header("x").is_none(), "{path}");
            }
            for path in ["//etc/passwd", "/out", "/far", "/up/secret", "/up/", "/system/etc/passwd", "/pipe", "//"] {
                http.get(path, "").expect(404);
            }
            // Neither does a redirect lead to another host.
            let answer = http.get("//up", "");
            assert_eq!((answer.status, answer.header("location")), (404, None));
            http.get("/in.txt", "").expect(200);
        },
    );
}

#[test]
fn directories_are_listed_and_paths_of_applications_get_their_page() {
    let folder = Folder::new("listing");
    folder.write("b<i>.txt", "12345");
    folder.write("sub/x", "");
    folder.write(".hidden", "");
    let app = Folder::new("app");
    app.write("app.html", "the application");
    app.write("real.js", "1");
    node::with_router(
        |config| {
            let set = |files: &mut StaticConfig| {
                files.default_file = Some("app.html".into());
                files.fallback = Some("app.html".into());
                files.cross_origin = true;
            };
            let listed = files("/list", &folder.web(), |files| files.listing = true);
            let closed = files("/closed", &folder.web(), |_| {});
            serve(config, vec![listed, closed, files("/", &app.web(), set)]);
        },
        |address| {
            let mut http = Http::connect(address);
            let page = http.get("/list/", "").expect(200).text();
            assert!(page.contains("href=\"./b%3Ci%3E.txt\">b&lt;i&gt;.txt<") && page.contains(">5<"), "{page}");
            assert!(page.contains("href=\"./sub/\"") && !page.contains("hidden"), "{page}");
            assert_eq!(http.get("/list", "").expect(301).header("location"), Some("/list/"));
            http.get("/closed/", "").expect(404);
            for path in ["/", "/some/where", "/real.js/x", "/nothing.js"] {
                let answer = http.get(path, "").expect(200);
                assert_eq!(answer.text(), "the application", "{path}");
                assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            }
            assert_eq!(http.get("/some/where", "").expect(200).header("cache-control"), Some("no-cache"));
            assert_eq!(http.get("/real.js", "").expect(200).text(), "1");
            http.get("/..", "").expect(400);
            http.write("OPTIONS /real.js HTTP/1.1\r\nHost: x\r\nOrigin: https://a\r\n\r\n");
            assert_eq!(http.response().expect(204).header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
        },
    );
}

fn json(text: &str, cross_origin: bool, no_store: bool) -> Service {
    Service::Json(JsonConfig { text: text.into(), cross_origin, no_store })
}

#[test]
fn values_redirects_and_information() {
    let at = |path: &str, deep, service| PathConfig { path: path.into(), deep, service };
    node::with_router(
        |config| {
            let paths = vec![
                at("/cfg", false, json("{\"a\":1}", true, true)),
                at("/own", false, json("[]", false, false)),
                at("/old", true, Service::Redirect("https://new.example/?a=b".into())),
                at("/info", true, Service::NodeInfo),
                at("/a", true, Service::Nothing),
                at("/a/b", true, Service::NodeInfo),
            ];
            serve(config, paths);
            config.listeners[0].web.access_log = true;
        },
        |address| {
            let mut http = Http::connect(address);
            let value = http.get("/cfg", "Origin: https://a.example\r\n").expect(200);
            assert_eq!((value.text().as_str(), value.header("content-type")), ("{\"a\":1}", Some("application/json")));
            assert_eq!(value.header("access-control-allow-origin"), Some("*"));
            assert!(value.header("cache-control").is_some_and(|caching| caching.contains("no-store")));
            let own = http.get("/own", "Origin: https://a.example\r\n").expect(200);
            assert_eq!(own.header("access-control-allow-origin"), None);
            http.get("/cfg/x", "").expect(404);
            let moved = http.get("/old/x/y", "").expect(302);
            assert_eq!(moved.header("location"), Some("https://new.example/?a=b"));
            let info = http.get("/info", "").expect(200).text();
            assert!(
                info.contains(concat!("Corebar ", env!("CARGO_PKG_VERSION")))
                    && !info.contains("{version}")
                    && !info.contains("{uptime}")
            );
            http.get("/a/x", "").expect(404);
            http.get("/a", "").expect(404);
            // Names count decoded and whole.
            assert!(http.get("/%61/b/c", "").expect(200).text().contains("Corebar"));
            http.get("/a/bc", "").expect(404);
            let nowhere = http.get("/", "").expect(404);
            assert!(nowhere.text().contains("/ws"), "{}", nowhere.text());
        },
    );
}

/// An archive with a file that is packed and one that is not.
fn archive(file: &Path) {
    let program = "import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as z:
    z.writestr('site/index.html', 'packed ' * 1000, zipfile.ZIP_DEFLATED)
    z.writestr('site/plain.txt', '0123456789', zipfile.ZIP_STORED)
    z.writestr('other.txt', 'other', zipfile.ZIP_STORED)";
    let status = Command::new("python3").args(["-c", program]).arg(file).status().expect("python3 is there");
    assert!(status.success());
}

fn packed(file: &Path, change: impl FnOnce(&mut ArchiveConfig)) -> PathConfig {
    let mut config = ArchiveConfig {
        file: file.into(),
        origin: None,
        default_object: Some("index.html".into()),
        prefix: Some("site".into()),
        fallback: None,
        types: [(".txt".into(), "text/x-own".into())].into(),
        policy: None,
        hashes: Vec::new(),
    };
    change(&mut config);
    PathConfig { path: "/zip".into(), deep: true, service: Service::Archive(config) }
}

#[test]
fn archives_are_served() {
    let folder = Folder::new("archive");
    let file = folder.0.join("site.zip");
    archive(&file);
    let octets = fs::read(&file).expect("the archive");
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(&octets));
    let right = hash.clone();
    node::with_router(
        |config| {
            serve(config, vec![packed(&file, |config| config.hashes = vec![right.into()])]);
            config.web_piece_bytes = 1000;
        },
        |address| {
            let mut http = Http::connect(address);
            let index = http.get("/zip/", "").expect(200);
            assert_eq!(index.text(), "packed ".repeat(1000));
            assert_eq!(index.header("content-type"), Some("text/html; charset=utf-8"));
            let tag = index.header("etag").expect("a tag").to_string();
            http.get("/zip/index.html", &format!("If-None-Match: {tag}\r\n")).expect(304);
            let plain = http.get("/zip/plain.txt", "Range: bytes=1-3\r\n").expect(206);
            assert_eq!((plain.text().as_str(), plain.header("content-type")), ("123", Some("text/x-own")));
            http.get("/zip/index.html", "Range: bytes=1-3\r\n").expect(200);
            assert_eq!(http.get("/zip?a", "").expect(301).header("location"), Some("/zip/?a"));
            for path in ["/zip/other.txt", "/zip/nothing", "/zip/plain.txt/"] {
                http.get(path, "").expect(404);
            }
            http.get("/zip/../other.txt", "").expect(400);
            // It goes on although the file is another one.
            fs::write(folder.0.join("new"), "no archive").expect("a file");
            fs::rename(folder.0.join("new"), &file).expect("a file");
            assert_eq!(http.get("/zip/plain.txt", "").expect(200).text(), "0123456789");
        },
    );
    let start = |path: PathConfig| {
        let config = node::config(|config| serve(config, vec![path]));
        corebar::node::Node::check(&config).expect_err("no good archive").to_string()
    };
    assert!(start(packed(&file, |_| {})).contains("site.zip"));
    // Another one would have another time in it.
    fs::write(&file, octets).expect("a file");
    let wrong = start(packed(&file, |config| config.hashes = vec![hash.replace(|c| c != '0', "0").into()]));
    assert!(wrong.contains("is not what it should be") && wrong.contains(&hash), "{wrong}");
    assert!(start(packed(Path::new("/nothing.zip"), |_| {})).contains("is missing"));
}

#[test]
fn a_missing_archive_is_got_if_that_is_wanted() {
    let folder = Folder::new("download");
    let source = folder.web().join("site.zip");
    archive(&source);
    let there = node::config(|config| serve(config, vec![files("/", &folder.web(), |_| {})]));
    node::with_reloader(there, |origin, _| {
        let file = folder.0.join("got.zip");
        let url = format!("http://{origin}/site.zip");
        // Started on a thread with a runtime of its own.
        node::with_router(
            |config| serve(config, vec![packed(&file, |config| config.origin = Some(url.into()))]),
            |address| assert_eq!(Http::connect(address).get("/zip/plain.txt", "").expect(200).text(), "0123456789"),
        );
        assert_eq!(fs::read(&file).expect("it is there"), fs::read(&source).expect("it is there"));
        let _ = fs::remove_file(&file);
        let url = format!("http://{origin}/nothing.zip");
        let path = packed(&file, |config| config.origin = Some(url.into()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _inside = runtime.enter();
        let error = corebar::node::Node::start(node::config(|config| serve(config, vec![path])));
        assert!(error.expect_err("nothing to get").to_string().contains("cannot be got"));
        assert!(!file.exists() && !folder.0.join("got.zip.part").exists());
    });
}

#[test]
fn everything_goes_over_one_connection() {
    let folder = Folder::new("mixed");
    folder.write("big", vec![b'x'; 700_000]);
    folder.write("small", "small");
    for shards in [1, 4] {
        let change = |config: &mut RuntimeConfig| {
            config.shards = Some(shards);
            config.web_piece_bytes = 10_000;
            serve(config, vec![files("/", &folder.web(), |_| {})]);
        };
        node::with_router(change, |address| {
            let poller = Poller::join(address);
            let mut http = Http::connect(address);
            // All at once; the answers come in order.
            let receive = String::from_utf8(post(&poller.at("receive"), b"")).expect("text");
            let subscribe = post(&poller.at("send"), &poller.body(&[serde_json::json!([32, 1, {}, "com.x"])]));
            let subscribe = String::from_utf8(subscribe).expect("text");
            let all = [
                get("/small", ""),
                get("/health", ""),
                get("/big", ""),
                get("/nothing", ""),
                subscribe,
                get("/ws", ""),
                receive,
                get("/big", "Range: bytes=0-4\r\n"),
                get("/%zz", ""),
                get("/small", "Connection: close\r\n"),
            ];
            http.write(all.concat());
            assert_eq!(http.response().expect(200).text(), "small");
            assert_eq!(http.response().expect(200).text(), "healthy\n");
            let big = http.response().expect(200);
            assert!(big.body.len() == 700_000 && big.body.iter().all(|octet| *octet == b'x'));
            http.response().expect(404);
            http.response().expect(204);
            assert!(http.response().expect(200).text().contains("<html"));
            let subscribed = http.response().expect(200);
            assert_eq!(poller.messages(&subscribed)[0][0].uint(), 33);
            assert_eq!(http.response().expect(206).text(), "xxxxx");
            http.response().expect(400);
            let last = http.response().expect(200);
            assert_eq!((last.text().as_str(), last.header("connection")), ("small", Some("close")));
            http.expect_end();
            // Who has said all and listens still gets everything.
            let mut half = Http::connect(address);
            half.write([get("/big", ""), get("/small", "")].concat());
            half.0.shutdown(std::net::Shutdown::Write).expect("a socket");
            assert_eq!(half.response().expect(200).body.len(), 700_000);
            assert_eq!(half.response().expect(200).text(), "small");
            half.expect_end();
            // A handshake behind requests, with a message behind that.
            let mut http = Http::connect(address);
            let upgrade = upgrade_request("/ws/deep", "Sec-WebSocket-Protocol: wamp.2.json\r\n");
            http.write([get("/big", ""), upgrade].concat());
            assert_eq!(http.response().expect(200).body.len(), 700_000);
            assert_eq!(status(&response_head(&mut http.0)), 101);
            http.write(upgrade_request("/small", "Sec-WebSocket-Protocol: wamp.2.json\r\n"));
        });
    }
}

#[test]
fn websocket_is_where_it_is_and_nowhere_else() {
    let folder = Folder::new("upgrade");
    folder.write("small", "small");
    node::with_router(
        |config| serve(config, vec![files("/", &folder.web(), |_| {})]),
        |address| {
            for (path, wanted) in
                [("/ws", 101), ("/%77s", 101), ("/ws/x", 101), ("/", 404), ("/small", 404), ("/ws/..", 400)]
            {
                let mut http = Http::connect(address);
                http.write(upgrade_request(path, "Sec-WebSocket-Protocol: wamp.2.json\r\n"));
                assert_eq!(status(&response_head(&mut http.0)), wanted, "{path}");
            }
        },
    );
}

#[test]
fn a_client_that_reads_slowly_costs_nobody_anything() {
    const OCTETS: u64 = 200 * 1024 * 1024;
    let folder = Folder::new("slow");
    let big = fs::File::create(folder.web().join("big")).expect("a file");
    // Without blocks on the disk.
    big.set_len(OCTETS).expect("a file");
    let directory = Directory::new(
        "web-slow",
        &serde_json::json!({"version": 2, "workers": [{"type": "router", "realms": [{"name": "realm1", "roles": [
            {"name": "anonymous", "permissions": [{"uri": "", "match": "prefix",
                "allow": {"call": true, "register": true, "publish": true, "subscribe": true}}]}]}],
            "transports": [{"type": "web", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
                "paths": {"/": {"type": "websocket"}, "files": {"type": "static", "directory": folder.web()}}}]}],
            "corebar": {"shards": 1, "pin": false}})
        .to_string(),
    );
    let router = directory.start();
    let address = router.address();
    let (mut publisher, mut subscriber) = (Client::join(address, Wire::JSON), Client::join(address, Wire::JSON));
    let subscription = subscriber.subscribe("com.x");
    let before = router.resident_kib();
    let mut slow: Vec<Http> = (0..10).map(|_| Http::connect(address)).collect();
    for http in &mut slow {
        http.write(get("/files/big", ""));
        let head = response_head(&mut http.0);
        assert_eq!((status(&head), header(&head, "content-length")), (200, Some(&*OCTETS.to_string())));
    }
    for round in 0..50 {
        publisher.publish("com.x", &[serde_json::json!([round]).into()]);
        assert_eq!(subscriber.event().subscription, subscription);
    }
    // Ten clients, each of which holds a piece or two.
    let more = router.resident_kib().saturating_sub(before);
    assert!(more < 30 * 1024, "{more} KiB");
    let mut reader = slow.pop().expect("ten");
    let mut left = OCTETS;
    let mut buffer = vec![1; 1 << 20];
    while left > 0 {
        let octets = reader.0.read(&mut buffer).expect("the file goes on");
        assert!(octets > 0 && buffer[..octets].iter().all(|octet| *octet == 0));
        left -= octets as u64;
    }
    let more = router.resident_kib().saturating_sub(before);
    assert!(more < 30 * 1024, "{more} KiB");
    reader.write(get("/files/big", "Range: bytes=-3\r\n"));
    assert_eq!(reader.response().expect(206).body, [0, 0, 0]);
}

#[test]
fn a_file_that_becomes_shorter_ends_the_connection() {
    let folder = Folder::new("shorter");
    folder.write("big", vec![b'x'; 50_000_000]);
    node::with_router(
        |config| serve(config, vec![files("/", &folder.web(), |_| {})]),
        |address| {
            let mut http = Http::connect(address);
            http.write(get("/big", ""));
            assert_eq!(status(&response_head(&mut http.0)), 200);
            fs::File::options()
                .write(true)
                .open(folder.web().join("big"))
                .and_then(|file| file.set_len(10))
                .expect("a file");
            assert!(read_to_end(&mut http.0, PATIENCE).len() < 50_000_000);
            assert_eq!(Http::connect(address).get("/big", "").expect(200).body.len(), 10);
        },
    );
}

#[test]
fn idle_connections_are_ended_when_the_time_is_over() {
    let folder = Folder::new("idle");
    folder.write("small", "small");
    let paths = vec![files("/", &folder.web(), |_| {})];
    let usual = |config: &mut RuntimeConfig| {
        serve(config, paths.clone());
        config.web_keep_alive_timeout = Duration::from_millis(50);
    };
    let own = |config: &mut RuntimeConfig| {
        serve(config, paths.clone());
        config.listeners[0].web = WebOptions { idle_timeout: Some(Duration::from_millis(50)), ..WebOptions::default() };
    };
    let changes: [&dyn Fn(&mut RuntimeConfig); 2] = [&usual, &own];
    for change in changes {
        node::with_router(change, |address| {
            let mut http = Http::connect(address);
            http.get("/small", "").expect(200);
            http.expect_end();
        });
    }
}

#[test]
fn a_reload_adds_changes_and_removes_paths() {
    let (one, two) = (Folder::new("reload-one"), Folder::new("reload-two"));
    one.write("a", "one");
    one.write("big", vec![b'x'; 5_000_000]);
    two.write("a", "two");
    let config = node::config(|config| {
        config.shards = Some(4);
        serve(config, vec![files("/f", &one.web(), |_| {})]);
    });
    node::with_reloader(config, |address, reloader| {
        let mut http: Vec<Http> = (0..8).map(|_| Http::connect(address)).collect();
        let mut all = |path: &str, status: u16, text: Option<&str>| {
            for http in &mut http {
                let answer = http.get(path, "").expect(status);
                assert!(text.is_none_or(|text| text == answer.text()), "{}", answer.text());
            }
        };
        all("/f/a", 200, Some("one"));
        all("/new", 404, None);
        let mut slow = Http::connect(address);
        slow.write(get("/f/big", ""));
        let head = response_head(&mut slow.0);
        assert_eq!(status(&head), 200);
        let changed = reloader.reload(|config| {
            let new = PathConfig { path: "/new".into(), deep: false, service: json("1", false, false) };
            serve(config, vec![files("/f", &two.web(), |_| {}), new]);
        });
        assert_eq!(changed.expect("a good configuration").0.changes.len(), 1);
        all("/f/a", 200, Some("two"));
        all("/new", 200, Some("1"));
        // The same paths in another order, fewer of them, and more in front.
        let changed = reloader.reload(|config| {
            let first = PathConfig { path: "/first".into(), deep: false, service: json("1", false, false) };
            config.listeners[0].paths = vec![first, PathConfig::websocket("/ws", true, 0)];
        });
        changed.expect("a good configuration");
        all("/f/a", 404, None);
        all("/new", 404, None);
        all("/first", 200, Some("1"));
        // What was begun is finished.
        let mut body = vec![0; 5_000_000];
        slow.0.read_exact(&mut body).expect("the file goes on");
        Client::join_with_path(address);
        // A bad one changes nothing.
        let missing = reloader.reload(|config| serve(config, vec![packed(Path::new("/nothing.zip"), |_| {})]));
        assert!(missing.expect_err("no archive").contains("is missing"));
        all("/first", 200, Some("1"));
    });
}

impl Client {
    /// WebSocket goes on where it is.
    fn join_with_path(address: SocketAddr) {
        let mut http = Http::connect(address);
        http.write(upgrade_request("/ws", "Sec-WebSocket-Protocol: wamp.2.json\r\n"));
        assert_eq!(status(&response_head(&mut http.0)), 101);
    }
}

#[test]
fn a_node_directory_with_a_site_is_served_and_logged() {
    let directory = Directory::new("web-site", "");
    fs::create_dir_all(directory.path("web")).expect("a directory");
    fs::write(directory.path("web/index.html"), "the site").expect("a file");
    directory.write(
        &serde_json::json!({"version": 2, "workers": [{"type": "router", "realms": [{"name": "realm1"}],
            "transports": [{"type": "web", "endpoint": {"type": "tcp", "port": 0, "interface": "127.0.0.1"},
                "options": {"access_log": true, "client_timeout": 20, "display_tracebacks": false},
                "paths": {
                    "/": {"type": "static", "directory": "web"},
                    "py": {"type": "static", "package": "json", "resource": "."},
                    "ws": {"type": "websocket"},
                    "lp": {"type": "longpoll"},
                    "cfg": {"type": "json", "value": {"b": null, "a": [1]}, "options": {"prettify": true}},
                    "none": {"type": "none"},
                    "client.js": {"type": "client"},
                    "deep": {"type": "path", "paths": {
                        "/": {"type": "json", "value": null},
                        "er": {"type": "path", "paths": {"poll": {"type": "longpoll"}, "info": {"type": "nodeinfo"}}}}}}}]}]})
        .to_string(),
    );
    let router = directory.start();
    let mut http = Http::connect(router.address());
    assert_eq!(http.get("/", "").expect(200).text(), "the site");
    assert!(http.get("/py/decoder.py", "").expect(200).text().contains("JSONDecoder"));
    assert_eq!(http.get("/cfg", "").expect(200).text(), "{\n  \"b\": null,\n  \"a\": [\n    1\n  ]\n}\n");
    http.get("/none", "").expect(404);
    let client = http.get("/client.js", "").expect(200);
    assert_eq!(client.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(client.header("access-control-allow-origin"), Some("*"), "for pages from anywhere");
    assert_eq!(client.text(), include_str!("../clients/js/corebar.js"));
    let page = http.get("/ws", "").expect(200).text();
    assert!(page.contains("data-realm=\"realm1\" data-module=\"/client.js\" data-dashboard=\"\""), "{page}");
    assert_eq!(http.get("/deep", "").expect(200).text(), "null");
    assert!(http.get("/deep/er/info", "").expect(200).text().contains("Corebar"));
    http.get("/deep/er", "").expect(404);
    for base in ["/lp", "/deep/er/poll"] {
        let open = http.post(&format!("{base}/open"), br#"{"protocols": ["wamp.2.json"]}"#).expect(200).text();
        let open: serde_json::Value = serde_json::from_str(&open).expect("JSON");
        let transport = open["transport"].as_str().expect("an id");
        http.post(&format!("{base}/{transport}/close"), b"").expect(204);
    }
    // What is no request, and a handshake.
    Http::connect(router.address()).get("/cfg", "Host: other\r\n").expect(400);
    http.write(upgrade_request("/ws", "Sec-WebSocket-Protocol: wamp.2.json\r\n"));
    assert_eq!(status(&response_head(&mut http.0)), 101);
    Http::connect(router.address()).0.write_all(b"HEAD /cfg HTTP/1.1\r\nHost: x\r\n\r\n").expect("room");
    router.expect_log("request=\"GET /cfg\" status=400");
    router.expect_log("request=\"GET /ws\" status=101 octets=0");
    router.expect_log("request=\"HEAD /cfg\" status=200 octets=0");
    router.expect_log("request=\"GET /deep\" status=200 octets=4");
    router.expect_log("request=\"GET /none\" status=404");
    router.expect_log("request=\"POST /lp/open\" status=200");
    router.expect_log("request=\"POST /deep/er/poll/.../close\" status=204 octets=0");
}

#[test]
fn curl_agrees() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "curl is missing");
        eprintln!("SKIPPED: there is no curl");
        return;
    }
    let folder = Folder::new("curl");
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    folder.write("big", &content);
    node::with_router(
        |config| serve(config, vec![files("/", &folder.web(), |_| {})]),
        |address| {
            let target = folder.0.join("got");
            let curl = |more: &[&str]| {
                let url = format!("http://{address}/big");
                let mut command = Command::new("curl");
                command.args(["-sS", "--fail", "--max-time", "20"]).args(more);
                // Twice, over one connection.
                for (file, url) in [(&target, &url), (&folder.0.join("again"), &url)] {
                    command.arg("-o").arg(file).arg(url);
                }
                let output = command.output().expect("curl runs");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                fs::read(&target).expect("a file")
            };
            assert!(curl(&[]) == content);
            assert!(curl(&["-r", "1000000-1999999"]) == content[1_000_000..2_000_000]);
            assert!(curl(&["--http1.0"]) == content);
            // Goes on where it stopped.
            fs::write(&target, &content[..5]).expect("a file");
            fs::remove_file(folder.0.join("again")).expect("a file");
            assert!(curl(&["-C", "-"]) == content);
        },
    );
}

#[test]
fn a_request_may_come_octet_by_octet() {
    let folder = Folder::new("drops");
    folder.write("small", "small");
    node::with_router(
        |config| serve(config, vec![files("/", &folder.web(), |_| {})]),
        |address| {
            let mut http = Http::connect(address);
            for octet in get("/small", "").into_bytes() {
                http.0.write_all(&[octet]).expect("the router reads");
            }
            assert_eq!(http.response().expect(200).text(), "small");
        },
    );
}

#[test]
fn long_polling_has_the_login_of_its_own_place() {
    let change = |config: &mut RuntimeConfig| {
        let user = TicketUser { ticket: Secret(b"x".as_slice().into()), grant: Grant::default() };
        let mut closed = TransportConfig::default();
        closed.auth.ticket = Some(Source::Static([("joe".into(), user)].into()));
        config.transports.push(closed);
        config.listeners[0].paths.push(PathConfig::longpoll("/closed", 1));
    };
    node::with_router(change, |address| {
        for (base, code) in [("/lp", 2), ("/closed", 3)] {
            let mut http = Http::connect(address);
            let open = http.post(&format!("{base}/open"), br#"{"protocols": ["wamp.2.json"]}"#).expect(200).text();
            let open: serde_json::Value = serde_json::from_str(&open).expect("JSON");
            let transport = open["transport"].as_str().expect("an id");
            let hello = br#"[1,"realm1",{"roles":{"caller":{}},"authmethods":["anonymous"]}]"#;
            http.post(&format!("{base}/{transport}/send"), hello).expect(204);
            let answer = http.post(&format!("{base}/{transport}/receive"), b"").expect(200).text();
            assert!(answer.starts_with(&format!("[{code},")), "{base}: {answer}");
        }
    });
}
