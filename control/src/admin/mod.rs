//! The admin server: health, metrics, and what the targets are doing.
//!
//! Read-only. `metrics.rs` renders `/metrics`, `targets.rs` answers
//! `/api/v1/targets`, `peers.rs` `/api/v1/peers`.

mod metrics;
mod peers;
mod targets;

pub use targets::{TargetState, TargetView};

use crate::{autoscaler::StatusReader, local::World, otlp::TraceCounters};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use proxy::{AccessLog, Proxy};
use scaler::{
    Ledger,
    keda::KedaMetrics,
    peers::{PeerView, Peers},
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the admin server looks at.
pub struct Admin {
    /// The data plane.
    pub proxy: Arc<Proxy>,
    /// The demand signal.
    pub ledger: Arc<Ledger>,
    /// Targets, services, processes.
    pub world: Arc<World>,
    /// What KEDA asked.
    pub keda: Arc<KedaMetrics>,
    /// Other replicas, if there are to be some.
    pub peers: Option<Arc<Peers>>,
    /// What the embedded autoscaler thinks.
    pub autoscaler: StatusReader,
    /// The access log, if there is one.
    pub access_log: Option<AccessLog>,
    /// What became of spans, if there are traces.
    pub traces: Option<Arc<TraceCounters>>,
    /// Whether `/readyz` says so.
    pub ready: AtomicBool,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

impl Admin {
    /// Says whether traffic should be sent here.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    fn peer_views(&self) -> Vec<PeerView> {
        self.peers
            .as_ref()
            .map_or_else(Vec::new, |peers| peers.view())
    }
}

/// After the stop, so long for answers under way to get out.
const DRAIN_WITHIN: Duration = Duration::from_secs(1);

/// Serves until `stop`, and ends at the latest a second later: a client that
/// does not finish its request holds up nobody.
///
/// # Errors
/// A listener that broke.
pub async fn serve(
    listener: TcpListener,
    admin: Arc<Admin>,
    stop: CancellationToken,
) -> io::Result<()> {
    let router = Router::new()
        .route("/livez", get(async || "OK\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .route("/api/v1/targets", get(targets_json))
        .route("/api/v1/peers", get(peers_json))
        .with_state(admin);
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_WITHIN).await;
    };
    let served =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = served.into_future() => served,
        () = overdue => Ok(()),
    }
}

async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    let knows = admin.ledger.is_loaded() && !admin.ledger.is_blind();
    if admin.ready.load(Ordering::Relaxed) && knows {
        (StatusCode::OK, "OK\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n")
    }
}

async fn metrics_text(State(admin): State<Arc<Admin>>) -> Response {
    match metrics::render(&admin) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn targets_json(State(admin): State<Arc<Admin>>) -> Json<Vec<TargetView>> {
    Json(targets::view(&admin))
}

async fn peers_json(State(admin): State<Arc<Admin>>) -> Json<peers::PeersView> {
    Json(peers::view(&admin))
}
