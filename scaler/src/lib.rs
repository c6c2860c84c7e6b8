//! Reveille's demand signal.
//!
//! Samples what the proxy counts and serves it to KEDA as an external scaler.
//! Knows demand and KEDA's protocol; never Kubernetes.

mod activation;
mod attention;
mod codec;
pub mod demand_merge;
mod direct;
pub mod grpc;
pub mod ingest;
pub mod keda;
mod ledger;
mod metric_sources;
pub mod metric_trigger;
pub mod peers;
mod polls;
pub mod query;
pub mod sampler;
pub mod series;
mod source;
mod tracked;
mod window;

#[cfg(test)]
mod fake;

pub use direct::{DirectReport, Reporter};
pub use ledger::{DemandParts, DemandReading, Ledger, LedgerConfig, Part};
pub use source::{
    DemandSource, RateTarget, TargetEntry, TargetScaling, http_scaled_object, object_name,
};

/// Descriptors of all our protobuf files, for reflection: generated, checked
/// in, verified by `tests/generated.rs`.
const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");

/// KEDA's `externalscaler` protocol: generated, checked in, verified by
/// `tests/generated.rs`.
#[allow(missing_docs, clippy::all, unreachable_pub, rust_2018_idioms)]
pub mod externalscaler {
    // Included, not a module of its own: the formatter must not touch it, or
    // it would no longer be what the generator gives.
    include!("gen/externalscaler.rs");
}

/// The protocol between replicas, generated like [`externalscaler`].
#[allow(missing_docs, clippy::all, unreachable_pub, rust_2018_idioms)]
mod gen_peers {
    include!("gen/reveille.peers.v1.rs");
}
