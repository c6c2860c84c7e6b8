//! The receivers of metrics on sockets, and what is sent to them.

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::Request;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient,
    },
    metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
        number_data_point::Value,
    },
};
use scaler::{
    grpc::{Connection, Server},
    ingest::{
        IngestCounters,
        opencensus::OpenCensus,
        otlp::{Otlp, OtlpGrpc, OtlpLimits, ResourceLabels, serve_http},
    },
    series::{Limits, Select, Store},
};
use std::{convert::Infallible, io::Write, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tonic::{Code, Status, service::Routes, transport::Channel};

pub(crate) const MOST: usize = 1 << 20;

/// The three receivers of one store.
pub(crate) struct Rig {
    pub(crate) store: Arc<Store>,
    pub(crate) counters: Arc<IngestCounters>,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) opencensus: SocketAddr,
    stops: [oneshot::Sender<()>; 3],
    servers: [JoinHandle<()>; 3],
}

impl Rig {
    pub(crate) async fn start(limits: Limits) -> Self {
        let store = Arc::new(Store::new(limits));
        let counters = Arc::new(IngestCounters::default());
        let otlp = Arc::new(Otlp::new(
            store.clone(),
            counters.clone(),
            ResourceLabels::default(),
            OtlpLimits {
                message_bytes: MOST,
                requests: 2,
            },
        ));
        let listener = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (grpc, http, opencensus) = (listener().await, listener().await, listener().await);
        let addresses = (
            grpc.local_addr().expect("bound"),
            http.local_addr().expect("bound"),
            opencensus.local_addr().expect("bound"),
        );
        let (stop_grpc, grpc_stopped) = oneshot::channel();
        let (stop_http, http_stopped) = oneshot::channel();
        let (stop_opencensus, opencensus_stopped) = oneshot::channel();
        let service = OtlpGrpc::new(otlp.clone());
        let agent = OpenCensus::new(otlp.clone());
        Self {
            store,
            counters,
            grpc: addresses.0,
            http: addresses.1,
            opencensus: addresses.2,
            stops: [stop_grpc, stop_http, stop_opencensus],
            servers: [
                tokio::spawn(async move {
                    let stopped = async { drop(grpc_stopped.await) };
                    let services =
                        Arc::new(move |_: &Connection| service.add_to(Routes::default()));
                    let server = Server::new(grpc, services);
                    server.serve(stopped).await.expect("it serves");
                }),
                tokio::spawn(async move {
                    serve_http(http, None, otlp, async { drop(http_stopped.await) }).await;
                }),
                tokio::spawn(async move {
                    let stopped = async { drop(opencensus_stopped.await) };
                    let services = Arc::new(move |connection: &Connection| {
                        agent.add_to(Routes::default(), connection)
                    });
                    let server = Server::new(opencensus, services);
                    server.serve(stopped).await.expect("it serves");
                }),
            ],
        }
    }

    pub(crate) async fn stop(self) {
        for stop in self.stops {
            stop.send(()).expect("it runs");
        }
        for server in self.servers {
            server.await.expect("it ends in order");
        }
    }

    pub(crate) async fn metrics(&self) -> MetricsServiceClient<Channel> {
        MetricsServiceClient::connect(format!("http://{}", self.grpc))
            .await
            .expect("it listens")
    }

    pub(crate) fn stored(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.store
            .select(&[], i64::MIN, i64::MAX, &mut |labels, points| {
                let last = points.last().expect("a point");
                found.push(format!("{labels} {}", last.value));
            });
        found.sort();
        found
    }

    /// Sends a request over a connection of its own; status, headers, body.
    pub(crate) async fn http(&self, head: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.http).await.expect("it listens");
        let head = format!(
            "{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        // It may answer, and close, before all is sent.
        let _sent = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _closed = stream.read_to_end(&mut answer).await;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let head = String::from_utf8(answer[..end].to_vec()).expect("text");
        let status = head.get(9..12).and_then(|code| code.parse().ok());
        let status = status.expect("a status");
        (status, head.to_lowercase(), answer[end + 4..].to_vec())
    }

    pub(crate) async fn post(&self, headers: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let head = format!("POST /v1/metrics HTTP/1.1\r\n{headers}");
        self.http(&head, body).await
    }

    /// A gRPC call of one body, as its bytes are on the wire: its status and
    /// what was answered before.
    pub(crate) async fn call(
        address: SocketAddr,
        path: &str,
        encoding: &str,
        body: impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    ) -> (Code, String, Bytes) {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.expect("HTTP/2");
        let connection = tokio::spawn(connection);
        let request = Request::post(format!("http://x{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-encoding", encoding)
            .body(body)
            .expect("a request");
        let response = sender.send_request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("an end");
        let status = body.trailers().and_then(Status::from_header_map);
        let status = status.or_else(|| Status::from_header_map(&head.headers));
        let status = status.expect("a status");
        drop(sender);
        connection.abort();
        (status.code(), status.message().to_owned(), body.to_bytes())
    }
}

/// A message as gRPC frames it.
pub(crate) fn frame(compressed: bool, message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("short");
    let mut framed = vec![u8::from(compressed)];
    framed.extend(length.to_be_bytes());
    framed.extend(message);
    framed.into()
}

/// A field of text, bytes or a message.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encode_length_delimiter(bytes.len(), &mut out).expect("into memory");
    out.extend(bytes);
    out
}

/// A field of a small number.
pub(crate) fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// The first message of an OpenCensus stream.
pub(crate) fn node() -> Vec<u8> {
    field(1, &field(1, &field(1, b"host")))
}

/// An OpenCensus gauge with these labels and this value, as a message.
pub(crate) fn oc_gauge(name: &str, keys: &[&str], values: &[&str], value: u8) -> Vec<u8> {
    let mut descriptor = field(1, name.as_bytes());
    descriptor.extend(number(4, 1));
    for key in keys {
        descriptor.extend(field(5, &field(1, key.as_bytes())));
    }
    let mut series = Vec::new();
    for value in values {
        let mut label = field(1, value.as_bytes());
        label.extend(number(2, 1));
        series.extend(field(2, &label));
    }
    series.extend(field(3, &number(2, value)));
    let metric = [field(1, &descriptor), field(2, &series)].concat();
    field(2, &metric)
}

pub(crate) const PROTOBUF: &str = "Content-Type: application/x-protobuf";
pub(crate) const JSON: &str = "Content-Type: application/json";

pub(crate) fn gauges(values: &[(&str, f64)]) -> ExportMetricsServiceRequest {
    let metric = |(name, value): &(&str, f64)| Metric {
        name: (*name).to_owned(),
        data: Some(Data::Gauge(Gauge {
            data_points: vec![NumberDataPoint {
                value: Some(Value::AsDouble(*value)),
                ..NumberDataPoint::default()
            }],
        })),
        ..Metric::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics: values.iter().map(metric).collect(),
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

/// 100 MB of zeros.
pub(crate) fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..100 {
        encoder.write_all(&zeros).expect("into memory");
    }
    encoder.finish().expect("into memory")
}
