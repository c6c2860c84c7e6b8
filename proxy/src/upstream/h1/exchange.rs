//! One request and its answer's head on one connection.

use super::{
    Connection, ResponseBody, Switched,
    encode::Outgoing,
    head::{self, Framing, Head, Parsed},
    interim,
    linger::{Unfinished, finish_half},
};
use crate::{
    http::UploadBody,
    upstream::{
        Answer, AnswerBody, Asker, Relay, UpstreamError,
        expect::{self, Expectation},
    },
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use hyper::ext::ReasonPhrase;
use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};
use tokio::sync::oneshot;

/// What is to be done with a connection when the head of the answer is there.
pub(super) enum Next {
    /// Nothing is left to do on it and another request may follow.
    Free(Connection),
    /// The answer is here, and the request's body is still on its way.
    FinishRequest(Box<Unfinished>),
    /// The answer's body goes on with it, or it is of no more use.
    Nothing,
}

/// An exchange that ended without an answer.
pub(super) enum Failure {
    /// Nothing of the request was sent. It is unharmed.
    Unsent(UpstreamError),
    /// It may have been seen.
    NoAnswer(UpstreamError),
    BadAnswer(UpstreamError),
}

/// Sends `request` and waits for the head of its answer, whose headers take
/// the place of the request's. Without an answer, the request is as it was,
/// but for what was taken of its body.
///
/// Cancel safe: dropping it closes the connection.
pub(super) async fn exchange(
    connection: Connection,
    request: &mut Request<UploadBody>,
    asker: Asker<'_>,
) -> Result<(Answer, Next), Failure> {
    let outgoing = Outgoing::new(request, asker.stranger).map_err(Failure::Unsent)?;
    let mut exchange = Exchange {
        connection,
        outgoing,
        expectation: Expectation::of(asker),
        sending: Sending::Running,
        partial: BytesMut::new(),
    };
    exchange.outgoing.holds_body = exchange.expectation.is_some();
    let received = poll_fn(|cx| exchange.poll(cx, request, asker)).await;
    let (head, rest) = match received {
        Ok(received) => received,
        Err(failure) => {
            exchange.put_back(&failure, request);
            return Err(failure);
        }
    };
    Ok(exchange.answered(head, rest, request, asker))
}

struct Exchange {
    connection: Connection,
    outgoing: Outgoing,
    /// The body is not asked for yet.
    expectation: Option<Expectation>,
    sending: Sending,
    /// The beginning of a head that came in pieces.
    partial: BytesMut,
}

enum Sending {
    Running,
    Done,
    /// The endpoint takes no more. It may have said why.
    Broken(UpstreamError),
}

