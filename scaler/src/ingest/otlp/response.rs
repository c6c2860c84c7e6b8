//! What senders are answered: `ExportMetricsServiceResponse`, or a `Status`
//! with what was wrong. Written by hand: three fields each.

use crate::ingest::Outcome;
use bytes::Bytes;
use prost::Message;
use serde::Serialize;

/// `opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceResponse`
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    #[prost(message, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    partial_success: Option<PartialSuccess>,
}

/// `opentelemetry.proto.collector.metrics.v1.ExportMetricsPartialSuccess`
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
struct PartialSuccess {
    /// A 64-bit number is text in protobuf's JSON.
    #[prost(int64, tag = "1")]
    #[serde(serialize_with = "as_text")]
    rejected_data_points: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// `google.rpc.Status`, the body of HTTP errors.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_text<S: serde::Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

impl Response {
    pub(super) fn of(outcome: &Outcome) -> Self {
        let rejected = outcome.rejected();
        Self {
            partial_success: (rejected > 0).then(|| PartialSuccess {
                rejected_data_points: i64::try_from(rejected).unwrap_or(i64::MAX),
                error_message: outcome.message(),
            }),
        }
    }
}

/// In which form a request came, and its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Protobuf,
    Json,
}

impl Form {
    /// From a `content-type`, whatever its parameters.
    pub(super) fn from_content_type(value: &str) -> Option<Self> {
        let (media, _) = value.split_once(';').unwrap_or((value, ""));
        let media = media.trim();
        if media.eq_ignore_ascii_case("application/x-protobuf") {
            Some(Self::Protobuf)
        } else if media.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    pub(super) fn bytes(self, message: &(impl Message + Serialize)) -> Bytes {
        match self {
            Self::Protobuf => message.encode_to_vec().into(),
            Self::Json => serde_json::to_vec(message)
                .expect("numbers and text only")
                .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::DropReason;
    use opentelemetry_proto::tonic::collector::metrics::v1 as proto;

    #[test]
    fn the_answer_is_what_the_protocol_says() {
        let mut outcome = Outcome::default();
        let answer = Response::of(&outcome);
        assert_eq!(Form::Protobuf.bytes(&answer).len(), 0);
        assert_eq!(&*Form::Json.bytes(&answer), b"{}");
        outcome.refuse(3, DropReason::Negative, "x");
        let answer = Response::of(&outcome);
        let read = proto::ExportMetricsServiceResponse::decode(Form::Protobuf.bytes(&answer));
        let partial = read.unwrap().partial_success.unwrap();
        assert_eq!(partial.rejected_data_points, 3);
        assert!(partial.error_message.contains("negative"));
        let json = Form::Json.bytes(&answer);
        let start = br#"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"3 dropped"#;
        assert!(json.starts_with(start), "{json:?}");
    }

    #[test]
    fn content_types_have_parameters() {
        let form = Form::from_content_type;
        assert_eq!(form("application/json; charset=utf-8"), Some(Form::Json));
        assert_eq!(form("Application/X-Protobuf"), Some(Form::Protobuf));
        assert_eq!(form("application/grpc"), None);
        assert_eq!(form(""), None);
    }
}
