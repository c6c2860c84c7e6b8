//! The gRPC server on its listener.
//!
//! Started by the composition root with a bound listener. Its one order that
//! matters: on shutdown the streams end with OK *before* their connection
//! closes, because KEDA comes back after 2 s from a clean end and after up to a
//! minute from any other.

use super::{metrics::KedaMetrics, service::KedaService};
use crate::{
    externalscaler::external_scaler_server::ExternalScalerServer,
    gen_peers::peers_server::PeersServer,
    ledger::Ledger,
    peers::{self, PeersService},
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch};
use tonic::transport::{Server, server::TcpIncoming};

/// KEDA opens two streams per ScaledObject on one connection, and streams above
/// the limit queue inside its client without a deadline: enough for 10,000
/// routes with several triggers each.
const MAX_STREAMS: u32 = 65_536;

/// From the head of a request to the head of its answer. Answers come from
/// memory, so only a client that does not send its message ever meets it.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Pings free the streams of a client that vanished: KEDA itself never pings.
const PING_EACH: Duration = Duration::from_secs(20);

/// The largest request: a ScaledObject's metadata is a few hundred bytes.
const MAX_MESSAGE: usize = 64 * 1024;

/// After shutdown began, so long for clients to take the end of their streams.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// The server could not go on.
#[derive(Debug, thiserror::Error)]
#[error("the gRPC server for KEDA failed")]
pub struct ServeError(#[from] tonic::transport::Error);

/// Serves KEDA, and replicas that follow this one, on `listener` until `shutdown` is ready, then ends the streams
/// with OK, lets the connections close and returns, at the latest 5 s later. A
/// connection whose client does not react by then is left to the runtime.
///
/// # Errors
///
/// When the listener fails for good.
///
/// Cancellation: dropping the future closes the listener and ends the streams
/// with OK, without waiting for the connections.
pub async fn serve(
    listener: TcpListener,
    ledger: Arc<Ledger>,
    metrics: Arc<KedaMetrics>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let (close, closing) = watch::channel(false);
    let mut overdue = closing.clone();
    let publishing = peers::publish(Arc::clone(&ledger), closing.clone());
    let peers = PeersService::new(Arc::clone(&ledger), closing.clone());
    let service = KedaService::new(ledger, metrics, closing);
    let server = Server::builder()
        .max_concurrent_streams(MAX_STREAMS)
        .timeout(ANSWER_WITHIN)
        .http2_keepalive_interval(Some(PING_EACH))
        .http2_keepalive_timeout(Some(PING_EACH))
        .add_service(ExternalScalerServer::new(service).max_decoding_message_size(MAX_MESSAGE))
        .add_service(PeersServer::new(peers).max_decoding_message_size(MAX_MESSAGE))
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            async {
                shutdown.await;
                close.send_replace(true);
            },
        );
    tokio::select! {
        served = server => Ok(served?),
        // It ends when the streams are about to: the server goes on.
        () = async { publishing.await; std::future::pending().await } => Ok(()),
        () = async {
            // Err: the sender is gone, which it is not before this function returns.
            if overdue.wait_for(|closing| *closing).await.is_ok() {
                tokio::time::sleep(DRAIN_WITHIN).await;
            }
        } => {
            tracing::warn!("some KEDA connections did not close in time");
            Ok(())
        }
    }
}
