//! The side of the clients: listening, accepting, serving connections,
//! draining them.

mod accept;
mod client_io;
mod conn;
mod drain;
mod tls;

pub(crate) use accept::{accept_loop, bind};
pub(crate) use conn::ClientConnection;
pub(crate) use drain::Drain;
pub(crate) use tls::Transport;
