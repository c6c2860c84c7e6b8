//! KEDA's external scaler contract, version v2.21: five RPCs.
//!
//! [`Keda`] is made by the composition root; everything else is its inside.
//! All answers come from the memory of the ledger and of the series' store. A
//! trigger's metadata comes with each RPC, so there is no registry here that
//! could be stale; queries that are known already are not parsed again.

mod activity_told;
mod asked;
mod durations;
mod error;
mod metadata;
mod meter;
mod metric_stream;
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
pub use crate::metric_sources::MetricSources;
pub use activity_told::{ActivityTold, MetricNow, MetricWakes, Said, ToldBy};
pub use durations::DurationsTold;
pub use metadata::check;
pub use metrics::{CallCount, KedaMetrics, KedaMetricsSnapshot, OpenStreams};
pub use serve::{Keda, SERVICE, serve};
pub use told::MetricTold;
