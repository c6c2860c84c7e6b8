//! KEDA's external scaler contract, version v2.21: five RPCs.
//!
//! [`Keda`] is made by the composition root; everything else is its inside.
//! All answers come from the ledger's memory. A trigger's metadata is parsed
//! anew in each RPC, so there is no registry here that could be stale.

mod durations;
mod error;
mod metadata;
mod metrics;
mod own_demand;
mod policy;
mod serve;
mod service;
mod spec;
mod spec_stream;
mod stream;
mod told;

pub use crate::grpc::ServeError;
pub use durations::DurationsTold;
pub use metrics::{CallCount, KedaMetrics, KedaMetricsSnapshot, OpenStreams};
pub use serve::{Keda, SERVICE, serve};
pub use told::MetricTold;
