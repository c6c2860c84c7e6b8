//! One request: counted while it is under way, refused when there are too many.
//!
//! The service of one HTTP/2 connection. A request is under way until the body
//! of its answer has ended or was dropped, so an open stream is one all along.

use super::metrics::GrpcMetrics;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use pin_project::pin_project;
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tonic::{
    Status,
    body::Body,
    codegen::{Bytes, Service, http},
    service::Routes,
};

/// What was asked on one connection.
#[derive(Debug, Default)]
pub(super) struct Usage {
    begun: AtomicU64,
    open: AtomicUsize,
}

impl Usage {
    /// Requests so far.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }
}

/// Answers the requests of one connection.
pub(super) struct Answering {
    pub(super) routes: Routes,
    pub(super) usage: Arc<Usage>,
    pub(super) metrics: Arc<GrpcMetrics>,
    pub(super) max_requests: usize,
}

impl hyper::service::Service<http::Request<Incoming>> for Answering {
    type Response = http::Response<Tracked>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let Some(under_way) = UnderWay::begin(self) else {
            return Box::pin(async {
                let refused = Status::resource_exhausted("too many requests are under way");
                Ok(refused.into_http().map(|body| Tracked {
                    body,
                    under_way: None,
                }))
            });
        };
        // Routes are always ready.
        let answer = self.routes.clone().call(request);
        Box::pin(async {
            let answer = answer.await?;
            Ok(answer.map(|body| Tracked {
                body,
                under_way: Some(under_way),
            }))
        })
    }
}

/// A request until it is dropped.
struct UnderWay {
    usage: Arc<Usage>,
    metrics: Arc<GrpcMetrics>,
}

impl UnderWay {
    fn begin(of: &Answering) -> Option<Self> {
        // Refused or not: the client is not idle.
        of.usage.begun.fetch_add(1, Ordering::Relaxed);
        if !of.metrics.begin_request(of.max_requests) {
            return None;
        }
        of.usage.open.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            usage: Arc::clone(&of.usage),
            metrics: Arc::clone(&of.metrics),
        })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.usage.open.fetch_sub(1, Ordering::Relaxed);
        self.metrics.end_request();
    }
}

/// The body of an answer.
#[pin_project]
pub(super) struct Tracked {
    #[pin]
    body: Body,
    under_way: Option<UnderWay>,
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
