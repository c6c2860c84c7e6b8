//! Sending one request to one endpoint, and telling apart what went wrong:
//! what may be tried again depends on how far the request got.

use super::{Sender, dial::dial};
use crate::{endpoint::Endpoint, http::UploadBody};
use http::{Request, Response};
use hyper::body::Incoming;
use std::{io, time::Duration};

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
    connect_limit: Duration,
    mut request: Request<UploadBody>,
) -> Result<(Response<Incoming>, Sender), SendError> {
    loop {
        let (mut sender, fresh) = match endpoint.idle().take(worker) {
            Some(sender) => (sender, false),
            None => match dial(endpoint.addr(), connect_limit).await {
                Ok(sender) => {
                    endpoint.readmit();
                    (sender, true)
                }
                Err(error) => return Err(SendError::Connect(error, Box::new(request))),
            },
        };
        let mut error = match sender.try_send_request(request).await {
            Ok(answer) => return Ok((answer, sender)),
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
