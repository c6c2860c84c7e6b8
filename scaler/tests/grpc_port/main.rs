//! The gRPC port over loopback sockets: TLS, ages, limits, and how connections
//! end.

mod lifetime;
mod support;
mod tls;
