//! A real browser: Chromium without a window, told what to do over its DevTools protocol.

use super::{install, router};
use data_encoding::BASE64;
use serde_json::{Value as Json, json};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tungstenite::{Message as Frame, WebSocket};

const PATIENCE: Duration = Duration::from_secs(30);

/// A running browser, killed when dropped.
pub struct Browser {
    child: Child,
    profile: PathBuf,
    wire: Mutex<Devtools>,
}

struct Devtools {
    socket: WebSocket<TcpStream>,
    last: u64,
    /// The sessions of pages that have been loaded.
    loaded: Vec<String>,
    /// What pages have thrown and nobody caught.
    thrown: Vec<String>,
}

impl Browser {
    /// Starts one that knows nothing of any other; none if it cannot be installed.
    pub fn start() -> Option<Browser> {
        let folder = install::debian("chromium-headless-shell")?;
        let mut command = install::unpacked(&folder, "usr/lib/chromium/chromium-headless-shell");
        let profile = std::env::temp_dir().join(format!("corebar-browser-{:x}", fastrand::u64(..)));
        // What it shows comes from the test, which may run as root or in a container.
        command.args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0"]);
        command.args(["--disable-background-timer-throttling", "--disable-renderer-backgrounding"]);
        command.arg(format!("--user-data-dir={}", profile.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the browser can be run");
        let lines = router::lines(child.stderr.take().expect("standard error is a pipe"));
        let url = loop {
            let line = lines.recv_timeout(PATIENCE).expect("the browser says where it can be told what to do");
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                break url.trim().to_owned();
            }
        };
        let address = url.trim_start_matches("ws://").split('/').next().expect("an address");
        let stream = TcpStream::connect(address).expect("the browser listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let (socket, _) = tungstenite::client::client(url, stream).expect("it speaks WebSocket");
        Some(Browser {
            child,
            profile,
            wire: Mutex::new(Devtools { socket, last: 0, loaded: Vec::new(), thrown: Vec::new() }),
        })
    }

    /// Opens a page in a window of its own, and waits until it is loaded.
    pub fn open(&self, url: &str) -> Page<'_> {
        let target = self.tell(None, "Target.createTarget", &json!({"url": "about:blank", "newWindow": true}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session =
            self.tell(None, "Target.attachToTarget", &attach)["sessionId"].as_str().expect("a session").into();
        let page = Page { browser: self, session };
        page.tell("Runtime.enable", &json!({}));
        page.tell("Page.enable", &json!({}));
        page.tell("Page.navigate", &json!({"url": url}));
        let mut wire = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        while !wire.loaded.contains(&page.session) {
            wire.read();
        }
        drop(wire);
        page
    }

    /// What pages have thrown and nobody caught, so far.
    pub fn thrown(&self) -> Vec<String> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner).thrown.clone()
    }

    #[track_caller]
    fn tell(&self, session: Option<&str>, method: &str, parameters: &Json) -> Json {
        let mut wire = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        wire.last += 1;
        let mut command = json!({"id": wire.last, "method": method, "params": parameters});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        wire.socket.send(Frame::text(command.to_string())).expect("the browser listens");
        loop {
            let said = wire.read();
            if said["id"] == wire.last {
                assert!(said.get("error").is_none(), "{method}: {said}");
                return said["result"].clone();
            }
        }
    }
}

impl Devtools {
    /// What is said next; what happens by itself is noted.
    #[track_caller]
    fn read(&mut self) -> Json {
        let said: Json = loop {
            if let Frame::Text(text) = self.socket.read().expect("the browser answers") {
                break serde_json::from_str(&text).expect("JSON");
            }
        };
        match said["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.thrown.push(said["params"]["exceptionDetails"].to_string()),
            Some("Page.loadEventFired") => self.loaded.extend(said["sessionId"].as_str().map(str::to_owned)),
            _ => {}
        }
        said
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its own processes end a moment later, and may still write there.
        let begun = Instant::now();
        while fs::remove_dir_all(&self.profile).is_err() && self.profile.exists() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A page.
pub struct Page<'a> {
    browser: &'a Browser,
    session: String,
}

impl Page<'_> {
    #[track_caller]
    fn tell(&self, method: &str, parameters: &Json) -> Json {
        self.browser.tell(Some(&self.session), method, parameters)
    }

    /// The value of an expression in the page; a promise is waited for.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Json {
        let wanted =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        let result = self.tell("Runtime.evaluate", &wanted);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// The text of the element with this id; empty if it is not there.
    #[track_caller]
    pub fn text(&self, id: &str) -> String {
        self.value(&format!("document.getElementById('{id}')?.innerText ?? ''")).as_str().expect("a text").into()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn wait(&self, expression: &str) {
        let begun = Instant::now();
        while self.value(expression) != true {
            let shown = || self.value("document.body?.innerText ?? ''");
            assert!(begun.elapsed() < PATIENCE, "{expression}: it is not so. The page shows {}", shown());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses the mouse's button in the middle of the element with this id.
    #[track_caller]
    pub fn click(&self, id: &str) {
        let middle = format!(
            "(() => {{ const element = document.getElementById('{id}'); element.scrollIntoView({{block: 'center'}});
            const place = element.getBoundingClientRect();
            return [place.x + place.width / 2, place.y + place.height / 2]; }})()"
        );
        let middle = self.value(&middle);
        for kind in ["mousePressed", "mouseReleased"] {
            let mouse = json!({"type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1});
            self.tell("Input.dispatchMouseEvent", &mouse);
        }
    }

    /// Types a text, where the page has its focus, and Enter.
    #[track_caller]
    pub fn enter(&self, text: &str) {
        self.tell("Input.insertText", &json!({"text": text}));
        for kind in ["keyDown", "keyUp"] {
            let key = json!({"type": kind, "key": "Enter", "code": "Enter", "text": "\r", "windowsVirtualKeyCode": 13});
            self.tell("Input.dispatchKeyEvent", &key);
        }
    }

    /// Shows the page on a screen of this size, by day or by night.
    pub fn show(&self, width: u32, height: u32, dark: bool) {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.tell("Emulation.setDeviceMetricsOverride", &screen);
        let scheme = if dark { "dark" } else { "light" };
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.tell("Emulation.setEmulatedMedia", &scheme);
    }

    /// Writes what can be seen as PNG.
    pub fn picture(&self, file: &Path) {
        let picture = self.tell("Page.captureScreenshot", &json!({"captureBeyondViewport": true}));
        let picture = BASE64.decode(picture["data"].as_str().expect("a picture").as_bytes()).expect("base64");
        fs::write(file, picture).expect("a writable directory");
    }
}
