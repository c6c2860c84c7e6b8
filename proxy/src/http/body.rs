//! Bodies on their way through: never buffered, never copied, always
//! accounted for.

use super::{RequestBody, RequestBodyError, grpc, resend::Beginning, trailers};
use crate::{
    endpoint::Lease,
    in_flight::InFlight,
    journal::{Blame, Journal},
    upstream::{AnswerBody, UpstreamError},
};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use pin_project::{pin_project, pinned_drop};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
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
    inner: Option<RequestBody>,
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
    /// So many were taken.
    bytes: AtomicU64,
}

impl UploadOutside {
    fn count(&self, piece: &Bytes) {
        self.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
}

/// All of a request's body, to be sent again.
#[derive(Debug)]
pub(crate) struct Unsent {
    inner: RequestBody,
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
    pub(crate) fn stream(inner: RequestBody) -> (Self, Upload) {
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

    /// Is there a body at all?
    pub(crate) fn is_some(&self) -> bool {
        self.inner.is_some()
    }

    /// Tells from outside how it goes on.
    pub(crate) fn watch(&self) -> Upload {
        Upload(self.outside.clone())
    }

    /// Was nothing of it taken?
    pub(crate) fn is_untouched(&self) -> bool {
        !self.begun
    }

    /// What was taken and not sent comes again.
    pub(crate) fn put_back(&mut self, data: Bytes) {
        self.beginning.get_or_insert_default().put_back(data);
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

    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.state(), UploadState::Complete(_))
    }

    /// Watches the same body.
    pub(crate) fn share(&self) -> Self {
        Self(self.0.clone())
    }

    /// Bytes that were read of it.
    pub(crate) fn bytes(&self) -> u64 {
        let outside = self.0.as_ref();
        outside.map_or(0, |outside| outside.bytes.load(Ordering::Relaxed))
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
}

impl UploadState {
    /// The end that this error is.
    fn of(error: &RequestBodyError) -> Self {
        if error.is_malformed() {
            Self::Malformed
        } else {
            Self::ClientLeft
        }
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = self.project();
        let Some(mut inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(None);
        };
        if let Some(piece) = this.beginning.as_mut().and_then(|known| known.next()) {
            *this.begun = true;
            if let Some(outside) = this.outside {
                outside.count(&piece);
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let frame = sifted(ready!(inner.as_mut().poll_frame(cx)));
        *this.begun = true;
        if let (Some(Ok(frame)), Some(outside)) = (&frame, &this.outside)
            && let Some(piece) = frame.data_ref()
        {
            outside.count(piece);
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
            // The body is `Unpin`, so it may leave.
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
    /// The same, where somebody wants to know about the request.
    Journaled(Option<Bytes>, Journal),
}

impl ProxyBody {
    /// Our own words end the request of this journal.
    pub(crate) fn with(self, journal: Journal) -> Self {
        match self {
            Self::Own(bytes) if !journal.is_empty() => Self::Journaled(bytes, journal),
            other => other,
        }
    }
}

/// Why an answer's body broke off. The client sees a connection that ends
/// early (HTTP/1.1) or a reset stream (HTTP/2).
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The endpoint's connection broke.
    #[error("the endpoint broke off its answer: {0}")]
    Upstream(#[from] UpstreamError),
    /// `timeouts.request` ran out in the middle of the answer, and the client
    /// does not speak gRPC.
    #[error("the request timeout ran out during the answer")]
    RequestTimeout,
}

impl ProxyBody {
    /// The body of the request that this answers was read to its end; false
    /// if that is not known.
    pub(crate) fn is_uploaded(&self) -> bool {
        match self {
            Self::Upstream(body) => body.upload.is_complete(),
            Self::Own(_) | Self::Journaled(..) => false,
        }
    }
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
            ProxyBodyProjection::Journaled(bytes, journal) => {
                let frame = bytes.take().map(Frame::data);
                if let Some(frame) = &frame {
                    journal.passed(frame);
                }
                Poll::Ready(frame.map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(body) => body.is_end_stream(),
            Self::Own(bytes) | Self::Journaled(bytes, _) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(body) => body.size_hint(),
            Self::Own(bytes) | Self::Journaled(bytes, _) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}

/// An endpoint's answer, with everything that must last until its last byte:
/// the count of the request in flight, the claim on the endpoint, and the
/// connection, which goes back to the pool if all of it was read.
#[pin_project(PinnedDrop)]
#[derive(Debug)]
pub(crate) struct TrackedBody {
    /// Taken when dropped.
    inner: Option<AnswerBody>,
    /// Boxed: most routes have no request timeout.
    deadline: Option<Pin<Box<Sleep>>>,
    at_deadline: AtDeadline,
    /// How it broke off, while the client is still sent what came before.
    broken: Option<Box<UpstreamError>>,
    /// The request's own body, which may still be on its way.
    upload: Upload,
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
        inner: AnswerBody,
        (deadline, at_deadline): (Option<Instant>, AtDeadline),
        upload: Upload,
        lease: Lease,
        in_flight: InFlight,
    ) -> Self {
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
        Self {
            inner: Some(inner),
            deadline,
            at_deadline,
            broken: None,
            upload,
            lease,
            in_flight,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or(SizeHint::with_exact(0), Body::size_hint)
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
            this.in_flight.journal.ended_by(Blame::Proxy);
            return Poll::Ready(match *this.at_deadline {
                AtDeadline::Break => Some(Err(BodyError::RequestTimeout)),
                AtDeadline::TellGrpc => {
                    *this.at_deadline = AtDeadline::Told;
                    let trailers = Frame::trailers(grpc::deadline_exceeded());
                    this.in_flight.journal.passed(&trailers);
                    Some(Ok(trailers))
                }
                AtDeadline::Told => None,
            });
        }
        let Some(inner) = this.inner else {
            return Poll::Ready(None);
        };
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(BodyError::from(*error))));
        }
        match sifted(ready!(Pin::new(inner).poll_frame(cx))) {
            Some(Ok(frame)) => {
                this.in_flight.journal.passed(&frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.in_flight.journal.ended_by(Blame::Endpoint);
                // A connection whose body fails drops what it has not written
                // yet, perhaps even the head. One turn lets it write.
                *this.broken = Some(Box::new(error));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => Poll::Ready(None),
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
        if this.inner.as_ref().is_none_or(Body::is_end_stream) {
            this.in_flight.journal.ended_by(Blame::None);
        }
        if let Some(connection) = this.inner.take().and_then(AnswerBody::into_connection) {
            let worker = this.in_flight.worker();
            this.lease.endpoint().give_back(worker, connection);
        }
    }
}
