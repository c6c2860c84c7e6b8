//! The access log and the traces of requests: started before the proxy, which
//! is told of them, and written out after its last request.

use super::Settings;
use crate::{
    otlp::{Exporter, TraceCounters},
    sight::Sight,
};
use anyhow::Context;
use proxy::{AccessLog, AccessLogTarget, ObserveConfig, Traces};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What is told of requests, and to whom.
pub(super) struct Telemetry {
    /// For the proxy, which takes it.
    pub(super) observe: ObserveConfig,
    pub(super) access_log: Option<AccessLog>,
    pub(super) traces: Option<Arc<TraceCounters>>,
    pub(super) exporter: JoinSet<()>,
    /// What becomes of targets.
    pub(super) sight: Arc<Sight>,
}

/// How long whoever takes the access log may take for the rest of it.
const LOG_WITHIN: Duration = Duration::from_secs(2);

impl Telemetry {
    pub(super) fn start(settings: &Settings, stop: &CancellationToken) -> anyhow::Result<Self> {
        let access_log = match &settings.access_log {
            None => None,
            Some((format, target)) => Some(AccessLog::start(*format, target).with_context(
                || match target {
                    AccessLogTarget::Stdout => "the access log cannot be started".to_owned(),
                    AccessLogTarget::File(path) => format!("--access-log-file {}", path.display()),
                },
            )?),
        };
        let mut exporter = JoinSet::new();
        let sight = Arc::new(Sight::default());
        let mut observe = ObserveConfig {
            access_log: access_log.clone(),
            traces: None,
            stories: Some(sight.clone()),
        };
        let mut traces = None;
        if let Some(otlp) = &settings.otlp {
            let (task, sink) = Exporter::new(otlp.clone()).context("--otlp-traces-endpoint")?;
            traces = Some(task.counters());
            exporter.spawn(task.run(stop.clone()));
            observe.traces = Some(Traces {
                sampler: otlp.sampler,
                sink,
            });
        }
        Ok(Self {
            observe,
            access_log,
            traces,
            exporter,
            sight,
        })
    }

    /// After the last request, and after the exporter was told to stop.
    pub(super) async fn flush(&mut self) {
        if let Some(log) = &self.access_log
            && !log.close(LOG_WITHIN).await
        {
            tracing::warn!("the end of the access log was lost: nobody takes it");
        }
        while let Some(ended) = self.exporter.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the export of traces crashed");
            }
        }
    }
}
