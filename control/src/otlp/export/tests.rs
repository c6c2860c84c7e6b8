//! What the collector does, and what becomes of spans. That they arrive as
//! they should is tested end to end.

use super::*;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use parking_lot::Mutex;
use proxy::{Sampler, SpanKind};
use std::{collections::VecDeque, time::SystemTime};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Response, Status};

type Answer = Result<ExportTraceServiceResponse, Status>;

/// Answers as the test says, then with OK; counts spans that it took.
#[derive(Clone, Default)]
struct Collector {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    batches: Arc<Mutex<Vec<usize>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let answer = self
            .answers
            .lock()
            .pop_front()
            .unwrap_or(Ok(Default::default()))?;
        let spans = &request.get_ref().resource_spans[0].scope_spans[0].spans;
        self.batches.lock().push(spans.len());
        Ok(Response::new(answer))
    }
}

impl Collector {
    async fn start(answers: impl IntoIterator<Item = Answer>) -> (Self, String) {
        let collector = Self::default();
        collector.answers.lock().extend(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let served = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(collector.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(served);
        (collector, endpoint)
    }
}

fn exporter(endpoint: String) -> (Exporter, Arc<dyn SpanSink>) {
    let settings = OtlpSettings {
        endpoint,
        headers: Vec::new(),
        timeout: Duration::from_secs(10),
        resource: Vec::new(),
        sampler: Sampler::ratio(1.0, true),
    };
    Exporter::new(settings).expect("a URL")
}

fn span() -> SpanRecord {
    SpanRecord {
        trace_id: [1; 16],
        span_id: [2; 8],
        parent: None,
        tracestate: String::new(),
        kind: SpanKind::Server,
        name: "GET".to_owned(),
        begin: SystemTime::UNIX_EPOCH,
        end: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        error: None,
    }
}

/// Sends `count` spans and stops at once; what became of them.
async fn sent(endpoint: String, count: usize) -> (u64, u64, u64) {
    let (exporter, sink) = exporter(endpoint);
    let counters = exporter.counters();
    for _ in 0..count {
        sink.finished(vec![span()]);
    }
    let stop = CancellationToken::new();
    stop.cancel();
    exporter.run(stop).await;
    (
        counters.exported(),
        counters.queue_full(),
        counters.not_taken(),
    )
}

#[tokio::test]
async fn a_queue_that_is_full_costs_spans_and_the_rest_is_sent_in_batches() {
    let (collector, endpoint) = Collector::start([]).await;
    let all = MOST_QUEUED as u64;
    assert_eq!(sent(endpoint, MOST_QUEUED + 7).await, (all, 7, 0));
    let batches = collector.batches.lock();
    assert_eq!(*batches, vec![BATCH; MOST_QUEUED / BATCH]);
}

#[tokio::test]
async fn what_a_restarting_collector_did_not_take_is_sent_again() {
    let away = || Err(Status::unavailable("restarting"));
    let (collector, endpoint) = Collector::start([away()]).await;
    assert_eq!(sent(endpoint, 3).await, (3, 0, 0));
    assert_eq!(*collector.batches.lock(), [3]);
}

#[tokio::test]
async fn what_the_collector_does_not_want_is_lost_and_counted() {
    let partly = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 2,
            error_message: "too old".to_owned(),
        }),
    };
    let no = Err(Status::permission_denied("no"));
    for (answer, expected) in [(Ok(partly), (1, 0, 2)), (no, (0, 0, 3))] {
        let (_collector, endpoint) = Collector::start([answer]).await;
        assert_eq!(sent(endpoint, 3).await, expected);
    }
}

#[tokio::test]
async fn without_a_collector_the_stop_does_not_wait_for_long() {
    // Nobody listens there: the listener is gone.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let begin = Instant::now();
    assert_eq!(sent(endpoint, 3).await, (0, 0, 3));
    assert!(begin.elapsed() < FLUSH_WITHIN + Duration::from_secs(2));
}
