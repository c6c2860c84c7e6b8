//! Floods of HTTP/2 requests that are given up at once ("rapid reset",
//! CVE-2023-44487): each costs its sender a few bytes and us a request.
//!
//! One watch per HTTP/2 request lives in `forward`. Being given up counts
//! against the connection, being answered in its favour, and a connection that
//! goes too far is cut. Who only gives up what takes long is no flood.

use super::{conn::ClientConnection, refused::RefusedFor};
use crate::proxy::Shared;
use std::sync::atomic::{AtomicU32, Ordering};

/// Given up later than this, a request was meant.
const AT_ONCE_US: u64 = 1_000_000;

/// Requests of one connection that were given up at once, less answered ones.
#[derive(Debug, Default)]
pub(super) struct Resets(AtomicU32);

/// Watches one request until it is answered.
#[derive(Debug)]
pub(crate) struct ResetWatch<'a> {
    shared: &'a Shared,
    client: &'a ClientConnection,
    begun_us: u64,
    is_answered: bool,
}

impl<'a> ResetWatch<'a> {
    pub(crate) fn new(shared: &'a Shared, client: &'a ClientConnection, begun_us: u64) -> Self {
        Self {
            shared,
            client,
            begun_us,
            is_answered: false,
        }
    }

    pub(crate) fn answered(mut self) {
        self.is_answered = true;
        let less = |count: u32| count.checked_sub(1);
        let counter = &self.client.resets.0;
        // Nothing to do at zero.
        let _was_zero = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

impl Drop for ResetWatch<'_> {
    fn drop(&mut self) {
        let now_us = self.shared.clock.now_us();
        if self.is_answered || now_us.saturating_sub(self.begun_us) > AT_ONCE_US {
            return;
        }
        let before = self.client.resets.0.fetch_add(1, Ordering::Relaxed);
        // Exactly once: the others fall with the connection.
        if before == self.shared.config.clients.resets {
            tracing::debug!(client = ?self.client.peer.ip, "connection cut: a flood of resets");
            self.shared.refused.count(RefusedFor::Resets);
            self.client.cut();
        }
    }
}
