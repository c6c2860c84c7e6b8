//! The task that autoscales one ScaledObject.
//!
//! Spawned by the [`Autoscaler`](super::Autoscaler), one per ScaledObject. It
//! waits for whatever comes first of polls, HPA syncs and pushed reports, and
//! applies what KEDA's rules and the HPA make of it. Each source runs on its
//! own: a report is acted upon while a poll still waits for its answer. It
//! must never await while handling an event, or a push would wait for it.

#[cfg(test)]
mod tests;

use super::faults::{Faults, Path, Turn};
use super::hpa::{Cause, Decision, Hpa, Limit, Metric};
use super::keda::{Activation, Change, Poll, Why};
use super::object::{MetricType, ScaledObject, Workload};
use super::push::{self, Push};
use super::reading::{self, Question, Reading, Round, Sample};
use super::scaler::{ScalerApi, ScalerError};
use super::status::{Board, MetricStatus, Rules};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_stream::{StreamExt, StreamMap};
use tokio_util::sync::CancellationToken;

/// One ScaledObject, its workload, and what is known about both.
pub(super) struct Driver<A> {
    api: Arc<A>,
    object: ScaledObject,
    questions: Arc<[Question]>,
    workload: Arc<dyn Workload>,
    hpa_sync_period: Duration,
    activation: Activation,
    hpa: Hpa,
    faults: Faults,
    board: Arc<Board>,
}

impl<A: ScalerApi> Driver<A> {
    /// The ScaledObject counts as created now.
    pub(super) fn new(
        api: Arc<A>,
        object: ScaledObject,
        workload: Arc<dyn Workload>,
        hpa_sync_period: Duration,
    ) -> Self {
        let behavior = object.behavior.clone();
        Self {
            api,
            questions: reading::questions(&object).into(),
            hpa_sync_period,
            activation: Activation::new(&object, Instant::now()),
            hpa: Hpa::new(object.min_replicas, object.max_replicas, behavior),
            faults: Faults::new(object.triggers.len()),
            board: Arc::new(Board::new(
                &object.namespace,
                &object.name,
                workload.clone(),
            )),
            object,
            workload,
        }
    }

    /// Where this task writes what it thinks.
    pub(super) fn board(&self) -> Arc<Board> {
        self.board.clone()
    }

