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
    since: Instant,
}

#[derive(Debug)]
pub(crate) struct IdlePool {
    workers: Box<[Mutex<VecDeque<Idle>>]>,
}

impl IdlePool {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    /// The connection that `worker` used last and that is still open.
    pub(crate) fn take(&self, worker: usize) -> Option<Connection> {
        let mut list = self.list(worker).lock();
        while let Some(idle) = list.pop_back() {
            if idle.connection.is_open() {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Keeps a connection whose last exchange is complete.
    pub(crate) fn put(&self, worker: usize, connection: Connection) {
        let mut list = self.list(worker).lock();
        if list.len() == MOST_IDLE {
            list.pop_front();
        }
        list.push_back(Idle {
            connection,
            since: Instant::now(),
        });
    }

    pub(crate) fn clear(&self) {
        for list in &self.workers {
            list.lock().clear();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.workers.iter().map(|list| list.lock().len()).sum()
    }

    pub(crate) fn close_older_than(&self, age: Duration) {
        for list in &self.workers {
            list.lock()
                .retain(|idle| idle.connection.is_open() && idle.since.elapsed() < age);
        }
    }

    fn list(&self, worker: usize) -> &Mutex<VecDeque<Idle>> {
        &self.workers[worker % self.workers.len()]
    }
}
