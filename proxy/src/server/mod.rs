//! The side of the clients: listening, accepting, serving connections within
//! their limits, draining them.

mod accept;
mod client_io;
mod conn;
mod drain;
mod head_scan;
mod limits;
mod linger;
mod refused;
mod resets;
mod turn_away;

pub(crate) use accept::{accept_loop, bind};
pub(crate) use conn::ClientConnection;
pub(crate) use drain::Drain;
pub use limits::ClientLimits;
pub use refused::{Refused, RefusedFor};
pub(crate) use resets::ResetWatch;
