//! Flags about client connections.

use super::time;
use clap::Args;
use proxy::ConnectionConfig;
use std::time::Duration;

/// Limits of one client connection.
#[derive(Debug, Args)]
pub struct ConnectionArgs {
    /// Limit from the first byte of a request's head to its end, and from the
    /// accept to the first byte; 0s: none
    #[arg(long, env = "REVEILLE_HEADER_TIMEOUT", default_value = "10s", value_parser = time)]
    pub header_timeout: Duration,
    /// Client connections without a request in progress are closed after this;
    /// 0s: never
    #[arg(long, env = "REVEILLE_IDLE_TIMEOUT", default_value = "620s", value_parser = time)]
    pub idle_timeout: Duration,
    /// Requests on one client connection, then it is closed politely; 0: no
    /// limit
    #[arg(
        long,
        env = "REVEILLE_MAX_REQUESTS_PER_CONNECTION",
        default_value = "0"
    )]
    pub max_requests_per_connection: u64,
    /// HTTP/1.1 connections without a request in progress give their memory
    /// back after this; 0s: never
    #[arg(long, env = "REVEILLE_PARK_AFTER", default_value = "2s", value_parser = time)]
    pub park_after: Duration,
}

impl ConnectionArgs {
    pub(super) fn config(&self) -> ConnectionConfig {
        ConnectionConfig {
            header_timeout: self.header_timeout,
            idle_timeout: self.idle_timeout,
            max_requests: self.max_requests_per_connection,
            park_after: self.park_after,
        }
    }
}
