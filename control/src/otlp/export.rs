//! The queue of finished spans and the task that sends them.

use super::{OtlpSettings, convert};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    resource::v1::Resource,
};
use proxy::{SpanRecord, SpanSink};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request,
    transport::{Channel, Endpoint},
};

/// Requests whose spans may wait to be sent.
const MOST_QUEUED: usize = 4096;
/// Spans that are sent at once.
const BATCH: usize = 512;
/// A span waits this long for others to be sent with it.
const LINGER: Duration = Duration::from_secs(1);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// What a collector that is restarting did not take is sent again after these
/// pauses. The queue is bounded meanwhile.
const RETRIES: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
];
/// At the end, what is left must be sent within this time.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// What became of spans.
#[derive(Debug, Default)]
pub struct TraceCounters {
    exported: AtomicU64,
    queue_full: AtomicU64,
    not_taken: AtomicU64,
}

impl TraceCounters {
    /// Spans that the collector took.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Spans lost because the queue was full.
    #[must_use]
    pub fn queue_full(&self) -> u64 {
        self.queue_full.load(Ordering::Relaxed)
    }

    /// Spans lost because the collector did not take them.
    #[must_use]
    pub fn not_taken(&self) -> u64 {
        self.not_taken.load(Ordering::Relaxed)
    }
}

/// The proxy's end of the queue.
#[derive(Debug)]
struct SpanQueue {
    queue: mpsc::Sender<Vec<SpanRecord>>,
    counters: Arc<TraceCounters>,
}

impl SpanSink for SpanQueue {
    fn finished(&self, spans: Vec<SpanRecord>) {
        let count = spans.len() as u64;
        if self.queue.try_send(spans).is_err() {
            self.counters.queue_full.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// Sends spans until it is stopped.
#[derive(Debug)]
pub struct Exporter {
    queued: mpsc::Receiver<Vec<SpanRecord>>,
    /// Taken from the queue, and not yet sent.
    batch: Vec<SpanRecord>,
    counters: Arc<TraceCounters>,
    client: TraceServiceClient<Channel>,
    settings: OtlpSettings,
    resource: Resource,
    is_failing: bool,
}

impl Exporter {
    /// An exporter, and the sink that feeds it. It connects when there is
    /// something to send, so a collector may come later than this program.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// An endpoint that is no URL.
    pub fn new(settings: OtlpSettings) -> anyhow::Result<(Self, Arc<dyn SpanSink>)> {
        let channel = Endpoint::from_shared(settings.endpoint.clone())?
            .connect_timeout(CONNECT_WITHIN)
            .connect_lazy();
        let (queue, queued) = mpsc::channel(MOST_QUEUED);
        let counters = Arc::new(TraceCounters::default());
        let sink = SpanQueue {
            queue,
            counters: counters.clone(),
        };
        let exporter = Self {
            queued,
            batch: Vec::new(),
            counters,
            client: TraceServiceClient::new(channel),
            resource: convert::resource(&settings.resource),
            settings,
            is_failing: false,
        };
        Ok((exporter, Arc::new(sink)))
    }

    /// What became of spans.
    #[must_use]
    pub fn counters(&self) -> Arc<TraceCounters> {
        self.counters.clone()
    }

    /// Sends spans in batches until `stop`; then what is left, within some
    /// seconds.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.fill() => {}
            }
            let batch = std::mem::take(&mut self.batch);
            let sent = tokio::select! {
                () = self.export(batch.clone()) => true,
                () = stop.cancelled() => false,
            };
            if !sent {
                // Perhaps it was; twice is better than never.
                self.batch = batch;
                break;
            }
        }
        self.flush().await;
    }

    /// Fills the batch: to the brim, or with as much as comes within the
    /// linger. Cancel safe.
    async fn fill(&mut self) {
        match self.queued.recv().await {
            Some(spans) => self.batch.extend(spans),
            None => std::future::pending().await,
        }
        let until = Instant::now() + LINGER;
        while self.batch.len() < BATCH {
            match timeout_at(until, self.queued.recv()).await {
                Ok(Some(spans)) => self.batch.extend(spans),
                _ => break,
            }
        }
    }

    async fn flush(&mut self) {
        let mut left = std::mem::take(&mut self.batch);
        while let Ok(spans) = self.queued.try_recv() {
            left.extend(spans);
        }
        let until = Instant::now() + FLUSH_WITHIN;
        let mut lost = left.len() as u64;
        let mut left = left.into_iter().peekable();
        while left.peek().is_some() {
            let batch: Vec<SpanRecord> = left.by_ref().take(BATCH).collect();
            let count = batch.len() as u64;
            if timeout_at(until, self.export(batch)).await.is_err() {
                break;
            }
            lost -= count;
        }
        if lost > 0 {
            self.counters.not_taken.fetch_add(lost, Ordering::Relaxed);
            tracing::warn!(
                lost,
                "spans were lost: the collector did not take them in time"
            );
        }
    }

    /// Sends a batch, more than once if that may help; counts what came of it.
    async fn export(&mut self, batch: Vec<SpanRecord>) {
        let count = batch.len() as u64;
        let request = ExportTraceServiceRequest {
            resource_spans: vec![convert::resource_spans(&self.resource, batch)],
        };
        let mut pauses = RETRIES.iter();
        let error = loop {
            let sent = self.client.export(self.request(request.clone()));
            let error = match timeout(self.settings.timeout, sent).await {
                Ok(Ok(answer)) => {
                    let partial = answer.into_inner().partial_success.unwrap_or_default();
                    let rejected = u64::try_from(partial.rejected_spans)
                        .unwrap_or(0)
                        .min(count);
                    self.taken(count, rejected, &partial.error_message);
                    return;
                }
                Ok(Err(status)) if !may_help(status.code()) => break status,
                Ok(Err(status)) => status,
                Err(_elapsed) => tonic::Status::deadline_exceeded("no answer in time"),
            };
            let Some(pause) = pauses.next() else {
                break error;
            };
            tokio::time::sleep(*pause).await;
        };
        self.counters.not_taken.fetch_add(count, Ordering::Relaxed);
        if !self.is_failing {
            tracing::warn!(
                endpoint = self.settings.endpoint, code = ?error.code(), error = error.message(),
                "spans are lost: the collector does not take them"
            );
        }
        self.is_failing = true;
    }

    fn request(&self, spans: ExportTraceServiceRequest) -> Request<ExportTraceServiceRequest> {
        let mut request = Request::new(spans);
        for (name, value) in &self.settings.headers {
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        request
    }

    fn taken(&mut self, count: u64, rejected: u64, reason: &str) {
        let exported = &self.counters.exported;
        exported.fetch_add(count - rejected, Ordering::Relaxed);
        if rejected > 0 {
            let lost = &self.counters.not_taken;
            lost.fetch_add(rejected, Ordering::Relaxed);
            tracing::warn!(rejected, reason, "the collector rejected spans");
        }
        if self.is_failing {
            tracing::info!("the collector takes spans again");
        }
        self.is_failing = false;
    }
}

/// OTLP's list of errors after which the same may be sent again.
fn may_help(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    )
}

#[cfg(test)]
mod tests;
