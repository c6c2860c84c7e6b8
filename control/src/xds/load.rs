//! The load reporting service: what Envoys sent to endpoints themselves.
//!
//! Each report becomes demand of its targets ([`scaler::Reporter`]). Only
//! priority 0 counts: what Envoy passed on to our proxy (priority 1, or our own
//! cluster) is counted there.

use super::{
    compile::duration,
    follow::Served,
    node::{self, NodePattern},
};
use envoy_types::pb::envoy::{
    config::endpoint::v3::ClusterStats,
    service::load_stats::v3::{
        LoadStatsRequest, LoadStatsResponse,
        load_reporting_service_server::{LoadReportingService, LoadReportingServiceServer},
    },
};
use futures_util::stream::{self, Stream, StreamExt};
use proxy::TargetId;
use scaler::{DirectReport, Ledger, Reporter, grpc::Connection};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::timeout};
use tonic::{Request, Response, Status, Streaming, service::Routes};

/// The largest report: some hundred bytes for each of very many clusters.
const MAX_MESSAGE: usize = 64 << 20;

/// After so many intervals without a report, and at least [`LEAST_SILENCE`],
/// an Envoy is silent.
const SILENT_INTERVALS: u32 = 3;
const LEAST_SILENCE: Duration = Duration::from_secs(3);

/// More requests at once, or in one report, than any Envoy can have.
const MOST: u64 = 1 << 32;

/// What was counted of reports.
#[derive(Debug, Default)]
pub struct LoadCounters {
    reporting: AtomicU64,
    reports: AtomicU64,
    requests: AtomicU64,
    losses: AtomicU64,
}

impl LoadCounters {
    /// Envoys that report now.
    #[must_use]
    pub fn reporting(&self) -> u64 {
        self.reporting.load(Ordering::Relaxed)
    }

    /// Reports that came.
    #[must_use]
    pub fn reports(&self) -> u64 {
        self.reports.load(Ordering::Relaxed)
    }

    /// Requests in them that Envoys sent to endpoints.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How often an Envoy fell silent.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }
}

/// What all connections share.
#[derive(Clone, Debug)]
pub(super) struct Loads {
    pub(super) served: watch::Receiver<Option<Served>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) nodes: Arc<[NodePattern]>,
    pub(super) interval: Duration,
    pub(super) counters: Arc<LoadCounters>,
}

impl Loads {
    /// Adds the service to those of one connection.
    pub(super) fn add_to(&self, routes: Routes, connection: &Connection) -> Routes {
        let service = Service {
            loads: self.clone(),
            connection: connection.clone(),
        };
        let server = LoadReportingServiceServer::new(service);
        routes.add_service(server.max_decoding_message_size(MAX_MESSAGE))
    }
}

#[derive(Debug)]
struct Service {
    loads: Loads,
    connection: Connection,
}

#[tonic::async_trait]
impl LoadReportingService for Service {
    type StreamLoadStatsStream =
        Pin<Box<dyn Stream<Item = Result<LoadStatsResponse, Status>> + Send + 'static>>;

