//! Asks one other replica for the points that our queries need.
//!
//! One task per replica that is followed, on the connection of
//! [`super::follow`], which ends it with that connection. Never ends by itself:
//! a stream that breaks is opened again, and then all that is kept is told
//! once more.

use super::{asking::Asking, backoff::Backoff, gathered::Gathered};
use crate::{gen_peers::peers_client::PeersClient, metric_sources::MetricSources, series::unix_ms};
use tokio::time::sleep;
use tonic::{Code, Status, transport::Channel};

/// Largest message; senders stay well below.
const MAX_MESSAGE: usize = 4 << 20;

/// Gathers until it is dropped.
pub(crate) async fn run(sources: MetricSources, channel: Channel, address: String) {
    let mut backoff = Backoff::new();
    loop {
        let gathered = Gathered::new(sources.clone());
        let problem = match gather(&sources, &channel, gathered, &mut backoff).await {
            Err(status) if status.code() == Code::Unimplemented => {
                tracing::warn!(
                    peer = address,
                    "a peer does not share points of metrics: are all replicas of one version?"
                );
                return std::future::pending().await;
            }
            Err(status) => format!("{:?}: {}", status.code(), status.message()),
            Ok(()) => "it ended the stream".to_owned(),
        };
        tracing::debug!(
            peer = address,
            "a peer shares no points for now: {problem}. It is asked again"
        );
        sleep(backoff.pause(fastrand::f64())).await;
    }
}

async fn gather(
    sources: &MetricSources,
    channel: &Channel,
    mut gathered: Gathered,
    backoff: &mut Backoff,
) -> Result<(), Status> {
    let mut client = PeersClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE);
    let asking = Asking::new(sources.store.clone()).messages();
    let mut messages = client.share(asking).await?.into_inner();
    while let Some(points) = messages.message().await? {
        backoff.reset();
        let taken = gathered.take(&points, unix_ms());
        taken.map_err(|error| Status::internal(error.to_string()))?;
    }
    Ok(())
}
