//! A collector of OpenTelemetry that keeps what it is sent.

use data_encoding::HEXLOWER;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a collector does with a request.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Answer {
    Take,
    /// Takes it, and wants none of its spans.
    Refuse,
    Status(u16),
    Silence,
}

/// A span that has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) trace: String,
    pub(super) span: String,
    pub(super) parent: String,
    pub(super) state: String,
    pub(super) name: String,
    pub(super) kind: i32,
    /// The message of an error.
    pub(super) error: Option<String>,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) service: String,
    pub(super) start: u64,
    pub(super) end: u64,
}

struct State {
    answer: Answer,
    /// Requests, with their heads.
    heads: Vec<String>,
    spans: Vec<Seen>,
}

/// See the module. Its threads end with the process.
#[derive(Clone)]
pub(super) struct Collector {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Collector {
    pub(super) fn start() -> Collector {
        Collector::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Listens there.
    pub(super) fn at(address: SocketAddr) -> Collector {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State { answer: Answer::Take, heads: Vec::new(), spans: Vec::new() }));
        let collector = Collector { address, state };
        let served = collector.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                thread::spawn(move || while served.serve(&stream).is_some() {});
            }
        });
        collector
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn answer(&self, answer: Answer) {
        self.state.lock().expect("nobody panics").answer = answer;
    }

    /// The heads of all requests so far.
    pub(super) fn heads(&self) -> Vec<String> {
        self.state.lock().expect("nobody panics").heads.clone()
    }

    /// What has come so far.
    pub(super) fn spans(&self) -> Vec<Seen> {
        self.state.lock().expect("nobody panics").spans.clone()
    }

    /// Waits for so many spans, and takes them; more are one too many.
    #[track_caller]
    pub(super) fn take(&self, count: usize) -> Vec<Seen> {
        let begun = Instant::now();
        while self.spans().len() < count {
            assert!(begun.elapsed() < PATIENCE, "{count} spans are not there, but {:#?}", self.spans());
            thread::sleep(Duration::from_millis(5));
        }
        let spans = std::mem::take(&mut self.state.lock().expect("nobody panics").spans);
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }

    /// Waits for a request.
    #[track_caller]
    pub(super) fn wait_for_request(&self) {
        let begun = Instant::now();
        while self.heads().is_empty() {
            assert!(begun.elapsed() < PATIENCE, "nothing has come");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Answers a request; none when there are no more.
    fn serve(&self, mut stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let lower = head.to_ascii_lowercase();
        let length = lower.split_once("content-length:")?.1.split("\r\n").next()?.trim().parse().ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let answer = {
            let mut state = self.state.lock().expect("nobody panics");
            state.heads.push(head);
            if state.answer == Answer::Take {
                state.spans.extend(decode(&body));
            }
            state.answer
        };
        let refused = ExportTracePartialSuccess { rejected_spans: 1, error_message: "not today".into() };
        let (status, body) = match answer {
            Answer::Silence => {
                // The client ends it, or the test the process.
                thread::sleep(10 * PATIENCE);
                return None;
            }
            Answer::Take => (200, Vec::new()),
            Answer::Refuse => (200, ExportTraceServiceResponse { partial_success: Some(refused) }.encode_to_vec()),
            Answer::Status(status) => (status, b"nothing that is read".to_vec()),
        };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).ok()
    }
}

fn text(value: &KeyValue) -> String {
    match value.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    }
}

fn decode(body: &[u8]) -> Vec<Seen> {
    let request = ExportTraceServiceRequest::decode(body).expect("a request of OTLP");
    let mut seen = Vec::new();
    for all in request.resource_spans {
        let named = all.resource.into_iter().flat_map(|resource| resource.attributes);
        let service = named.filter(|value| value.key == "service.name").map(|value| text(&value)).collect::<String>();
        for span in all.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            seen.push(Seen {
                trace: HEXLOWER.encode(&span.trace_id),
                span: HEXLOWER.encode(&span.span_id),
                parent: HEXLOWER.encode(&span.parent_span_id),
                state: span.trace_state,
                name: span.name,
                kind: span.kind,
                error: span.status.map(|status| status.message),
                attributes: span.attributes.iter().map(|value| (value.key.clone(), text(value))).collect(),
                service: service.clone(),
                start: span.start_time_unix_nano,
                end: span.end_time_unix_nano,
            });
        }
    }
    seen
}
