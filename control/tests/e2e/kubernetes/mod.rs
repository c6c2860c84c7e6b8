//! Kubernetes mode, on a double of the API server over real HTTP.

mod cold_start;
mod endpoints;
mod objects;
mod peers;
mod routes;
mod status;
mod watches;
