//! A client that listens as KEDA does.
//!
//! One gRPC channel, one `StreamIsActive` per ScaledObject. Each message is
//! stamped when it arrives. Also the `StreamMetricSpec` that KEDA opens beside
//! it, which need only be there.

use crate::{clock::monotonic_ns, manifest::NAMESPACE};
use anyhow::{Context as _, Result, bail};
use scaler::externalscaler::{
    GetMetricSpecResponse, GetMetricsRequest, ScaledObjectRef,
    external_scaler_client::ExternalScalerClient,
};
use std::{collections::HashMap, net::SocketAddr, time::Duration};
use tokio::sync::mpsc;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};

const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// One connection.
pub(crate) async fn connect(scaler: SocketAddr) -> Result<ExternalScalerClient<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{scaler}"))?.tcp_nodelay(true);
    let channel = endpoint.connect().await.context("the scaler's gRPC port")?;
    Ok(ExternalScalerClient::new(channel))
}

/// What calls about the target `name` carry.
pub(crate) fn reference(name: &str) -> ScaledObjectRef {
    ScaledObjectRef {
        name: name.to_owned(),
        namespace: NAMESPACE.to_owned(),
        scaler_metadata: HashMap::from([("interceptorRoute".to_owned(), name.to_owned())]),
    }
}

/// Opens one `StreamMetricSpec` per target and takes its first message. They
/// are open until they are dropped.
pub(crate) async fn open_spec_streams(
    client: &mut ExternalScalerClient<Channel>,
    names: &[String],
) -> Result<Vec<Streaming<GetMetricSpecResponse>>> {
    let mut streams = Vec::with_capacity(names.len());
    for name in names {
        let opened = client.stream_metric_spec(reference(name)).await;
        let mut stream = opened.with_context(|| name.clone())?.into_inner();
        let first = tokio::time::timeout(FIRST_WITHIN, stream.message()).await;
        first.context("no first message")??.context("it ended")?;
        streams.push(stream);
    }
    Ok(streams)
}

/// What GetMetrics says now of the target `name`'s metric of that suffix:
/// `concurrency` or `rate`.
pub(crate) async fn metric(
    client: &mut ExternalScalerClient<Channel>,
    name: &str,
    suffix: &str,
) -> Result<f64> {
    let request = GetMetricsRequest {
        scaled_object_ref: Some(reference(name)),
        metric_name: format!("http_{name}_{suffix}"),
    };
    let answer = client.get_metrics(request).await?.into_inner();
    let value = answer.metric_values.first().context("no value")?;
    Ok(value.metric_value_float)
}

/// All open streams.
pub(crate) struct Streams {
    inboxes: Vec<mpsc::UnboundedReceiver<Message>>,
}

struct Message {
    active: bool,
    /// CLOCK_MONOTONIC ns.
    at: u64,
}

impl Streams {
    /// Opens one stream per target and takes its first message, which must say
    /// that nobody asks for it.
    pub(crate) async fn open(scaler: SocketAddr, names: &[String]) -> Result<Self> {
        Self::open_on(&mut connect(scaler).await?, names).await
    }

    /// The same on a connection that is there.
    pub(crate) async fn open_on(
        client: &mut ExternalScalerClient<Channel>,
        names: &[String],
    ) -> Result<Self> {
        Self::open_for(client, names.iter().map(|name| reference(name))).await
    }

    /// The same for these ScaledObjects.
    pub(crate) async fn open_for(
        client: &mut ExternalScalerClient<Channel>,
        objects: impl IntoIterator<Item = ScaledObjectRef>,
    ) -> Result<Self> {
        let mut inboxes = Vec::new();
        let mut names = Vec::new();
        for object in objects {
            let name = object.name.clone();
            let opened = client.stream_is_active(object).await;
            let mut stream = opened.with_context(|| name.clone())?.into_inner();
            let (outbox, inbox) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                // An end or an error drops the outbox, which the reader sees.
                while let Ok(Some(message)) = stream.message().await {
                    let (active, at) = (message.result, monotonic_ns());
                    if outbox.send(Message { active, at }).is_err() {
                        break;
                    }
                }
            });
            inboxes.push(inbox);
            names.push(name);
        }
        let mut streams = Self { inboxes };
        for (index, name) in names.iter().enumerate() {
            let first = tokio::time::timeout(FIRST_WITHIN, streams.next(index)).await;
            let first = first.context("no first message")??;
            if first.active {
                bail!("{name} is active before it was asked for");
            }
        }
        Ok(streams)
    }

    /// When the next `true` of that target arrived, CLOCK_MONOTONIC ns.
    pub(crate) async fn activated(&mut self, index: usize) -> Result<u64> {
        loop {
            let message = self.next(index).await?;
            if message.active {
                return Ok(message.at);
            }
        }
    }

    async fn next(&mut self, index: usize) -> Result<Message> {
        let inbox = self.inboxes.get_mut(index).context("no such target")?;
        inbox.recv().await.context("its stream ended")
    }
}
