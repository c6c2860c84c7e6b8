//! The unary calls about the triggers of one ScaledObject, as KEDA's scaler
//! cache makes them.
//!
//! Whatever fails is tried a second time at once. Specs that were streamed
//! stand in for `GetMetricSpec` until anything fails: then the whole cache is
//! dropped and the specs are asked for again.

use super::{
    channel::Channel,
    log::{Event, Log, Path},
    object::ScaledObject,
};
use parking_lot::Mutex;
use scaler::externalscaler::{GetMetricsRequest, MetricSpec, ScaledObjectRef};
use std::sync::Arc;
use tokio::time::Instant;
use tonic::Status;

/// A metric of a trigger.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spec {
    /// As the scaler knows it.
    pub(super) name: String,
    pub(super) target: f64,
}

impl Spec {
    pub(super) fn from_message(message: &MetricSpec) -> Self {
        Self {
            name: message.metric_name.clone(),
            target: number(message.target_size_float, message.target_size),
        }
    }
}

/// The float if it is positive, else the integer; three decimals.
fn number(float: f64, integer: i64) -> f64 {
    let value = if float > 0.0 { float } else { integer as f64 };
    if value.is_finite() && value > 0.0 {
        (value * 1000.0).round() / 1000.0
    } else {
        0.0
    }
}

/// One trigger.
#[derive(Debug)]
pub(super) struct Cached {
    pub(super) channel: Arc<Channel>,
    pub(super) reference: ScaledObjectRef,
    streamed: Mutex<Option<Vec<Spec>>>,
}

/// All triggers of one ScaledObject.
#[derive(Debug)]
pub(super) struct Cache {
    pub(super) triggers: Vec<Cached>,
    object: String,
    log: Log,
}

impl Cache {
    pub(super) fn new(object: &ScaledObject, channels: Vec<Arc<Channel>>, log: Log) -> Self {
        let cached = |(index, channel)| Cached {
            channel,
            reference: object.reference(index),
            streamed: Mutex::default(),
        };
        Self {
            triggers: channels.into_iter().enumerate().map(cached).collect(),
            object: object.name.clone(),
            log,
        }
    }

    /// `StreamMetricSpec` said so. Kept even if empty, as in KEDA.
    pub(super) fn streamed(&self, trigger: usize, specs: Vec<Spec>) {
        *self.triggers[trigger].streamed.lock() = Some(specs);
    }

    /// Everything is to be asked for again.
    pub(super) fn forget(&self) {
        for trigger in &self.triggers {
            *trigger.streamed.lock() = None;
        }
    }

    /// The specs of a trigger. `None` when they could not be had, or are none.
    pub(super) async fn specs(&self, trigger: usize, path: Path) -> Option<Vec<Spec>> {
        let cached = &self.triggers[trigger];
        let streamed = cached.streamed.lock().clone();
        if let Some(streamed) = streamed {
            return Some(streamed).filter(|specs| !specs.is_empty());
        }
        for _try in 0..2 {
            match self.ask_specs(cached).await {
                Ok(specs) if !specs.is_empty() => return Some(specs),
                Ok(_) => {}
                Err(status) => self.failed(path, &status),
            }
        }
        None
    }

    /// The value of a metric, and whether there is activity. `None` when
    /// either failed twice.
    pub(super) async fn value_and_activity(
        &self,
        trigger: usize,
        metric: &str,
        path: Path,
    ) -> Option<(f64, bool)> {
        let cached = &self.triggers[trigger];
        for _try in 0..2 {
            match self.ask_both(cached, metric, path).await {
                Ok(both) => return Some(both),
                Err(status) => self.failed(path, &status),
            }
        }
        None
    }

    async fn ask_specs(&self, cached: &Cached) -> Result<Vec<Spec>, Status> {
        let mut client = cached.channel.client().await?;
        let answer = client.get_metric_spec(cached.reference.clone()).await?;
        let specs = answer.into_inner().metric_specs;
        Ok(specs.iter().map(Spec::from_message).collect())
    }

    async fn ask_both(
        &self,
        cached: &Cached,
        metric: &str,
        path: Path,
    ) -> Result<(f64, bool), Status> {
        let request = GetMetricsRequest {
            scaled_object_ref: Some(cached.reference.clone()),
            metric_name: metric.to_owned(),
        };
        let mut client = cached.channel.client().await?;
        let answer = client.get_metrics(request).await?.into_inner();
        // All items count as the metric that was asked for, and are added up.
        let values = answer.metric_values.iter();
        let value = values
            .map(|v| number(v.metric_value_float, v.metric_value))
            .sum();
        let asked = Instant::now();
        let mut client = cached.channel.client().await?;
        let answer = client.is_active(cached.reference.clone()).await?;
        let active = answer.into_inner().result;
        let metric = metric.to_owned();
        self.log.add(
            &self.object,
            Event::Value {
                path,
                metric,
                value,
            },
        );
        self.log.add(
            &self.object,
            Event::Answered {
                path,
                asked,
                active,
            },
        );
        Ok((value, active))
    }

    fn failed(&self, path: Path, status: &Status) {
        let code = status.code();
        self.log.add(&self.object, Event::Failed { path, code });
    }
}
