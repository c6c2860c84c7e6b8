//! The unary calls of polls and HPA reads, at a fixed rate.
//!
//! Open loop: a call is sent when it is due, however slow the ones before it
//! are.

use crate::{clock::monotonic_ns, keda::reference};
use anyhow::{Context as _, Result};
use scaler::externalscaler::{GetMetricsRequest, external_scaler_client::ExternalScalerClient};
use std::time::Duration;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tonic::transport::Channel;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long the answers took, ms.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) specs_ms: Vec<f64>,
    pub(crate) metrics_ms: Vec<f64>,
    pub(crate) active_ms: Vec<f64>,
}

#[derive(Clone, Copy)]
enum Call {
    GetMetricSpec,
    GetMetrics,
    IsActive,
}

/// Makes the calls. Any error fails.
pub(crate) async fn call(
    client: &ExternalScalerClient<Channel>,
    names: &[String],
    rate: u32,
    seconds: u32,
) -> Result<Answers> {
    let mut calls = JoinSet::new();
    let started = Instant::now();
    for n in 0..rate * seconds {
        sleep_until(started + Duration::from_secs(1) * n / rate).await;
        let of = n as usize / 3 % names.len();
        let name = names.get(of).context("a name")?.clone();
        let call = match n % 3 {
            0 => Call::GetMetricSpec,
            1 => Call::GetMetrics,
            _ => Call::IsActive,
        };
        let client = client.clone();
        calls.spawn(async move {
            let answer = tokio::time::timeout(ANSWER_WITHIN, one(client, call, &name)).await;
            let ms = answer.with_context(|| format!("{name}: no answer"))??;
            anyhow::Ok((call, ms))
        });
    }
    let mut answers = Answers::default();
    while let Some(ended) = calls.join_next().await {
        let (call, ms) = ended??;
        match call {
            Call::GetMetricSpec => answers.specs_ms.push(ms),
            Call::GetMetrics => answers.metrics_ms.push(ms),
            Call::IsActive => answers.active_ms.push(ms),
        }
    }
    Ok(answers)
}

/// How long one took, ms.
async fn one(mut client: ExternalScalerClient<Channel>, call: Call, name: &str) -> Result<f64> {
    let reference = reference(name);
    let sent = monotonic_ns();
    match call {
        Call::GetMetricSpec => {
            client.get_metric_spec(reference).await?;
        }
        Call::GetMetrics => {
            let request = GetMetricsRequest {
                scaled_object_ref: Some(reference),
                metric_name: format!("http_{name}_concurrency"),
            };
            client.get_metrics(request).await?;
        }
        Call::IsActive => {
            client.is_active(reference).await?;
        }
    }
    Ok(Duration::from_nanos(monotonic_ns().saturating_sub(sent)).as_secs_f64() * 1e3)
}
