//! The atomics and the lock that `demand.rs` and `gate/queue.rs` are built on.
//!
//! Those two files name `crate::sync` and nothing else, so that
//! `tests/loom.rs` can compile them against loom's versions and explore every
//! interleaving. Do not use std's or parking_lot's types in them directly.

pub(crate) use parking_lot::Mutex;
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
