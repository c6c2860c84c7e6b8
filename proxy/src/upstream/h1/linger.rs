//! A complete answer to an incomplete request: what becomes of the rest.
//!
//! It goes on to the endpoint for as long as something moves. If nothing does,
//! because the endpoint takes no more or the client sends no more, the
//! connection to the endpoint is closed, and with it the body is given up. An
//! HTTP/2 client learns that with RST_STREAM and NO_ERROR, as RFC 9113 section
//! 8.1 has it. Not at once: curl 7.88 loses an answer that comes together with
//! its RST_STREAM, and some endpoints answer first and read then.

use super::{Connection, encode::Outgoing};
use crate::{
    http::{UploadBody, body::Upload},
    upstream::{UpstreamError, stream::Stream},
};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};
use tokio::{io::WriteHalf, sync::oneshot};

/// How long nothing may move. It is quick where the client can be told that
/// the rest is of no use and nothing else is harmed.
const QUIET_HTTP2: Duration = Duration::from_secs(1);
/// Over HTTP/1.1, its connection has to be closed for that.
const QUIET_HTTP1: Duration = Duration::from_secs(30);

/// The rest of a request whose answer is complete.
pub(super) struct Unfinished {
    pub(super) connection: Connection,
    pub(super) outgoing: Outgoing,
    pub(super) body: UploadBody,
    pub(super) client_is_on_http2: bool,
}

impl Unfinished {
    /// Sends the rest of the request. The connection, if it may be used again.
    ///
    /// Cancel safe: dropping it closes the connection.
    pub(super) async fn finish(mut self) -> Option<Connection> {
        let Self {
            connection,
            outgoing,
            body,
            client_is_on_http2,
        } = &mut self;
        let watch = body.watch();
        let sent = poll_fn(|cx| {
            // An endpoint that closes wants no more of it.
            if !connection.is_open() {
                return Poll::Ready(Err(UpstreamError::Closed));
            }
            outgoing.poll_write(cx, &mut connection.stream, body)
        });
        let sent = while_it_moves(pin!(sent), &watch, *client_is_on_http2).await;
        sent.then_some(self.connection)
    }
}

/// Sends the rest of a request whose answer is being read already; `answered`
/// ends when that has ended.
pub(super) async fn finish_half(
    mut write: WriteHalf<Stream>,
    mut outgoing: Outgoing,
    mut body: UploadBody,
    answered: oneshot::Receiver<()>,
    client_is_on_http2: bool,
) {
    let watch = body.watch();
    let sent = poll_fn(|cx| outgoing.poll_write(cx, &mut write, &mut body));
    let mut sent = pin!(sent);
    tokio::select! {
        sent = &mut sent => {
            if let Err(error) = sent {
                tracing::trace!(%error, "the rest of a request's body was not sent");
            }
            return;
        }
        // Either way: nobody needs the answer any more.
        _ = answered => {}
    }
    let _sent = while_it_moves(sent, &watch, client_is_on_http2).await;
}

/// True if all was sent.
async fn while_it_moves(
    mut sent: Pin<&mut impl Future<Output = Result<(), UpstreamError>>>,
    watch: &Upload,
    client_is_on_http2: bool,
) -> bool {
    let quiet = if client_is_on_http2 {
        QUIET_HTTP2
    } else {
        QUIET_HTTP1
    };
    loop {
        let before = watch.bytes();
        match tokio::time::timeout(quiet, sent.as_mut()).await {
            Ok(sent) => return sent.is_ok(),
            Err(_elapsed) if watch.bytes() == before => return false,
            Err(_elapsed) => {}
        }
    }
}
