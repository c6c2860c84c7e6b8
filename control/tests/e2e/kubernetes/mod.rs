//! Kubernetes mode, on a double of the API server over real HTTP.

mod cold_start;
mod endpoints;
mod envoy;
mod keda;
mod objects;
mod peers;
mod routes;
mod sidecars;
mod status;
mod watches;
