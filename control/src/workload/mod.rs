//! Workloads: what stands behind a target and can be scaled. Here: child
//! processes on loopback ports, the local stand-in for a Deployment.
//!
//! `pool.rs` keeps as many replicas as are wanted; `replica.rs` is the life of
//! one; `probe.rs` finds out when it can serve; `port.rs` finds it a port;
//! `output.rs` passes on what it says; `backoff.rs` paces restarts; `rollout.rs`
//! says who makes room for whom when the Process is edited.

mod backoff;
mod output;
mod pool;
mod port;
mod probe;
mod replica;
mod rollout;

pub use pool::ProcessPool;
pub(crate) use probe::until_ready;
