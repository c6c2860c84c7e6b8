//! What the scenarios stand on: KEDA's double, replicas of the scaler in this
//! process with relays that can be cut in front of them, traffic that is known
//! to the request, and a clock that only the test moves.

pub(crate) mod keda;
mod oracle;
mod relay;
mod replica;
pub(crate) mod time;
mod world;

pub(crate) use oracle::Margins;
pub(crate) use relay::{Link, Relay};
pub(crate) use world::{SCALER, World};
