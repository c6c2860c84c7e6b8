//! Sending one request to one endpoint, and telling apart what went wrong:
//! what may be tried again depends on how far the request got.

use super::{Connections, IdlePool, Sender, Used, dial::dial, h2c, tls};
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
pub(crate) type Answered = (Response<Incoming>, Option<Used>);

/// How far a request got before it failed.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection could be made; the request is unharmed.
    Connect(io::Error, Box<Request<UploadBody>>),
    /// It cannot be put into the endpoint's protocol.
    Unfit(&'static str),
    /// It may have been sent, and no byte of an answer came.
    NoAnswer {
        /// How the connection, or its stream, ended.
        error: hyper::Error,
        /// The endpoint says that it did nothing about it.
        is_unharmed: bool,
    },
    /// The endpoint answered something that is not HTTP, or not its protocol.
    BadAnswer(hyper::Error),
}

/// What became of a request on one connection.
pub(super) enum Sent {
    Answered(Answered),
    /// It never left: the next connection, for any method.
    Unsent(Box<Request<UploadBody>>),
    Failed(SendError),
}

/// How many shared connections may turn out to be closed before the request
/// went out until that counts as a connection that cannot be made.
pub(super) const MOST_RETURNS: u32 = 3;

/// A fresh connection that took nothing counts as none.
pub(super) fn closed_at_once(unsent: Box<Request<UploadBody>>) -> SendError {
    let closed = io::Error::other("closed before the request was sent");
    SendError::Connect(closed, unsent)
}

/// Which connection a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// An idle one, or a new one if there is none.
    Any,
    /// A new one: an idle one of the same endpoint has just broken, and a
    /// process that dies closes its connections one after the other. Over
    /// HTTP/2 it means nothing: there is about one, and it is known to be gone.
    New,
}

/// Sends `request` on a connection of `worker`'s as the endpoint's protocol
/// wants it; see [`send_http1`], [`h2c::send`] and [`tls::send`].
///
/// Gives back the connection with the answer; give it back to the endpoint
/// when both bodies are through.
///
/// Cancel safe: dropping it closes the connection, or resets the stream, that
/// was in use.
pub(crate) async fn send(
    endpoint: &Endpoint,
    worker: usize,
    connection: Use,
    connect_limit: Duration,
    request: Request<UploadBody>,
) -> Result<Answered, SendError> {
    match endpoint.connections() {
        Connections::Http1(pool) => {
            send_http1(endpoint, pool, worker, connection, connect_limit, request).await
        }
        Connections::H2c(pool) => h2c::send(endpoint, pool, worker, connect_limit, request).await,
        // Boxed, so that it costs the others nothing.
        Connections::Tls(pool) => {
            Box::pin(tls::send(
                endpoint,
                pool,
                worker,
                connection,
                connect_limit,
                request,
            ))
            .await
        }
    }
}

/// Sends `request` on an idle connection of `worker`, or on a new one. An
/// idle connection that turns out to be dead before the request went out
/// costs nothing: the request comes back and the next connection gets it.
///
/// Cancel safe: dropping it closes the connection that was in use.
async fn send_http1(
    endpoint: &Endpoint,
    pool: &IdlePool,
    worker: usize,
    connection: Use,
    connect_limit: Duration,
    mut request: Request<UploadBody>,
) -> Result<Answered, SendError> {
    loop {
        let idle = match connection {
            Use::Any => pool.take(worker),
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
        match send_once(sender, request).await {
            Sent::Answered(answered) => return Ok(answered),
            Sent::Failed(error) => return Err(error),
            Sent::Unsent(unsent) if !fresh => request = *unsent,
            Sent::Unsent(unsent) => return Err(closed_at_once(unsent)),
        }
    }
}

/// Sends `request` on one HTTP/1.1 connection.
pub(super) async fn send_once(sender: Sender, request: Request<UploadBody>) -> Sent {
    let mut error = match send_on(sender, request).await {
        Ok(answered) => return Sent::Answered(answered),
        Err(error) => error,
    };
    if let Some(unsent) = error.take_message() {
        return Sent::Unsent(Box::new(unsent));
    }
    let error = error.into_error();
    Sent::Failed(if error.is_parse() {
        SendError::BadAnswer(error)
    } else {
        SendError::NoAnswer {
            error,
            is_unharmed: false,
        }
    })
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
        Some(answered) => answered.map(|answer| (answer, Some(Used::Http1(sender)))),
        None => {
            drop(sender);
            answer.await.map(|answer| (answer, None))
        }
    }
}
