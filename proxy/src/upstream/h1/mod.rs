//! HTTP/1.1 to endpoints, one request at a time on a connection.
//!
//! The codec is our own and runs inside the request's own task: no task and
//! no channel per connection, the request's head is written from where it
//! lies (so it needs no copy to be sent again), and the answer's headers
//! take the place of the request's. What that saves is in the README of the
//! load tests.
//!
//! `encode.rs` writes heads and bodies, `head.rs` reads heads (`plain.rs` the
//! usual ones; with `names.rs` and `arena.rs`, hardly ever by allocating),
//! `chunked.rs` and `body.rs` read bodies, `exchange.rs` does one request, `linger.rs` the
//! rest of one that was answered early; `interim.rs` passes 1xx on;
//! `connection.rs` is what is left of a connection between two requests.

mod arena;
mod body;
mod chunked;
mod connection;
mod encode;
mod exchange;
mod head;
mod interim;
mod linger;
mod names;
mod plain;
mod send;
mod switched;

pub(crate) use body::ResponseBody;
pub(crate) use connection::Connection;
pub(super) use send::{Once, send, send_once};
pub(crate) use switched::Switched;
