//! GetMetrics of metric triggers, at a fixed rate.
//!
//! Open loop: a call is sent when it is due, however slow the ones before it
//! are. Each trigger selects one of a thousand callers, of each application.

use super::sender::METRIC;
use crate::{clock::monotonic_ns, keda, manifest::NAMESPACE};
use anyhow::{Result, ensure};
use scaler::externalscaler::{GetMetricsRequest, ScaledObjectRef};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

const TRIGGERS: u32 = 100;

/// What calls about a metric carry.
pub(super) fn reference(name: &str, query: String) -> ScaledObjectRef {
    let metadata = [("metricQuery", query), ("targetValue", "1".to_owned())];
    ScaledObjectRef {
        name: name.to_owned(),
        namespace: NAMESPACE.to_owned(),
        scaler_metadata: metadata.map(|(key, value)| (key.to_owned(), value)).into(),
    }
}

/// How long the calls took, ms. Any error fails, and so does an answer of zero.
pub(super) async fn call(scaler: SocketAddr, rate: u32, seconds: u32) -> Result<Vec<f64>> {
    let client = keda::connect(scaler).await?;
    let request = |n: u32| {
        let n = n % TRIGGERS;
        let name = format!("metric-{n}");
        let query = format!("sum({METRIC}{{src_app_id=\"caller-{n}\"}})");
        GetMetricsRequest {
            metric_name: format!("{NAMESPACE}-{name}"),
            scaled_object_ref: Some(reference(&name, query)),
        }
    };
    // A trigger is registered with the first call about it.
    for n in 0..TRIGGERS {
        client.clone().get_metrics(request(n)).await?;
    }
    let mut calls = JoinSet::new();
    let started = Instant::now();
    for n in 0..rate * seconds {
        sleep_until(started + Duration::from_secs(1) * n / rate).await;
        let (mut client, request) = (client.clone(), request(n));
        calls.spawn(async move {
            let sent = monotonic_ns();
            let answer = client.get_metrics(request).await?.into_inner();
            let took = Duration::from_nanos(monotonic_ns().saturating_sub(sent));
            let values = answer.metric_values;
            ensure!(
                values.iter().all(|value| value.metric_value_float > 0.0),
                "zero"
            );
            Ok(took.as_secs_f64() * 1e3)
        });
    }
    let mut took = Vec::new();
    while let Some(ended) = calls.join_next().await {
        took.push(ended??);
    }
    Ok(took)
}
