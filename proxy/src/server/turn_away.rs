//! One connection too many: it is told so and closed, instead of waiting in
//! the kernel's queue for nobody knows how long.
//!
//! Saying so takes a socket for a moment, so of those that are told there is a
//! limit as well; beyond it, connections are just closed.

use super::linger::linger;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpStream;

/// Connections that are being told.
const MOST: usize = 128;
/// How long the client may take to read it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same for everybody: HTTP/1.1, as nothing was read that says otherwise.
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    x-content-type-options: nosniff\r\n\
    connection: close\r\n\
    retry-after: 1\r\n\
    content-length: 21\r\n\r\n\
    too many connections\n";

#[derive(Clone, Debug, Default)]
pub(super) struct TurnedAway(Arc<AtomicUsize>);

impl TurnedAway {
    /// A place among those that are told, if one is free.
    pub(super) fn place(&self) -> Option<Place> {
        let taken = self.0.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.0.clone());
        (taken < MOST).then_some(place)
    }
}

#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers 503 to whatever comes, and closes.
pub(super) async fn turn_away(stream: TcpStream, _place: Place) {
    // A new socket has room for so little; a client that left gets nothing.
    if stream.writable().await.is_ok() && stream.try_write(ANSWER).is_ok() {
        linger(stream, PATIENCE).await;
    }
}
