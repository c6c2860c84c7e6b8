//! The gRPC port over loopback sockets: TLS, ages, limits, and how connections
//! end.

mod lifetime;
mod services;
mod support;
mod tls;
