//! Accepting: one task takes connections and hands each to the worker with
//! the fewest.

use super::{
    conn,
    refused::RefusedFor,
    tls::Transport,
    turn_away::{TurnedAway, turn_away},
};
use crate::{proxy::Shared, runtime::Workers};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::Instant};

const BACKLOG: i32 = 4096;
/// A silent client is asked for a sign of life this often,
const KEEPALIVE: Duration = Duration::from_secs(30);
/// and given up after this long without one.
const UNACKNOWLEDGED: Duration = Duration::from_secs(90);
/// How long to pause when the process has no file descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// How often to log that there are too many connections.
const WARN_EACH: Duration = Duration::from_secs(60);

/// Binds without accepting yet, so that errors show at startup.
///
/// # Errors
/// What the operating system says.
pub(crate) fn bind(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts until dropped. Running out of file descriptors slows it down, and
/// nothing ends it. Beyond the limit of connections, each is told so and
/// closed.
pub(crate) async fn accept_loop(
    listener: TcpListener,
    transport: Transport,
    shared: Arc<Shared>,
    workers: Arc<Workers>,
) {
    let mut exhausted = false;
    let mut warned: Option<Instant> = None;
    let turned_away = TurnedAway::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                exhausted = false;
                let open = shared.drain.connections();
                if open >= shared.config.clients.connections {
                    if warned.is_none_or(|at| at.elapsed() > WARN_EACH) {
                        warned = Some(Instant::now());
                        tracing::warn!(
                            connections = open,
                            "too many client connections; new ones get 503 \
                             (raise --max-connections?)"
                        );
                    }
                    shared.refused.count(RefusedFor::Connections);
                    // This task runs on the first worker, and so does that.
                    // Over TLS it could not be said without a handshake.
                    if transport == Transport::Clear
                        && let Some(place) = turned_away.place()
                    {
                        drop(workers.first().spawn(turn_away(stream, place)));
                    }
                    continue;
                }
                if let Err(error) = hand_over(stream, transport, peer, &shared, &workers) {
                    tracing::debug!(%peer, %error, "connection lost before it was served");
                }
            }
            Err(error) if is_about_one_connection(&error) => {
                tracing::debug!(%error, "connection lost before it was accepted");
            }
            Err(error) => {
                if !exhausted {
                    tracing::warn!(
                        %error, connections = shared.drain.connections(),
                        "cannot accept connections now; trying on (raise the limit of open files?)"
                    );
                }
                exhausted = true;
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

fn hand_over(
    stream: tokio::net::TcpStream,
    transport: Transport,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    workers: &Workers,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A client that vanished without a word must not be demand for ever.
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE),
    )?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    // Off this runtime, so that it can be registered with the worker's.
    let stream = stream.into_std()?;
    let worker = workers.least_busy();
    let place = worker.take_place();
    let index = worker.index();
    let served = shared.clone();
    let connection = shared.drain.track(async move {
        let _place = place;
        match tokio::net::TcpStream::from_std(stream) {
            Ok(mut stream) => {
                let trusted = served
                    .config
                    .client_address
                    .trusted_proxies
                    .contain(peer.ip());
                let header = &served.proxy_protocol;
                let client = header
                    .client(&mut stream, peer, trusted, &served.drain)
                    .await;
                if let Some(client) = client {
                    conn::serve(served, index, stream, transport, client).await;
                }
            }
            Err(error) => tracing::warn!(%peer, %error, "connection cannot be served"),
        }
    });
    worker.spawn(connection);
    Ok(())
}
