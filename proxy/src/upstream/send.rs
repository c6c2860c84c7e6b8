//! Sending one request to one endpoint, and telling apart what went wrong:
//! what may be tried again depends on how far the request got.

use super::{AnswerBody, Connections, UpstreamError, h1, h2c, tls};
use crate::{
    endpoint::Endpoint,
    http::{Interim, UploadBody},
    journal::Journal,
    server::Peer,
};
use http::{Request, Response};
use std::{io, sync::Arc, time::Duration};

/// An endpoint's answer.
pub(crate) type Answer = Response<AnswerBody>;

/// How far a request got before it failed.
#[derive(Debug)]
pub(crate) enum SendError {
    /// No connection could be made; the request is unharmed.
    Connect(io::Error),
    /// It cannot be put into the endpoint's protocol.
    Unfit(&'static str),
    /// It may have been sent, and no byte of an answer came.
    NoAnswer {
        /// How the connection, or its stream, ended.
        error: UpstreamError,
        /// The endpoint says that it did nothing about it.
        is_unharmed: bool,
    },
    /// The endpoint answered something that is not HTTP, or not its protocol.
    BadAnswer(UpstreamError),
}

/// How many shared connections may turn out to be closed before the request
/// went out until that counts as a connection that cannot be made.
pub(super) const MOST_RETURNS: u32 = 3;

/// Takes interim answers (1xx) on their way to the client.
pub(crate) type Relay<'a> = dyn Fn(Interim) + Sync + 'a;

/// Whose request it is.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// Where interim answers go; None: nowhere.
    pub(crate) relay: Option<&'a Relay<'a>>,
    /// It waits to be asked for its body. An endpoint has so long to do it.
    pub(crate) continue_within: Option<&'a Duration>,
    /// It can be told that the rest of its request is of no use.
    pub(crate) is_on_http2: bool,
    /// The peer, if what it says about earlier hops is not believed: then the
    /// request does not say yet who asks.
    pub(crate) stranger: Option<&'a Peer>,
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
/// wants it; see [`h1::send`], [`h2c::send`] and [`tls::send`]. The connection goes back to
/// the endpoint by itself, or with the answer's body.
///
/// The request must be there. It stays there unless it was answered or, over
/// HTTP/2, may have been sent.
///
/// Cancel safe: dropping it closes the connection, or resets the stream, that
/// was in use.
pub(crate) async fn send(
    (endpoint, worker): (&Arc<Endpoint>, usize),
    connection: Use,
    connect_limit: Duration,
    asker: Asker<'_>,
    request: &mut Option<Request<UploadBody>>,
    journal: &mut Journal,
) -> Result<Answer, SendError> {
    match endpoint.connections() {
        Connections::Http1(pool) => {
            let request = request.as_mut().expect("the caller has a request to send");
            let to = (endpoint, pool, worker);
            h1::send(to, connection, connect_limit, asker, request, journal).await
        }
        // Boxed: large, and an allocation is little beside what h2 does.
        Connections::H2c(pool) => {
            Box::pin(h2c::send(
                endpoint,
                pool,
                worker,
                connect_limit,
                asker,
                request,
                journal,
            ))
            .await
        }
        // Boxed, so that it costs the others nothing.
        Connections::Tls(pool) => {
            let to = (endpoint, &**pool, worker);
            Box::pin(tls::send(
                to,
                connection,
                connect_limit,
                asker,
                request,
                journal,
            ))
            .await
        }
    }
}
