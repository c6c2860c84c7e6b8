//! Upstream: connections to endpoints. `dial.rs` opens sockets; `send.rs`
//! sends a request as the endpoint's protocol wants it: `h1/` or `h2c/`.
//! `pool.rs` keeps the idle HTTP/1.1 connections, one list per worker;
//! `answer.rs` is the body of what comes back.

mod answer;
mod dial;
mod error;
mod h1;
mod h2c;
mod pool;
mod send;

pub(crate) use answer::AnswerBody;
pub(crate) use dial::connect;
pub(crate) use error::UpstreamError;
pub(crate) use h1::{Connection, Switched};
pub(crate) use pool::IdlePool;
pub(crate) use send::{Answer, Asker, Relay, SendError, Use, send};

use crate::endpoint::Protocol;
use std::time::Duration;

/// The connections to one endpoint.
#[derive(Debug)]
pub(crate) enum Connections {
    /// Those that nobody uses.
    Http1(IdlePool),
    /// All of them: they are shared.
    H2c(h2c::Pool),
}

impl Connections {
    pub(crate) fn new(protocol: Protocol, workers: usize) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(IdlePool::new(workers)),
            Protocol::H2c => Self::H2c(h2c::Pool::new(workers)),
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match self {
            Self::Http1(_) => Protocol::Http1,
            Self::H2c(_) => Protocol::H2c,
        }
    }

    /// Keeps a connection of `worker`'s whose last exchange is complete.
    pub(crate) fn give_back(&self, worker: usize, connection: Connection) {
        if let Self::Http1(pool) = self {
            pool.put(worker, connection);
        }
    }

    /// How many are open and serve nobody.
    pub(crate) fn idle(&self) -> usize {
        match self {
            Self::Http1(pool) => pool.len(),
            Self::H2c(pool) => pool.idle(),
        }
    }

    /// No new requests on any of these. Those under way go on.
    pub(crate) fn clear(&self) {
        match self {
            Self::Http1(pool) => pool.clear(),
            Self::H2c(pool) => pool.clear(),
        }
    }

    pub(crate) fn close_older_than(&self, age: Duration) {
        match self {
            Self::Http1(pool) => pool.close_older_than(age),
            Self::H2c(pool) => pool.close_older_than(age),
        }
    }
}
