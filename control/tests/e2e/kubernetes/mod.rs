//! Kubernetes mode, on a double of the API server over real HTTP.

mod circle;
mod cluster;
mod cold_start;
mod endpoints;
mod keda;
mod objects;
mod peers;
mod routes;
mod secured;
mod sidecars;
mod status;
mod watches;
