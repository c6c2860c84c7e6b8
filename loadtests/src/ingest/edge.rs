//! From a point that is sent to `true` on KEDA's stream.

use super::{calls::reference, sender::Sender};
use crate::keda::{self, Streams};
use anyhow::{Context as _, Result};
use std::{net::SocketAddr, time::Duration};
use tokio::time::sleep;

const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// Between one message and the next point.
const PAUSE: Duration = Duration::from_millis(20);

/// What each of `count` metrics took, ms.
pub(super) async fn measure(
    sender: &mut Sender,
    scaler: SocketAddr,
    prefix: &str,
    count: usize,
) -> Result<Vec<f64>> {
    let metrics: Vec<String> = (0..count).map(|n| format!("edge_{prefix}_{n}")).collect();
    let mut client = keda::connect(scaler).await?;
    let objects = metrics
        .iter()
        .map(|metric| reference(metric, metric.clone()));
    let mut streams = Streams::open_for(&mut client, objects).await?;
    let mut told_ms = Vec::new();
    for (index, metric) in metrics.iter().enumerate() {
        let sent = sender.gauge(metric, 1.0).await?;
        let told = tokio::time::timeout(TOLD_WITHIN, streams.activated(index)).await;
        let told = told.with_context(|| format!("{metric}: nothing within {TOLD_WITHIN:?}"))??;
        told_ms.push(Duration::from_nanos(told.saturating_sub(sent)).as_secs_f64() * 1e3);
        sleep(PAUSE).await;
    }
    Ok(told_ms)
}
