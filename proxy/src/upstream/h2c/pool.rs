//! The HTTP/2 connections to one endpoint, one list per worker; nearly always
//! a list of one, since requests share it. Another connection is made when
//! each has as many open streams as the endpoint allows.

use bytes::Bytes;
use h2::{
    SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::Request;
use parking_lot::Mutex;
use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

#[derive(Debug)]
pub(crate) struct Pool {
    workers: Box<[Arc<Connections>]>,
}

/// One worker's connections.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Connections {
    open: Mutex<Vec<Connection>>,
    /// Held by the one who dials; the others wait for what comes of it.
    dialling: tokio::sync::Mutex<Dialled>,
}

/// The last attempt to dial, if it failed.
#[derive(Debug, Default)]
struct Dialled {
    failed: Option<(Instant, io::Error)>,
}

/// What came of dialling: a connection for all, or something else.
pub(in crate::upstream) enum Made<C, T> {
    Shared(C),
    Other(T),
}

impl Dialled {
    /// What went wrong while somebody waited since `begin`.
    fn failure_since(&self, begin: Instant) -> Option<io::Error> {
        let (at, error) = self.failed.as_ref()?;
        (*at >= begin).then(|| copy(error))
    }
}

/// The same error once more, for somebody else. What TLS has to say stays
/// what it is: it decides whether it is worth trying again.
fn copy(error: &io::Error) -> io::Error {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => io::Error::new(error.kind(), tls.clone()),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// An open connection.
#[derive(Debug)]
pub(in crate::upstream) struct Connection {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) state: Arc<ConnectionState>,
}

/// What is known about a connection.
#[derive(Debug)]
pub(super) struct ConnectionState {
    streams: AtomicUsize,
    /// As many streams the peer lets us have open, once that is known.
    most_streams: AtomicUsize,
    /// When its last stream ended.
    idle_since: Mutex<Instant>,
    /// Told of each answer: then the peer's settings have come as well.
    pub(super) answered: Notify,
}

impl ConnectionState {
    pub(super) fn new() -> Self {
        Self {
            streams: AtomicUsize::new(0),
            most_streams: AtomicUsize::new(usize::MAX),
            idle_since: Mutex::new(Instant::now()),
            answered: Notify::new(),
        }
    }

    pub(super) fn set_most_streams(&self, most: usize) {
        self.most_streams.store(most, Ordering::Relaxed);
    }

    fn has_room(&self) -> bool {
        // A peer that allows none now may allow some later: wait there.
        let most = self.most_streams.load(Ordering::Relaxed).max(1);
        self.streams.load(Ordering::Relaxed) < most
    }

    fn is_idle(&self) -> bool {
        self.streams.load(Ordering::Relaxed) == 0
    }
}

/// A claim on one stream of a connection, from before the request until the
/// end of the answer's body.
#[derive(Debug)]
pub(crate) struct Stream {
    sender: SendRequest<Bytes>,
    state: Arc<ConnectionState>,
}

impl Stream {
    /// A claim on `connection`, unless that takes no more requests.
    fn of(connection: &Connection) -> Option<Self> {
        let mut sender = connection.sender.clone();
        if !takes_requests(&mut sender) {
            return None;
        }
        connection.state.streams.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            sender,
            state: connection.state.clone(),
        })
    }

    /// May its request be sent?
    pub(super) fn is_open(&mut self) -> bool {
        takes_requests(&mut self.sender)
    }

    /// Opens it with its one request.
    ///
    /// # Errors
    /// Nothing was sent: the connection takes no more requests, or HTTP/2
    /// cannot carry this one.
    pub(super) fn open(
        &mut self,
        request: Request<()>,
        is_end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.sender.send_request(request, is_end)
    }

    /// Was it opened, and waits until the peer allows one more?
    pub(super) fn is_queued(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_begun(&mut cx).is_pending()
    }

    /// Ready: it has begun, or the connection takes no more.
    pub(super) fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        self.sender.poll_ready(cx)
    }

    pub(super) fn answered(&self) {
        self.state.answered.notify_one();
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.state.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.state.idle_since.lock() = Instant::now();
        }
    }
}

