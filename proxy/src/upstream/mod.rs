//! Upstream: connections to endpoints. `dial.rs` opens sockets; `send.rs`
//! sends a request as the endpoint's protocol wants it: `h1/` or `h2c/`.
//! `pool.rs` keeps the idle HTTP/1.1 connections, one list per worker;
//! `answer.rs` is the body of what comes back. TLS, where the handshake tells
//! which protocol it is: `tls.rs`; `stream.rs` is what a connection runs over.

mod answer;
mod dial;
mod error;
mod expect;
mod h1;
mod h2c;
mod pool;
mod send;
mod stream;
mod tls;

pub(crate) use answer::AnswerBody;
pub(crate) use dial::connect;
pub(crate) use error::UpstreamError;
pub(crate) use h1::{Connection, Switched};
pub(crate) use pool::IdlePool;
pub(crate) use send::{Answer, Asker, Relay, SendError, Use, send};
pub use stream::Stream;

use crate::{
    changes::Changes,
    endpoint::Protocol,
    tls::{Connector, Spoken},
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tls::TlsPool;

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

impl Connections {
    pub(crate) fn new(protocol: Protocol, workers: usize) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(IdlePool::new(workers)),
            Protocol::H2c => Self::H2c(h2c::Pool::new(workers)),
        }
    }

    pub(crate) fn over_tls(
        connector: Arc<Connector>,
        workers: usize,
        changes: Arc<Changes>,
    ) -> Self {
        Self::Tls(Box::new(TlsPool::new(connector, workers, changes)))
    }

    /// See [`crate::endpoint::Endpoint::clear_protocol`].
    pub(crate) fn clear_protocol(&self) -> Option<Protocol> {
        match self {
            Self::Http1(_) => Some(Protocol::Http1),
            Self::H2c(_) => Some(Protocol::H2c),
            Self::Tls(_) => None,
        }
    }

    /// See [`crate::endpoint::Endpoint::tls`].
    pub(crate) fn tls(&self) -> Option<(&Arc<Connector>, Option<Spoken>)> {
        match self {
            Self::Http1(_) | Self::H2c(_) => None,
            Self::Tls(pool) => Some((pool.connector(), pool.spoken())),
        }
    }

    /// See [`crate::endpoint::Endpoint::greet`].
    pub(crate) async fn greet(&self, addr: SocketAddr, limit: Duration) -> io::Result<()> {
        match self {
            Self::Http1(_) | Self::H2c(_) => Ok(()),
            Self::Tls(pool) => pool.greet(addr, limit).await,
        }
    }

    pub(crate) fn may_speak_h2(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::H2c(_) => true,
            Self::Tls(pool) => pool.may_speak_h2(),
        }
    }

    pub(crate) fn speaks_h2_only(&self) -> bool {
        matches!(self, Self::H2c(_))
    }

    /// See [`crate::endpoint::Endpoint::is_first_disagreement`].
    pub(crate) fn is_first_disagreement(&self) -> bool {
        match self {
            Self::Tls(pool) => pool.is_first_disagreement(),
            Self::Http1(_) | Self::H2c(_) => false,
        }
    }

    /// Keeps a connection of `worker`'s whose last exchange is complete.
    pub(crate) fn give_back(&self, worker: usize, connection: Connection) {
        match self {
            Self::Http1(pool) => pool.put(worker, connection),
            Self::Tls(pool) => pool.give_back(worker, connection),
            Self::H2c(_) => {}
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
