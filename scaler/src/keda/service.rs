//! The five RPCs of KEDA's external scaler.
//!
//! Called by tonic. Each parses its trigger, finds the target in the ledger and
//! answers from memory: nothing here waits for a peer, a pod or a file, because
//! KEDA holds locks while it waits for us. What is unknown is an error, never a
//! zero.

use super::{
    activity_told::ToldBy,
    asked::{self, Activity, Asked, Http, Subject},
    error::KedaError,
    metadata::UnknownKeys,
    meter::Meters,
    metric_stream,
    metrics::{KedaMetrics, Method, OpenActivity, OpenStream},
    own_demand,
    spec_stream::{SpecStream, metric_specs},
    stream::{ActivityStream, activity},
};
use crate::{
    externalscaler::{
        GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse,
        ScaledObjectRef, external_scaler_server::ExternalScaler,
    },
    ledger::Ledger,
    metric_sources::MetricSources,
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tonic::{Code, Request, Response, Status};

/// From a request to its answer. All of it is memory, so this is for mistakes:
/// KEDA holds locks while it waits, and sets no deadline of its own.
const FIND_WITHIN: Duration = Duration::from_secs(1);

/// What the service knows and remembers, on all connections.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) metrics: Arc<KedaMetrics>,
    pub(crate) meters: Meters,
    unknown_keys: UnknownKeys,
}

impl Memory {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        metrics: Arc<KedaMetrics>,
        sources: MetricSources,
    ) -> Self {
        Self {
            ledger,
            metrics,
            meters: Meters::new(sources),
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

impl KedaService {
    pub(crate) fn new(memory: Arc<Memory>, closing: watch::Receiver<bool>) -> Self {
        Self { memory, closing }
    }

    fn resolve(&self, reference: &ScaledObjectRef) -> Result<Asked, KedaError> {
        self.memory.unknown_keys.log(reference);
        Asked::resolve(&self.memory, reference)
    }

    /// A unary answer, found within the limit, counted and timed.
    async fn answer<T>(
        &self,
        method: Method,
        find: impl Future<Output = Result<T, KedaError>>,
    ) -> Result<Response<T>, Status> {
        let started = Instant::now();
        let answer = timeout(FIND_WITHIN, find).await;
        let answer = answer.unwrap_or(Err(KedaError::TooSlow));
        let code = answer.as_ref().map_or_else(KedaError::code, |_| Code::Ok);
        self.memory
            .metrics
            .answered(method, code, started.elapsed());
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
        let asked = self.resolve(reference).and_then(|asked| {
            let is_own = matches!(&asked.http, Some(http) if matches!(http.subject, Subject::All));
            if is_own && !self.memory.ledger.is_loaded() {
                return Err(KedaError::NotLoaded);
            }
            if method == Method::StreamIsActive && asked.http.is_some() {
                asked::see(&self.memory)?;
            }
            Ok(asked)
        });
        let asked = asked.inspect_err(|error| self.memory.metrics.ended(method, error.code()))?;
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
        let find = async {
            let reference = request.get_ref();
            let asked = self.resolve(reference)?;
            let metrics = &self.memory.metrics;
            let trigger = metrics.trigger(reference, asked.meter.as_ref());
            let found = asked.is_active(&self.memory);
            if let Some(trigger) = trigger {
                let by_metric = found == Ok(Activity::Metric);
                let said = found.as_ref().map(|found| found.is_active());
                metrics.told_active(&trigger, said, ToldBy::Poll, by_metric);
            }
            Ok(IsActiveResponse {
                result: found?.is_active(),
            })
        };
        self.answer(Method::IsActive, find).await
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<ActivityStream>, Status> {
        let (memory, reference) = (&self.memory, request.get_ref());
        self.stream(Method::StreamIsActive, reference, |asked, closing, open| {
            let trigger = memory.metrics.trigger(reference, asked.meter.as_ref());
            let open = OpenActivity::new(open, trigger);
            match (asked.http.map(|http| http.subject), asked.meter) {
                (Some(Subject::Target(tracked)), meter) => {
                    // The first message is the state of now, not of the last sample.
                    tracked.observe(memory.ledger.now_us());
                    activity(tracked, meter, closing, open)
                }
                (None, Some(meter)) => {
                    metric_stream::activity(memory.ledger.clone(), meter, closing, open)
                }
                // Reveille's own; a trigger without any source was refused.
                (_, _) => own_demand::activity(memory.ledger.clone(), closing, open),
            }
        })
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let find = async {
            let asked = self.resolve(request.get_ref())?;
            Ok(GetMetricSpecResponse {
                metric_specs: asked.specs(),
            })
        };
        self.answer(Method::GetMetricSpec, find).await
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let request = request.into_inner();
        let find = async {
            let reference = request.scaled_object_ref.as_ref();
            let reference = reference.ok_or(KedaError::NoReference)?;
            let asked = self.resolve(reference)?;
            let value = asked.value(&self.memory, &request.metric_name)?;
            self.memory.metrics.told(reference, &value);
            Ok(GetMetricsResponse {
                metric_values: vec![value],
            })
        };
        self.answer(Method::GetMetrics, find).await
    }

    async fn stream_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<SpecStream>, Status> {
        self.stream(
            Method::StreamMetricSpec,
            request.get_ref(),
            |asked, closing, open| {
                let specs = GetMetricSpecResponse {
                    metric_specs: asked.specs(),
                };
                match asked.http {
                    Some(Http {
                        trigger,
                        subject: Subject::Target(tracked),
                        ..
                    }) => metric_specs(tracked, trigger, asked.merge.is_some(), closing, open),
                    _ => own_demand::metric_specs(specs, closing, open),
                }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::LedgerConfig;
    use proxy::Clock;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn what_is_not_found_in_time_is_an_error() {
        let ledger = Arc::new(Ledger::new(LedgerConfig::default(), Clock::start()));
        let metrics = Arc::new(KedaMetrics::default());
        let (_close, closing) = watch::channel(false);
        let service = KedaService::new(
            Arc::new(Memory::new(
                ledger,
                metrics.clone(),
                MetricSources::default(),
            )),
            closing,
        );
        let started = Instant::now();
        let never = pending::<Result<IsActiveResponse, KedaError>>();
        let status = service.answer(Method::IsActive, never).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(started.elapsed().as_secs(), 1);
        let timed = metrics.durations();
        assert_eq!(timed.len(), 1);
        let (method, code, told) = &timed[0];
        assert_eq!((*method, *code), ("IsActive", "DEADLINE_EXCEEDED"));
        assert_eq!((told.count(), told.sum.floor()), (1, 1.0));
    }
}
