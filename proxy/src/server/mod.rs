//! The side of the clients: listening, accepting, serving connections,
//! draining them.

mod accept;
mod client_address;
mod client_io;
mod conn;
mod drain;
mod proxy_protocol;

pub(crate) use accept::{accept_loop, bind};
pub(crate) use client_address::{FORWARDED_FOR, Peer};
pub use client_address::{TrustedProxies, parse_network};
pub(crate) use conn::ClientConnection;
pub(crate) use drain::Drain;
pub(crate) use proxy_protocol::ProxyProtocol;
pub use proxy_protocol::{ProxyProtocolCounters, ProxyProtocolMode, Refused};
