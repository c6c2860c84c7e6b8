//! Scenarios: what KEDA believes and does while scalers are restarted, cut
//! off and asked at the worst moment.
//!
//! KEDA is a double that behaves as KEDA does, over loopback sockets, on a
//! clock that only the test moves. After each scenario KEDA's own log is
//! compared with the requests that were really sent. `double.rs` shows that
//! the double is as bad as the original.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "other tests use other parts")]
mod support;

mod double;
mod one_replica;
mod replicas;
