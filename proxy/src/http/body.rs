//! Bodies on their way through: never buffered, never copied, always
//! accounted for.

use super::{grpc, resend::Beginning, trailers};
use crate::{endpoint::Lease, in_flight::InFlight, upstream::Used};
use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;
use pin_project::{pin_project, pinned_drop};
use std::{
    error::Error,
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, Sleep},
};

/// How long a connection may take to let go of the body of a failed request.
const DROPPED_WITHIN: Duration = Duration::from_millis(10);

/// The body of a request on its way to the endpoint.
#[pin_project(PinnedDrop)]
#[derive(Debug)]
pub(crate) struct UploadBody {
    #[pin]
    inner: Option<Incoming>,
    /// Something of it was taken.
    begun: bool,
    /// All that was taken, while it can be sent again.
    beginning: Option<Box<Beginning>>,
    outside: Option<Arc<UploadOutside>>,
}

/// What is known of a request's body outside the connection that sends it.
#[derive(Debug, Default)]
struct UploadOutside {
    /// Set when nothing more comes from the client.
    end: OnceLock<UploadState>,
    /// All of the body, if it could be sent again when it was dropped.
    unsent: Mutex<Option<Unsent>>,
    dropped: Notify,
    /// There is an answer: it will never be sent again.
    answered: AtomicBool,
    /// How many pieces were taken.
    pieces: AtomicUsize,
}

/// All of a request's body, to be sent again.
#[derive(Debug)]
pub(crate) struct Unsent {
    inner: Incoming,
    beginning: Option<Box<Beginning>>,
}

impl UploadBody {
    /// A request without a body.
    pub(crate) fn none() -> Self {
        Self {
            inner: None,
            begun: false,
            beginning: None,
            outside: None,
        }
    }

    /// The client's body, and what tells how and when it ended.
    pub(crate) fn stream(inner: Incoming) -> (Self, Upload) {
        Self::again(Unsent {
            inner,
            beginning: None,
        })
    }

    /// Likewise, a body that was not sent after all.
    pub(crate) fn again(unsent: Unsent) -> (Self, Upload) {
        let outside = Arc::new(UploadOutside::default());
        (
            Self {
                inner: Some(unsent.inner),
                begun: false,
                beginning: unsent.beginning,
                outside: Some(outside.clone()),
            },
            Upload(Some(outside)),
        )
    }

    /// Bytes of an earlier attempt that come before the client's next.
    fn remaining(&self) -> u64 {
        self.beginning.as_ref().map_or(0, |known| known.remaining())
    }

    /// From now on keeps what is taken of it, up to a limit, so that it can
    /// be sent again.
    pub(crate) fn keep_beginning(&mut self) {
        if self.inner.is_some() && !self.begun {
            self.beginning.get_or_insert_default();
        }
    }
}

/// Watches a request's body on its way, from outside the connection that
/// sends it.
#[derive(Debug)]
pub(crate) struct Upload(Option<Arc<UploadOutside>>);

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
            Some(outside) => outside.end.get().copied().unwrap_or(UploadState::Running),
        }
    }

    /// The body, if it can be sent again. To be asked when its connection has
    /// given it up: that may hold on to it for a moment.
    pub(crate) async fn unsent(&self) -> Option<Unsent> {
        let outside = self.0.as_ref()?;
        let dropped = outside.dropped.notified();
        let _in_time = tokio::time::timeout(DROPPED_WITHIN, dropped).await;
        outside.unsent.lock().take()
    }

    /// There is an answer: nothing needs to be kept.
    pub(crate) fn answered(&self) {
        if let Some(outside) = &self.0 {
            outside.answered.store(true, Ordering::Relaxed);
            outside.unsent.lock().take();
        }
    }

    /// How many pieces of it were taken so far.
    pub(crate) fn pieces(&self) -> usize {
        let pieces = |outside: &Arc<UploadOutside>| outside.pieces.load(Ordering::Relaxed);
        self.0.as_ref().map_or(0, pieces)
    }

    /// Nothing more comes from the client, for better or worse.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.state(), UploadState::Running)
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
        if let Some(piece) = this.beginning.as_mut().and_then(|known| known.next()) {
            *this.begun = true;
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let frame = sifted(ready!(inner.as_mut().poll_frame(cx)));
        *this.begun = true;
        if let Some(outside) = &this.outside {
            outside.pieces.fetch_add(1, Ordering::Relaxed);
        }
        if let (Some(beginning), Some(outside)) = (this.beginning.as_mut(), &this.outside)
            && (outside.answered.load(Ordering::Relaxed) || !beginning.keep(&frame))
        {
            *this.beginning = None;
        }
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
        if let (Some(ended), Some(outside)) = (ended, this.outside) {
            // The first end counts: a body that is at its end may be asked again.
            let _first = outside.end.set(ended);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream) && self.remaining() == 0
    }

    fn size_hint(&self) -> SizeHint {
        let Some(inner) = &self.inner else {
            return SizeHint::with_exact(0);
        };
        let mut hint = inner.size_hint();
        let remaining = self.remaining();
        if remaining > 0 {
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + remaining);
            }
            hint.set_lower(hint.lower() + remaining);
        }
        hint
    }
}

