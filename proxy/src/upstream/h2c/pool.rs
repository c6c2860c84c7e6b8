//! The HTTP/2 connections to one endpoint, one list per worker; nearly always
//! a list of one, since requests share it. Another connection is made when
//! each has as many open streams as the endpoint allows.

use crate::http::UploadBody;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http2::SendRequest},
};
use parking_lot::Mutex;
use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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
    pub(super) sender: SendRequest<UploadBody>,
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
    sender: Option<SendRequest<UploadBody>>,
    state: Arc<ConnectionState>,
}

impl Stream {
    fn of(connection: &Connection) -> Self {
        connection.state.streams.fetch_add(1, Ordering::Relaxed);
        Self {
            sender: Some(connection.sender.clone()),
            state: connection.state.clone(),
        }
    }

    /// Sends the one request of this stream.
    ///
    /// Our handle goes at once: a request that comes to lie in the channel of
    /// a connection which ends at this very moment is given back when the last
    /// handle is gone (hyperium/hyper#4122), and the connection's task takes
    /// the pool's.
    pub(super) fn send(
        &mut self,
        request: Request<UploadBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<UploadBody>>>> + use<>
    {
        let mut sender = self.sender.take().expect("one request per stream");
        sender.try_send_request(request)
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

impl Connections {
    /// A stream of the first connection that has room.
    fn claim(&self) -> Option<Stream> {
        let open = self.open.lock();
        open.iter()
            .find(|known| !known.sender.is_closed() && known.state.has_room())
            .map(Stream::of)
    }

    /// Forgets a connection that has ended.
    pub(super) fn remove(&self, state: &Arc<ConnectionState>) {
        let mut open = self.open.lock();
        open.retain(|known| !Arc::ptr_eq(&known.state, state));
    }

    pub(in crate::upstream) fn add(&self, connection: Connection) -> Stream {
        let stream = Stream::of(&connection);
        self.open.lock().push(connection);
        stream
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
        match make.await {
            Ok(made) => {
                dialled.failed = None;
                Ok(match made {
                    Made::Shared(connection) => Made::Shared(all.add(connection)),
                    Made::Other(other) => Made::Other(other),
                })
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
            open.retain(|known| !known.sender.is_closed() && is_used(known));
        }
    }

    /// One worker's.
    pub(in crate::upstream) fn of(&self, worker: usize) -> &Arc<Connections> {
        &self.workers[worker % self.workers.len()]
    }
}
