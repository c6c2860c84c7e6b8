//! One request of an HTTP/2 connection and its answer, on one stream.

use super::date;
use crate::{
    forward::forward,
    http::{ProxyBody, RequestBody, hop},
    http2::{Broken, ReceivedBody, SendBody, StreamIo},
    server::{
        activity::Activity,
        caller::{Caller, StreamCaller},
        exchange::Served,
    },
};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderValue, Method, Request, Response, StatusCode, header, response};
use http_body::Body;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

/// Serves one request until the last byte of its answer was handed over, or
/// its tunnel has ended.
///
/// Cancel safe: dropped, the request is given up and its stream is reset.
pub(super) async fn serve(
    served: &Served,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let (shared, client) = &**served;
    let _in_progress = InProgress::begin(&client.activity);
    let method = request.method().clone();
    let (head, received) = request.into_parts();
    // What follows a CONNECT is no body (RFC 9113 section 8.5).
    let (body, tunnelled) = if method == Method::CONNECT {
        (RequestBody::None, Some(received))
    } else {
        let body = ReceivedBody::of_request(received, &head.headers);
        (RequestBody::Http2(body), None)
    };

    let caller = StreamCaller::default();
    let request = Request::from_parts(head, body);
    // Pinned where it is made: it is large.
    let mut answer = pin!(forward(shared, Caller::Http2(client, &caller), request));
    let Some(response) = until_reset(answer.as_mut(), &caller, &mut respond).await else {
        return;
    };

    let tunnel = tunnelled.and_then(|receive| Some((caller.take_tunnel()?, receive)));
    if let Some((tunnel, receive)) = tunnel {
        if let Some(send) = send_head(&mut respond, response.into_parts().0, false) {
            let io = StreamIo::new(receive, send);
            tunnel.run_on_stream(io, shared.drain.deadline()).await;
        }
        return;
    }
    let (mut head, body) = response.into_parts();
    let has_body = frame(&mut head, &body, &method);
    let send = send_head(&mut respond, head, !has_body);
    if let Some(send) = send.filter(|_| has_body) {
        let mut sending = SendBody::new(body, send);
        match poll_fn(|cx| sending.poll(cx)).await {
            Ok(()) => {}
            Err(Broken::Stream(error)) => tracing::trace!(%error, "an answer was given up"),
            Err(Broken::Body(error)) => tracing::debug!(%error, "an answer broke off"),
        }
    }
}

/// What `answer` comes to, unless the client gives it up before. Interim heads
/// go out as they come.
async fn until_reset(
    mut answer: Pin<&mut impl Future<Output = Response<ProxyBody>>>,
    caller: &StreamCaller,
    respond: &mut SendResponse<Bytes>,
) -> Option<Response<ProxyBody>> {
    poll_fn(|cx| {
        let polled = answer.as_mut().poll(cx);
        for interim in caller.take_interim() {
            // A stream that is reset hears nothing any more.
            let _sent = respond.send_informational(interim.into_http2());
        }
        match polled {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => respond.poll_reset(cx).map(|_reset| None),
        }
    })
    .await
}

/// Completes the head of an answer. False: it has no body, whatever comes with
/// it (RFC 9110 sections 9.3.2 and 15.3.5).
fn frame(head: &mut response::Parts, body: &ProxyBody, method: &Method) -> bool {
    let is_bodiless =
        head.status == StatusCode::NO_CONTENT || head.status == StatusCode::NOT_MODIFIED;
    let has_body = !body.is_end_stream() && !is_bodiless;
    // An endpoint's answer was framed by it. Our own words are made for any
    // client.
    if !matches!(body, ProxyBody::Upstream(_)) {
        hop::strip(&mut head.headers);
        if has_body && let Some(length) = body.size_hint().exact() {
            let length = || HeaderValue::from(length);
            let headers = &mut head.headers;
            headers.entry(header::CONTENT_LENGTH).or_insert_with(length);
        }
    }
    has_body && *method != Method::HEAD
}

/// Sends the head of an answer. None: the stream is gone.
fn send_head(
    respond: &mut SendResponse<Bytes>,
    mut head: response::Parts,
    is_end: bool,
) -> Option<SendStream<Bytes>> {
    head.headers.entry(header::DATE).or_insert_with(date::now);
    match respond.send_response(Response::from_parts(head, ()), is_end) {
        Ok(send) => Some(send),
        Err(error) => {
            tracing::debug!(%error, "an answer could not be sent");
            respond.send_reset(Reason::INTERNAL_ERROR);
            None
        }
    }
}

/// A request in progress, for the limits of its connection.
struct InProgress<'a>(&'a Activity);

impl<'a> InProgress<'a> {
    fn begin(activity: &'a Activity) -> Self {
        let _is_last = activity.begin();
        Self(activity)
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        // HTTP/1.1 alone minds the rest of a body.
        self.0.end(true);
    }
}
