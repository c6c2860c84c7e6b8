//! The two services of an OpenCensus agent, on the connections of a
//! [`crate::grpc::Server`].
//!
//! `MetricsService/Export` is read message by message for as long as its sender
//! stays. `TraceService` is taken and thrown away: who sends metrics opens it
//! first, and would come back for ever if it were refused.

use super::{
    Stream,
    frames::{Frames, too_large},
};
use crate::{
    grpc::Connection,
    ingest::{Source, inflate::Encoding, otlp::Otlp},
    series::unix_ms,
};
use bytes::Bytes;
use futures_util::{future::BoxFuture, stream};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::StreamBody;
use std::{
    convert::Infallible,
    future::Future,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::watch;
use tonic::{Code, Status, body::Body, server::NamedService, service::Routes};

const EXPORT: &str = "/opencensus.proto.agent.metrics.v1.MetricsService/Export";
const TRACE_EXPORT: &str = "/opencensus.proto.agent.trace.v1.TraceService/Export";
const TRACE_CONFIG: &str = "/opencensus.proto.agent.trace.v1.TraceService/Config";

/// From the head of a message to its end: a sender that stalls keeps one of the
/// few places no longer than this.
const MESSAGE_WITHIN: Duration = Duration::from_secs(10);

/// Receives what OpenCensus' exporters send to their agent.
#[derive(Clone, Debug)]
pub struct OpenCensus(Arc<Otlp>);

impl OpenCensus {
    /// The services' full names, for the health service.
    pub const SERVICES: [&str; 2] = [MetricsService::NAME, TraceService::NAME];

    /// Hands data points to `otlp`, and takes its limits and its places.
    #[must_use]
    pub fn new(otlp: Arc<Otlp>) -> Self {
        Self(otlp)
    }

    /// Adds the services to those of one connection, with which their streams
    /// end.
    #[must_use]
    pub fn add_to(&self, routes: Routes, connection: &Connection) -> Routes {
        let streams = Streams {
            otlp: self.0.clone(),
            closing: connection.closing.clone(),
        };
        routes
            .add_service(MetricsService(streams.clone()))
            .add_service(TraceService(streams))
    }
}

/// What the services of one connection need.
#[derive(Clone, Debug)]
struct Streams {
    otlp: Arc<Otlp>,
    closing: watch::Receiver<bool>,
}

#[derive(Clone, Debug)]
struct MetricsService(Streams);

#[derive(Clone, Debug)]
struct TraceService(Streams);

impl NamedService for MetricsService {
    const NAME: &'static str = "opencensus.proto.agent.metrics.v1.MetricsService";
}

impl NamedService for TraceService {
    const NAME: &'static str = "opencensus.proto.agent.trace.v1.TraceService";
}

impl tonic::codegen::Service<http::Request<Body>> for MetricsService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let streams = self.0.clone();
        Box::pin(async move {
            if request.uri().path() != EXPORT {
                return Ok(Status::unimplemented("only Export is known").into_http());
            }
            Ok(streams.answer(request, Streams::metrics))
        })
    }
}

impl tonic::codegen::Service<http::Request<Body>> for TraceService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let streams = self.0.clone();
        Box::pin(async move {
            if !matches!(request.uri().path(), TRACE_EXPORT | TRACE_CONFIG) {
                return Ok(Status::unimplemented("only Export and Config are known").into_http());
            }
            Ok(streams.answer(request, Streams::traces))
        })
    }
}

impl Streams {
    /// An answer that begins at once and ends when `read` has ended.
    fn answer<F>(
        self,
        request: http::Request<Body>,
        read: impl FnOnce(Self, Frames) -> F,
    ) -> http::Response<Body>
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let name = request.headers().get("grpc-encoding");
        let name = name.map_or(Ok(""), HeaderValue::to_str).unwrap_or("?");
        let Some(encoding) = Encoding::from_name(name) else {
            self.otlp.counters().refused(Source::OpenCensus);
            let text = format!("grpc-encoding {name:?}: gzip, zstd or none is expected");
            let mut refused = Status::unimplemented(text).into_http();
            let known = HeaderValue::from_static("identity,gzip,zstd");
            refused.headers_mut().insert("grpc-accept-encoding", known);
            return refused;
        };
        let otlp = self.otlp.clone();
        let reading = read(self, Frames::new(request.into_body(), encoding));
        let ended = async move {
            let status = match reading.await {
                Ok(()) => Status::new(Code::Ok, ""),
                Err(status) => {
                    otlp.counters().refused(Source::OpenCensus);
                    tracing::debug!(%status, "OpenCensus: a stream was refused");
                    status
                }
            };
            let mut trailers = HeaderMap::new();
            status.add_header(&mut trailers)?;
            Ok::<_, Status>(Frame::<Bytes>::trailers(trailers))
        };
        let body = Body::new(StreamBody::new(stream::once(Box::pin(ended))));
        let mut response = http::Response::new(body);
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(CONTENT_TYPE, grpc);
        response
    }

    async fn metrics(mut self, mut frames: Frames) -> Result<(), Status> {
        let most = self.otlp.limits().message_bytes;
        let mut stream = Stream::new(self.otlp.clone());
        loop {
            let head = tokio::select! {
                biased;
                // Also when the server is gone.
                _ = self.closing.wait_for(|closing| *closing) => return Ok(()),
                head = frames.head() => head?,
            };
            let Some(head) = head else {
                return Ok(());
            };
            if head.length > most {
                return Err(too_large(most));
            }
            // Before the message is read: what waits for a place holds no
            // memory.
            let _place = self.otlp.place_in_turn().await;
            let read = tokio::time::timeout(MESSAGE_WITHIN, frames.message(head, most));
            let body = read.await.map_err(|_elapsed| {
                let text = format!("a message did not arrive in full within {MESSAGE_WITHIN:?}");
                Status::deadline_exceeded(text)
            })??;
            let taken = stream.take(&body, unix_ms());
            let outcome = taken.map_err(|problem| Status::invalid_argument(problem.to_string()))?;
            if outcome.rejected() > 0 {
                // There is no answer in which the sender could be told.
                let dropped = outcome.message();
                tracing::debug!(%dropped, "OpenCensus: data points were not stored");
            }
        }
    }

    async fn traces(mut self, mut frames: Frames) -> Result<(), Status> {
        loop {
            let head = tokio::select! {
                biased;
                _ = self.closing.wait_for(|closing| *closing) => return Ok(()),
                head = frames.head() => head?,
            };
            let Some(head) = head else {
                return Ok(());
            };
            frames.skip(head).await?;
            self.otlp.counters().discarded(Source::OpenCensus);
        }
    }
}
