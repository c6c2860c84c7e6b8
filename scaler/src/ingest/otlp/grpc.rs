//! OTLP over gRPC: `MetricsService/Export`, on the connections of a
//! [`crate::grpc::Server`].
//!
//! The service takes the message as bytes, so that tonic decodes nothing (see
//! `wire.rs`). tonic takes compression off and stops at the limit of a message.
//! Traces and logs are answered `UNIMPLEMENTED`.

use super::{Otlp, response::Response};
use crate::{grpc::AnswerWithin, ingest::Source, series::unix_ms};
use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use prost::Message;
use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tonic::{
    Code, Status,
    body::Body,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, NamedService, UnaryService},
    service::Routes,
};

const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// From the head of a request to its answer: a sender that stalls keeps one of
/// the few places no longer than this.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// `opentelemetry.proto.collector.metrics.v1.MetricsService`.
#[derive(Clone, Debug)]
pub struct OtlpGrpc(Arc<Otlp>);

impl OtlpGrpc {
    /// The service's full name, for the health service.
    pub const SERVICE: &str = <Self as NamedService>::NAME;

    /// Hands what it receives to `otlp`.
    #[must_use]
    pub fn new(otlp: Arc<Otlp>) -> Self {
        Self(otlp)
    }

    /// Adds the service to those of one connection.
    #[must_use]
    pub fn add_to(&self, routes: Routes) -> Routes {
        routes.add_service(AnswerWithin::new(ANSWER_WITHIN, self.clone()))
    }
}

impl NamedService for OtlpGrpc {
    const NAME: &'static str = "opentelemetry.proto.collector.metrics.v1.MetricsService";
}

impl tonic::codegen::Service<http::Request<Body>> for OtlpGrpc {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let otlp = self.0.clone();
        Box::pin(async move {
            if request.uri().path() != EXPORT {
                return Ok(Status::unimplemented("only Export is known").into_http());
            }
            // Before the body is read: what waits for a place holds no memory.
            let Some(_place) = otlp.place().await else {
                otlp.counters.refused(Source::OtlpGrpc);
                return Ok(Status::unavailable("too many requests at once").into_http());
            };
            let most = otlp.limits.message_bytes;
            let mut grpc = Grpc::new(Raw)
                .accept_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Zstd)
                .max_decoding_message_size(most);
            let answer = grpc.unary(Export(otlp.clone()), request).await;
            if answer
                .headers()
                .get(Status::GRPC_STATUS)
                .is_some_and(|code| code != "0")
            {
                otlp.counters.refused(Source::OtlpGrpc);
            }
            Ok(answer)
        })
    }
}

/// The one method.
struct Export(Arc<Otlp>);

impl UnaryService<Bytes> for Export {
    type Response = Response;
    type Future = Ready<Result<tonic::Response<Response>, Status>>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let body = request.into_inner();
        ready(match self.0.take(Source::OtlpGrpc, &body, unix_ms()) {
            Ok(outcome) if outcome.is_full() => {
                Err(Status::new(Code::ResourceExhausted, outcome.message()))
            }
            Ok(outcome) => Ok(tonic::Response::new(Response::of(&outcome))),
            Err(error) => Err(Status::invalid_argument(format!(
                "not an ExportMetricsServiceRequest: {error}"
            ))),
        })
    }
}

/// Messages in as they are, answers out as protobuf.
struct Raw;

impl Codec for Raw {
    type Encode = Response;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Response;
    type Error = Status;

    fn encode(&mut self, item: Response, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(to)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
