//! The side of the clients: listening, accepting, serving connections within
//! their limits, draining them.

mod accept;
mod activity;
mod caller;
mod client_address;
mod client_io;
mod client_socket;
mod coalesce;
mod conn;
mod detect;
mod drain;
mod exchange;
mod head_scan;
mod http1;
mod http2;
mod interim;
mod limits;
mod linger;
mod proxy_protocol;
mod refused;
mod resets;
mod sweep;
mod tls;
mod turn_away;

pub(crate) use accept::{accept_loop, bind};
pub(crate) use caller::Caller;
pub(crate) use client_address::{FORWARDED_FOR, Peer};
pub use client_address::{TrustedProxies, parse_network};
pub(crate) use conn::ClientConnection;
pub(crate) use drain::Drain;
pub use limits::ClientLimits;
pub(crate) use proxy_protocol::ProxyProtocol;
pub use proxy_protocol::{
    ProxyProtocolCounters, ProxyProtocolMode, Refused as ProxyProtocolRefused,
};
pub use refused::{Refused, RefusedFor};
pub(crate) use resets::ResetWatch;
pub(crate) use sweep::Sweep;
pub(crate) use tls::Transport;
