//! Upstream: connections to endpoints. `dial.rs` opens sockets; `send.rs`
//! sends a request as the endpoint's protocol wants it. HTTP/1.1: `pool.rs`
//! keeps the idle connections, one list per worker; `interim.rs` finds 1xx
//! answers on them, and `linger.rs` ends uploads that nobody waits for. HTTP/2: `h2c/`.

mod dial;
mod h2c;
mod interim;
mod linger;
mod pool;
mod send;

pub(crate) use dial::connect;
pub(crate) use pool::IdlePool;
pub(crate) use send::{Answered, Relay, SendError, Use, send};

use crate::{endpoint::Protocol, http::UploadBody};
use hyper::client::conn::http1::SendRequest;
use interim::Interim;
use std::{sync::Arc, time::Duration};
use tokio::task::AbortHandle;

/// A connection to an endpoint that takes one request at a time.
#[derive(Debug)]
pub(crate) struct Sender {
    http: SendRequest<UploadBody>,
    interim: Arc<Interim>,
    /// Ends the connection at once.
    driver: AbortHandle,
}

impl Sender {
    fn is_closed(&self) -> bool {
        self.http.is_closed()
    }
}

/// The connections to one endpoint.
#[derive(Debug)]
pub(crate) enum Connections {
    /// Those that nobody uses.
    Http1(IdlePool),
    /// All of them: they are shared.
    H2c(h2c::Pool),
}

/// The part of a connection that an answer's body comes on.
#[derive(Debug)]
pub(crate) enum Used {
    /// All of it; to be given back when both bodies are through.
    Http1(Sender),
    /// One stream, which needs no giving back.
    H2c(#[expect(dead_code, reason = "held for its drop")] h2c::Stream),
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
    pub(crate) fn give_back(&self, worker: usize, used: Used) {
        if let (Self::Http1(pool), Used::Http1(sender)) = (self, used) {
            pool.put(worker, sender);
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
