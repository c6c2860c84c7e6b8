//! What the hot path does to HTTP messages: `headers.rs` rewrites heads
//! (`hop.rs` takes out what ends here, `forwarded.rs` tells of the client,
//! `expect.rs` reads `Expect`), `body.rs` wraps bodies, `request_body.rs` being what clients send,
//! `respond.rs` turns refusals into answers, `grpc.rs` into those that gRPC
//! clients expect; `resend.rs` keeps the beginning of a body; `length.rs` reads its length; `validate.rs` refuses what is
//! ambiguous; `trailers.rs`, `websocket.rs` and `interim.rs` are what HTTP/1.1
//! and HTTP/2 say in different ways.

pub(crate) mod body;
pub(crate) mod expect;
pub(crate) mod forwarded;
pub(crate) mod grpc;
pub(crate) mod headers;
pub(crate) mod hop;
mod interim;
pub(crate) mod length;
mod request_body;
mod resend;
pub(crate) mod respond;
pub(crate) mod trailers;
pub(crate) mod validate;
pub(crate) mod websocket;

pub(crate) use body::{AtDeadline, BodyError, ProxyBody, TrackedBody, UploadBody};
pub(crate) use interim::Interim;
pub(crate) use request_body::{RequestBody, RequestBodyError};
