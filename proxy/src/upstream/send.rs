//! Sending one request to one endpoint, and telling apart what went wrong:
//! what may be tried again depends on how far the request got.

use super::{Sender, dial::dial};
use crate::{endpoint::Endpoint, http::UploadBody};
use http::{Request, Response};
use hyper::{body::Incoming, client::conn::TrySendError};
use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
    time::Duration,
};

/// An answer's head, and the connection that its body comes on, unless that
/// has ended already.
pub(crate) type Answered = (Response<Incoming>, Option<Sender>);

/// How far a request got before it failed.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection could be made; the request is unharmed.
    Connect(io::Error, Box<Request<UploadBody>>),
    /// It may have been sent, and no byte of an answer came.
    NoAnswer(hyper::Error),
    /// The endpoint answered something that is not HTTP.
    BadAnswer(hyper::Error),
}

/// Which connection a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// An idle one, or a new one if there is none.
    Any,
    /// A new one: an idle one of the same endpoint has just broken, and a
    /// process that dies closes its connections one after the other.
    New,
}

/// Sends `request` on an idle connection of `worker`, or on a new one. An
/// idle connection that turns out to be dead before the request went out
/// costs nothing: the request comes back and the next connection gets it.
///
/// Gives back the connection with the answer; put it into the pool when both
/// bodies are through.
///
/// Cancel safe: dropping it closes the connection that was in use.
pub(crate) async fn send(
    endpoint: &Endpoint,
    worker: usize,
    connection: Use,
    connect_limit: Duration,
    mut request: Request<UploadBody>,
) -> Result<Answered, SendError> {
    loop {
        let idle = match connection {
            Use::Any => endpoint.idle().take(worker),
            Use::New => None,
        };
        let (sender, fresh) = match idle {
            Some(sender) => (sender, false),
            None => match dial(endpoint.addr(), connect_limit).await {
                Ok(sender) => {
                    endpoint.readmit();
                    (sender, true)
                }
                Err(error) => return Err(SendError::Connect(error, Box::new(request))),
            },
        };
        let mut error = match send_on(sender, request).await {
            Ok(answered) => return Ok(answered),
            Err(error) => error,
        };
        match error.take_message() {
            // It never left: the next connection, for any method.
            Some(unsent) if !fresh => request = unsent,
            Some(unsent) => {
                let refused = io::Error::other("closed before the request was sent");
                return Err(SendError::Connect(refused, Box::new(unsent)));
            }
            None => {
                let error = error.into_error();
                return Err(if error.is_parse() {
                    SendError::BadAnswer(error)
                } else {
                    SendError::NoAnswer(error)
                });
            }
        }
    }
}

/// Sends `request` on one connection.
///
/// Where the connection's task runs on another thread and ends at this very
/// moment, the request may come to lie in a channel that nobody reads any more
/// and that our end of it keeps alive (hyperium/hyper#4122). So once the
/// connection is gone, our end goes too, and the request comes back.
async fn send_on(
    mut sender: Sender,
    request: Request<UploadBody>,
) -> Result<Answered, TrySendError<Request<UploadBody>>> {
    let mut answer = pin!(sender.try_send_request(request));
    let answered = poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answered) => Poll::Ready(Some(answered)),
        Poll::Pending => match sender.poll_ready(cx) {
            Poll::Ready(Err(_closed)) => Poll::Ready(None),
            _ => Poll::Pending,
        },
    });
    match answered.await {
        Some(answered) => answered.map(|answer| (answer, Some(sender))),
        None => {
            drop(sender);
            answer.await.map(|answer| (answer, None))
        }
    }
}
