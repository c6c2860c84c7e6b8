//! What can be set about the gRPC port.

use std::time::Duration;

/// Limits of the gRPC port. All of them hold for clients on a network; a client
/// in this process knows no age and does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcConfig {
    /// Connections at once; more are closed as they come.
    pub max_connections: usize,
    /// Requests, open streams among them, at once on all connections; more get
    /// `RESOURCE_EXHAUSTED`.
    pub max_requests: usize,
    /// Streams at once on one connection; its client keeps further ones back.
    /// KEDA opens two per ScaledObject on one connection, and waits for the
    /// rest without a deadline.
    pub max_streams: u32,
    /// After about this long (a tenth more or less, so that not all go at
    /// once) a connection is ended in order, and its client looks up anew who
    /// there is: replicas that were added get their share. `None`: never.
    pub connection_age: Option<Duration>,
    /// A connection without any request for this long (up to twice) is ended.
    pub idle_timeout: Duration,
    /// How long a client may take to say that it speaks HTTP/2.
    pub preface_within: Duration,
    /// From one ping to the next, and then to the end of a client that does
    /// not answer it. KEDA itself never pings.
    pub ping_each: Duration,
    /// From the announcement that a connection ends until it is cut off.
    pub drain_within: Duration,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_requests: 131_072,
            // Enough for 10,000 routes with several triggers each.
            max_streams: 65_536,
            connection_age: Some(Duration::from_secs(30 * 60)),
            idle_timeout: Duration::from_secs(5 * 60),
            preface_within: Duration::from_secs(10),
            ping_each: Duration::from_secs(20),
            drain_within: Duration::from_secs(5),
        }
    }
}

impl GrpcConfig {
    /// The age at which one connection ends.
    pub(super) fn age_of_one(&self) -> Option<Duration> {
        let age = self.connection_age?;
        Some(age.mul_f64(0.9 + 0.2 * fastrand::f64()))
    }
}
