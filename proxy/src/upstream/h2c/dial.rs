//! Speaking HTTP/2 on a connection, and the task that drives it.

use super::pool::{Connection, ConnectionState, Connections};
use bytes::Bytes;
use h2::client::Builder;
use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Weak},
};
use tokio::io::{AsyncRead, AsyncWrite};

/// What one answer may send ahead of a client that reads slowly, and what one
/// request's body may wait for an endpoint that does.
const STREAM_WINDOW: u32 = 128 * 1024;
/// The streams' windows are the bound. A smaller one for all of them would let
/// clients that read slowly stop the others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Until the peer says how many streams it allows, more of them would be at
/// the risk of being refused.
const FIRST_STREAMS: usize = 1;
/// The largest head of an answer.
const MOST_HEAD_BYTES: u32 = 64 * 1024;

/// Speaks HTTP/2 on `stream`: starts the task that drives the connection to
/// `addr` on the present runtime. The task ends when the connection
/// closes, or when the pool has forgotten it and its last stream has ended.
///
/// There are no PINGs: gRPC servers take offence at them. TCP's keep-alive
/// finds out about peers that vanished.
///
/// # Errors
/// A connection that broke already.
///
/// Cancel safe: nothing is left behind.
pub(in crate::upstream) async fn start<S>(
    stream: S,
    addr: SocketAddr,
    connections: &Arc<Connections>,
) -> io::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, mut connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_max_send_streams(FIRST_STREAMS)
        .max_send_buffer_size(STREAM_WINDOW as usize)
        .max_header_list_size(MOST_HEAD_BYTES)
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(io::Error::other)?;

    let state = Arc::new(ConnectionState::new());
    let (driven, connections) = (state.clone(), Arc::downgrade(connections));
    tokio::spawn(async move {
        let mut answered = pin!(driven.answered.notified());
        let mut is_known = false;
        let ended = poll_fn(|cx| {
            let ended = Pin::new(&mut connection).poll(cx);
            // With an answer, the peer's settings have come; they may change.
            is_known = is_known || answered.as_mut().poll(cx).is_ready();
            if is_known {
                driven.set_most_streams(connection.max_concurrent_send_streams());
            }
            ended
        })
        .await;
        // Whoever waits for an answer on it gets the same error; an idle
        // connection that breaks concerns nobody.
        tracing::trace!(%addr, ?ended, "upstream HTTP/2 connection ended");
        if let Some(connections) = Weak::upgrade(&connections) {
            connections.remove(&driven);
        }
    });
    Ok(Connection { sender, state })
}
