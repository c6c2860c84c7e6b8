//! Endpoints that speak HTTP/2: `pool.rs` shares connections, `dial.rs` makes
//! and drives them; here a request goes out on one, by `exchange.rs`.

mod dial;
mod exchange;
mod pool;

pub(super) use dial::start;
pub(super) use pool::Made;
pub(crate) use pool::{Pool, Stream};

use super::{Answer, AnswerBody, Asker, SendError, UpstreamError, dial::open, send::MOST_RETURNS};
use crate::{
    endpoint::Endpoint,
    http::{UploadBody, forwarded, headers},
    http2::ReceivedBody,
    journal::Journal,
};
use exchange::{Failure, exchange};
use http::{Request, Response, uri::Scheme};
use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

/// Sends `request` on a connection of `worker`'s that has room, or on a new
/// one. A connection that closes (GOAWAY or worse) before the request went out
/// costs nothing: the request comes back and the next connection gets it.
///
/// Cancel safe: dropping it resets the stream; the connection lives on.
pub(super) async fn send(
    endpoint: &Endpoint,
    pool: &Pool,
    worker: usize,
    connect_limit: Duration,
    asker: Asker<'_>,
    given: &mut Option<Request<UploadBody>>,
    journal: &mut Journal,
) -> Result<Answer, SendError> {
    let addr = endpoint.addr();
    let mut returns = 0;
    loop {
        let (stream, fresh) = match pool.claim(worker) {
            Some(stream) => (stream, returns == MOST_RETURNS),
            // Boxed: seldom, and large.
            None => {
                journal.connect_began(endpoint);
                let dialled = Box::pin(dial(pool, worker, addr, connect_limit)).await;
                journal.connect_ended(dialled.as_ref().err());
                match dialled {
                    Ok(stream) => {
                        endpoint.readmit();
                        (stream, true)
                    }
                    Err(error) => return Err(SendError::Connect(error)),
                }
            }
        };
        match send_once(stream, (addr, Scheme::HTTP), asker, given).await? {
            Some(answer) => return Ok(answer),
            None if fresh => return Err(closed_at_once()),
            None => returns += 1,
        }
    }
}

/// A fresh connection that took nothing counts as none.
pub(super) fn closed_at_once() -> SendError {
    SendError::Connect(io::Error::other("closed before the request was sent"))
}

async fn dial(pool: &Pool, worker: usize, addr: SocketAddr, limit: Duration) -> io::Result<Stream> {
    let all = pool.of(worker);
    let make = async {
        let stream = open(addr, limit).await?;
        Ok(Made::<_, Infallible>::Shared(
            start(stream, addr, all).await?,
        ))
    };
    let Made::Shared(stream) = pool.dial(worker, make).await?;
    Ok(stream)
}

/// Sends the request, which must be there and is one to an HTTP/1.1 endpoint,
/// on `stream`. None: it was not sent, and is there as it came.
pub(super) async fn send_once(
    mut stream: Stream,
    (addr, scheme): (SocketAddr, Scheme),
    asker: Asker<'_>,
    given: &mut Option<Request<UploadBody>>,
) -> Result<Option<Answer>, SendError> {
    if !stream.is_open() {
        return Ok(None);
    }
    let mut request = given.take().expect("the caller has a request to send");
    if let Some(peer) = asker.stranger {
        forwarded::name_stranger(request.headers_mut(), peer);
    }
    headers::to_http2(&mut request, addr, scheme).map_err(SendError::Unfit)?;
    request.body_mut().keep_beginning();
    let answer = exchange(&mut stream, request, asker)
        .await
        .map_err(classify)?;
    stream.answered();
    let (head, received) = answer.into_parts();
    let body = ReceivedBody::of_answer(received, &head.headers);
    let body = AnswerBody::Http2(body, stream);
    Ok(Some(Response::from_parts(head, body)))
}

/// How far a request got that is gone. The peer says so itself where it did
/// not look at it: REFUSED_STREAM, or a GOAWAY with an earlier last stream
/// (RFC 9113 sections 8.7 and 6.8). h2 fails no other stream with a GOAWAY.
fn classify(failure: Failure) -> SendError {
    let Failure { error, is_unsent } = failure;
    let mut is_unharmed = is_unsent;
    if let UpstreamError::Http2(h2) = &error {
        // h2 itself found that what came is not HTTP/2.
        if h2.is_library() {
            return SendError::BadAnswer(error);
        }
        is_unharmed |= h2.is_remote() && is_refusal(h2);
    }
    SendError::NoAnswer { error, is_unharmed }
}

fn is_refusal(error: &h2::Error) -> bool {
    error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM)
}
