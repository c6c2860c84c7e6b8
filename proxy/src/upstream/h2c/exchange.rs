//! One request and its answer's head on one stream.

use super::pool::Stream;
use crate::{
    http::{Interim, UploadBody},
    http2::{Broken, SendBody},
    upstream::{Asker, UpstreamError, expect},
};
use h2::{RecvStream, client::ResponseFuture};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

/// A request that got no answer.
pub(super) struct Failure {
    pub(super) error: UpstreamError,
    /// It never left: the peer allows no more streams yet, or its connection
    /// ended before.
    pub(super) is_unsent: bool,
}

/// Sends `request` on `stream` and waits for the head of its answer; passes on
/// what comes before it. What is left of the request's body then goes on in a
/// task of its own.
///
/// Cancel safe: dropping it resets the stream.
pub(super) async fn exchange(
    stream: &mut Stream,
    request: Request<UploadBody>,
    asker: Asker<'_>,
) -> Result<Response<RecvStream>, Failure> {
    let (mut head, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    if !has_body && expects_length(&head.method) {
        let none = || HeaderValue::from_static("0");
        head.headers
            .entry(header::CONTENT_LENGTH)
            .or_insert_with(none);
    }
    let (answer, send) = stream
        .open(Request::from_parts(head, ()), !has_body)
        .map_err(|error| Failure {
            error: UpstreamError::Http2(error),
            is_unsent: true,
        })?;
    let mut exchange = Exchange {
        is_queued: stream.is_queued(),
        is_unasked: has_body,
        stream,
        answer,
        sending: has_body.then(|| SendBody::new(body, send)),
    };
    let answer = poll_fn(|cx| exchange.poll(cx, asker)).await?;
    if let Some(mut sending) = exchange.sending.take() {
        // It ends with the body, or when either side gives it up.
        tokio::spawn(async move { poll_fn(|cx| sending.poll(cx)).await.ok() });
    }
    Ok(answer)
}

/// Where no length would be unusual (RFC 9110 section 8.6).
fn expects_length(method: &Method) -> bool {
    !matches!(
        *method,
        Method::GET | Method::HEAD | Method::DELETE | Method::CONNECT
    )
}

struct Exchange<'a> {
    stream: &'a mut Stream,
    /// The peer does not allow it to begin yet.
    is_queued: bool,
    /// The client was not asked for the body. Many servers of HTTP/2 know no
    /// expectations, so these are not waited for.
    is_unasked: bool,
    answer: ResponseFuture,
    /// What is left of the request's body.
    sending: Option<SendBody<UploadBody>>,
}

impl Exchange<'_> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        asker: Asker<'_>,
    ) -> Poll<Result<Response<RecvStream>, Failure>> {
        let mut is_unsent = false;
        if self.is_queued {
            let begun = self.stream.poll_begun(cx);
            is_unsent = !matches!(begun, Poll::Ready(Ok(())));
            // A connection that takes no more requests may still let it begin.
            self.is_queued = begun.is_pending();
        }
        if !self.is_queued && self.is_unasked {
            self.is_unasked = false;
            expect::ask(asker);
        }
        if !self.is_queued
            && let Some(sending) = &mut self.sending
        {
            match sending.poll(cx) {
                Poll::Pending => {}
                // Why the peer takes no more, its answer tells.
                Poll::Ready(Ok(()) | Err(Broken::Stream(_))) => self.sending = None,
                Poll::Ready(Err(Broken::Body(error))) => {
                    return Poll::Ready(Err(Failure {
                        error: UpstreamError::Upload(error),
                        is_unsent: false,
                    }));
                }
            }
        }
        while let Poll::Ready(Some(Ok(interim))) = self.answer.poll_informational(cx) {
            let (head, ()) = interim.into_parts();
            if let Some(relay) = asker.relay
                && head.status != StatusCode::CONTINUE
            {
                relay(Interim::new(head.status, None, head.headers));
            }
        }
        Pin::new(&mut self.answer)
            .poll(cx)
            .map_err(|error| Failure {
                error: UpstreamError::Http2(error),
                is_unsent,
            })
    }
}