    /// Autoscales until `stop`, and follows `edits` of the ScaledObject.
    /// Cancellation safe: whatever is asked of the scaler is dropped, its
    /// streams are closed, replicas stay as they are.
    pub(super) async fn run(
        mut self,
        mut edits: watch::Receiver<ScaledObject>,
        stop: CancellationToken,
    ) {
        self.publish();
        loop {
            let edited = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                edited = edits.changed() => edited,
                never = self.follow() => match never {},
            };
            if edited.is_err() {
                // Whoever knew of this object is gone.
                return;
            }
            let object = edits.borrow_and_update().clone();
            self.adopt(object);
        }
    }

    /// The ScaledObject was edited. What is remembered stays.
    fn adopt(&mut self, object: ScaledObject) {
        tracing::info!(scaled_object = object.full_name(), "edited");
        if object.triggers != self.object.triggers {
            self.questions = reading::questions(&object).into();
            self.faults = Faults::new(object.triggers.len());
        }
        let (min, max) = (object.min_replicas, object.max_replicas);
        self.hpa.adopt(min, max, object.behavior.clone());
        self.activation.adopt(&object);
        self.object = object;
        self.publish();
    }

    /// Asks and listens, and acts on it, for ever.
    async fn follow(&mut self) -> Infallible {
        let mut pushes = StreamMap::new();
        for (index, question) in self.questions.iter().enumerate() {
            if self.object.triggers[index].push {
                let events = push::pushes(self.api.clone(), question.of.clone());
                pushes.insert(index, Box::pin(events));
            }
        }
        let interval = self.object.polling_interval;
        let mut polls = pin!(reading::polls(
            self.api.clone(),
            self.questions.clone(),
            interval
        ));
        let workload = self.workload.clone();
        let mut syncs = pin!(reading::syncs(
            self.api.clone(),
            self.questions.clone(),
            self.hpa_sync_period,
            move || workload.replicas() == 0,
        ));
        loop {
            // Pushes last: they alone could come without a pause, and would
            // then keep the others from being looked at.
            tokio::select! {
                biased;
                Some(round) = polls.next() => self.on_poll(&round),
                Some(round) = syncs.next() => self.on_sync(round.as_ref()),
                Some((index, push)) = pushes.next() => self.on_push(index, push),
            }
            self.publish();
        }
    }

    fn on_poll(&mut self, round: &Round) {
        self.note_readings(Path::Poll, round);
        let seen = Poll {
            began: round.began,
            active: round.readings.iter().any(|reading| reading.active),
            failed: round.readings.iter().any(|reading| reading.error.is_some()),
        };
        let change = self
            .activation
            .poll(Instant::now(), self.workload.replicas(), seen);
        let active = round.readings.iter().position(|reading| reading.active);
        self.activate(change, || format!("polling {}", self.describe(active)));
    }

    fn on_push(&mut self, index: usize, push: Push) {
        match push {
            Push::Opened => self.note(index, Path::Stream, None),
            Push::Failed(error) => self.note(index, Path::Stream, Some(&error)),
            Push::Ended => {}
            Push::Report(active) => {
                let replicas = self.workload.replicas();
                let change = self.activation.reported(Instant::now(), replicas, active);
                self.activate(change, || self.describe(Some(index)));
            }
        }
    }

    /// `None`: there was nothing to sync, as there are no replicas.
    fn on_sync(&mut self, round: Option<&Round>) {
        let Some(round) = round else {
            for index in 0..self.questions.len() {
                self.note(index, Path::Hpa, None);
            }
            return;
        };
        self.note_readings(Path::Hpa, round);
        let current = self.workload.replicas();
        if self.activation.is_asleep(current) {
            return;
        }
        let samples: Vec<_> = round
            .readings
            .iter()
            .enumerate()
            .flat_map(samples)
            .collect();
        let metrics: Vec<_> = samples
            .iter()
            .map(|sample| sample.and_then(|(_, sample)| metric(sample)))
            .collect();
        let decision = self
            .hpa
            .decide(Instant::now(), current, self.workload.ready(), &metrics);
        if decision.replicas != current {
            self.scale(decision.replicas, &explain(decision, &samples));
        }
    }

    /// Makes a change that KEDA's rules ask for; `source` names who reported
    /// the demand, if it is for that.
    fn activate(&self, change: Option<Change>, source: impl FnOnce() -> String) {
        let Some(Change { to, why }) = change else {
            return;
        };
        let reason = match why {
            Why::Activated => format!("demand reported by {}", source()),
            Why::Quiet(quiet) => format!("no demand for {} s", quiet.as_secs()),
            Why::BelowMin => format!("fewer than minReplicaCount {}", self.object.min_replicas),
        };
        self.scale(to, &reason);
    }

    /// The one place where replicas change, and are logged.
    fn scale(&self, to: u32, reason: &str) {
        let (target, from) = (self.workload.name(), self.workload.replicas());
        self.workload.scale(to, reason);
        tracing::info!(target, from, to, reason, "scaled");
    }

    fn describe(&self, trigger: Option<usize>) -> String {
        trigger.map_or_else(
            || "a trigger".to_owned(),
            |index| self.object.describe_trigger(index),
        )
    }

    /// Remembers errors and values of all triggers.
    fn note_readings(&mut self, path: Path, round: &Round) {
        for (index, reading) in round.readings.iter().enumerate() {
            self.note(index, path, reading.error.as_ref());
        }
        let metrics = round
            .readings
            .iter()
            .enumerate()
            .flat_map(samples)
            .flatten();
        let metrics = metrics.map(|(trigger, sample)| MetricStatus {
            trigger,
            name: sample.metric.clone(),
            value: sample.value.map(|value| value.as_f64()),
            target: sample.target.as_f64(),
            metric_type: sample.kind,
        });
        self.board.update(|facts| facts.metrics = metrics.collect());
    }

    /// Remembers how a trigger answered, and logs the ends of an outage.
    fn note(&mut self, index: usize, path: Path, error: Option<&ScalerError>) {
        let turn = self.faults.record(index, path, error.is_some());
        let Some(trigger) = (turn.is_some() || error.is_some()).then(|| self.describe(Some(index)))
        else {
            return;
        };
        let scaled_object = self.object.full_name();
        match (turn, error) {
            (Some(Turn::Began), Some(error)) => {
                tracing::warn!(scaled_object, trigger, %error, "trigger fails");
            }
            (Some(Turn::Ended), _) => tracing::info!(scaled_object, trigger, "trigger works again"),
            _ => {}
        }
        if let Some(error) = error {
            let seen = (Instant::now(), format!("{trigger}: {error}"));
            self.board.update(|facts| facts.last_error = Some(seen));
        }
    }

    fn publish(&self) {
        self.board.update(|facts| {
            facts.last_active = self.activation.last_active();
            facts.sleeps_at = self.activation.sleeps_at(self.workload.replicas());
            facts.failing = self.faults.any();
            facts.rules = Rules {
                min_replicas: self.object.min_replicas,
                max_replicas: self.object.max_replicas,
                polling_interval: self.object.polling_interval,
                cooldown_period: self.object.cooldown_period,
            };
        });
    }
}

/// A metric and the index of its trigger; `None` for a trigger that did not
/// even say which metrics it has.
type Indexed<'a> = Option<(usize, &'a Sample)>;

fn samples((index, reading): (usize, &Reading)) -> Vec<Indexed<'_>> {
    if reading.samples.is_empty() {
        return vec![None];
    }
    reading
        .samples
        .iter()
        .map(|sample| Some((index, sample)))
        .collect()
}

fn metric(sample: &Sample) -> Option<Metric> {
    Some(Metric {
        kind: sample.kind,
        usage: sample.value?,
        target: sample.target,
    })
}

/// The HPA's decision in words.
fn explain(decision: Decision, samples: &[Indexed<'_>]) -> String {
    let cause = match decision.cause {
        Cause::AboveMax => "more than maxReplicaCount".to_owned(),
        Cause::BelowMin => "fewer than minReplicaCount".to_owned(),
        Cause::Metric(index) => match samples.get(index) {
            Some(Some((
                trigger,
                Sample {
                    metric,
                    kind,
                    target,
                    value: Some(value),
                },
            ))) => {
                let per = if *kind == MetricType::AverageValue {
                    " per replica"
                } else {
                    ""
                };
                format!("s{trigger}-{metric} is {value}, target {target}{per}")
            }
            _ => "a metric".to_owned(),
        },
        Cause::Asleep | Cause::Unknown => "nothing".to_owned(),
    };
    let limit = match decision.limit {
        None => return cause,
        Some(Limit::MinReplicas) => "minReplicaCount",
        Some(Limit::MaxReplicas) => "maxReplicaCount",
        Some(Limit::Stabilization) => "the stabilization window",
        Some(Limit::ScaleUpPolicy) => "the scaleUp policies",
        Some(Limit::ScaleDownPolicy) => "the scaleDown policies",
    };
    format!("{cause}; limited by {limit}")
}
