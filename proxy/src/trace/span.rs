//! A finished span, as the sink gets it: plain data, close to OTLP's own.

use super::{SpanId, TraceId};
use std::time::SystemTime;

/// One finished span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// Its trace.
    pub trace_id: TraceId,
    /// Itself.
    pub span_id: SpanId,
    /// Whose child it is; None: the trace begins with it.
    pub parent: Option<SpanId>,
    /// `tracestate` as it came, lines joined.
    pub tracestate: String,
    /// Its kind.
    pub kind: SpanKind,
    /// Its name.
    pub name: String,
    /// When it began.
    pub begin: SystemTime,
    /// When it ended.
    pub end: SystemTime,
    /// Names are those of OpenTelemetry's semantic conventions, or begin with
    /// `reveille.`.
    pub attributes: Vec<(&'static str, AttributeValue)>,
    /// It failed, and why (may be empty).
    pub error: Option<String>,
}

/// What a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A request of a client's.
    Server,
    /// A request to an endpoint.
    Client,
    /// Something in between.
    Internal,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for AttributeValue {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
