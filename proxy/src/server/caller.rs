//! Who asked, as the hot path sees it: a client's connection (HTTP/1), or one
//! stream of it (HTTP/2). What comes before an answer, and what follows one
//! that switches protocols, goes through here.

use super::conn::ClientConnection;
use crate::{forward::Tunnel, http::Interim};
use http::StatusCode;
use parking_lot::Mutex;
use std::{
    mem,
    sync::atomic::{AtomicBool, Ordering},
};

/// Most bytes of interim heads that one stream is sent: frames of heads know
/// no flow control, and an endpoint could send them without end.
const MOST_INTERIM_BYTES: usize = 64 * 1024;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller<'a> {
    Http1(&'a ClientConnection),
    Http2(&'a ClientConnection, &'a StreamCaller),
}

/// What one request on a stream leaves to whoever drives that stream.
#[derive(Debug, Default)]
pub(crate) struct StreamCaller {
    has_interim: AtomicBool,
    interim: Mutex<Waiting>,
    tunnel: Mutex<Option<Box<Tunnel>>>,
}

#[derive(Debug, Default)]
struct Waiting {
    heads: Vec<Interim>,
    /// The client was asked for its body.
    has_asked: bool,
    /// Of all that were ever taken.
    bytes: usize,
}

impl<'a> Caller<'a> {
    pub(crate) fn connection(self) -> &'a ClientConnection {
        match self {
            Self::Http1(connection) | Self::Http2(connection, _) => connection,
        }
    }

    /// Tells the client, before the final head of the answer under way. To be
    /// called in the task of its connection. A client that does not read is
    /// told nothing: these are only hints.
    pub(crate) fn send_interim(self, interim: Interim) {
        match self {
            // hyper says it when the body is first wanted, which is now.
            Self::Http1(_) if interim.status == StatusCode::CONTINUE => {}
            Self::Http1(connection) => connection.send_interim(&interim.to_http1()),
            Self::Http2(connection, stream) => {
                if interim.status == StatusCode::CONTINUE {
                    stream.ask(interim);
                } else if connection.activity.is_flushed() {
                    stream.push(interim);
                }
            }
        }
    }

    /// The answer under way switches protocols: what follows is a tunnel.
    pub(crate) fn switch_to(self, tunnel: Box<Tunnel>) {
        match self {
            // The client's side is all of its connection.
            Self::Http1(connection) => connection.switch_to(tunnel),
            Self::Http2(_, stream) => *stream.tunnel.lock() = Some(tunnel),
        }
    }
}

impl StreamCaller {
    /// Once: a request that is sent again has been asked for.
    fn ask(&self, interim: Interim) {
        if !mem::replace(&mut self.interim.lock().has_asked, true) {
            self.push(interim);
        }
    }

    fn push(&self, interim: Interim) {
        let mut waiting = self.interim.lock();
        waiting.bytes += interim.size();
        if waiting.bytes <= MOST_INTERIM_BYTES {
            waiting.heads.push(interim);
            self.has_interim.store(true, Ordering::Relaxed);
        }
    }

    /// What the client is to be told now.
    pub(super) fn take_interim(&self) -> Vec<Interim> {
        if !self.has_interim.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.has_interim.store(false, Ordering::Relaxed);
        mem::take(&mut self.interim.lock().heads)
    }

    pub(super) fn take_tunnel(&self) -> Option<Box<Tunnel>> {
        self.tunnel.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    #[test]
    fn a_stream_is_sent_only_so_many() {
        let stream = StreamCaller::default();
        let mut sent = 0;
        for _ in 0..10_000 {
            let hint = Interim::new(StatusCode::EARLY_HINTS, None, HeaderMap::new());
            stream.push(hint);
            sent += stream.take_interim().len();
        }
        assert!((1..=MOST_INTERIM_BYTES / 64).contains(&sent), "{sent}");
    }
}
