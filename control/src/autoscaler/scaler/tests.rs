//! The client against a small tonic server, over a real socket.

use super::*;
use scaler::externalscaler::external_scaler_server::{ExternalScaler, ExternalScalerServer};
use scaler::externalscaler::{
    GetMetricSpecResponse, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

type Reports = UnboundedReceiverStream<Result<IsActiveResponse, Status>>;

/// Answers by the name of the ScaledObject; streams echo what `reports` holds.
struct Double {
    reports: parking_lot::Mutex<Option<Reports>>,
}

fn spec(name: &str, target_size: i64, target_size_float: f64) -> MetricSpec {
    MetricSpec {
        metric_name: name.into(),
        target_size,
        target_size_float,
    }
}

fn value(metric_value: i64, metric_value_float: f64) -> MetricValue {
    // Another name than asked for: it must not matter.
    MetricValue {
        metric_name: "ignored".into(),
        metric_value,
        metric_value_float,
    }
}

#[tonic::async_trait]
impl ExternalScaler for Double {
    type StreamIsActiveStream = Reports;
    type StreamMetricSpecStream = tokio_stream::Empty<Result<GetMetricSpecResponse, Status>>;

    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        let of = request.into_inner();
        if of.name == "unknown" {
            return Err(Status::not_found("no such route"));
        }
        let result = of.namespace == "default" && of.scaler_metadata["interceptorRoute"] == "web";
        Ok(Response::new(IsActiveResponse { result }))
    }

    async fn stream_is_active(
        &self,
        _: Request<ScaledObjectRef>,
    ) -> Result<Response<Reports>, Status> {
        let reports = self.reports.lock().take();
        reports
            .map(Response::new)
            .ok_or_else(|| Status::resource_exhausted("one only"))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let metric_specs = match request.into_inner().name.as_str() {
            "none" => vec![],
            "zero" => vec![spec("rate", 0, 0.0004)],
            _ => vec![spec("concurrency", 3, 2.5), spec("rate", 7, 0.0)],
        };
        Ok(Response::new(GetMetricSpecResponse { metric_specs }))
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let metric_values = match request.into_inner().metric_name.as_str() {
            "concurrency" => vec![value(4, 3.25)],
            "rate" => vec![value(5, 0.0), value(2, 1.5)],
            _ => vec![],
        };
        Ok(Response::new(GetMetricsResponse { metric_values }))
    }

    async fn stream_metric_spec(
        &self,
        _: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamMetricSpecStream>, Status> {
        Err(Status::unimplemented("polled only"))
    }
}

struct Running {
    address: SocketAddr,
    reports: mpsc::UnboundedSender<Result<IsActiveResponse, Status>>,
    stop: CancellationToken,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

/// A server on `address`; it listens when this returns.
fn serve(address: SocketAddr) -> Running {
    let (reports, receiver) = mpsc::unbounded_channel();
    let double = Double {
        reports: parking_lot::Mutex::new(Some(UnboundedReceiverStream::new(receiver))),
    };
    let incoming = TcpIncoming::bind(address).expect("a free port");
    let address = incoming.local_addr().expect("bound");
    let stop = CancellationToken::new();
    let server = Server::builder()
        .add_service(ExternalScalerServer::new(double))
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    Running {
        address,
        reports,
        stop,
        server: tokio::spawn(server),
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn named(name: &str) -> ScaledObjectRef {
    ScaledObjectRef {
        name: name.into(),
        namespace: "default".into(),
        scaler_metadata: HashMap::from([("interceptorRoute".into(), "web".into())]),
    }
}

/// A client over a real connection, made at the first call.
fn client_of(address: SocketAddr) -> GrpcScaler {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an authority");
    GrpcScaler::new(endpoint.connect_lazy())
}

#[tokio::test]
async fn asks_and_understands_every_call() {
    let running = serve(any_port());
    let client = client_of(running.address);
    let web = named("web");

    let target = |metric: &str, target| Spec {
        metric: metric.into(),
        target: Quantity::from_f64(target),
    };
    let specs = client.metric_specs(&web).await.unwrap();
    assert_eq!(specs, [target("concurrency", 2.5), target("rate", 7.0)]);
    let concurrency = client.metric_value(&web, "concurrency").await.unwrap();
    assert_eq!(concurrency, Quantity::from_f64(3.25), "the float counts");
    let rate = client.metric_value(&web, "rate").await.unwrap();
    assert_eq!(
        rate,
        Quantity::from_f64(6.5),
        "5 + 1.5: the HPA adds up what it gets"
    );
    assert!(
        client.is_active(&web).await.unwrap(),
        "namespace and metadata arrived"
    );
    let elsewhere = ScaledObjectRef {
        namespace: "elsewhere".into(),
        ..web
    };
    assert!(!client.is_active(&elsewhere).await.unwrap());
}

#[tokio::test]
async fn refuses_answers_that_no_hpa_could_use() {
    let running = serve(any_port());
    let client = client_of(running.address);
    assert_eq!(
        client.metric_specs(&named("none")).await,
        Err(ScalerError::NoSpecs)
    );
    let zero = client.metric_specs(&named("zero")).await.unwrap_err();
    assert_eq!(
        zero.to_string(),
        "GetMetricSpec: the target of rate is zero"
    );
    let absent = client
        .metric_value(&named("web"), "absent")
        .await
        .unwrap_err();
    assert_eq!(absent.to_string(), "GetMetrics: no value for absent");
    let unknown = client.is_active(&named("unknown")).await.unwrap_err();
    let ScalerError::Status {
        call,
        code,
        message,
    } = unknown
    else {
        panic!("{unknown}")
    };
    assert_eq!((call, code), ("IsActive", tonic::Code::NotFound));
    assert_eq!(message, "no such route");
}

#[tokio::test]
async fn streams_end_in_good_order_or_with_an_error() {
    let running = serve(any_port());
    let client = client_of(running.address);
    let mut reports = client.stream_is_active(&named("web")).await.unwrap();
    for result in [true, false] {
        running
            .reports
            .send(Ok(IsActiveResponse { result }))
            .unwrap();
        assert_eq!(reports.next().await, Some(Ok(result)));
    }
    drop(running.reports);
    assert_eq!(reports.next().await, None, "ended with OK");
    let refused = client.stream_is_active(&named("web")).await.err().unwrap();
    assert!(matches!(
        refused,
        ScalerError::Status {
            code: tonic::Code::ResourceExhausted,
            ..
        }
    ));
}

#[tokio::test]
async fn dropping_a_stream_tells_the_scaler() {
    let running = serve(any_port());
    let client = client_of(running.address);
    drop(client.stream_is_active(&named("web")).await.unwrap());
    running.reports.closed().await;
}

#[tokio::test]
async fn connects_late_and_again() {
    let Running {
        address,
        stop,
        server,
        ..
    } = serve(any_port());
    let client = client_of(address);
    assert!(client.is_active(&named("web")).await.unwrap());
    stop.cancel();
    server.await.unwrap().unwrap();
    let down = client.is_active(&named("web")).await.unwrap_err();
    assert!(matches!(down, ScalerError::Status { .. }), "{down}");
    let _again = serve(address);
    assert!(
        client.is_active(&named("web")).await.unwrap(),
        "the same client"
    );
}
