//! One client connection from the accept to its end: which protocol it is,
//! its HTTP (`http1.rs`, `http2.rs`), the time that it spends parked, and the
//! tunnel that it may become.
//!
//! While nothing happens, all that is kept of it is this file's future, which
//! must stay small: what is large is boxed and dropped.

use super::{
    Peer,
    activity::{Activity, Orders, Stage, Verdict, order},
    client_io::ClientIo,
    client_socket::ClientSocket,
    detect::{self, ClientProtocol, detect},
    exchange::Served,
    head_scan::Verdicts,
    http1::{self, After},
    http2,
    interim::InterimQueue,
    linger::linger,
    refused::RefusedFor,
    resets::Resets,
    tls::{self, Transport},
};
use crate::{
    forward::{PhaseTimer, Tunnel},
    proxy::Shared,
};
use bytes::BytesMut;
use parking_lot::Mutex;
use std::{
    future::{Future, poll_fn},
    io,
    mem::MaybeUninit,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};

/// What is read at once of a connection that has no HTTP state: most heads
/// have less.
const FIRST_READ: usize = 1024;
/// How long last words may take to get out.
pub(super) const LAST_WORDS: Duration = Duration::from_millis(250);
/// The answer to a head that does not end (RFC 9110 section 15.5.9).
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\n\
    connection: close\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    x-content-type-options: nosniff\r\n\
    content-length: 16\r\n\r\n\
    Request Timeout\n";

/// Why a connection ended that a client broke.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Http1(hyper::Error),
    #[error(transparent)]
    Http2(h2::Error),
}

/// What requests need to know about their connection.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    /// The worker that serves it.
    pub(crate) worker: usize,
    /// Who is at its other end.
    pub(crate) peer: Peer,
    /// What reading along found about its requests (HTTP/1).
    pub(crate) verdicts: Arc<Verdicts>,
    /// Requests that it gave up (HTTP/2).
    pub(super) resets: Resets,
    pub(super) activity: Arc<Activity>,
    pub(super) socket: Arc<ClientSocket>,
    /// For the phases of its requests.
    pub(crate) timer: PhaseTimer,
    /// Interim answers on their way to it (HTTP/1).
    pub(super) interim: Arc<InterimQueue>,
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

    /// Interim heads for an HTTP/1.1 client, before the final head of the
    /// answer under way; in the task of the connection.
    pub(crate) fn send_interim(&self, heads: &[u8]) {
        self.interim.push(heads);
    }

    /// The answer under way is a 101: after it, the connection is a tunnel.
    pub(crate) fn switch_to(&self, tunnel: Box<Tunnel>) {
        *self.tunnel.lock() = Some(tunnel);
    }

    pub(super) fn has_tunnel(&self) -> bool {
        self.tunnel.lock().is_some()
    }
}

/// Serves one connection until it closes or is drained, also as a tunnel.
///
/// Must run on the worker. Cancel safe: dropped, the connection is closed.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    worker: usize,
    stream: TcpStream,
    transport: Transport,
    peer: SocketAddr,
) {
    let watched = shared.sweeps[worker].watch();
    let activity = watched.activity();
    let socket = ClientSocket::new(stream, activity.clone());
    let trusted = &shared.config.client_address.trusted_proxies;
    let client = ClientConnection {
        worker,
        peer: Peer::new(peer, trusted, transport),
        verdicts: Verdicts::new(),
        resets: Resets::default(),
        activity: activity.clone(),
        socket: socket.clone(),
        timer: PhaseTimer::default(),
        interim: Arc::default(),
        is_sending: AtomicBool::new(false),
        tunnel: Mutex::default(),
    };
    let served: Served = Arc::new((shared, client));
    let mut io = ClientIo::new(socket);
    let mut known = None;
    if transport == Transport::Tls {
        // Boxed, so that it costs other connections nothing.
        match Box::pin(tls::handshake(&served.0, io, peer)).await {
            Some(shaken) => (io, known) = shaken,
            None => return,
        }
        activity.enter(Stage::Silent);
    }
    let protocol = match known {
        Some(protocol) => protocol,
        // Boxed: of no use once it is known.
        None => match Box::pin(first_bytes(&mut io, activity)).await {
            Some(protocol) => protocol,
            None => return,
        },
    };
    let ended = match protocol {
        ClientProtocol::Http1 => serve_http1(&served, io, peer)
            .await
            .map_err(ConnectionError::Http1),
        ClientProtocol::Http2 => Box::pin(http2::serve(&served, io))
            .await
            .map_err(ConnectionError::Http2),
    };
    let (shared, client) = &*served;
    if let Err(error) = &ended {
        // A client that leaves or talks nonsense: its business, not an event.
        tracing::debug!(%peer, %error, "client connection ended");
        if let Some(reason) = RefusedFor::of_connection(error) {
            shared.refused.count(reason);
        }
    }
    if ended.is_err() || client.is_sending.load(Ordering::Relaxed) {
        let io = ClientIo::new(client.socket.clone());
        not_beyond_the_drain(shared, linger(io, shared.config.clients.linger)).await;
    }
}

