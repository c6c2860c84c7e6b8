//! The embedded autoscaler: KEDA and the HPA of local mode.
//!
//! Started by the composition root for `reveille local`. It asks the scaler
//! over the same gRPC contract that KEDA uses, applies KEDA's activation rules
//! (`keda.rs`) and the HPA's formula (`hpa.rs`), and scales workloads. So a
//! ScaledObject behaves on a laptop as it will in a cluster. It must never
//! look into the scaler's memory, nor know how a workload is run.
//!
//! ```text
//! push.rs    streams ─┐           ┌─► keda.rs  0 ↔ 1, idle ─┐
//! reading.rs polls ───┼─ driver.rs┤                         ├─► Workload::scale
//! reading.rs syncs ───┘           └─► hpa.rs   1 ↔ max ─────┘
//!     └── scaler.rs: gRPC                └── policy.rs: its rules
//! ```

mod driver;
#[cfg(test)]
mod fake;
mod faults;
mod hpa;
mod keda;
mod object;
mod objects;
mod policy;
mod push;
mod quantity;
mod reading;
mod scaler;
mod spawn;
mod status;

pub use object::{MetricType, ScaledObject, Trigger, Workload};
pub use objects::Objects;
pub use policy::{
    Behavior, DEFAULT_TOLERANCE, PolicyKind, ScalingPolicy, ScalingRules, SelectPolicy,
};
pub use spawn::{Autoscaler, Config, Crashed};
pub use status::{ErrorStatus, MetricStatus, ObjectStatus, Rules, StatusReader};
