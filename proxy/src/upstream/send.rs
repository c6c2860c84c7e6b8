//! Sending one request to one endpoint, and telling apart what went wrong:
//! what may be tried again depends on how far the request got.

use super::{Connections, IdlePool, Sender, Used, dial::dial, h2c};
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

/// Takes interim answers (1xx): whole heads, as an HTTP/1.1 client gets them.
pub(crate) type Relay<'a> = dyn Fn(&[u8]) + Sync + 'a;

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
/// wants it; see [`send_http1`] and [`h2c::send`].
///
/// What is interim goes to `relay`, if there is one, before the answer is given
/// back; of HTTP/2 endpoints, nothing is.
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
    relay: Option<&Relay<'_>>,
    request: Request<UploadBody>,
) -> Result<Answered, SendError> {
    match endpoint.connections() {
        Connections::Http1(pool) => {
            let how = (connection, relay);
            send_http1(endpoint, pool, worker, how, connect_limit, request).await
        }
        Connections::H2c(pool) => h2c::send(endpoint, pool, worker, connect_limit, request).await,
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
    (connection, relay): (Use, Option<&Relay<'_>>),
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
        let mut error = match send_on(sender, relay, request).await {
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
                    SendError::NoAnswer {
                        error,
                        is_unharmed: false,
                    }
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
    sender: Sender,
    relay: Option<&Relay<'_>>,
    request: Request<UploadBody>,
) -> Result<Answered, TrySendError<Request<UploadBody>>> {
    let Sender {
        mut http,
        interim,
        driver,
    } = sender;
    if relay.is_some() {
        interim.arm();
    }
    let mut answer = pin!(http.try_send_request(request));
    let answered = poll_fn(|cx| {
        let polled = answer.as_mut().poll(cx);
        // After it, so that nothing that came before the answer is left.
        if let Some(relay) = relay {
            if polled.is_pending() {
                interim.wake_me(cx);
            }
            if let Some(heads) = interim.take() {
                relay(&heads);
            }
        }
        match polled {
            Poll::Ready(answered) => Poll::Ready(Some(answered)),
            Poll::Pending => match http.poll_ready(cx) {
                Poll::Ready(Err(_closed)) => Poll::Ready(None),
                _ => Poll::Pending,
            },
        }
    });
    match answered.await {
        Some(answered) => {
            let sender = Sender {
                http,
                interim,
                driver,
            };
            answered.map(|answer| (answer, Some(Used::Http1(sender))))
        }
        None => {
            drop(http);
            answer.await.map(|answer| (answer, None))
        }
    }
}