#[pinned_drop]
impl PinnedDrop for UploadBody {
    fn drop(self: Pin<&mut Self>) {
        let mut this = self.project();
        let (Some(outside), Some(mut beginning)) = (this.outside, this.beginning.take()) else {
            return;
        };
        if !outside.answered.load(Ordering::Relaxed) {
            beginning.rewind();
            // `Incoming` is `Unpin`, so it may leave.
            *outside.unsent.lock() = this.inner.take().map(|inner| Unsent {
                inner,
                beginning: Some(beginning),
            });
            outside.dropped.notify_one();
        }
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
    /// `timeouts.request` ran out in the middle of the answer, and the client
    /// does not speak gRPC.
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
    at_deadline: AtDeadline,
    /// What the client speaks.
    client: Version,
    upload: Upload,
    used: Option<Used>,
    lease: Lease,
    in_flight: InFlight,
}

/// How an answer ends whose time runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtDeadline {
    /// It breaks off.
    Break,
    /// A gRPC client is told why.
    TellGrpc,
    /// It was told.
    Told,
}

impl TrackedBody {
    pub(crate) fn new(
        inner: Incoming,
        (deadline, at_deadline): (Option<Instant>, AtDeadline),
        client: Version,
        upload: Upload,
        used: Option<Used>,
        lease: Lease,
        in_flight: InFlight,
    ) -> Self {
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
        Self {
            inner,
            ended: false,
            deadline,
            at_deadline,
            client,
            upload,
            used,
            lease,
            in_flight,
        }
    }

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.project();
        // Before the body: one that always has more to give must end too.
        if let Some(deadline) = this.deadline
            && (*this.at_deadline == AtDeadline::Told || deadline.as_mut().poll(cx).is_ready())
        {
            return Poll::Ready(match *this.at_deadline {
                AtDeadline::Break => Some(Err(BodyError::RequestTimeout)),
                AtDeadline::TellGrpc => {
                    *this.at_deadline = AtDeadline::Told;
                    Some(Ok(Frame::trailers(grpc::deadline_exceeded())))
                }
                AtDeadline::Told => None,
            });
        }
        match this.inner.poll_frame(cx) {
            Poll::Ready(frame) => {
                *this.ended |= is_last(&frame);
                Poll::Ready(sifted(frame).map(|frame| frame.map_err(BodyError::from)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Without what may not be a trailer.
fn sifted<E>(mut frame: Option<Result<Frame<Bytes>, E>>) -> Option<Result<Frame<Bytes>, E>> {
    if let Some(Ok(frame)) = &mut frame
        && let Some(fields) = frame.trailers_mut()
    {
        trailers::sift(fields);
    }
    frame
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
        let is_answered = *this.ended || this.inner.is_end_stream();
        let Some(used) = this.used.take().filter(|_| is_answered) else {
            return;
        };
        if this.upload.is_complete() {
            let worker = this.in_flight.worker();
            this.lease.endpoint().give_back(worker, used);
        } else if !this.upload.is_over() {
            let upload = std::mem::replace(this.upload, Upload::none());
            used.linger(upload, *this.client);
        }
    }
}