/// HTTP/1 for as long as the client stays: served, parked, served anew.
async fn serve_http1(
    served: &Served,
    mut io: ClientIo,
    peer: SocketAddr,
) -> Result<(), hyper::Error> {
    let (shared, client) = &**served;
    loop {
        // Its memory is given back before anything else is waited for.
        let after = Box::pin(http1::serve(served, io)).await?;
        io = match after {
            After::Closed => return Ok(()),
            After::Resume(io) => io,
            After::Parked(io) => match parked(io, &client.activity).await {
                Some(io) => io,
                None => return Ok(()),
            },
            After::TooSlow(mut io) => {
                tracing::debug!(%peer, "a request's head took too long");
                Box::pin(refuse_slow(&mut io)).await;
                return Ok(());
            }
            After::Switched(io) => {
                let tunnel = client.tunnel.lock().take();
                client.activity.enter(Stage::Tunnel);
                if let Some(tunnel) = tunnel {
                    not_beyond_the_drain(shared, tunnel.run(io)).await;
                }
                return Ok(());
            }
        };
    }
}

/// What seldom follows the requests of a connection, and ends with the drain.
/// Boxed, so that it costs other connections nothing.
fn not_beyond_the_drain<'a>(
    shared: &Shared,
    what: impl Future<Output = ()> + Send + 'a,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    let deadline = shared.drain.deadline();
    Box::pin(async {
        tokio::select! {
            biased;
            () = deadline => {}
            () = what => {}
        }
    })
}

/// The protocol that the client's first bytes tell. None: the connection is
/// to be closed.
async fn first_bytes(io: &mut ClientIo, activity: &Activity) -> Option<ClientProtocol> {
    let mut bytes = BytesMut::new();
    let protocol = loop {
        match arrival(io, activity, &mut bytes).await {
            Arrival::Bytes => {
                if let Some(protocol) = detect(&bytes) {
                    break protocol;
                }
            }
            // Whatever it was meant to be, HTTP/1 knows how to end it.
            Arrival::End if !bytes.is_empty() => break ClientProtocol::Http1,
            Arrival::TooSlow => {
                count_slow(activity);
                if detect::may_be_http1(&bytes) {
                    Box::pin(refuse_slow(io)).await;
                }
                return None;
            }
            Arrival::Close => {
                if activity.stage() == Stage::Silent && !activity.is_draining() {
                    count_slow(activity);
                }
                return None;
            }
            Arrival::End => return None,
        }
    };
    io.unread(bytes.freeze());
    Some(protocol)
}

/// Waits without any HTTP state. None: the connection is to be closed.
async fn parked(mut io: ClientIo, activity: &Activity) -> Option<ClientIo> {
    let counters = activity.sweep().counters();
    activity.relabel(Stage::Parked);
    counters.parked.fetch_add(1, Ordering::Relaxed);
    let mut bytes = BytesMut::new();
    let arrival = arrival(&mut io, activity, &mut bytes).await;
    counters.parked.fetch_sub(1, Ordering::Relaxed);
    match arrival {
        Arrival::Bytes => {
            counters.woken.fetch_add(1, Ordering::Relaxed);
            io.unread(bytes.freeze());
            Some(io)
        }
        Arrival::Close if !activity.is_draining() => {
            counters.idle.fetch_add(1, Ordering::Relaxed);
            None
        }
        Arrival::Close | Arrival::End | Arrival::TooSlow => None,
    }
}

/// How waiting without HTTP state ended.
enum Arrival {
    Bytes,
    End,
    /// By order of the drain or the sweep.
    Close,
    TooSlow,
}

/// Waits for more bytes and adds them to `bytes`, or for orders.
async fn arrival(io: &mut ClientIo, activity: &Activity, bytes: &mut BytesMut) -> Arrival {
    let mut orders = Orders::of(activity);
    poll_fn(|cx| {
        let orders = orders.poll(cx);
        if orders & order::CUT != 0 {
            return Poll::Ready(Arrival::Close);
        }
        if orders & order::DRAIN != 0 {
            io.socket().look_again();
        }
        // On the stack, not in the future.
        let mut space = [MaybeUninit::uninit(); FIRST_READ];
        let mut buffer = ReadBuf::uninit(&mut space);
        if let Poll::Ready(read) = Pin::new(&mut *io).poll_read(cx, &mut buffer) {
            bytes.extend_from_slice(buffer.filled());
            return Poll::Ready(match read {
                Ok(()) if !buffer.filled().is_empty() => Arrival::Bytes,
                _ => Arrival::End,
            });
        }
        if orders & order::DRAIN != 0 && bytes.is_empty() {
            return Poll::Ready(Arrival::Close);
        }
        if orders == 0 {
            return Poll::Pending;
        }
        match activity.verdict() {
            Some(Verdict::TooSlow) => Poll::Ready(Arrival::TooSlow),
            Some(_) => Poll::Ready(Arrival::Close),
            None => Poll::Pending,
        }
    })
    .await
}

pub(super) fn count_slow(activity: &Activity) {
    let counters = activity.sweep().counters();
    counters.slow.fetch_add(1, Ordering::Relaxed);
}

/// Says that a head took too long, and that this is the end.
async fn refuse_slow(io: &mut ClientIo) {
    let said = async {
        io.write_all(TOO_SLOW).await?;
        io.flush().await?;
        io.shutdown().await
    };
    // Nobody has to listen.
    let _said: Result<io::Result<()>, _> = tokio::time::timeout(LAST_WORDS, said).await;
}

#[cfg(test)]
mod tests;
