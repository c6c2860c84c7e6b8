//! How another replica is connected to: in clear text, or however the
//! composition root says.

use futures_util::future::BoxFuture;
use std::{error::Error, fmt, time::Duration};
use tonic::transport::{Channel, Endpoint};

/// Why a replica could not be connected to.
pub type DialError = Box<dyn Error + Send + Sync>;

/// Connects to replicas. The one place to put TLS in.
pub trait Dial: fmt::Debug + Send + Sync + 'static {
    /// Connects to `address` (`host:port`). `endpoint` has that address with
    /// the scheme `http`, and all settings of HTTP/2: add no others, use
    /// [`Endpoint::connect_with_connector`] for another transport.
    fn dial(
        &self,
        address: &str,
        endpoint: Endpoint,
    ) -> BoxFuture<'static, Result<Channel, DialError>>;
}

/// In clear text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Dial for Plain {
    fn dial(
        &self,
        _address: &str,
        endpoint: Endpoint,
    ) -> BoxFuture<'static, Result<Channel, DialError>> {
        Box::pin(async move { Ok(endpoint.connect().await?) })
    }
}

/// A connection attempt may take this long.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// A connection that is silent for this long is asked whether it lives, and
/// has this long to say so.
const PING_AFTER: Duration = Duration::from_secs(1);

/// The settings of every connection to a replica.
pub(crate) fn endpoint(address: &str) -> Result<Endpoint, DialError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(endpoint
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_AFTER)
        .keep_alive_while_idle(true))
}