    async fn stream_load_stats(
        &self,
        request: Request<Streaming<LoadStatsRequest>>,
    ) -> Result<Response<Self::StreamLoadStatsStream>, Status> {
        let told = Listening {
            loads: self.loads.clone(),
            connection: self.connection.clone(),
            requests: request.into_inner(),
            reporting: None,
        };
        let responses = stream::unfold(Some(told), |listening| async {
            let mut listening = listening?;
            match listening.next().await {
                Ok(Some(response)) => Some((Ok(response), Some(listening))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(responses.fuse())))
    }
}

/// One Envoy's stream.
struct Listening {
    loads: Loads,
    connection: Connection,
    requests: Streaming<LoadStatsRequest>,
    reporting: Option<Reporting>,
}

impl Listening {
    /// The answer to its first request; then nothing but its end.
    async fn next(&mut self) -> Result<Option<LoadStatsResponse>, Status> {
        if self.reporting.is_none() {
            let Some(first) = self.requests.message().await? else {
                return Ok(None);
            };
            let node = node::admit(first.node.as_ref(), &self.loads.nodes)?;
            let reporter = self.loads.ledger.reporter(&node);
            let reporter = reporter.ok_or_else(|| Status::unimplemented("no reports are taken"))?;
            self.reporting = Some(Reporting::new(node, reporter, self.loads.counters.clone()));
            return Ok(Some(LoadStatsResponse {
                send_all_clusters: true,
                load_reporting_interval: duration(self.loads.interval),
                ..LoadStatsResponse::default()
            }));
        }
        let silence = (self.loads.interval * SILENT_INTERVALS).max(LEAST_SILENCE);
        loop {
            let message = tokio::select! {
                biased;
                // It comes back to us or to another replica, and is the same.
                _ = self.connection.closing.changed() => return Ok(None),
                message = timeout(silence, self.requests.message()) => message,
            };
            let Some(reporting) = &mut self.reporting else {
                return Ok(None);
            };
            match message {
                Ok(message) => match message? {
                    Some(request) => {
                        let served = self.loads.served.borrow();
                        let targets = served.as_ref().map(|served| served.targets.clone());
                        drop(served);
                        reporting.report(&request.cluster_stats, &targets.unwrap_or_default());
                    }
                    None => return Ok(None),
                },
                Err(_elapsed) => reporting.fell_silent(),
            }
        }
    }
}

/// One Envoy that reports. Dropped without a word, it is lost.
struct Reporting {
    node: String,
    reporter: Reporter,
    is_silent: bool,
    counters: Arc<LoadCounters>,
}

impl Reporting {
    fn new(node: String, reporter: Reporter, counters: Arc<LoadCounters>) -> Self {
        counters.reporting.fetch_add(1, Ordering::Relaxed);
        tracing::info!(node, "an Envoy reports its load");
        Self {
            node,
            reporter,
            is_silent: false,
            counters,
        }
    }

    fn report(&mut self, stats: &[ClusterStats], targets: &HashMap<String, TargetId>) {
        let reports = direct(stats, targets);
        let requests = reports.values().map(|report| report.issued).sum();
        self.counters.reports.fetch_add(1, Ordering::Relaxed);
        self.counters
            .requests
            .fetch_add(requests, Ordering::Relaxed);
        self.is_silent = false;
        self.reporter.report(reports);
    }

    fn fell_silent(&mut self) {
        if !std::mem::replace(&mut self.is_silent, true) {
            self.lost();
            self.reporter.fell_silent();
        }
    }

    fn lost(&self) {
        self.counters.losses.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            node = self.node,
            "an Envoy reports no load any more: what it had in flight counts on for \
             --xds-load-grace, and until then KEDA is told of no target that it is idle"
        );
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        self.counters.reporting.fetch_sub(1, Ordering::Relaxed);
        if !self.is_silent {
            self.lost();
        }
    }
}

/// What was sent directly, by target. What cannot be true is bounded.
fn direct(
    stats: &[ClusterStats],
    targets: &HashMap<String, TargetId>,
) -> HashMap<TargetId, DirectReport> {
    let mut reports = HashMap::new();
    for cluster in stats {
        let Some(target) = targets.get(&cluster.cluster_name) else {
            continue;
        };
        let localities = cluster.upstream_locality_stats.iter();
        for locality in localities.filter(|locality| locality.priority == 0) {
            let report: &mut DirectReport = reports.entry(target.clone()).or_default();
            let add = |sum: u64, more: u64| sum.saturating_add(more).min(MOST);
            report.issued = add(report.issued, locality.total_issued_requests);
            report.in_progress = add(report.in_progress, locality.total_requests_in_progress);
        }
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::endpoint::v3::UpstreamLocalityStats;

    fn cluster(name: &str, localities: &[(u32, u64, u64)]) -> ClusterStats {
        let locality = |&(priority, issued, in_progress): &(u32, u64, u64)| UpstreamLocalityStats {
            priority,
            total_issued_requests: issued,
            total_requests_in_progress: in_progress,
            ..UpstreamLocalityStats::default()
        };
        ClusterStats {
            cluster_name: name.to_owned(),
            upstream_locality_stats: localities.iter().map(locality).collect(),
            ..ClusterStats::default()
        }
    }

    #[test]
    fn what_envoy_passed_on_to_us_is_not_counted() {
        let web = TargetId::new("default", "web");
        let targets = HashMap::from([("reveille/default/web".to_owned(), web.clone())]);
        let stats = [
            cluster(
                "reveille/default/web",
                &[(0, 5, 1), (1, 100, 100), (0, 2, 1)],
            ),
            cluster("reveille", &[(0, 7, 7)]),
            cluster("somebody-elses", &[(0, 7, 7)]),
        ];
        let wanted = DirectReport {
            issued: 7,
            in_progress: 2,
        };
        assert_eq!(direct(&stats, &targets), HashMap::from([(web, wanted)]));
    }

    #[test]
    fn numbers_that_cannot_be_are_bounded() {
        let web = TargetId::new("default", "web");
        let targets = HashMap::from([("c".to_owned(), web.clone())]);
        let stats = [cluster("c", &[(0, u64::MAX, u64::MAX), (0, u64::MAX, 1)])];
        let report = direct(&stats, &targets)[&web];
        assert_eq!((report.issued, report.in_progress), (MOST, MOST));
    }
}
