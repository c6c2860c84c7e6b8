//! Reveille's data plane: routes each request, counts it, and holds it while
//! nobody can serve it.
//!
//! Knows HTTP. Knows neither Kubernetes nor gRPC nor KEDA.

mod clock;
mod demand;
mod sink;
mod sync;
mod target;

pub use clock::Clock;
pub use demand::{Demand, Totals};
pub use sink::DemandSink;
pub use target::TargetId;
