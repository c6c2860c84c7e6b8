//! Reveille's data plane: routes each request, counts it, and holds it while
//! nobody can serve it.
//!
//! Knows HTTP, and how gRPC clients want to be refused. Knows neither
//! Kubernetes nor KEDA.

mod access_log;
mod changes;
mod clock;
mod config;
mod demand;
mod endpoint;
mod error;
mod forward;
mod gate;
mod http;
mod http2;
mod in_flight;
mod journal;
pub mod metrics;
mod proxy;
pub mod route;
mod runtime;
mod server;
mod sink;
mod story;
mod sync;
mod target;
pub mod tls;
mod trace;
mod upstream;

pub use access_log::{AccessLog, AccessLogFormat, AccessLogTarget};
pub use changes::Changes;
pub use clock::Clock;
pub use config::{
    ClientAddressConfig, ConnectionConfig, EndpointConfig, OutlierConfig, ProxyConfig, RetryConfig,
    RuntimeKind, SessionSecret,
};
pub use demand::{Demand, Totals};
pub use endpoint::{EjectReason, Endpoint, EndpointSet, ProbePace, Protocol};
pub use gate::HeldLimit;
pub use journal::{Blame, ObserveConfig};
pub use proxy::{Proxy, bind};
pub use server::{
    ClientLimits, ProxyProtocolCounters, ProxyProtocolMode, ProxyProtocolRefused, Refused,
    RefusedFor, TrustedProxies, parse_network,
};
pub use sink::DemandSink;
pub use story::{Happening, HoldRefusal, StorySink};
pub use target::{Target, TargetContext, TargetId};
pub use trace::{AttributeValue, Sampler, SpanId, SpanKind, SpanRecord, SpanSink, TraceId, Traces};
pub use upstream::Stream;
