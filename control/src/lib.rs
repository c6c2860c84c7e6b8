//! Reveille's control plane and composition root: manifests, workloads, the
//! embedded autoscaler, the admin interface.

pub mod admin;
pub mod app;
pub mod ask;
pub mod autoscaler;
pub mod cli;
pub mod crd;
pub mod crew;
pub mod discovery;
pub mod explain;
pub mod ingest;
pub mod kubernetes;
pub mod local;
pub mod manifest;
pub mod memory;
pub mod otlp;
pub mod query;
pub mod routes;
pub mod sight;
pub mod telemetry;
pub mod top;
pub mod workload;
pub mod xds;
