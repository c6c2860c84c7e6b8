//! One client connection: HTTP/1 or HTTP/2, whichever the client speaks, from
//! the accept to the drain.

use super::{
    client_io::{ClientIo, ClientSocket},
    drain::Phase,
    tls::{self, Transport},
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
    convert::Infallible, error::Error, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

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
    /// What it came over.
    pub(crate) transport: Transport,
    socket: Arc<ClientSocket>,
    /// What the connection becomes after the answer under way.
    tunnel: Mutex<Option<Box<Tunnel>>>,
}

impl ClientConnection {
    /// Resolves when the client has left; see [`ClientSocket::gone`].
    pub(crate) async fn gone(&self) {
        self.socket.gone().await;
    }

    /// The answer under way is a 101: after it, the connection is a tunnel.
    pub(crate) fn switch_to(&self, tunnel: Box<Tunnel>) {
        *self.tunnel.lock() = Some(tunnel);
    }
}

/// Serves one connection until it closes or is drained, also as a tunnel.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    worker: usize,
    stream: TcpStream,
    transport: Transport,
    peer: SocketAddr,
) {
    let socket = ClientSocket::new(stream);
    let ip = HeaderValue::from_str(&peer.ip().to_canonical().to_string())
        .expect("an IP address is a valid header value");
    let client = ClientConnection {
        worker,
        ip,
        transport,
        socket: socket.clone(),
        tunnel: Mutex::default(),
    };
    let context = Arc::new((shared, client));
    let io = ClientIo(socket);
    let ended = match transport {
        Transport::Clear => serve_http(&context, io).await,
        // Boxed, so that it costs other connections nothing.
        Transport::Tls => Box::pin(serve_tls(&context, io, peer)).await,
    };
    if let Err(error) = ended {
        // A client that leaves or talks nonsense: its business, not an event.
        tracing::debug!(%peer, %error, "client connection ended");
    }
    let (shared, client) = &*context;
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

/// The same after a handshake.
async fn serve_tls(
    context: &Arc<(Arc<Shared>, ClientConnection)>,
    io: ClientIo,
    peer: SocketAddr,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    match Box::pin(tls::handshake(&context.0, io, peer)).await {
        Some(io) => serve_http(context, io).await,
        None => Ok(()),
    }
}

/// Requests and answers, until the connection closes, is drained, or is no
/// HTTP any more.
async fn serve_http<I>(
    context: &Arc<(Arc<Shared>, ClientConnection)>,
    io: I,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
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

    let builder = builder();
    let io = TokioIo::new(io);
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
