//! The five RPCs of KEDA's external scaler.
//!
//! Called by tonic. Each parses its trigger, finds the target in the ledger and
//! answers from memory: nothing here waits for a peer, a pod or a file, because
//! KEDA holds locks while it waits for us. What is unknown is an error, never a
//! zero.

use super::{
    error::KedaError,
    metadata::{Trigger, UnknownKeys},
    metrics::{KedaMetrics, Method, OpenStream},
    spec::{self, Offer},
    spec_stream::{SpecStream, metric_specs},
    stream::{ActivityStream, activity},
};
use crate::{
    externalscaler::{
        GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse,
        ScaledObjectRef, external_scaler_server::ExternalScaler,
    },
    ledger::Ledger,
    tracked::Tracked,
};
use std::sync::Arc;
use tokio::sync::watch;
use tonic::{Code, Request, Response, Status};

/// What the service knows and remembers, on all connections.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) metrics: Arc<KedaMetrics>,
    unknown_keys: UnknownKeys,
}

impl Memory {
    pub(crate) fn new(ledger: Arc<Ledger>, metrics: Arc<KedaMetrics>) -> Self {
        Self {
            ledger,
            metrics,
            unknown_keys: UnknownKeys::default(),
        }
    }
}

/// The service of one connection.
#[derive(Debug)]
pub(crate) struct KedaService {
    memory: Arc<Memory>,
    /// True, or without a sender: streams end.
    closing: watch::Receiver<bool>,
}

/// What an RPC is about.
struct Asked {
    trigger: Trigger,
    tracked: Arc<Tracked>,
    offers: Vec<Offer>,
}

impl KedaService {
    pub(crate) fn new(memory: Arc<Memory>, closing: watch::Receiver<bool>) -> Self {
        Self { memory, closing }
    }

    fn resolve(&self, reference: &ScaledObjectRef) -> Result<Asked, KedaError> {
        self.memory.unknown_keys.log(reference);
        let trigger = Trigger::parse(reference)?;
        let tracked = self
            .memory
            .ledger
            .find(&trigger.target)
            .map_err(|why| KedaError::missing(&trigger.target, why))?;
        let offers = spec::offers(&trigger.target, &tracked.scaling(), trigger.only)?;
        Ok(Asked {
            trigger,
            tracked,
            offers,
        })
    }

    /// A unary answer, counted.
    fn answer<T>(
        &self,
        method: Method,
        answer: Result<T, KedaError>,
    ) -> Result<Response<T>, Status> {
        self.memory.metrics.ended(
            method,
            answer.as_ref().map_or_else(KedaError::code, |_| Code::Ok),
        );
        Ok(Response::new(answer?))
    }

    /// A stream that is counted when it ends, or the error that it could not
    /// be opened for.
    fn stream<S>(
        &self,
        method: Method,
        reference: &ScaledObjectRef,
        open: impl FnOnce(Asked, watch::Receiver<bool>, OpenStream) -> S,
    ) -> Result<Response<S>, Status> {
        let asked = self.resolve(reference).inspect_err(|error| {
            self.memory.metrics.ended(method, error.code());
        })?;
        let guard = OpenStream::new(Arc::clone(&self.memory.metrics), method);
        Ok(Response::new(open(asked, self.closing.clone(), guard)))
    }
}

#[tonic::async_trait]
impl ExternalScaler for KedaService {
    type StreamIsActiveStream = ActivityStream;
    type StreamMetricSpecStream = SpecStream;

    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        let asked = self.resolve(request.get_ref());
        let answer = asked.map(|asked| IsActiveResponse {
            result: asked.tracked.answer_active(self.memory.ledger.now_us()),
        });
        self.answer(Method::IsActive, answer)
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<ActivityStream>, Status> {
        self.stream(
            Method::StreamIsActive,
            request.get_ref(),
            |asked, closing, open| {
                // The first message is the state of now, not of the last sample.
                asked.tracked.observe(self.memory.ledger.now_us());
                activity(asked.tracked, closing, open)
            },
        )
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let asked = self.resolve(request.get_ref());
        let answer = asked.map(|asked| GetMetricSpecResponse {
            metric_specs: spec::specs(&asked.offers),
        });
        self.answer(Method::GetMetricSpec, answer)
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let request = request.into_inner();
        let answer = request
            .scaled_object_ref
            .as_ref()
            .ok_or(KedaError::NoReference)
            .and_then(|reference| self.resolve(reference))
            .and_then(|asked| {
                let demand = asked.tracked.demand(self.memory.ledger.now_us());
                spec::value(&asked.offers, &request.metric_name, &demand)
            })
            .map(|value| GetMetricsResponse {
                metric_values: vec![value],
            });
        self.answer(Method::GetMetrics, answer)
    }

    async fn stream_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<SpecStream>, Status> {
        self.stream(
            Method::StreamMetricSpec,
            request.get_ref(),
            |asked, closing, open| metric_specs(asked.tracked, asked.trigger, closing, open),
        )
    }
}
