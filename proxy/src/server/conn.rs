//! One client connection: HTTP/1 or HTTP/2, whichever the client speaks, from
//! the accept to the drain.

use super::client_io::{ClientIo, ClientSocket};
use crate::{forward::forward, proxy::Shared};
use http::HeaderValue;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::net::TcpStream;

/// Largest head (and, for HTTP/1, read buffer) of a request.
const MOST_HEAD_BYTES: u32 = 64 * 1024;
/// Requests that one HTTP/2 client may have open.
const MOST_STREAMS: u32 = 250;
/// HTTP/2 flow control windows.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// A silent HTTP/2 connection is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// What requests need to know about their connection.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    /// The worker that serves it.
    pub(crate) worker: usize,
    /// The peer's address as a header value, made once.
    pub(crate) ip: HeaderValue,
    socket: Arc<ClientSocket>,
}

impl ClientConnection {
    /// Resolves when the client has left; see [`ClientSocket::gone`].
    pub(crate) async fn gone(&self) {
        self.socket.gone().await;
    }
}

/// Serves one connection until it closes or is drained.
pub(crate) async fn serve(shared: Arc<Shared>, worker: usize, stream: TcpStream, peer: SocketAddr) {
    let socket = ClientSocket::new(stream);
    let ip = HeaderValue::from_str(&peer.ip().to_canonical().to_string())
        .expect("an IP address is a valid header value");
    let client = ClientConnection {
        worker,
        ip,
        socket: socket.clone(),
    };
    let context = Arc::new((shared, client));

    let drain = &context.0.drain;
    let (draining, deadline) = (drain.draining(), drain.deadline());
    let service = {
        let context = context.clone();
        service_fn(move |request| {
            let context = context.clone();
            async move {
                let (shared, client) = &*context;
                Ok::<_, Infallible>(forward(shared, client, request).await)
            }
        })
    };

    let builder = builder();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(ClientIo(socket)), service));
    let (mut draining, mut deadline) = (pin!(draining), pin!(deadline));
    let mut is_draining = false;
    let ended = loop {
        tokio::select! {
            // First the phase: an answer that goes out after draining began
            // must say that the connection closes.
            biased;
            () = &mut draining, if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
            ended = connection.as_mut() => break ended,
            () = &mut deadline => {
                // Held requests were refused at this moment; give their
                // answers one chance to get out, then cut.
                let grace = Duration::from_millis(250);
                let _cut = tokio::time::timeout(grace, connection.as_mut()).await;
                return;
            }
        }
    };
    if let Err(error) = ended {
        // A client that leaves or talks nonsense: its business, not an event.
        tracing::debug!(%peer, %error, "client connection ended");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // A timer of hyper's would cost every request a boxed sleep.
        .header_read_timeout(None)
        .max_buf_size(MOST_HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MOST_HEAD_BYTES)
        .keep_alive_interval(PING_INTERVAL);
    builder
}
