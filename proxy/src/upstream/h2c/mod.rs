//! Endpoints that speak HTTP/2: `pool.rs` shares connections, `dial.rs` makes
//! and drives them; here a request goes out on one.

mod dial;
mod pool;

pub(crate) use pool::{Pool, Stream};

use super::{Answer, AnswerBody, SendError, UpstreamError};
use crate::{
    endpoint::Endpoint,
    http::{UploadBody, headers},
    journal::Journal,
};
use http::Request;
use std::{error::Error, io, time::Duration};

/// How many connections may turn out to be closed before the request went out
/// until that counts as a connection that cannot be made.
const MOST_RETURNS: u32 = 3;

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
    given: &mut Option<Request<UploadBody>>,
    journal: &mut Journal,
) -> Result<Answer, SendError> {
    let addr = endpoint.addr();
    let mut request = given.take().expect("the caller has a request to send");
    headers::to_http2(&mut request, addr).map_err(SendError::Unfit)?;
    request.body_mut().keep_beginning();
    let mut returns = 0;
    loop {
        let (mut stream, fresh) = match pool.claim(worker) {
            Some(stream) => (stream, returns == MOST_RETURNS),
            // Boxed: seldom, and large.
            None => {
                journal.connect_began(endpoint);
                let dialled = Box::pin(pool.dial(worker, addr, connect_limit)).await;
                journal.connect_ended(dialled.as_ref().err());
                match dialled {
                    Ok(stream) => {
                        endpoint.readmit();
                        (stream, true)
                    }
                    Err(error) => {
                        *given = Some(unharmed(request));
                        return Err(SendError::Connect(error));
                    }
                }
            }
        };
        let mut error = match stream.send(request).await {
            Ok(response) => {
                stream.answered();
                return Ok(response.map(|body| AnswerBody::Http2(body, stream)));
            }
            Err(error) => error,
        };
        match error.take_message() {
            Some(unsent) if !fresh => {
                request = unsent;
                returns += 1;
            }
            Some(unsent) => {
                let closed = io::Error::other("closed before the request was sent");
                *given = Some(unharmed(unsent));
                return Err(SendError::Connect(closed));
            }
            None => return Err(classify(error.into_error())),
        }
    }
}

/// The request as it came: the next endpoint may speak HTTP/1.1.
fn unharmed(mut request: Request<UploadBody>) -> Request<UploadBody> {
    headers::to_http1(&mut request);
    request
}

/// How far a request got that is gone. The peer says so itself where it did
/// not look at it: REFUSED_STREAM, or a GOAWAY with an earlier last stream
/// (RFC 9113 sections 8.7 and 6.8). h2 fails no other stream with a GOAWAY; but
/// on the shared runtime, hyper may give up a stream for a GOAWAY that comes
/// in just as it is opened, and reset it instead of saying how far it got.
fn classify(error: hyper::Error) -> SendError {
    let h2 = error.source().and_then(|e| e.downcast_ref::<h2::Error>());
    // h2 itself found that what came is not HTTP/2.
    if h2.is_some_and(h2::Error::is_library) {
        return SendError::BadAnswer(UpstreamError::Http2(error));
    }
    let is_unharmed = h2.is_some_and(|h2| h2.is_remote() && is_refusal(h2));
    SendError::NoAnswer {
        error: UpstreamError::Http2(error),
        is_unharmed,
    }
}

fn is_refusal(error: &h2::Error) -> bool {
    error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM)
}
