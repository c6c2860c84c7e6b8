//! Fixed answers: what a route says itself, without asking its target.

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;

/// An answer that a route gives itself: a static route's, or a placeholder.
#[derive(Clone, Debug)]
pub struct StaticResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers; the length is added when it is sent.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}
