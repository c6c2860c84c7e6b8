//! Endpoints that speak TLS: the handshake decides whether a connection is
//! HTTP/2, and so shared, or HTTP/1.1, and so pooled.
//!
//! What an endpoint chose last time is expected of it again. Until that is
//! known, one connection is made and all others wait for what it is.

use super::{
    Answer, Asker, Connection, IdlePool, SendError, Use,
    dial::open,
    h1::{self, Once},
    h2c,
    send::MOST_RETURNS,
    stream::Stream,
};
use crate::{
    changes::Changes,
    endpoint::Endpoint,
    http::UploadBody,
    journal::Journal,
    tls::{Connector, Spoken, UpstreamStream},
};
use h2c::Made;
use http::{Request, header, uri::Scheme};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::io::AsyncWriteExt;

/// The connections to one endpoint.
#[derive(Debug)]
pub(crate) struct TlsPool {
    connector: Arc<Connector>,
    http1: IdlePool,
    h2: h2c::Pool,
    /// What the endpoint chose last: see [`TlsPool::spoken`].
    spoken: AtomicU8,
    /// The last handshake ended in disagreement.
    disagreed: AtomicBool,
    /// It was connected to for nothing but what it chooses.
    greeted: AtomicBool,
    /// Told when it chooses something else.
    changes: Arc<Changes>,
}

/// A connection for one request.
enum Claimed {
    Http1(Connection),
    H2(h2c::Stream),
}

