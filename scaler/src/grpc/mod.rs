//! The gRPC port: connections, TLS, ages, limits, and their orderly end.
//!
//! [`Server`] is started by the composition root with the services that it is
//! to offer; what those say is their business (`keda/`, the exchange between
//! replicas). Nothing here knows a method by name.
//!
//! ```text
//! accept.rs ─► TLS (proxy::tls) ─► preface.rs ─► connection.rs ─► request.rs ─► services
//! in_process.rs ───────────────────────┘            │ age, idle, shutdown
//!                                       GOAWAY, then the streams end with OK
//! ```

mod accept;
mod client;
mod config;
mod connection;
mod deadline;
mod health;
mod in_process;
mod metrics;
mod preface;
mod reflection;
mod request;

pub use accept::{ServeError, Server};
pub use client::Connect;
pub use config::GrpcConfig;
pub use connection::{Connection, Services};
pub use deadline::AnswerWithin;
pub use health::Health;
pub use in_process::{InProcess, InProcessListener, in_process};
pub use metrics::{GrpcMetrics, GrpcMetricsSnapshot};
pub use reflection::reflection;
