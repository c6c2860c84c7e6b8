//! A sender of OTLP/gRPC: one connection, one request at a time.

use super::BATCH;
use crate::clock::monotonic_ns;
use anyhow::{Context as _, Result, ensure};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
        number_data_point,
    },
    resource::v1::Resource,
};
use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};
use tonic::transport::{Channel, Endpoint};

/// What one request brings.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) const POINTS: f64 = BATCH as f64;

/// The metric that requests bring.
pub(super) const METRIC: &str = "runtime_service_invocation_req_recv_total";

/// One connection.
pub(super) struct Sender {
    client: MetricsServiceClient<Channel>,
    sent: u64,
}

impl Sender {
    pub(super) async fn connect(address: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let channel = endpoint.connect().await.context("the OTLP port")?;
        Ok(Self {
            client: MetricsServiceClient::new(channel),
            sent: 0,
        })
    }

    /// A request of a thousand counters, those of one application.
    pub(super) async fn send(&mut self, app: usize) -> Result<()> {
        self.sent += 1;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let count = self.sent as f64;
        let at = now_ns();
        let points = (0..BATCH).map(|caller| {
            let caller = format!("caller-{caller}");
            point(
                at,
                count,
                &[("app_id", &format!("app-{app}")), ("src_app_id", &caller)],
            )
        });
        let data = Data::Sum(Sum {
            data_points: points.collect(),
            aggregation_temporality: 2,
            is_monotonic: true,
        });
        self.export(&format!("app-{app}"), METRIC, data).await
    }

    /// One point of a gauge. When it was sent, CLOCK_MONOTONIC ns.
    pub(super) async fn gauge(&mut self, metric: &str, value: f64) -> Result<u64> {
        let data = Data::Gauge(Gauge {
            data_points: vec![point(now_ns(), value, &[])],
        });
        let sent = monotonic_ns();
        self.export("edge", metric, data).await?;
        Ok(sent)
    }

    async fn export(&mut self, pod: &str, metric: &str, data: Data) -> Result<()> {
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource {
                    attributes: vec![pair("service.name", "load"), pair("k8s.pod.name", pod)],
                    ..Resource::default()
                }),
                scope_metrics: vec![ScopeMetrics {
                    metrics: vec![Metric {
                        name: metric.to_owned(),
                        data: Some(data),
                        ..Metric::default()
                    }],
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        };
        let answer = self.client.export(request).await?.into_inner();
        let refused = answer.partial_success.unwrap_or_default();
        ensure!(
            refused.rejected_data_points == 0,
            "{} points were refused: {}",
            refused.rejected_data_points,
            refused.error_message
        );
        Ok(())
    }
}

fn point(at_ns: u64, value: f64, attributes: &[(&str, &str)]) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes
            .iter()
            .map(|(key, value)| pair(key, value))
            .collect(),
        time_unix_nano: at_ns,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn pair(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}

/// Each time of a series is stored once, in milliseconds.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
