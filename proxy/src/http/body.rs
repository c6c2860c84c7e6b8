//! Bodies on their way through: never buffered, never copied, always
//! accounted for.

use crate::{endpoint::Lease, in_flight::InFlight, upstream::Sender};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project::{pin_project, pinned_drop};
use std::{
    error::Error,
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};
use tokio::time::{Instant, Sleep};

/// The body of a request on its way to the endpoint.
#[pin_project]
#[derive(Debug)]
pub(crate) struct UploadBody {
    #[pin]
    inner: Option<Incoming>,
    /// Told when nothing more comes from the client.
    end: Option<Arc<OnceLock<UploadState>>>,
}

impl UploadBody {
    /// A request without a body.
    pub(crate) fn none() -> Self {
        Self {
            inner: None,
            end: None,
        }
    }

    /// The client's body, and what tells how and when it ended.
    pub(crate) fn stream(inner: Incoming) -> (Self, Upload) {
        let end = Arc::new(OnceLock::new());
        (
            Self {
                inner: Some(inner),
                end: Some(end.clone()),
            },
            Upload(Some(end)),
        )
    }
}

/// Watches a request's body on its way, from outside the connection that
/// sends it.
#[derive(Debug)]
pub(crate) struct Upload(Option<Arc<OnceLock<UploadState>>>);

/// Where a request's body stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UploadState {
    /// More is to come.
    Running,
    /// All of it was read from the client, at this time; None: there was
    /// nothing to read.
    Complete(Option<Instant>),
    /// The client left in the middle.
    ClientLeft,
    /// What the client sent is no body.
    Malformed,
}

impl Upload {
    /// Nothing to pass on.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn state(&self) -> UploadState {
        match &self.0 {
            None => UploadState::Complete(None),
            Some(end) => end.get().copied().unwrap_or(UploadState::Running),
        }
    }

    fn is_complete(&self) -> bool {
        matches!(self.state(), UploadState::Complete(_))
    }
}

impl UploadState {
    /// The end that this error is.
    fn of(error: &hyper::Error) -> Self {
        use std::io::ErrorKind::{InvalidData, InvalidInput};
        let cause = error.source();
        let kind = cause
            .and_then(|cause| cause.downcast_ref::<std::io::Error>())
            .map(std::io::Error::kind);
        match kind {
            Some(InvalidData | InvalidInput) => Self::Malformed,
            _ => Self::ClientLeft,
        }
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.project();
        let Some(mut inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(inner.as_mut().poll_frame(cx));
        let ended = match &frame {
            Some(Err(error)) => Some(UploadState::of(error)),
            // Not every body is asked for its end: one that says that it is
            // over is not, nor one of declared length, which over HTTP/2 may
            // have all its bytes before it says so.
            _ if is_last(&frame)
                || inner.is_end_stream()
                || inner.size_hint().exact() == Some(0) =>
            {
                Some(UploadState::Complete(Some(Instant::now())))
            }
            _ => None,
        };
        if let (Some(ended), Some(end)) = (ended, this.end) {
            // The first end counts: a body that is at its end may be asked again.
            let _first = end.set(ended);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The body of an answer to a client.
#[pin_project(project = ProxyBodyProjection)]
#[derive(Debug)]
pub(crate) enum ProxyBody {
    /// An endpoint's answer.
    Upstream(#[pin] TrackedBody),
    /// Our own words.
    Own(Option<Bytes>),
}

/// Why an answer's body broke off. The client sees a connection that ends
/// early (HTTP/1.1) or a reset stream (HTTP/2).
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The endpoint's connection broke.
    #[error("the endpoint broke off its answer: {0}")]
    Upstream(#[from] hyper::Error),
    /// The route's `timeouts.request` ran out in the middle of the answer.
    #[error("the request timeout ran out during the answer")]
    RequestTimeout,
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.project() {
            ProxyBodyProjection::Upstream(body) => body.poll_frame(cx),
            ProxyBodyProjection::Own(bytes) => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(body) => body.inner.is_end_stream(),
            Self::Own(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(body) => body.inner.size_hint(),
            Self::Own(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}

/// An endpoint's answer, with everything that must last until its last byte:
/// the count of the request in flight, the claim on the endpoint, and the
/// connection, which goes back to the pool if both bodies got through.
#[pin_project(PinnedDrop)]
#[derive(Debug)]
pub(crate) struct TrackedBody {
    #[pin]
    inner: Incoming,
    /// The end was seen. Without it, a body of known length may still be at
    /// its end: hyper does not ask again after the last byte of one.
    ended: bool,
    /// Boxed: most routes have no request timeout.
    deadline: Option<Pin<Box<Sleep>>>,
    upload: Upload,
    sender: Option<Sender>,
    lease: Lease,
    in_flight: InFlight,
}

impl TrackedBody {
    pub(crate) fn new(
        inner: Incoming,
        deadline: Option<Instant>,
        upload: Upload,
        sender: Sender,
        lease: Lease,
        in_flight: InFlight,
    ) -> Self {
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
        Self {
            inner,
            ended: false,
            deadline,
            upload,
            sender: Some(sender),
            lease,
            in_flight,
        }
    }

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.project();
        match this.inner.poll_frame(cx) {
            Poll::Ready(frame) => {
                *this.ended |= is_last(&frame);
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
            Poll::Pending => {
                if let Some(deadline) = this.deadline {
                    ready!(deadline.as_mut().poll(cx));
                    return Poll::Ready(Some(Err(BodyError::RequestTimeout)));
                }
                Poll::Pending
            }
        }
    }
}

/// Does nothing come after this? Trailers are the end of what has them.
fn is_last<E>(frame: &Option<Result<Frame<Bytes>, E>>) -> bool {
    match frame {
        None => true,
        Some(Ok(frame)) => frame.is_trailers(),
        Some(Err(_)) => false,
    }
}

#[pinned_drop]
impl PinnedDrop for TrackedBody {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        let complete = (*this.ended || this.inner.is_end_stream()) && this.upload.is_complete();
        if let Some(sender) = this.sender.take()
            && complete
        {
            this.lease
                .endpoint()
                .idle()
                .put(this.in_flight.worker(), sender);
        }
    }
}
