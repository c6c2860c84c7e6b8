//! What the hot path does to HTTP messages: `headers.rs` rewrites heads,
//! `body.rs` wraps bodies, `respond.rs` turns refusals into answers.

pub(crate) mod body;
pub(crate) mod headers;
pub(crate) mod respond;

pub(crate) use body::{ProxyBody, TrackedBody, UploadBody};
