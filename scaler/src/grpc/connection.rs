//! One connection from its preface to its end.
//!
//! It ends by its client, or in order: when it is old, idle, or the server
//! stops. In order means: GOAWAY first, so that the client opens nothing more
//! here; then every stream ends with OK, because KEDA comes back after 2 s from
//! a clean end and after up to a minute from any other; and whoever has not
//! gone after a bounded time is cut off.

use super::{
    config::GrpcConfig,
    metrics::{Ended, GrpcMetrics},
    preface,
    request::{Answering, Usage},
};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    future::{Future, pending, poll_fn},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{sleep, timeout},
};
use tonic::service::Routes;

/// What a client may send ahead, on one stream and on all of them: requests are
/// small, and whoever sends what is not read must not fill our memory.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;

/// The head of a request: gRPC's own fields and a few of a mesh.
const MAX_HEADER_LIST: u32 = 16 * 1024;

/// What may wait to be sent on one stream. A client that does not read gets
/// the state of when it reads, not a backlog.
const SEND_BUFFER: usize = 16 * 1024;

/// What the services of one connection know of it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// True, or without a sender: streams must end, with OK.
    pub closing: watch::Receiver<bool>,
    /// True: it is the whole server that stops, not just this connection.
    pub stopping: watch::Receiver<bool>,
    /// Where the client is; `None`: in this process.
    pub address: Option<SocketAddr>,
    /// The client has shown a certificate that an authority of ours signed, or
    /// is in this process.
    pub is_authenticated: bool,
}

/// Makes the services of one connection.
pub type Services = Arc<dyn Fn(&Connection) -> Routes + Send + Sync>;

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) config: GrpcConfig,
    pub(super) services: Services,
    pub(super) metrics: Arc<GrpcMetrics>,
    /// True: the server stops.
    pub(super) stopping: watch::Receiver<bool>,
}

/// The client's side of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) address: Option<SocketAddr>,
    pub(super) is_authenticated: bool,
    /// When the connection is old.
    pub(super) age: Option<Duration>,
}

/// Serves `io` until it ends.
pub(super) async fn serve<IO>(io: IO, client: Client, shared: Arc<Shared>) -> Ended
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut stopping = shared.stopping.clone();
    let opened = tokio::select! {
        biased;
        opened = timeout(shared.config.preface_within, preface::read(io)) => opened,
        _ = stopping.wait_for(|stopping| *stopping) => return Ended::Shutdown,
    };
    let io = match opened {
        Ok(Ok(io)) => io,
        Ok(Err(instead)) => {
            let why = instead.describe();
            tracing::debug!(client = ?client.address, why, "not a gRPC connection");
            return Ended::NotHttp2;
        }
        Err(_elapsed) => {
            tracing::debug!(client = ?client.address, "a connection on which nothing was said");
            return Ended::NotHttp2;
        }
    };

    let (close, closing) = watch::channel(false);
    let usage = Arc::new(Usage::default());
    let routes = (shared.services)(&Connection {
        closing,
        stopping: stopping.clone(),
        address: client.address,
        is_authenticated: client.is_authenticated,
    });
    let answering = Answering {
        routes,
        usage: usage.clone(),
        metrics: shared.metrics.clone(),
        max_requests: shared.config.max_requests,
    };
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(shared.config.max_streams)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(shared.config.ping_each)
            .keep_alive_timeout(shared.config.ping_each)
            .serve_connection(TokioIo::new(io), answering)
    );

    let why = tokio::select! {
        biased;
        served = connection.as_mut() => return left(&client, served),
        _ = stopping.wait_for(|stopping| *stopping) => Ended::Shutdown,
        () = old(client.age) => Ended::Age,
        () = idle(&usage, shared.config.idle_timeout) => Ended::Idle,
    };
    connection.as_mut().graceful_shutdown();
    // Once: GOAWAY is on its way before any stream learns that it should end.
    if let Poll::Ready(served) = poll_fn(|cx| Poll::Ready(connection.as_mut().poll(cx))).await {
        return left(&client, served);
    }
    close.send_replace(true);
    if timeout(shared.config.drain_within, connection)
        .await
        .is_err()
    {
        shared.metrics.cut_off();
        tracing::debug!(client = ?client.address, ?why, "connection did not end in time");
    }
    why
}

fn left(client: &Client, served: hyper::Result<()>) -> Ended {
    if let Err(error) = served {
        tracing::debug!(client = ?client.address, %error, "gRPC connection broke");
    }
    Ended::ByClient
}

async fn old(age: Option<Duration>) {
    match age {
        Some(age) => sleep(age).await,
        None => pending().await,
    }
}

/// Resolves at a look that finds nothing under way and nothing asked since the
/// look before.
async fn idle(usage: &Usage, each: Duration) {
    let mut seen = 0;
    loop {
        sleep(each).await;
        let begun = usage.begun();
        if usage.is_quiet() && begun == seen {
            return;
        }
        seen = begun;
    }
}
