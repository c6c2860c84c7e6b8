//! Reveille's data plane: routes each request, counts it, and holds it while
//! nobody can serve it.
//!
//! Knows HTTP, and how gRPC clients want to be refused. Knows neither
//! Kubernetes nor KEDA.

mod clock;
mod config;
mod demand;
mod endpoint;
mod error;
mod forward;
mod gate;
mod http;
mod in_flight;
pub mod metrics;
mod proxy;
pub mod route;
mod runtime;
mod server;
mod sink;
mod sync;
mod target;
pub mod tls;
mod upstream;

pub use clock::Clock;
pub use config::{ProxyConfig, RuntimeKind};
pub use demand::{Demand, Totals};
pub use endpoint::{Endpoint, EndpointSet, ProbePace, Protocol};
pub use gate::HeldLimit;
pub use proxy::{Proxy, bind};
pub use sink::DemandSink;
pub use target::{Target, TargetContext, TargetId};
