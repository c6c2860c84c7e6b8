//! The idle HTTP/1.1 connections of one endpoint, one list per worker.
//!
//! A worker takes and gives back at the end of its own list, so the hottest
//! connection is used first and surplus ones grow cold at the front, where
//! `close_older_than` finds them. The locks are there for that sweep and for
//! the shared runtime; between workers they are never contended.

use super::Connection;
use parking_lot::Mutex;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// Idle connections that one worker keeps to one endpoint.
const MOST_IDLE: usize = 256;

#[derive(Debug)]
struct Idle {
    connection: Connection,
    /// The sweep before it became idle: a time that costs nothing.
    since: Instant,
}

/// One worker's idle connections.
#[derive(Debug)]
struct List {
    idle: VecDeque<Idle>,
    swept: Instant,
}

#[derive(Debug)]
pub(crate) struct IdlePool {
    workers: Box<[Mutex<List>]>,
}

impl IdlePool {
    pub(crate) fn new(workers: usize) -> Self {
        let list = || {
            Mutex::new(List {
                idle: VecDeque::new(),
                swept: Instant::now(),
            })
        };
        Self {
            workers: (0..workers.max(1)).map(|_| list()).collect(),
        }
    }

    /// The connection that `worker` used last and that is still open.
    pub(crate) fn take(&self, worker: usize) -> Option<Connection> {
        let mut list = self.list(worker).lock();
        while let Some(mut idle) = list.idle.pop_back() {
            if idle.connection.is_open() {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Keeps a connection whose last exchange is complete.
    pub(crate) fn put(&self, worker: usize, connection: Connection) {
        let mut list = self.list(worker).lock();
        if list.idle.len() == MOST_IDLE {
            list.idle.pop_front();
        }
        let since = list.swept;
        list.idle.push_back(Idle { connection, since });
    }

    pub(crate) fn clear(&self) {
        for list in &self.workers {
            list.lock().idle.clear();
        }
    }

    /// How many there are that are still open.
    pub(crate) fn len(&self) -> usize {
        let open = |list: &Mutex<List>| {
            let mut list = list.lock();
            let open = list.idle.iter_mut().map(|idle| idle.connection.is_open());
            open.filter(|is_open| *is_open).count()
        };
        self.workers.iter().map(open).sum()
    }

    /// Closes those that were idle for `age`, give or take the time between
    /// two sweeps, and those that the endpoint closed.
    pub(crate) fn close_older_than(&self, age: Duration) {
        let now = Instant::now();
        for list in &self.workers {
            let mut list = list.lock();
            list.idle
                .retain_mut(|idle| idle.connection.is_open() && now - idle.since < age);
            list.swept = now;
        }
    }

    fn list(&self, worker: usize) -> &Mutex<List> {
        &self.workers[worker % self.workers.len()]
    }
}
