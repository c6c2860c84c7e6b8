//! Doubles for the tests of this module: a scaler in memory, and a workload
//! that writes down what is asked of it. Both work on paused time.

use super::object::Workload;
use super::quantity::Quantity;
use super::scaler::{ActivityStream, ScalerApi, ScalerError, Spec};
use parking_lot::Mutex;
use scaler::externalscaler::ScaledObjectRef;
use std::collections::{BTreeMap, VecDeque};
use std::future::pending;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// What an attempt to open a stream meets. After the last script, attempts
/// wait for ever.
pub(super) enum StreamScript {
    Refuse,
    End,
    ReportThenBreak,
    /// Reports what is sent; ends in good order with its sender.
    Live(mpsc::UnboundedReceiver<bool>),
}

/// How the scaler answers for one trigger.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) active: bool,
    /// The value of its one metric, whose target is 10.
    pub(super) value: f64,
    /// All unary calls fail.
    pub(super) fails: bool,
    /// `GetMetrics` fails.
    pub(super) blind: bool,
    /// How long `IsActive` takes, after it has looked.
    pub(super) slow: Duration,
    /// Unary calls never return.
    pub(super) hangs: bool,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            active: false,
            value: 0.0,
            fails: false,
            blind: false,
            slow: Duration::ZERO,
            hangs: false,
        }
    }
}

/// A unary call that was made: when, which, for which route.
pub(super) type Call = (Instant, &'static str, String);

#[derive(Default)]
struct State {
    answers: BTreeMap<String, Answers>,
    calls: Vec<Call>,
    asked: Vec<ScaledObjectRef>,
    streams: VecDeque<StreamScript>,
    stream_attempts: Vec<Instant>,
}

/// A scaler that knows triggers by their `interceptorRoute`.
pub(super) struct FakeScaler {
    state: Mutex<State>,
}

impl FakeScaler {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
        }
    }

    /// Changes how it answers for `route` from now on.
    pub(super) fn answer(&self, route: &str, change: impl FnOnce(&mut Answers)) {
        change(
            self.state
                .lock()
                .answers
                .entry(route.to_owned())
                .or_default(),
        );
    }

    pub(super) fn script_streams(&self, scripts: Vec<StreamScript>) {
        self.state.lock().streams.extend(scripts);
    }

    /// The next stream that is opened reports what is sent here.
    pub(super) fn live_stream(&self) -> mpsc::UnboundedSender<bool> {
        let (reports, receiver) = mpsc::unbounded_channel();
        self.script_streams(vec![StreamScript::Live(receiver)]);
        reports
    }

    pub(super) fn stream_attempts(&self) -> Vec<Instant> {
        self.state.lock().stream_attempts.clone()
    }

    /// When `call` was made, in seconds since `start`.
    pub(super) fn calls(&self, call: &str, start: Instant) -> Vec<u64> {
        let state = self.state.lock();
        let matching = state.calls.iter().filter(|(_, made, _)| *made == call);
        matching.map(|(at, ..)| (*at - start).as_secs()).collect()
    }

    /// Every ScaledObjectRef it was asked about.
    pub(super) fn asked(&self) -> Vec<ScaledObjectRef> {
        self.state.lock().asked.clone()
    }

    async fn unary(
        &self,
        call: &'static str,
        of: &ScaledObjectRef,
    ) -> Result<Answers, ScalerError> {
        let route = of
            .scaler_metadata
            .get("interceptorRoute")
            .cloned()
            .unwrap_or_default();
        let answers = {
            let mut state = self.state.lock();
            state.calls.push((Instant::now(), call, route.clone()));
            state.asked.push(of.clone());
            state.answers.entry(route).or_default().clone()
        };
        if answers.hangs {
            pending::<()>().await;
        }
        if answers.fails {
            Err(unavailable(call))
        } else {
            Ok(answers)
        }
    }
}

pub(super) fn unavailable(call: &'static str) -> ScalerError {
    ScalerError::Status {
        call,
        code: tonic::Code::Unavailable,
        message: "down".into(),
    }
}

impl ScalerApi for FakeScaler {
    async fn metric_specs(&self, of: &ScaledObjectRef) -> Result<Vec<Spec>, ScalerError> {
        self.unary("GetMetricSpec", of).await?;
        Ok(vec![Spec {
            metric: "concurrency".into(),
            target: Quantity::from_f64(10.0),
        }])
    }

    async fn metric_value(
        &self,
        of: &ScaledObjectRef,
        metric: &str,
    ) -> Result<Quantity, ScalerError> {
        assert_eq!(metric, "concurrency", "asked by the name in the spec");
        let answers = self.unary("GetMetrics", of).await?;
        if answers.blind {
            return Err(unavailable("GetMetrics"));
        }
        Ok(Quantity::from_f64(answers.value))
    }

    async fn is_active(&self, of: &ScaledObjectRef) -> Result<bool, ScalerError> {
        let answers = self.unary("IsActive", of).await?;
        sleep(answers.slow).await;
        Ok(answers.active)
    }

    async fn stream_is_active(&self, _: &ScaledObjectRef) -> Result<ActivityStream, ScalerError> {
        let script = {
            let mut state = self.state.lock();
            state.stream_attempts.push(Instant::now());
            state.streams.pop_front()
        };
        let broken = || Err(unavailable("StreamIsActive"));
        match script {
            None => pending().await,
            Some(StreamScript::Refuse) => Err(unavailable("StreamIsActive")),
            Some(StreamScript::End) => Ok(Box::pin(tokio_stream::empty())),
            Some(StreamScript::ReportThenBreak) => {
                Ok(Box::pin(tokio_stream::iter([Ok(true), broken()])))
            }
            Some(StreamScript::Live(reports)) => {
                Ok(Box::pin(UnboundedReceiverStream::new(reports).map(Ok)))
            }
        }
    }
}

/// A change that was asked of the workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scaled {
    /// Seconds since the workload was made.
    pub(super) second: u64,
    pub(super) to: u32,
    pub(super) why: String,
}

/// A workload that is always as ready as it is wanted.
pub(super) struct FakeWorkload {
    made: Instant,
    replicas: watch::Sender<u32>,
    log: Mutex<Vec<Scaled>>,
    /// Panics when scaled.
    pub(super) explosive: bool,
}

impl FakeWorkload {
    pub(super) fn new(replicas: u32) -> Self {
        Self {
            made: Instant::now(),
            replicas: watch::Sender::new(replicas),
            log: Mutex::default(),
            explosive: false,
        }
    }

    /// Waits until it is scaled to `replicas`.
    pub(super) async fn reaches(&self, replicas: u32) {
        let mut watch = self.replicas.subscribe();
        watch
            .wait_for(|now| *now == replicas)
            .await
            .expect("the sender is in self");
    }

    /// What was asked of it: second and replicas.
    pub(super) fn changes(&self) -> Vec<(u64, u32)> {
        self.log
            .lock()
            .iter()
            .map(|scaled| (scaled.second, scaled.to))
            .collect()
    }

    pub(super) fn log(&self) -> Vec<Scaled> {
        self.log.lock().clone()
    }
}

impl Workload for FakeWorkload {
    fn name(&self) -> String {
        "default/web".into()
    }

    fn replicas(&self) -> u32 {
        *self.replicas.borrow()
    }

    fn ready(&self) -> u32 {
        self.replicas()
    }

    fn scale(&self, to: u32, why: &str) {
        assert!(!self.explosive, "boom");
        let second = self.made.elapsed().as_secs();
        self.log.lock().push(Scaled {
            second,
            to,
            why: why.to_owned(),
        });
        self.replicas.send_replace(to);
    }
}
