//! What clients may take: each of them, and all together. `conn.rs` and
//! `accept.rs` apply it; `refused.rs` counts who went beyond.

use std::time::Duration;

/// Limits of clients. Who goes beyond one is refused in the way that is said
/// there, and counted (`reveille_refused_total`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Connections at the same time; one more gets 503 and is closed.
    pub connections: usize,
    /// Bytes of a request's head; more: 431 (414 for the target alone). Less
    /// than [`ClientLimits::LEAST_HEADER_BYTES`] counts as that.
    pub header_bytes: u32,
    /// Headers of an HTTP/1 request; one more: 431. Beyond 100, each request
    /// costs a memory allocation more.
    pub headers: usize,
    /// Requests that one HTTP/2 connection may have open; one more is refused
    /// with REFUSED_STREAM.
    pub streams: u32,
    /// Requests that one HTTP/2 connection may give up within a second of
    /// having sent them, less those that it let end; one more closes it.
    pub resets: u32,
    /// Connections that have switched protocols, or ask to, at the same time;
    /// one more gets 503.
    pub upgrades: usize,
    /// Who is answered before all of its request was read may go on sending
    /// for so long, and then reads the answer instead of a connection reset
    /// (RFC 9112 section 9.6). Zero: its connection is closed at once.
    pub linger: Duration,
}

impl ClientLimits {
    /// What is read at once, in any case.
    pub const LEAST_HEADER_BYTES: u32 = 8 * 1024;
    /// The number of headers for which no memory needs to be allocated.
    pub(super) const FREE_HEADERS: usize = 100;
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connections: 50_000,
            header_bytes: 64 * 1024,
            headers: Self::FREE_HEADERS,
            streams: 250,
            resets: 500,
            upgrades: 10_000,
            linger: Duration::from_secs(10),
        }
    }
}
