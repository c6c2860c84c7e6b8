//! Traces arrive at a collector: a real OTLP/gRPC server that keeps them.

use crate::support::{Reveille, Target, wait_for};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use parking_lot::Mutex;
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// An export, and the value of its header `x-tenant`.
type Export = (ExportTraceServiceRequest, Option<String>);

/// What arrived.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Export>>>);

#[tonic::async_trait]
impl TraceService for Kept {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let tenant = request.metadata().get("x-tenant");
        let tenant = tenant.map(|value| value.to_str().expect("ASCII").to_owned());
        self.0.lock().push((request.into_inner(), tenant));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A collector that runs until it is dropped.
struct Collector {
    kept: Kept,
    addr: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Collector {
    fn start() -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into())
    }

    fn start_at(addr: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let kept = Kept::default();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind(addr))
            .expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let server = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(kept.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        runtime.spawn(server);
        Self {
            kept,
            addr,
            _runtime: runtime,
        }
    }

    fn spans(&self) -> Vec<Span> {
        let all = self.kept.0.lock();
        let resources = all.iter().flat_map(|(request, _)| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }
}

fn values(attributes: &[KeyValue]) -> HashMap<&str, String> {
    let shown = |value: &KeyValue| match value.value.as_ref().and_then(|any| any.value.clone()) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(is_so)) => is_so.to_string(),
        other => panic!("{other:?}"),
    };
    let pairs = attributes
        .iter()
        .map(|pair| (pair.key.as_str(), shown(pair)));
    pairs.collect()
}

#[test]
fn spans_of_a_cold_start_arrive_with_parents_attributes_and_times() {
    let collector = Collector::start();
    let reveille = Reveille::of(Target::hello())
        .env(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://{}", collector.addr),
        )
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b")
        .env("OTEL_SERVICE_NAME", "edge")
        .env("OTEL_RESOURCE_ATTRIBUTES", "region=north")
        .start();
    let mut unsampled = reveille.client("web").connect();
    unsampled.send(b"GET /?unsampled HTTP/1.1\r\nhost: web.test\r\nconnection: close\r\n\r\n");
    assert_eq!(unsampled.answer().status, 200);
    reveille.until_asleep("web");
    let mut client = reveille.client("web").connect();
    let request = format!(
        "GET /?traced HTTP/1.1\r\nhost: web.test\r\ntraceparent: {PARENT}\r\ntracestate: a=1\r\n\
         connection: close\r\n\r\n"
    );
    client.send(request.as_bytes());
    assert_eq!(client.answer().status, 200);
    let spans = wait_for("spans arrive", || {
        Some(collector.spans()).filter(|spans| !spans.is_empty())
    });
    let mut names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["GET", "connect", "hold", "upstream"]);
    let named = |name: &str| spans.iter().find(|span| span.name == name).expect(name);
    let server = named("GET");
    assert_eq!(server.kind(), SpanKind::Server);
    assert_eq!(
        server.parent_span_id,
        [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]
    );
    assert_eq!(
        (server.trace_state.as_str(), &server.status),
        ("a=1", &None)
    );
    assert_eq!(server.flags & 0x301, 0x301, "sampled, the parent is remote");
    let attributes = values(&server.attributes);
    for (key, value) in [
        ("url.path", "/"),
        ("url.query", "traced"),
        ("http.response.status_code", "200"),
        ("reveille.target", "default/web"),
        ("reveille.cold_start", "true"),
    ] {
        assert_eq!(attributes[key], value, "{key}");
    }
    for span in &spans {
        assert_eq!(span.trace_id[..4], [0x0a, 0xf7, 0x65, 0x19]);
        assert!(server.start_time_unix_nano <= span.start_time_unix_nano);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        assert!(span.end_time_unix_nano <= server.end_time_unix_nano);
        if span.name != "GET" {
            assert_eq!(span.parent_span_id, server.span_id);
        }
    }
    let (hold, connect, upstream) = (named("hold"), named("connect"), named("upstream"));
    assert_eq!(upstream.kind(), SpanKind::Client);
    assert!(hold.end_time_unix_nano <= connect.start_time_unix_nano);
    assert!(connect.end_time_unix_nano <= upstream.start_time_unix_nano);
    // Number 0 may still be on its way out.
    let endpoint = &values(&upstream.attributes)["reveille.endpoint"];
    assert!(endpoint.starts_with("default/web-"), "{endpoint}");

    let (request, tenant) = collector.kept.0.lock()[0].clone();
    assert_eq!(tenant.as_deref(), Some("a b"));
    let resource = request.resource_spans[0].resource.clone().expect("one");
    let resource = values(&resource.attributes);
    assert_eq!(
        (
            resource["service.name"].as_str(),
            resource["region"].as_str()
        ),
        ("edge", "north")
    );
    wait_for("it is counted", || {
        let metrics = reveille.ask("/metrics").body;
        let sample = "reveille_trace_spans_total{outcome=\"exported\"} 4\n";
        metrics.contains(sample).then_some(())
    });
    reveille.stop();
}

#[test]
fn the_last_spans_are_sent_at_the_stop() {
    let collector = Collector::start();
    let mut reveille = Reveille::of(Target::hello())
        .arg(
            "--otlp-traces-endpoint",
            &format!("http://{}", collector.addr),
        )
        .arg("--otlp-traces-sampler", "always_on")
        .start();
    for _ in 0..3 {
        assert_eq!(reveille.client("web").get("/").status, 200);
    }
    reveille.signal(rustix::process::Signal::TERM);
    reveille.wait_for_orderly_end();
    let spans = collector.spans();
    let requests = spans.iter().filter(|span| span.name == "GET");
    assert_eq!(requests.count(), 3);
    assert!(
        spans
            .iter()
            .all(|span| span.kind() != SpanKind::Server || span.parent_span_id.is_empty())
    );
}

#[test]
fn without_a_collector_requests_are_served_and_spans_are_counted_as_lost() {
    let gone = Collector::start();
    let endpoint = format!("http://{}", gone.addr);
    drop(gone);
    let reveille = Reveille::of(Target::hello())
        .arg("--otlp-traces-endpoint", &endpoint)
        .arg("--otlp-traces-sampler", "always_on")
        .start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    reveille.until_logged("spans are lost: the collector does not take them");
    let metrics = reveille.ask("/metrics").body;
    assert!(metrics.contains("reveille_trace_spans_total{outcome=\"exported\"} 0\n"));
    assert!(!metrics.contains("reveille_trace_spans_total{outcome=\"not_taken\"} 0\n"));
    reveille.stop();
}
