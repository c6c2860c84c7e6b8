//! The gRPC port over loopback sockets: TLS, ages, limits, and how connections
//! end.

mod lifetime;
mod services;
mod sources;
mod support;
mod tls;
