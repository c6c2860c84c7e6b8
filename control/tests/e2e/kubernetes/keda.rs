//! A client like KEDA, which waits for each answer.

use crate::support::{PATIENCE, Reveille};
use scaler::externalscaler::{
    GetMetricsRequest, IsActiveResponse, MetricValue, ScaledObjectRef,
    external_scaler_client::ExternalScalerClient,
};
use tokio::runtime::Runtime;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

/// It asks for one trigger of the ScaledObject `default/web`.
pub(crate) struct Keda {
    runtime: Runtime,
    client: ExternalScalerClient<Channel>,
    reference: ScaledObjectRef,
}

impl Keda {
    pub(crate) fn asks_for(reveille: &Reveille, metadata: &[(&str, &str)]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let address = format!("http://{}", reveille.grpc());
        let endpoint = Endpoint::from_shared(address).expect("an address");
        let channel = runtime.block_on(endpoint.connect());
        Self {
            runtime,
            client: ExternalScalerClient::new(channel.expect("it listens")),
            reference: ScaledObjectRef {
                name: "web".to_owned(),
                namespace: "default".to_owned(),
                scaler_metadata: metadata
                    .iter()
                    .map(|(field, value)| ((*field).to_owned(), (*value).to_owned()))
                    .collect(),
            },
        }
    }

    pub(crate) fn is_active(&mut self) -> Result<bool, Status> {
        let asked = self.client.is_active(self.reference.clone());
        Ok(self.runtime.block_on(asked)?.into_inner().result)
    }

    pub(crate) fn metrics(&mut self, metric_name: &str) -> Result<Vec<MetricValue>, Status> {
        let request = GetMetricsRequest {
            scaled_object_ref: Some(self.reference.clone()),
            metric_name: metric_name.to_owned(),
        };
        let answer = self.runtime.block_on(self.client.get_metrics(request))?;
        Ok(answer.into_inner().metric_values)
    }

    pub(super) fn stream(&mut self) -> Streaming<IsActiveResponse> {
        let opened = self.client.stream_is_active(self.reference.clone());
        self.runtime.block_on(opened).expect("opened").into_inner()
    }

    /// All that comes until the stream ends.
    pub(super) fn until_ended(&self, stream: &mut Streaming<IsActiveResponse>) -> Vec<bool> {
        let mut said = Vec::new();
        let end = async {
            while let Some(message) = stream.message().await.expect("no error") {
                said.push(message.result);
            }
        };
        let ended = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, end).await });
        ended.expect("in time");
        said
    }

    pub(super) fn until_active(&self, stream: &mut Streaming<IsActiveResponse>) {
        let active = async {
            while !stream
                .message()
                .await
                .expect("no error")
                .expect("a message")
                .result
            {}
        };
        let active = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, active).await });
        active.expect("in time");
    }
}