impl Exchange {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request<UploadBody>,
        asker: Asker<'_>,
    ) -> Poll<Result<(Head, Bytes), Failure>> {
        loop {
            if let Poll::Ready(received) = self.poll_both(cx, request, asker.relay) {
                return Poll::Ready(received);
            }
            // Should it be met, the body goes on.
            let Some(expectation) = &mut self.expectation else {
                return Poll::Pending;
            };
            ready!(expectation.poll(cx));
            self.expectation = None;
            self.outgoing.holds_body = false;
            expect::ask(asker);
        }
    }

    fn poll_both(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request<UploadBody>,
        relay: Option<&Relay<'_>>,
    ) -> Poll<Result<(Head, Bytes), Failure>> {
        if matches!(self.sending, Sending::Running) {
            let stream = &mut self.connection.stream;
            match self.outgoing.poll_write(cx, stream, request.body_mut()) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.sending = Sending::Done,
                Poll::Ready(Err(error @ UpstreamError::Upload(_))) => {
                    return Poll::Ready(Err(Failure::NoAnswer(error)));
                }
                Poll::Ready(Err(error)) if !self.outgoing.has_begun => {
                    return Poll::Ready(Err(Failure::Unsent(error)));
                }
                Poll::Ready(Err(error)) => self.sending = Sending::Broken(error),
            }
        }
        self.poll_head(cx, request, relay)
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request<UploadBody>,
        relay: Option<&Relay<'_>>,
    ) -> Poll<Result<(Head, Bytes), Failure>> {
        loop {
            let (partial, expectation) = (&mut self.partial, &mut self.expectation);
            let method = request.method().clone();
            // Only a complete answer touches the request's headers.
            let headers = request.headers_mut();
            let look = |bytes: &[u8]| {
                if bytes.is_empty() {
                    return Err(None);
                }
                look_for_head(bytes, partial, &method, headers, (relay, expectation)).map_err(Some)
            };
            let looked = match ready!(self.connection.poll_read_once(cx, look)) {
                Ok(looked) => looked,
                Err(error) => return Poll::Ready(Err(self.broken(error.into()))),
            };
            match looked {
                Ok(Some(received)) => return Poll::Ready(Ok(received)),
                Ok(None) => {}
                Err(None) => return Poll::Ready(Err(self.broken(UpstreamError::Closed))),
                Err(Some(what)) => {
                    let error = UpstreamError::Malformed(what);
                    return Poll::Ready(Err(Failure::BadAnswer(error)));
                }
            }
        }
    }

    /// The connection ended before the answer.
    fn broken(&mut self, error: UpstreamError) -> Failure {
        // What stopped us from sending says more than what stopped us from
        // reading.
        let sending = std::mem::replace(&mut self.sending, Sending::Done);
        Failure::NoAnswer(match sending {
            Sending::Broken(first) => first,
            Sending::Running | Sending::Done => error,
        })
    }

    /// What was taken of the body, and not sent, is sent again.
    fn put_back(&mut self, failure: &Failure, request: &mut Request<UploadBody>) {
        if let (Failure::Unsent(_), Some(data)) = (failure, self.outgoing.take_unsent()) {
            request.body_mut().put_back(data);
        }
    }

    fn answered(
        self,
        head: Head,
        rest: Bytes,
        request: &mut Request<UploadBody>,
        asker: Asker<'_>,
    ) -> (Answer, Next) {
        let mut connection = self.connection;
        let is_sent = matches!(self.sending, Sending::Done);
        // An endpoint that never asked for the body may still wait for it: there
        // is no telling what it would take the next request for.
        let is_unasked = self.expectation.is_some();
        let keeps_alive =
            head.keeps_alive && !is_unasked && !matches!(self.sending, Sending::Broken(_));
        let is_switch = head.status == StatusCode::SWITCHING_PROTOCOLS;
        // All of a short answer comes with its head.
        let is_here = head.framing == Framing::Length(rest.len() as u64);
        let mut outgoing = self.outgoing;
        outgoing.holds_body = false;
        let mut take_body = || std::mem::replace(request.body_mut(), UploadBody::none());

        let (body, next) = if is_switch {
            connection.unread = rest;
            let upload = (!is_sent).then(|| (outgoing, take_body()));
            let switched = Switched::new(connection, upload);
            (AnswerBody::Switched(Box::new(switched)), Next::Nothing)
        } else if is_here {
            let next = match (keeps_alive, is_sent) {
                (true, true) => Next::Free(connection),
                (true, false) => Next::FinishRequest(Box::new(Unfinished {
                    connection,
                    outgoing,
                    body: take_body(),
                    client_is_on_http2: asker.is_on_http2,
                })),
                (false, _) => Next::Nothing,
            };
            (AnswerBody::Http1(ResponseBody::complete(rest)), next)
        } else if matches!(self.sending, Sending::Running) && !is_unasked {
            let (read, write) = tokio::io::split(connection.stream);
            let (answering, answered) = oneshot::channel();
            let body = take_body();
            tokio::spawn(finish_half(
                write,
                outgoing,
                body,
                answered,
                asker.is_on_http2,
            ));
            let body = ResponseBody::half(head.framing, (read, answering), rest);
            (AnswerBody::Http1(body), Next::Nothing)
        } else {
            connection.unread = rest;
            let body = ResponseBody::new(head.framing, connection, keeps_alive);
            (AnswerBody::Http1(body), Next::Nothing)
        };

        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.version_mut() = Version::HTTP_11;
        *response.headers_mut() = std::mem::take(request.headers_mut());
        if let Some(reason) = head.reason {
            keep_reason(&mut response, reason);
        }
        (response, next)
    }
}

/// Where hyper's server looks for it. Seldom, so the allocations don't matter.
#[cold]
#[expect(clippy::disallowed_methods, reason = "hyper has no other way")]
fn keep_reason(response: &mut Answer, reason: ReasonPhrase) {
    response.extensions_mut().insert(reason);
}

/// The head of the answer, if it is complete, and what came behind it.
/// Interim answers go to the relay, if there is one; a 100 meets the
/// expectation, and is nobody's business where there is none.
fn look_for_head(
    bytes: &[u8],
    partial: &mut BytesMut,
    method: &http::Method,
    headers: &mut HeaderMap,
    (relay, expectation): (Option<&Relay<'_>>, &mut Option<Expectation>),
) -> Result<Option<(Head, Bytes)>, &'static str> {
    let is_first = partial.is_empty();
    if !is_first {
        partial.extend_from_slice(bytes);
    }
    let known = if is_first { bytes } else { &partial[..] };
    let mut passed = 0;
    let unparsed = loop {
        let unseen = known.get(passed..).unwrap_or_default();
        match head::parse(unseen, method, headers)? {
            Some(Parsed::Final(head, rest)) => return Ok(Some((head, rest))),
            Some(Parsed::Interim(StatusCode::CONTINUE, count)) => {
                if let Some(expectation) = expectation {
                    expectation.met();
                }
                passed += count;
            }
            Some(Parsed::Interim(_status, count)) => {
                let head = unseen.get(..count).and_then(interim::passed_on);
                if let (Some(relay), Some(head)) = (relay, head) {
                    relay(head);
                }
                passed += count;
            }
            None => break unseen.len(),
        }
    };
    if unparsed > head::MOST_BYTES {
        return Err(head::TOO_LARGE);
    }
    if is_first {
        partial.extend_from_slice(bytes.get(passed..).unwrap_or_default());
    } else {
        let _interim = partial.split_to(passed);
    }
    Ok(None)
}
