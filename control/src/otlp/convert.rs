//! The proxy's spans as OTLP has them.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status, span::SpanKind as Kind, status::StatusCode,
    },
};
use proxy::{AttributeValue, SpanKind, SpanRecord};
use std::time::{SystemTime, UNIX_EPOCH};

const SCOPE: &str = "reveille.proxy";
/// Of `Span.flags`: the sampled flag, and that it is known whether the parent
/// is of another process, and that it is.
const SAMPLED: u32 = 0x01;
const PARENT_IS_KNOWN: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x200;

/// This process.
pub(super) fn resource(attributes: &[(String, String)]) -> Resource {
    let attributes = attributes
        .iter()
        .map(|(key, value)| key_value(key, Value::StringValue(value.clone())));
    Resource {
        attributes: attributes.collect(),
        ..Resource::default()
    }
}

pub(super) fn resource_spans(resource: &Resource, spans: Vec<SpanRecord>) -> ResourceSpans {
    ResourceSpans {
        resource: Some(resource.clone()),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: SCOPE.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..InstrumentationScope::default()
            }),
            spans: spans.into_iter().map(span).collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

fn span(record: SpanRecord) -> Span {
    let (kind, remote) = match record.kind {
        SpanKind::Server if record.parent.is_some() => (Kind::Server, PARENT_IS_REMOTE),
        SpanKind::Server => (Kind::Server, 0),
        SpanKind::Client => (Kind::Client, 0),
        SpanKind::Internal => (Kind::Internal, 0),
    };
    let attributes = record.attributes.into_iter().map(|(key, value)| {
        let value = match value {
            AttributeValue::Text(text) => Value::StringValue(text),
            AttributeValue::Int(number) => Value::IntValue(number),
            AttributeValue::Bool(is_so) => Value::BoolValue(is_so),
        };
        key_value(key, value)
    });
    Span {
        trace_id: record.trace_id.to_vec(),
        span_id: record.span_id.to_vec(),
        trace_state: record.tracestate,
        parent_span_id: record.parent.map(|id| id.to_vec()).unwrap_or_default(),
        flags: SAMPLED | PARENT_IS_KNOWN | remote,
        name: record.name,
        kind: kind.into(),
        start_time_unix_nano: unix_nanos(record.begin),
        end_time_unix_nano: unix_nanos(record.end),
        attributes: attributes.collect(),
        status: record.error.map(|message| Status {
            message,
            code: StatusCode::Error.into(),
        }),
        ..Span::default()
    }
}

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn unix_nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
