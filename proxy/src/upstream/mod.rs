//! Upstream: connections to endpoints. `dial.rs` makes them, `pool.rs` keeps
//! the idle ones, one list per worker; `send.rs` sends a request on one.

mod dial;
mod pool;
mod send;

pub(crate) use dial::connect;
pub(crate) use pool::IdlePool;
pub(crate) use send::{SendError, send};

use crate::http::UploadBody;

/// A connection to an endpoint that takes one request at a time.
pub(crate) type Sender = hyper::client::conn::http1::SendRequest<UploadBody>;
