//! The calls that KEDA makes to an external scaler.
//!
//! [`ScalerApi`] is what the readers and the push streams of this module need
//! of a scaler; [`GrpcScaler`] is the real one, a gRPC client. It translates
//! the protocol and nothing else: it must never retry, cache or decide.

use super::quantity::Quantity;
use futures_util::{Stream, StreamExt};
use scaler::externalscaler::external_scaler_client::ExternalScalerClient;
use scaler::externalscaler::{GetMetricsRequest, ScaledObjectRef};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tonic::transport::Channel;

/// One metric of a trigger and its target, which is never zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) metric: String,
    pub(super) target: Quantity,
}

/// What a scaler pushes: true when there is demand. Ends when the scaler ends
/// it; dropping it tells the scaler.
pub(super) type ActivityStream = Pin<Box<dyn Stream<Item = Result<bool, ScalerError>> + Send>>;

/// Why a scaler gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScalerError {
    #[error("{call}: {code}: {message}")]
    Status {
        call: &'static str,
        code: tonic::Code,
        message: String,
    },
    #[error("{call}: no answer within {deadline:?}")]
    Deadline {
        call: &'static str,
        deadline: Duration,
    },
    #[error("GetMetricSpec: the trigger has no metrics")]
    NoSpecs,
    #[error("GetMetricSpec: the target of {metric} is zero")]
    ZeroTarget { metric: String },
    #[error("GetMetrics: no value for {metric}")]
    NoValue { metric: String },
}

/// An external scaler. All of it is cancellation safe: a dropped call is
/// forgotten.
pub(super) trait ScalerApi: Send + Sync + 'static {
    /// The metrics of a trigger; at least one.
    fn metric_specs(
        &self,
        of: &ScaledObjectRef,
    ) -> impl Future<Output = Result<Vec<Spec>, ScalerError>> + Send;

    /// The present value of one metric, by the name in its spec.
    fn metric_value(
        &self,
        of: &ScaledObjectRef,
        metric: &str,
    ) -> impl Future<Output = Result<Quantity, ScalerError>> + Send;

    /// Whether there is demand.
    fn is_active(
        &self,
        of: &ScaledObjectRef,
    ) -> impl Future<Output = Result<bool, ScalerError>> + Send;

    /// The same, pushed.
    fn stream_is_active(
        &self,
        of: &ScaledObjectRef,
    ) -> impl Future<Output = Result<ActivityStream, ScalerError>> + Send;
}

/// A scaler behind gRPC. One channel carries everything.
#[derive(Debug, Clone)]
pub(super) struct GrpcScaler {
    channel: Channel,
}

impl GrpcScaler {
    /// A client of the scaler behind `channel`.
    pub(super) fn new(channel: Channel) -> Self {
        Self { channel }
    }

    /// The generated methods want `&mut self`; a clone shares the connection.
    fn client(&self) -> ExternalScalerClient<Channel> {
        ExternalScalerClient::new(self.channel.clone())
    }
}

// === impl ScalerApi ===

impl ScalerApi for GrpcScaler {
    async fn metric_specs(&self, of: &ScaledObjectRef) -> Result<Vec<Spec>, ScalerError> {
        let answer = self.client().get_metric_spec(of.clone()).await;
        let specs = answer
            .map_err(status("GetMetricSpec"))?
            .into_inner()
            .metric_specs;
        if specs.is_empty() {
            return Err(ScalerError::NoSpecs);
        }
        let check = |spec: scaler::externalscaler::MetricSpec| {
            let target = Quantity::from_fields(spec.target_size_float, spec.target_size);
            // The API server would refuse an HPA with such a target.
            if target.is_zero() {
                return Err(ScalerError::ZeroTarget {
                    metric: spec.metric_name,
                });
            }
            Ok(Spec {
                metric: spec.metric_name,
                target,
            })
        };
        specs.into_iter().map(check).collect()
    }

    async fn metric_value(
        &self,
        of: &ScaledObjectRef,
        metric: &str,
    ) -> Result<Quantity, ScalerError> {
        let request = GetMetricsRequest {
            scaled_object_ref: Some(of.clone()),
            metric_name: metric.to_owned(),
        };
        let answer = self.client().get_metrics(request).await;
        let values = answer
            .map_err(status("GetMetrics"))?
            .into_inner()
            .metric_values;
        // Names in the answer are ignored and the HPA adds up what it gets.
        values
            .iter()
            .map(|value| Quantity::from_fields(value.metric_value_float, value.metric_value))
            .reduce(Quantity::saturating_add)
            .ok_or_else(|| ScalerError::NoValue {
                metric: metric.to_owned(),
            })
    }

    async fn is_active(&self, of: &ScaledObjectRef) -> Result<bool, ScalerError> {
        let answer = self.client().is_active(of.clone()).await;
        Ok(answer.map_err(status("IsActive"))?.into_inner().result)
    }

    async fn stream_is_active(&self, of: &ScaledObjectRef) -> Result<ActivityStream, ScalerError> {
        let answer = self.client().stream_is_active(of.clone()).await;
        let reports = answer.map_err(status("StreamIsActive"))?.into_inner();
        Ok(Box::pin(reports.map(|report| match report {
            Ok(report) => Ok(report.result),
            Err(error) => Err(status("StreamIsActive")(error)),
        })))
    }
}

fn status(call: &'static str) -> impl Fn(tonic::Status) -> ScalerError {
    move |status| ScalerError::Status {
        call,
        code: status.code(),
        message: status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests;