/// Sends `request` on an open connection of `worker`'s that fits, or on a new
/// one. One that turns out to be closed before the request went out costs
/// nothing: the request comes back and the next connection gets it. A
/// handshake that fails is a connection that cannot be made.
///
/// A request to switch protocols goes on a connection of its own, on which
/// HTTP/2 was not offered: there it would mean nothing (RFC 9113 section 8.6).
///
/// Cancel safe: dropping it closes the connection, or resets the stream, that
/// was in use.
pub(super) async fn send(
    (endpoint, pool, worker): (&Arc<Endpoint>, &TlsPool, usize),
    connection: Use,
    connect_limit: Duration,
    asker: Asker<'_>,
    given: &mut Option<Request<UploadBody>>,
    journal: &mut Journal,
) -> Result<Answer, SendError> {
    let addr = endpoint.addr();
    let headers = given.as_ref().map(Request::headers);
    let http1_only = headers.is_some_and(|headers| headers.contains_key(header::UPGRADE));
    let mut returns = 0;
    loop {
        let (claimed, fresh) = match pool.claim(worker, connection, http1_only) {
            Some(claimed) => (claimed, returns == MOST_RETURNS),
            // Boxed: seldom, and large.
            None => {
                journal.connect_began(endpoint);
                let dialled = Box::pin(pool.dial(worker, addr, connect_limit, http1_only)).await;
                journal.connect_ended(dialled.as_ref().err());
                match dialled {
                    Ok(claimed) => {
                        endpoint.readmit();
                        (claimed, true)
                    }
                    Err(error) => return Err(SendError::Connect(error)),
                }
            }
        };
        match claimed {
            Claimed::Http1(connection) => {
                let request = given.as_mut().expect("the caller has a request to send");
                match h1::send_once(endpoint, worker, connection, asker, request).await {
                    Ok(answer) => return Ok(answer),
                    Err(Once::Unsent(_)) if !fresh => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Claimed::H2(stream) => {
                match h2c::send_once(stream, (addr, Scheme::HTTPS), asker, given).await? {
                    Some(answer) => return Ok(answer),
                    None if fresh => return Err(h2c::closed_at_once()),
                    None => {}
                }
            }
        }
        returns += 1;
    }
}

impl TlsPool {
    pub(super) fn new(connector: Arc<Connector>, workers: usize, changes: Arc<Changes>) -> Self {
        Self {
            connector,
            http1: IdlePool::new(workers),
            h2: h2c::Pool::new(workers),
            spoken: AtomicU8::new(0),
            disagreed: AtomicBool::new(false),
            greeted: AtomicBool::new(false),
            changes,
        }
    }

    /// What the endpoint chose last, once that is known.
    pub(super) fn spoken(&self) -> Option<Spoken> {
        match self.spoken.load(Ordering::Relaxed) {
            1 => Some(Spoken::Http1),
            2 => Some(Spoken::H2),
            _ => None,
        }
    }

    pub(super) fn connector(&self) -> &Arc<Connector> {
        &self.connector
    }

    pub(super) fn may_speak_h2(&self) -> bool {
        self.connector.offers_h2() && self.spoken() != Some(Spoken::Http1)
    }

    pub(super) fn is_first_disagreement(&self) -> bool {
        !self.disagreed.swap(true, Ordering::Relaxed)
    }

    /// An open connection.
    fn claim(&self, worker: usize, connection: Use, http1_only: bool) -> Option<Claimed> {
        if !http1_only
            && self.may_speak_h2()
            && let Some(stream) = self.h2.claim(worker)
        {
            return Some(Claimed::H2(stream));
        }
        let may_be_http1 = http1_only || self.spoken() != Some(Spoken::H2);
        if may_be_http1 && connection == Use::Any {
            return self.http1.take(worker).map(Claimed::Http1);
        }
        None
    }

    /// A connection that is made now.
    ///
    /// # Errors
    /// As [`open`] and [`Connector::connect`].
    ///
    /// Cancel safe.
    async fn dial(
        &self,
        worker: usize,
        addr: SocketAddr,
        limit: Duration,
        http1_only: bool,
    ) -> io::Result<Claimed> {
        if http1_only || !self.may_speak_h2() {
            return self.dial_alone(worker, addr, limit, http1_only).await;
        }
        let make = async {
            if self.spoken() == Some(Spoken::Http1) {
                // Whoever waited for another's connection needs one of its own.
                return Ok(Made::Other(None));
            }
            Ok(match self.shake(addr, limit, false).await? {
                (stream, Spoken::H2) => {
                    Made::Shared(h2c::start(stream, addr, self.h2.of(worker)).await?)
                }
                (stream, Spoken::Http1) => Made::Other(Some(http1(stream))),
            })
        };
        match self.h2.dial(worker, make).await? {
            Made::Shared(stream) => Ok(Claimed::H2(stream)),
            Made::Other(Some(connection)) => Ok(Claimed::Http1(connection)),
            Made::Other(None) => self.dial_alone(worker, addr, limit, false).await,
        }
    }

    async fn dial_alone(
        &self,
        worker: usize,
        addr: SocketAddr,
        limit: Duration,
        http1_only: bool,
    ) -> io::Result<Claimed> {
        Ok(match self.shake(addr, limit, http1_only).await? {
            (stream, Spoken::Http1) => Claimed::Http1(http1(stream)),
            (stream, Spoken::H2) => {
                let all = self.h2.of(worker);
                let connection = h2c::start(stream, addr, all).await?;
                Claimed::H2(all.add(connection)?)
            }
        })
    }

    /// See [`Endpoint::greet`].
    pub(super) async fn greet(&self, addr: SocketAddr, limit: Duration) -> io::Result<()> {
        if self.spoken().is_none() && !self.greeted.swap(true, Ordering::Relaxed) {
            let (mut stream, _) = self.shake(addr, limit, false).await?;
            // What is to be known is; however it ends.
            let _closed = stream.shutdown().await;
        }
        Ok(())
    }

    async fn shake(
        &self,
        addr: SocketAddr,
        limit: Duration,
        http1_only: bool,
    ) -> io::Result<(UpstreamStream, Spoken)> {
        let stream = open(addr, limit).await?;
        let (stream, spoken) = self.connector.connect(stream, http1_only).await?;
        self.disagreed.store(false, Ordering::Relaxed);
        if !http1_only {
            let chosen = match spoken {
                Spoken::Http1 => 1,
                Spoken::H2 => 2,
            };
            if self.spoken.swap(chosen, Ordering::Relaxed) != chosen {
                self.changes.tell();
            }
        }
        Ok((stream, spoken))
    }

    pub(super) fn give_back(&self, worker: usize, connection: Connection) {
        self.http1.put(worker, connection);
    }

    pub(super) fn idle(&self) -> usize {
        self.http1.len() + self.h2.idle()
    }

    pub(super) fn clear(&self) {
        self.http1.clear();
        self.h2.clear();
    }

    pub(super) fn close_older_than(&self, age: Duration) {
        self.http1.close_older_than(age);
        self.h2.close_older_than(age);
    }
}

fn http1(stream: UpstreamStream) -> Connection {
    Connection::new(Stream::Tls(Box::new(stream)))
}
