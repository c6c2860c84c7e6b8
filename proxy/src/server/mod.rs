//! The side of the clients: listening, accepting, serving connections,
//! draining them.

mod accept;
mod client_io;
mod conn;
mod drain;
mod interim;

pub(crate) use accept::{accept_loop, bind};
pub(crate) use conn::ClientConnection;
pub(crate) use drain::Drain;
