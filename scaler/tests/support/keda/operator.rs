//! KEDA's operator, and the HPAs that it makes.
//!
//! Per ScaledObject: reconciles until the metrics have names, then polls,
//! listens and syncs for ever. A poll holds the scaling lock while it waits
//! for the scaler, and a streamed `true` waits for that lock.

use super::{
    calls::{Cache, Spec},
    channel::{Channel, Dns},
    executor::Executor,
    hpa::{Hpa, Read},
    log::{Event, Log, Path},
    object::{ScaledObject, Workload},
    push,
    timings::Timings,
};
use futures_util::future::{BoxFuture, FutureExt, join_all};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

const REQUEUE_MOST: Duration = Duration::from_secs(1000);

/// A running operator. Dropping it is its sudden death.
#[derive(Debug)]
pub(crate) struct Keda {
    pub(crate) log: Log,
    timings: Timings,
    dns: Dns,
    /// One per scaler address, kept until the end, as KEDA keeps them.
    channels: Mutex<HashMap<String, Arc<Channel>>>,
    objects: Mutex<HashMap<String, JoinSet<()>>>,
}

impl Keda {
    /// Starts with these ScaledObjects as if they were created now.
    pub(crate) fn start(
        timings: Timings,
        dns: &Dns,
        objects: Vec<(ScaledObject, Workload)>,
    ) -> Self {
        let keda = Self {
            log: Log::default(),
            timings,
            dns: dns.clone(),
            channels: Mutex::default(),
            objects: Mutex::default(),
        };
        for (object, workload) in objects {
            keda.operate(object, workload);
        }
        keda
    }

    /// A ScaledObject was created, changed, or is not paused any more: begins
    /// with it anew.
    pub(crate) fn operate(&self, object: ScaledObject, workload: Workload) {
        let addresses = object.triggers.iter().map(|t| &t.scaler_address);
        let of_triggers = addresses.map(|name| self.channel(name)).collect();
        let name = object.name.clone();
        let operated = Operated {
            cache: Cache::new(&object, of_triggers, self.log.clone()),
            executor: tokio::sync::Mutex::new(Executor::new()),
            status: Mutex::default(),
            specs_changed: Notify::new(),
            object,
            workload,
            timings: self.timings,
            log: self.log.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { operated.run().await });
        self.objects.lock().insert(name, tasks);
    }

    /// A ScaledObject was deleted or paused: its streams end, nobody polls, and
    /// its replicas stay.
    pub(crate) fn forget(&self, name: &str) {
        self.objects.lock().remove(name);
    }

    fn channel(&self, name: &str) -> Arc<Channel> {
        let mut channels = self.channels.lock();
        let open = || Arc::new(Channel::open(name, &self.dns, self.timings));
        Arc::clone(channels.entry(name.to_owned()).or_insert_with(open))
    }
}

/// The status of a ScaledObject.
#[derive(Debug, Default)]
struct Status {
    /// The metrics, with the triggers that they come from.
    metrics: Vec<(usize, Spec)>,
    written: Option<Instant>,
    /// Failures in a row, by metric.
    failures: HashMap<String, u32>,
}

struct Operated {
    object: ScaledObject,
    workload: Workload,
    cache: Cache,
    /// The scaling lock.
    executor: tokio::sync::Mutex<Executor>,
    status: Mutex<Status>,
    specs_changed: Notify,
    timings: Timings,
    log: Log,
}

