//! One connection to one address, kept up as grpc-go keeps it.
//!
//! It connects at once and again as soon as it was lost; a connect that fails
//! is repeated after 1 s, 1.6 s, … 120 s, and until one succeeds the address
//! counts as failing. As in grpc-go, a connection is ready when the server's
//! first bytes are there, not when TCP says so.

use super::{channel::Changed, timings::Timings};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tonic::body::Body;

/// What can be done with an address now.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Not known yet: calls wait.
    Connecting,
    Ready(SendRequest<Body>),
    /// Calls fail at once; stays so while it tries again.
    Failing(String),
}

/// How often a ready connection is looked at for a GOAWAY.
const LOOK_EACH: Duration = Duration::from_millis(10);

/// One address. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct SubConn {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl SubConn {
    pub(super) fn open(address: SocketAddr, timings: Timings, changed: Changed) -> Self {
        let state = Arc::new(Mutex::new(State::Connecting));
        let task = tokio::spawn(keep_up(address, timings, Arc::clone(&state), changed));
        Self {
            address,
            state,
            task,
        }
    }

    pub(super) fn state(&self) -> State {
        let state = self.state.lock().clone();
        match state {
            // It was told to go away and will be replaced.
            State::Ready(ref send) if send.is_closed() => State::Connecting,
            state => state,
        }
    }
}

impl Drop for SubConn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_up(
    address: SocketAddr,
    timings: Timings,
    state: Arc<Mutex<State>>,
    changed: Changed,
) {
    let mut pause = timings.connect_retry_first;
    loop {
        let connected = timeout(timings.connect_within, connect(address)).await;
        match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok((send, mut connection)) => {
                pause = timings.connect_retry_first;
                *state.lock() = State::Ready(send.clone());
                changed.tell();
                let mut looks = interval(LOOK_EACH);
                looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    tokio::select! {
                        _ended = &mut connection.0 => break,
                        _ = looks.tick() => if send.is_closed() {
                            // Its streams go on until they end by themselves.
                            connection.detach();
                            break;
                        }
                    }
                }
                *state.lock() = State::Connecting;
                changed.tell_lost();
            }
            Err(error) => {
                *state.lock() = State::Failing(format!("{address}: {error}"));
                changed.tell_lost();
                sleep(pause).await;
                pause = pause.mul_f64(1.6).min(timings.connect_retry_most);
            }
        }
    }
}

/// The task that drives a connection; dropped, the connection is closed.
struct Driven(JoinHandle<()>, bool);

impl Driven {
    fn detach(mut self: Driven) {
        self.1 = true;
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        if !self.1 {
            self.0.abort();
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<(SendRequest<Body>, Driven)> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let heard = Arc::new(Notify::new());
    let stream = Heard {
        stream,
        heard: Arc::clone(&heard),
    };
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    // grpc-go's windows.
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535);
    let (send, connection) = builder
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let mut driven = Driven(
        tokio::spawn(async move {
            // However it ends, it is replaced.
            let _ended = connection.await;
        }),
        false,
    );
    tokio::select! {
        biased;
        () = heard.notified() => Ok((send, driven)),
        _ended = &mut driven.0 => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

/// A socket that tells when something was read from it.
struct Heard {
    stream: TcpStream,
    heard: Arc<Notify>,
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.notify_one();
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
