//! KEDA as its scaler meets it: the operator and the HPA of some
//! ScaledObjects, with the behaviour that KEDA 2.21 has, its traps included.
//!
//! For tests that want to know what KEDA would have done: in this process on
//! paused time, or beside the program `reveille` with [`Timings::divided`].
//! Unlike the embedded autoscaler, which is kinder than KEDA on purpose, this
//! one has no deadlines, believes answers that are out of date, holds a lock
//! while it polls and loses activations where KEDA loses them. It must never
//! look into the scaler: all that it knows comes over gRPC.
//!
//! ```text
//! channel.rs ◄─ subconn.rs     one ClientConn per address, round robin
//!    ▲
//! calls.rs                     unary calls, second try, streamed specs
//!    ▲
//! operator.rs                  reconcile, poll, pushes, HPA of one object
//!   ├─ push.rs                 the two streams and their back-off
//!   ├─ executor.rs             what a poll or a push does to the replicas
//!   └─ hpa.rs                  what the HPA does to them
//! log.rs                       everything that it saw and did
//! ```

mod calls;
mod channel;
mod executor;
mod hpa;
mod log;
mod object;
mod operator;
mod push;
mod subconn;
mod timings;

pub(crate) use channel::Dns;
pub(crate) use log::{Event, Path};
pub(crate) use object::{Fallback, ScaledObject, Trigger, Workload};
pub(crate) use operator::Keda;
pub(crate) use timings::Timings;