/// Not after a GOAWAY, nor when the connection has ended.
fn takes_requests(sender: &mut SendRequest<Bytes>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    !matches!(sender.poll_ready(&mut cx), Poll::Ready(Err(_)))
}

impl Connections {
    /// A stream of the first connection that has room.
    fn claim(&self) -> Option<Stream> {
        let open = self.open.lock();
        let mut with_room = open.iter().filter(|known| known.state.has_room());
        with_room.find_map(Stream::of)
    }

    /// Forgets a connection that has ended.
    pub(super) fn remove(&self, state: &Arc<ConnectionState>) {
        let mut open = self.open.lock();
        open.retain(|known| !Arc::ptr_eq(&known.state, state));
    }

    /// Shares a new connection, and gives its first stream.
    ///
    /// # Errors
    /// It has closed already.
    pub(in crate::upstream) fn add(&self, connection: Connection) -> io::Result<Stream> {
        let stream = Stream::of(&connection).ok_or_else(|| {
            let words = "closed before a request was sent";
            io::Error::new(io::ErrorKind::ConnectionAborted, words)
        })?;
        self.open.lock().push(connection);
        Ok(stream)
    }
}

impl Pool {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers.max(1)).map(|_| Arc::default()).collect(),
        }
    }

    /// A stream of an open connection, if one has room.
    pub(in crate::upstream) fn claim(&self, worker: usize) -> Option<Stream> {
        self.of(worker).claim()
    }

    /// A stream of a connection that `make` makes now. Whoever comes while one
    /// is being made waits for it, and shares its failure too; if it came to
    /// something else, the next one makes its own.
    ///
    /// Cancel safe: the next one who waits dials.
    ///
    /// # Errors
    /// As `make`.
    pub(in crate::upstream) async fn dial<T>(
        &self,
        worker: usize,
        make: impl Future<Output = io::Result<Made<Connection, T>>>,
    ) -> io::Result<Made<Stream, T>> {
        let all = self.of(worker);
        let begin = Instant::now();
        let mut dialled = all.dialling.lock().await;
        if let Some(stream) = all.claim() {
            return Ok(Made::Shared(stream));
        }
        if let Some(failed) = dialled.failure_since(begin) {
            return Err(failed);
        }
        let made = make.await.and_then(|made| {
            Ok(match made {
                Made::Shared(connection) => Made::Shared(all.add(connection)?),
                Made::Other(other) => Made::Other(other),
            })
        });
        match made {
            Ok(made) => {
                dialled.failed = None;
                Ok(made)
            }
            Err(error) => {
                dialled.failed = Some((Instant::now(), copy(&error)));
                Err(error)
            }
        }
    }

    /// Connections without a stream.
    pub(crate) fn idle(&self) -> usize {
        let idle = |all: &Arc<Connections>| {
            let open = all.open.lock();
            open.iter().filter(|known| known.state.is_idle()).count()
        };
        self.workers.iter().map(idle).sum()
    }

    /// Takes no more requests to the present connections; each closes when
    /// its last stream ends.
    pub(crate) fn clear(&self) {
        for all in &self.workers {
            all.open.lock().clear();
        }
    }

    pub(crate) fn close_older_than(&self, age: Duration) {
        let is_used = |known: &Connection| {
            !known.state.is_idle() || known.state.idle_since.lock().elapsed() < age
        };
        for all in &self.workers {
            let mut open = all.open.lock();
            open.retain_mut(|known| takes_requests(&mut known.sender) && is_used(known));
        }
    }

    /// One worker's.
    pub(in crate::upstream) fn of(&self, worker: usize) -> &Arc<Connections> {
        &self.workers[worker % self.workers.len()]
    }
}
