//! The admin server: health, metrics, and what the targets are doing.
//!
//! Read-only. `metrics/` renders `/metrics`, `page.rs` serves the page, and each
//! other file answers what is called like it below `/api/v1/`. `access.rs` says
//! who may look; `look.rs` looks itself, once a second.

mod access;
mod cluster;
mod events;
mod explain;
mod look;
mod manifests;
mod metrics;
mod page;
mod peers;
mod query;
mod scene;
mod series;
mod sources;
mod targets;
mod xds;

pub use access::{Access, AccessSettings};
pub use cluster::WatchView;
pub use manifests::{ManifestsView, RefusedView};
pub use scene::Scene;
pub use targets::{TargetState, TargetView, ToldView};

use crate::{
    ingest::Ingest,
    otlp::TraceCounters,
    sight::{Sight, TimelineView},
    xds::Xds,
};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::get,
    serve::ListenerExt,
};
use proxy::{AccessLog, Proxy};
use scaler::{
    Ledger,
    grpc::GrpcMetrics,
    keda::KedaMetrics,
    peers::{PeerView, Peers},
};
use std::{io, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

/// What the admin server looks at.
pub struct Admin {
    /// The data plane.
    pub proxy: Arc<Proxy>,
    /// The demand signal.
    pub ledger: Arc<Ledger>,
    /// What is served, and who says so.
    pub scene: Scene,
    /// What KEDA asked.
    pub keda: Arc<KedaMetrics>,
    /// Who is connected to the gRPC port.
    pub grpc: Arc<GrpcMetrics>,
    /// Other replicas, if there are to be some.
    pub peers: Option<Arc<Peers>>,
    /// What serves Envoys, if there are to be some.
    pub xds: Option<Arc<Xds>>,
    /// The access log, if there is one.
    pub access_log: Option<AccessLog>,
    /// What became of spans, if there are traces.
    pub traces: Option<Arc<TraceCounters>>,
    /// Metrics that came in.
    pub ingest: Ingest,
    /// Whether `/readyz` and the gRPC health service say so.
    pub ready: watch::Sender<bool>,
    /// What is seen of targets.
    pub sight: Arc<Sight>,
    /// Who may look.
    pub access: Arc<Access>,
    /// Cancelled when the admin server is to end.
    pub stopping: CancellationToken,
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
        self.ready.send_replace(ready);
    }

    /// From now on what happens is told of the targets that it shows.
    pub fn shows_targets(self: &Arc<Self>) {
        let admin = Arc::downgrade(self);
        self.sight
            .follow(move || Some(admin.upgrade()?.scene.wired()));
    }

    /// Whoever serves targets ends now, as all of us does.
    pub fn stopping(&self) {
        self.sight.stopping();
    }

    fn peer_views(&self) -> Vec<PeerView> {
        self.peers
            .as_ref()
            .map_or_else(Vec::new, |peers| peers.view())
    }
}

/// After the stop, so long for answers under way to get out.
const DRAIN_WITHIN: Duration = Duration::from_secs(1);

/// A client that takes nothing of an answer for so long is cut off.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Serves until [`Admin::stopping`], and ends at the latest a second later: a
/// client that does not finish its request, or reads no more, holds up nobody.
///
/// # Errors
/// A listener that broke.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) -> io::Result<()> {
    let stop = admin.stopping.clone();
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_WITHIN).await;
    };
    let listener = listener.tap_io(|stream| {
        // Readers of events would keep their places for ever.
        let socket = socket2::SockRef::from(&*stream);
        if let Err(error) = socket.set_tcp_user_timeout(Some(STUCK_AFTER)) {
            tracing::debug!(%error, "no limit for admin clients that read nothing");
        }
    });
    let served = axum::serve(listener, router(&admin))
        .with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        served = served.into_future() => served,
        () = overdue => Ok(()),
        () = look::run(admin.clone()) => unreachable!("it watches for ever"),
        () = admin.access.clone().follow() => unreachable!("it looks for ever"),
    }
}

fn router(admin: &Arc<Admin>) -> Router {
    let open = Router::new()
        .route("/livez", get(async || "OK\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text));
    let api = Router::new()
        .route("/api/v1/targets", get(targets_json))
        .route("/api/v1/targets/{name}/explain", get(explain::by_name))
        .route(
            "/api/v1/targets/{namespace}/{name}/explain",
            get(explain::by_full_name),
        )
        .route(
            "/api/v1/targets/{namespace}/{name}/timeline",
            get(timeline_json),
        )
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/manifests", get(manifests_json))
        .route("/api/v1/cluster", get(cluster_json))
        .route("/api/v1/peers", get(peers_json))
        .route("/api/v1/xds", get(xds_json))
        .route("/api/v1/series", get(series::list))
        .route("/api/v1/sources", get(sources_json))
        .with_state(admin.clone())
        .merge(query::router(admin.ingest.store.clone()))
        .layer(from_fn_with_state(admin.clone(), access::check_token));
    let guarded = api
        .merge(page::router())
        .layer(from_fn_with_state(admin.clone(), access::check_host));
    open.with_state(admin.clone()).merge(guarded)
}

async fn readyz(State(admin): State<Arc<Admin>>) -> (StatusCode, &'static str) {
    if *admin.ready.borrow() && admin.ledger.is_loaded() && !admin.ledger.is_blind() {
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

async fn timeline_json(
    State(admin): State<Arc<Admin>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<TimelineView>, (StatusCode, Json<crate::explain::wire::NotExplained>)> {
    let wired = explain::find(&admin.scene.wired(), &format!("{namespace}/{name}"));
    let wired = wired.map_err(|(status, why)| (status, Json(why)))?;
    Ok(Json(admin.sight.timeline(wired.target.id())))
}

async fn manifests_json(State(admin): State<Arc<Admin>>) -> Response {
    match manifests::view(&admin) {
        Some(view) => Json(view).into_response(),
        None => (StatusCode::NOT_FOUND, "no manifests in this mode\n").into_response(),
    }
}

async fn sources_json(State(admin): State<Arc<Admin>>) -> Json<sources::SourcesView> {
    Json(sources::view(&admin))
}

async fn cluster_json(State(admin): State<Arc<Admin>>) -> Response {
    match cluster::view(&admin) {
        Some(view) => Json(view).into_response(),
        None => (StatusCode::NOT_FOUND, "no cluster in this mode\n").into_response(),
    }
}

async fn peers_json(State(admin): State<Arc<Admin>>) -> Json<peers::PeersView> {
    Json(peers::view(&admin))
}

async fn xds_json(State(admin): State<Arc<Admin>>) -> Response {
    match xds::view(&admin) {
        Some(view) => Json(view).into_response(),
        None => (StatusCode::NOT_FOUND, "no xDS server: see --xds-addr\n").into_response(),
    }
}
