//! A backend of fixed capacity: it serves so many requests at once, lets so
//! many wait, and closes the connections of the rest without an answer.

use super::{Wire, backend::bind_own};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinSet};

pub(crate) struct BoundedBackend {
    addr: SocketAddr,
    state: Arc<State>,
    _accepting: JoinSet<()>,
}

struct State {
    slots: Semaphore,
    /// Requests that it has room for, those that wait included.
    room: usize,
    service: Duration,
    inside: AtomicUsize,
    most: AtomicUsize,
    answered: AtomicUsize,
    turned_away: AtomicUsize,
}

impl BoundedBackend {
    /// Serves `slots` requests at once, in `service` each; `backlog` more may
    /// wait.
    pub(crate) async fn start(slots: usize, backlog: usize, service: Duration) -> Self {
        let listener = bind_own();
        let addr = listener.local_addr().expect("bound");
        let state = Arc::new(State {
            slots: Semaphore::new(slots),
            room: slots.saturating_add(backlog),
            service,
            inside: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            turned_away: AtomicUsize::new(0),
        });
        let mut accepting = JoinSet::new();
        let shared = state.clone();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                connections.spawn(serve(stream.into(), shared.clone()));
            }
        });
        Self {
            addr,
            state,
            _accepting: accepting,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Most requests that were with it at once.
    pub(crate) fn most(&self) -> usize {
        self.state.most.load(Ordering::SeqCst)
    }

    pub(crate) fn answered(&self) -> usize {
        self.state.answered.load(Ordering::SeqCst)
    }

    /// Requests whose connection it closed.
    pub(crate) fn turned_away(&self) -> usize {
        self.state.turned_away.load(Ordering::SeqCst)
    }
}

async fn serve(mut wire: Wire, state: Arc<State>) {
    while wire.try_head().await.is_some() {
        let inside = state.inside.fetch_add(1, Ordering::SeqCst) + 1;
        state.most.fetch_max(inside, Ordering::SeqCst);
        if inside > state.room {
            state.inside.fetch_sub(1, Ordering::SeqCst);
            state.turned_away.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let slot = state.slots.acquire().await.expect("never closed");
        // The work that it does.
        tokio::time::sleep(state.service).await;
        drop(slot);
        state.inside.fetch_sub(1, Ordering::SeqCst);
        state.answered.fetch_add(1, Ordering::SeqCst);
        wire.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
    }
}
