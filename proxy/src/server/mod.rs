//! The side of the clients: listening, accepting, serving connections,
//! draining them.

mod accept;
mod activity;
mod client_io;
mod coalesce;
mod conn;
mod detect;
mod drain;
mod exchange;
mod http1;
mod http2;
mod sweep;

pub(crate) use accept::{accept_loop, bind};
pub(crate) use conn::ClientConnection;
pub(crate) use drain::Drain;
pub(crate) use sweep::Sweep;
