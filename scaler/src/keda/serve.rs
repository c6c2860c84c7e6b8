//! KEDA's service on the gRPC port.
//!
//! [`Keda`] is made once by the composition root and added to the services of
//! every connection. [`serve()`] is the short way for who wants nothing else.

use super::{
    metrics::KedaMetrics,
    service::{KedaService, Memory},
};
use crate::{
    externalscaler::external_scaler_server::{self, ExternalScalerServer},
    grpc::{AnswerWithin, Connection, ServeError, Server},
    ledger::Ledger,
    metric_sources::MetricSources,
    peers,
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tonic::service::Routes;

/// From the head of a request to the head of its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The service's full name, for the health service.
pub const SERVICE: &str = external_scaler_server::SERVICE_NAME;

/// The largest request: a ScaledObject's metadata is a few hundred bytes.
const MAX_MESSAGE: usize = 64 * 1024;

/// KEDA's external scaler. One serves all ScaledObjects on all connections.
#[derive(Clone, Debug)]
pub struct Keda(Arc<Memory>);

impl Keda {
    /// Answers from `ledger` and `sources`, counts into `metrics`.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, metrics: Arc<KedaMetrics>, sources: MetricSources) -> Self {
        Self(Arc::new(Memory::new(ledger, metrics, sources)))
    }

    /// Adds the service to those of one connection, with which its streams
    /// end.
    #[must_use]
    pub fn add_to(&self, routes: Routes, connection: &Connection) -> Routes {
        let service = KedaService::new(self.0.clone(), connection.closing.clone());
        let server = ExternalScalerServer::new(service).max_decoding_message_size(MAX_MESSAGE);
        routes.add_service(AnswerWithin::new(ANSWER_WITHIN, server))
    }
}

/// Serves KEDA, and replicas that follow this one, on `listener`, in the clear
/// and with the default limits, until `shutdown` is ready, then ends the
/// streams with OK, lets the connections close and returns, at the latest 5 s
/// later.
///
/// # Errors
///
/// When the listener fails for good.
///
/// Cancellation: dropping the future cuts all connections off.
pub async fn serve(
    listener: TcpListener,
    ledger: Arc<Ledger>,
    metrics: Arc<KedaMetrics>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    // Nothing receives metrics here.
    let sources = MetricSources::default();
    let keda = Keda::new(ledger.clone(), metrics, sources.clone());
    let told = ledger.clone();
    let services = Arc::new(move |connection: &Connection| {
        let routes = keda.add_to(Routes::default(), connection);
        peers::add_to(routes, &told, &sources, connection)
    });
    tokio::select! {
        served = Server::new(listener, services).serve(shutdown) => served,
        // Of a second server for one ledger it ends at once.
        () = async { peers::publish(ledger).await; std::future::pending().await } => Ok(()),
    }
}
