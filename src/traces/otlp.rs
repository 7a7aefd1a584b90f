//! Spans in the form of OTLP.

use crate::config::RuntimeConfig;
use crate::config::traces::SERVICE_NAME;
use crate::router::{Span, Traced};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, Status};
use prost::Message;
use std::time::Duration;

/// The parent is known to be another process (bits 8 and 9 of the flags).
const REMOTE: u32 = 0x300;
/// It is known to be none.
const LOCAL: u32 = 0x100;

/// What all spans of a router have in common.
pub(super) fn resource(config: &RuntimeConfig) -> Resource {
    let service = config.traces_service_name.as_deref().unwrap_or(SERVICE_NAME);
    let attributes = vec![
        text("service.name", service),
        text("service.version", env!("CARGO_PKG_VERSION")),
        number("process.pid", std::process::id().into()),
    ];
    Resource { attributes, ..Resource::default() }
}

/// A request to a collector, with these spans. `epoch` is the start of time, since 1970.
pub(super) fn request(resource: &Resource, spans: &[Span], epoch: Duration) -> Vec<u8> {
    let scope = InstrumentationScope {
        name: env!("CARGO_PKG_NAME").into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..InstrumentationScope::default()
    };
    let spans = spans.iter().map(|span| encode(span, epoch)).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let all = ResourceSpans { resource: Some(resource.clone()), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![all] }.encode_to_vec()
}

/// What a collector says of a request that it has taken: how many of its spans it did not want, and why.
pub(super) fn rejected(body: &[u8]) -> Option<(u64, String)> {
    let partial = ExportTraceServiceResponse::decode(body).ok()?.partial_success?;
    let spans = u64::try_from(partial.rejected_spans).ok().filter(|spans| *spans > 0)?;
    Some((spans, partial.error_message))
}

fn encode(span: &Span, epoch: Duration) -> OtlpSpan {
    let nanos = |time: Duration| u64::try_from((epoch + time).as_nanos()).unwrap_or(u64::MAX);
    let (name, kind) = match span.what {
        Traced::Call { .. } => (span.uri.to_string(), SpanKind::Server),
        Traced::Publication { .. } => (format!("publish {}", span.uri), SpanKind::Producer),
    };
    let status = span.error.as_ref().map(|error| Status { code: StatusCode::Error.into(), message: error.to_string() });
    OtlpSpan {
        trace_id: span.context.trace.to_be_bytes().into(),
        span_id: span.context.span.to_be_bytes().into(),
        trace_state: span.state.as_deref().unwrap_or_default().into(),
        parent_span_id: span.parent.map_or_else(Vec::new, |parent| parent.to_be_bytes().into()),
        flags: 1 | if span.parent.is_some() { REMOTE } else { LOCAL },
        name,
        kind: kind.into(),
        start_time_unix_nano: nanos(span.start),
        end_time_unix_nano: nanos(span.end.max(span.start)),
        attributes: attributes(span),
        status,
        ..OtlpSpan::default()
    }
}

fn attributes(span: &Span) -> Vec<KeyValue> {
    let mut attributes = match span.what {
        Traced::Call { callee } => {
            let mut call = vec![text("rpc.system", "wamp"), text("rpc.method", &span.uri)];
            call.extend(callee.map(|callee| number("wamp.callee.session.id", callee.get())));
            call
        }
        Traced::Publication { id, receivers } => {
            let mut publication = vec![
                text("messaging.system", "wamp"),
                text("messaging.operation.name", "publish"),
                text("messaging.operation.type", "send"),
                text("messaging.destination.name", &span.uri),
                number("wamp.receivers", receivers),
            ];
            publication.extend(id.map(|id| text("messaging.message.id", &id.get().to_string())));
            publication
        }
    };
    attributes.push(text("wamp.realm", &span.realm));
    attributes.push(number("wamp.session.id", span.session.get()));
    attributes.push(number("corebar.shard", span.shard.into()));
    attributes.extend(span.error.as_ref().map(|error| text("error.type", error)));
    attributes
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, text: &str) -> KeyValue {
    attribute(key, Value::StringValue(text.into()))
}

fn number(key: &str, number: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(number).unwrap_or(i64::MAX)))
}
