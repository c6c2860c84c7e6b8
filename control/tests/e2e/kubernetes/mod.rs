//! Kubernetes mode, on a double of the API server over real HTTP.

mod churn;
mod circle;
mod cluster;
mod cold_start;
mod denials;
mod disconnects;
mod endpoints;
mod envoy;
mod failover;
mod http_scaled_objects;
pub(crate) mod keda;
mod malformed;
pub(crate) mod objects;
mod peers;
mod real;
mod routes;
mod secured;
mod sidecars;
mod status;
mod trust_bundle;
mod watches;
