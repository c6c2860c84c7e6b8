//! Upstream: connections to endpoints. `dial.rs` opens sockets; `send.rs`
//! sends a request as the endpoint's protocol wants it. HTTP/1.1: `pool.rs`
//! keeps the idle connections, one list per worker. HTTP/2: `h2c/`. TLS, where
//! the handshake tells which of them it is: `tls.rs`.

mod dial;
mod h2c;
mod pool;
mod send;
mod tls;

pub(crate) use dial::connect;
pub(crate) use pool::IdlePool;
pub(crate) use send::{Answered, SendError, Use, send};

use crate::{endpoint::Protocol, http::UploadBody, tls::Connector};
use std::{sync::Arc, time::Duration};
use tls::TlsPool;

/// A connection to an endpoint that takes one request at a time.
pub(crate) type Sender = hyper::client::conn::http1::SendRequest<UploadBody>;

/// The connections to one endpoint.
#[derive(Debug)]
pub(crate) enum Connections {
    /// Those that nobody uses.
    Http1(IdlePool),
    /// All of them: they are shared.
    H2c(h2c::Pool),
    /// Of either kind.
    Tls(Box<TlsPool>),
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

    pub(crate) fn over_tls(connector: Arc<Connector>, workers: usize) -> Self {
        Self::Tls(Box::new(TlsPool::new(connector, workers)))
    }

    pub(crate) fn may_speak_h2(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::H2c(_) => true,
            Self::Tls(pool) => pool.may_speak_h2(),
        }
    }

    /// See [`crate::endpoint::Endpoint::is_first_disagreement`].
    pub(crate) fn is_first_disagreement(&self) -> bool {
        match self {
            Self::Tls(pool) => pool.is_first_disagreement(),
            Self::Http1(_) | Self::H2c(_) => false,
        }
    }

    /// Keeps a connection of `worker`'s whose last exchange is complete.
    pub(crate) fn give_back(&self, worker: usize, used: Used) {
        match (self, used) {
            (Self::Http1(pool), Used::Http1(sender)) => pool.put(worker, sender),
            (Self::Tls(pool), Used::Http1(sender)) => pool.give_back(worker, sender),
            (_, Used::H2c(_)) | (Self::H2c(_), _) => {}
        }
    }

    /// How many are open and serve nobody.
    pub(crate) fn idle(&self) -> usize {
        match self {
            Self::Http1(pool) => pool.len(),
            Self::H2c(pool) => pool.idle(),
            Self::Tls(pool) => pool.idle(),
        }
    }

    /// No new requests on any of these. Those under way go on.
    pub(crate) fn clear(&self) {
        match self {
            Self::Http1(pool) => pool.clear(),
            Self::H2c(pool) => pool.clear(),
            Self::Tls(pool) => pool.clear(),
        }
    }

    pub(crate) fn close_older_than(&self, age: Duration) {
        match self {
            Self::Http1(pool) => pool.close_older_than(age),
            Self::H2c(pool) => pool.close_older_than(age),
            Self::Tls(pool) => pool.close_older_than(age),
        }
    }
}
