//! How another replica is connected to.

use crate::grpc::Connect;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint, Error};

/// A connection attempt may take this long.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// A connection that is silent for this long is asked whether it lives, and
/// has this long to say so.
const PING_AFTER: Duration = Duration::from_secs(1);

/// Connects to `address` (`host:port`), over TLS if `connect` does.
pub(crate) async fn dial(connect: &Connect, address: &str) -> Result<Channel, Error> {
    Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_AFTER)
        .keep_alive_while_idle(true)
        .connect_with_connector(connect.clone())
        .await
}