impl Operated {
    async fn run(&self) {
        let mut pause = self.timings.requeue_first;
        while !self.reconcile().await {
            sleep(pause).await;
            pause = (pause * 2).min(REQUEUE_MOST);
        }
        let mut all: Vec<BoxFuture<'_, ()>> = vec![
            self.poll_for_ever().boxed(),
            self.sync_for_ever().boxed(),
            self.reconcile_on_change().boxed(),
        ];
        for (index, trigger) in self.object.triggers.iter().enumerate() {
            if trigger.push {
                all.push(self.listen(index).boxed());
                all.push(self.follow_specs(index).boxed());
            }
        }
        join_all(all).await;
    }

    /// Asks all triggers for their specs, one after another.
    async fn reconcile(&self) -> bool {
        let mut metrics = Vec::new();
        for index in 0..self.object.triggers.len() {
            let specs = self.cache.specs(index, Path::Reconcile).await;
            metrics.extend(specs.into_iter().flatten().map(|spec| (index, spec)));
        }
        if metrics.is_empty() {
            return false;
        }
        let names = metrics
            .iter()
            .map(|(index, spec)| format!("s{index}-{}", spec.name));
        self.log
            .add(&self.object.name, Event::Named(names.collect()));
        let mut status = self.status.lock();
        status.metrics = metrics;
        status.written.get_or_insert_with(Instant::now);
        true
    }

    async fn reconcile_on_change(&self) {
        loop {
            self.specs_changed.notified().await;
            let mut pause = self.timings.requeue_first;
            while !self.reconcile().await {
                sleep(pause).await;
                pause = (pause * 2).min(REQUEUE_MOST);
            }
        }
    }

    async fn follow_specs(&self, index: usize) {
        push::specs(&self.cache.triggers[index], self.timings, |specs| {
            self.cache.streamed(index, specs);
            self.specs_changed.notify_one();
        })
        .await;
    }

    async fn poll_for_ever(&self) {
        loop {
            let next = Instant::now() + self.object.polling_interval;
            self.poll().await;
            sleep_until(next).await;
        }
    }

    async fn poll(&self) {
        let mut executor = self.executor.lock().await;
        let triggers = 0..self.object.triggers.len();
        let states = join_all(triggers.map(|index| self.trigger_state(index))).await;
        let active = states.iter().any(|&(active, _)| active);
        let failed = states.iter().any(|&(_, failed)| failed);
        if failed {
            self.cache.forget();
        }
        self.log
            .add(&self.object.name, Event::Polled { active, failed });
        self.request_scale(&mut executor, active, failed);
    }

    /// Active, and failed.
    async fn trigger_state(&self, index: usize) -> (bool, bool) {
        let Some(specs) = self.cache.specs(index, Path::Poll).await else {
            return (false, true);
        };
        let (mut active, mut failed) = (false, false);
        for spec in specs {
            let read = self
                .cache
                .value_and_activity(index, &spec.name, Path::Poll)
                .await;
            match read {
                // The last spec wins.
                Some((_, is_active)) => {
                    self.status.lock().failures.remove(&spec.name);
                    active = is_active;
                }
                // A fallback counts as activity.
                None if self.falls_back(&spec.name) => active = true,
                None => failed = true,
            }
        }
        (active, failed)
    }

    /// Counts a failure; whether it is covered by the fallback.
    fn falls_back(&self, metric: &str) -> bool {
        let mut status = self.status.lock();
        let failures = status.failures.entry(metric.to_owned()).or_default();
        *failures += 1;
        let fallback = self.object.fallback;
        fallback.is_some_and(|fallback| *failures > fallback.failure_threshold)
    }

    fn request_scale(&self, executor: &mut Executor, active: bool, failed: bool) {
        executor.request_scale(
            &self.object,
            &self.workload,
            self.timings.cache_lag,
            &self.log,
            (active, failed),
        );
    }

    async fn listen(&self, index: usize) {
        // KEDA hands over without a buffer; this holds one message.
        let (said, mut heard) = mpsc::channel(1);
        let trigger = &self.cache.triggers[index];
        let listening = push::activity(trigger, &self.object.name, &self.log, self.timings, said);
        let handling = async {
            while let Some(active) = heard.recv().await {
                // `false` has been ignored since KEDA 2.18.
                if active {
                    self.pushed(index).await;
                }
            }
        };
        tokio::join!(listening, handling);
    }

    async fn pushed(&self, index: usize) {
        let named = {
            let status = self.status.lock();
            let of_trigger = status.metrics.iter().any(|(of, _)| *of == index);
            let visible = status
                .written
                .is_some_and(|at| at.elapsed() >= self.timings.cache_lag);
            of_trigger && visible
        };
        if !named {
            self.log.add(&self.object.name, Event::Dropped);
            return;
        }
        let mut executor = self.executor.lock().await;
        self.request_scale(&mut executor, true, false);
    }

    async fn sync_for_ever(&self) {
        let mut hpa = Hpa::default();
        loop {
            sleep(self.timings.hpa_sync).await;
            if self.workload.replicas() > 0 {
                self.sync(&mut hpa).await;
            }
        }
    }

    async fn sync(&self, hpa: &mut Hpa) {
        let metrics = self.status.lock().metrics.clone();
        let mut reads: Vec<Read> = Vec::new();
        for (index, spec) in metrics {
            reads.push(self.read(index, &spec).await);
        }
        // Somebody may have scaled to zero meanwhile.
        let current = self.workload.replicas();
        if current == 0 {
            return;
        }
        let to = hpa.decide(&self.object, current, &reads);
        if to != current {
            self.workload.scale(to);
            let (from, why) = (current, "the HPA");
            self.log
                .add(&self.object.name, Event::Scaled { from, to, why });
        }
    }

    /// One metric, by way of the metrics adapter, which asks all triggers for
    /// their specs first.
    async fn read(&self, index: usize, spec: &Spec) -> Read {
        for trigger in 0..self.object.triggers.len() {
            let _specs = self.cache.specs(trigger, Path::Hpa).await;
        }
        let read = self
            .cache
            .value_and_activity(index, &spec.name, Path::Hpa)
            .await;
        match read {
            Some((value, _)) => {
                self.status.lock().failures.remove(&spec.name);
                Some((value, spec.target))
            }
            None => {
                self.cache.forget();
                let fallback = self.object.fallback.filter(|_| self.falls_back(&spec.name));
                fallback.map(|f| (spec.target * f64::from(f.replicas), spec.target))
            }
        }
    }
}
