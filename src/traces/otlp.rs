//! The messages of OTLP that spans need (opentelemetry-proto 1.x: `collector/trace/v1`, `trace/v1`, `common/v1`). Fields that
//! are never set are left out.

use prost::{Message, Oneof};

use super::{AttributeValue, EndedSpan};

#[derive(Clone, PartialEq, Message)]
pub(super) struct TraceRequest {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// `STATUS_CODE_ERROR`.
const ERROR: i32 = 2;

/// The flag of a sampled trace.
const SAMPLED: u32 = 1;

/// A request with these spans, of one replica.
pub(super) fn request(service: &str, instance: &str, spans: Vec<EndedSpan>) -> TraceRequest {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = [("service.name", service), ("service.instance.id", instance), ("service.version", version)];
    let attributes = attributes.map(|(key, value)| key_value(key, AttributeValue::from(value)));
    let scope = Scope { name: env!("CARGO_PKG_NAME").to_owned(), version: version.to_owned() };
    TraceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: attributes.into() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans: spans.into_iter().map(span).collect() }],
        }],
    }
}

fn span(ended: EndedSpan) -> Span {
    let EndedSpan { context, parent, name, kind, start_ns, end_ns, attributes, is_error } = ended;
    Span {
        trace_id: context.trace_id.into(),
        span_id: context.span_id.into(),
        parent_span_id: parent.map(Vec::from).unwrap_or_default(),
        name,
        kind: kind as i32,
        start_time_unix_nano: start_ns,
        end_time_unix_nano: end_ns,
        attributes: attributes.into_iter().map(|(key, value)| key_value(key, value)).collect(),
        status: is_error.then_some(Status { code: ERROR }),
        flags: SAMPLED,
    }
}

fn key_value(key: &str, value: AttributeValue) -> KeyValue {
    let value = match value {
        AttributeValue::Text(text) => Value::Text(text),
        AttributeValue::Number(number) => Value::Number(number),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
