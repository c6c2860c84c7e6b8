//! One client connection: HTTP/1 or HTTP/2, whichever the client speaks, from
//! the accept to the drain.

use super::{
    client_io::{ClientIo, ClientSocket},
    drain::Phase,
    head_scan::{Scanned, Verdicts},
    limits::ClientLimits,
    linger::linger,
    refused::RefusedFor,
    resets::Resets,
};
use crate::{
    forward::{Tunnel, forward},
    proxy::Shared,
};
use futures_util::StreamExt;
use http::HeaderValue;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use parking_lot::Mutex;
use std::{
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpStream;

/// Resets of one HTTP/2 connection that have not even become requests, and
/// resets of ours because of what it sent; then it is closed (GOAWAY,
/// ENHANCE_YOUR_CALM). Requests that it gives up are in `resets.rs`.
const MOST_UNSEEN_RESETS: usize = 20;
const MOST_OWN_RESETS: usize = 1024;
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
    /// What reading along found about its requests (HTTP/1).
    pub(crate) verdicts: Arc<Verdicts>,
    /// Requests that it gave up (HTTP/2).
    pub(super) resets: Resets,
    socket: Arc<ClientSocket>,
    /// The last answer came before the end of its request.
    is_sending: AtomicBool,
    /// What the connection becomes after the answer under way.
    tunnel: Mutex<Option<Box<Tunnel>>>,
}

impl ClientConnection {
    /// Resolves when the client has left; see [`ClientSocket::gone`].
    pub(crate) async fn gone(&self) {
        self.socket.gone().await;
    }

    /// The answer under way goes out, and the client may still be sending its
    /// request, or is not.
    pub(crate) fn answered_early(&self, is_sending: bool) {
        self.is_sending.store(is_sending, Ordering::Relaxed);
    }

    /// Ends it at once, with everything that is under way on it.
    pub(super) fn cut(&self) {
        self.socket.cut();
    }

    /// The answer under way is a 101: after it, the connection is a tunnel.
    pub(crate) fn switch_to(&self, tunnel: Box<Tunnel>) {
        *self.tunnel.lock() = Some(tunnel);
    }
}

/// Serves one connection until it closes or is drained, also as a tunnel.
pub(crate) async fn serve(shared: Arc<Shared>, worker: usize, stream: TcpStream, peer: SocketAddr) {
    let socket = ClientSocket::new(stream);
    let ip = HeaderValue::from_str(&peer.ip().to_canonical().to_string())
        .expect("an IP address is a valid header value");
    let client = ClientConnection {
        worker,
        ip,
        verdicts: Verdicts::new(),
        resets: Resets::default(),
        socket: socket.clone(),
        is_sending: AtomicBool::new(false),
        tunnel: Mutex::default(),
    };
    let context = Arc::new((shared, client));
    let served = serve_http(&context, socket.clone()).await;
    let (shared, client) = &*context;
    if let Err(error) = &served {
        // A client that leaves or talks nonsense: its business, not an event.
        tracing::debug!(%peer, %error, "client connection ended");
        if let Some(reason) = RefusedFor::of_connection(error.as_ref()) {
            shared.refused.count(reason);
        }
    }
    if served.is_err() || client.is_sending.load(Ordering::Relaxed) {
        tokio::select! {
            biased;
            () = shared.drain.deadline() => {}
            // Boxed, so that it costs other connections nothing.
            () = Box::pin(linger(socket, shared.config.clients.linger)) => {}
        }
    }
    let tunnel = client.tunnel.lock().take();
    if let Some(tunnel) = tunnel {
        tokio::select! {
            biased;
            () = shared.drain.deadline() => {}
            // Boxed, so that it costs other connections nothing.
            () = Box::pin(tunnel.run()) => {}
        }
    }
}

/// Requests and answers, until the connection closes, is drained, or is no
/// HTTP any more.
async fn serve_http(
    context: &Arc<(Arc<Shared>, ClientConnection)>,
    socket: Arc<ClientSocket>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut phases = context.0.drain.phases();
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

    let builder = builder(&context.0.config.clients);
    let verdicts = context.1.verdicts.clone();
    let io = TokioIo::new(Scanned::new(ClientIo(socket), verdicts));
    let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
    loop {
        tokio::select! {
            // First the phase: an answer that goes out after draining began
            // must say that the connection closes.
            biased;
            Some(phase) = phases.next() => if phase == Phase::Deadline {
                // Held requests were refused at this moment; give their
                // answers one chance to get out, then cut.
                let grace = Duration::from_millis(250);
                let _cut = tokio::time::timeout(grace, connection.as_mut()).await;
                return Ok(());
            } else {
                connection.as_mut().graceful_shutdown();
            },
            ended = connection.as_mut() => return ended,
        }
    }
}

fn builder(limits: &ClientLimits) -> auto::Builder<TokioExecutor> {
    let head = limits.header_bytes.max(ClientLimits::LEAST_HEADER_BYTES);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        // A timer of hyper's would cost every request a boxed sleep.
        .header_read_timeout(None)
        .max_buf_size(head as usize);
    // Even the same number, if it is set, would be slower.
    if limits.headers != ClientLimits::FREE_HEADERS {
        builder.http1().max_headers(limits.headers);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(MOST_UNSEEN_RESETS)
        .max_local_error_reset_streams(MOST_OWN_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(head)
        .keep_alive_interval(PING_INTERVAL);
    builder
}
