//! Endpoints that speak HTTP/2: `pool.rs` shares connections, `dial.rs` makes
//! and drives them; here a request goes out on one.

mod dial;
mod pool;

pub(super) use dial::start;
pub(super) use pool::Made;
pub(crate) use pool::{Pool, Stream};

use super::{
    Answered, SendError, Used,
    dial::open,
    send::{MOST_RETURNS, Sent, closed_at_once},
};
use crate::{
    endpoint::Endpoint,
    http::{UploadBody, headers},
};
use http::{Request, uri::Scheme};
use std::{convert::Infallible, error::Error, io, net::SocketAddr, time::Duration};

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
    mut request: Request<UploadBody>,
) -> Result<Answered, SendError> {
    let addr = endpoint.addr();
    headers::to_http2(&mut request, addr, Scheme::HTTP).map_err(SendError::Unfit)?;
    request.body_mut().keep_beginning();
    let mut returns = 0;
    loop {
        let (stream, fresh) = match pool.claim(worker) {
            Some(stream) => (stream, returns == MOST_RETURNS),
            // Boxed: seldom, and large.
            None => match Box::pin(dial(pool, worker, addr, connect_limit)).await {
                Ok(stream) => {
                    endpoint.readmit();
                    (stream, true)
                }
                Err(error) => {
                    // As it came: the next endpoint may speak HTTP/1.1.
                    headers::to_http1(&mut request);
                    return Err(SendError::Connect(error, Box::new(request)));
                }
            },
        };
        match send_once(stream, request).await {
            Sent::Answered(answered) => return Ok(answered),
            Sent::Failed(error) => return Err(error),
            Sent::Unsent(unsent) if !fresh => {
                request = *unsent;
                headers::to_http2(&mut request, addr, Scheme::HTTP).map_err(SendError::Unfit)?;
                returns += 1;
            }
            Sent::Unsent(unsent) => return Err(closed_at_once(unsent)),
        }
    }
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

/// Sends `request`, which is one to an HTTP/2 endpoint, on `stream`. What was
/// not sent comes back as it came to the endpoint.
pub(super) async fn send_once(mut stream: Stream, request: Request<UploadBody>) -> Sent {
    let mut error = match stream.send(request).await {
        Ok(response) => {
            stream.answered();
            return Sent::Answered((response, Some(Used::H2c(stream))));
        }
        Err(error) => error,
    };
    match error.take_message() {
        Some(mut unsent) => {
            headers::to_http1(&mut unsent);
            Sent::Unsent(Box::new(unsent))
        }
        None => Sent::Failed(classify(error.into_error())),
    }
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
        return SendError::BadAnswer(error);
    }
    let is_unharmed = h2.is_some_and(|h2| h2.is_remote() && is_refusal(h2));
    SendError::NoAnswer { error, is_unharmed }
}

fn is_refusal(error: &h2::Error) -> bool {
    error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM)
}
