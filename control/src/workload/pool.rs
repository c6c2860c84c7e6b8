//! A pool: as many replicas of one Process as are wanted.
//!
//! The autoscaler says how many; the pool starts and stops replicas, restarts
//! those that end on their own (with back-off), replaces those whose Process
//! was edited (`rollout.rs`), and tells the service which endpoints there are.
//! When starts keep failing it says why, so that nobody is held to a deadline
//! for a target that cannot come up.

use super::{
    backoff::Backoff,
    replica::{End, Ended, Ready, Replica, Stop},
    rollout::{self, Standing},
};
use crate::{autoscaler::Workload, discovery::Service, manifest::ProcessSpec};
use proxy::Endpoint;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// After this many failed starts in a row, requests are refused.
const FAILING_AFTER: u32 = 3;

/// One Process and its replicas: the handle. The work is done by
/// [`ProcessPool::run`].
#[derive(Debug)]
pub struct ProcessPool {
    name: String,
    wanted: watch::Sender<u32>,
    spec: watch::Sender<Arc<ProcessSpec>>,
    ready: AtomicU32,
    starts: AtomicU64,
    failures: AtomicU64,
}

impl ProcessPool {
    /// A pool without replicas; `name` is `namespace/name`.
    #[must_use]
    pub fn new(name: String, spec: ProcessSpec) -> Arc<Self> {
        Arc::new(Self {
            name,
            wanted: watch::Sender::new(0),
            spec: watch::Sender::new(Arc::new(spec)),
            ready: AtomicU32::new(0),
            starts: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// Processes started so far.
    #[must_use]
    pub fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    /// Replicas that ended on their own or never got ready, so far.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// The Process was edited. If its replicas would have to be others, they
    /// are replaced, each once another one is ready; what is only about
    /// starting and stopping counts for replicas that are started from now on.
    /// True if they are replaced.
    pub fn edit(&self, spec: ProcessSpec) -> bool {
        let mut replaces = false;
        self.spec.send_if_modified(|now| {
            replaces = rollout::replaces(now, &spec);
            let is_edited = **now != spec;
            *now = Arc::new(spec);
            is_edited
        });
        replaces
    }

    /// Keeps the wanted number of replicas until `stop`, then stops them all
    /// and returns when none is left.
    ///
    /// Cancel safe: dropped, it kills what it started.
    pub async fn run(self: Arc<Self>, service: Arc<Service>, stop: CancellationToken) {
        Keeper::new(self, service).run(stop).await;
    }
}

impl Workload for ProcessPool {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn replicas(&self) -> u32 {
        *self.wanted.borrow()
    }

    fn ready(&self) -> u32 {
        self.ready.load(Ordering::Relaxed)
    }

    fn scale(&self, replicas: u32, _why: &str) {
        self.wanted
            .send_if_modified(|wanted| std::mem::replace(wanted, replicas) != replicas);
    }
}

/// A replica that exists, from the pool's side.
struct Kept {
    name: String,
    revision: u64,
    stop: watch::Sender<Stop>,
    endpoint: Option<Arc<Endpoint>>,
}

impl Kept {
    fn is_stopping(&self) -> bool {
        !matches!(*self.stop.borrow(), Stop::No)
    }
}

/// The pool's task.
struct Keeper {
    pool: Arc<ProcessPool>,
    spec: Arc<ProcessSpec>,
    /// Counts the edits that make other replicas necessary.
    revision: u64,
    service: Arc<Service>,
    replicas: BTreeMap<u32, Kept>,
    lives: JoinSet<Ended>,
    ready: (mpsc::UnboundedSender<Ready>, mpsc::UnboundedReceiver<Ready>),
    backoff: Backoff,
    failed_starts: u32,
}

impl Keeper {
    fn new(pool: Arc<ProcessPool>, service: Arc<Service>) -> Self {
        let spec = pool.spec.borrow().clone();
        Self {
            spec,
            pool,
            revision: 0,
            service,
            replicas: BTreeMap::new(),
            lives: JoinSet::new(),
            ready: mpsc::unbounded_channel(),
            backoff: Backoff::default(),
            failed_starts: 0,
        }
    }

    async fn run(mut self, stop: CancellationToken) {
        let mut wanted = self.pool.wanted.subscribe();
        let mut spec = self.pool.spec.subscribe();
        while !stop.is_cancelled() {
            let edited = spec.borrow_and_update().clone();
            self.adopt(edited);
            let target = *wanted.borrow_and_update();
            let next_start = self.reconcile(target);
            tokio::select! {
                _ = wanted.changed() => {}
                _ = spec.changed() => {}
                Some(ready) = self.ready.1.recv() => self.got_ready(&ready),
                Some(ended) = self.lives.join_next() => self.ended(ended),
                () = until(next_start) => {}
                () = stop.cancelled() => {}
            }
        }
        self.reconcile(0);
        while let Some(ended) = self.lives.join_next().await {
            self.ended(ended);
        }
    }

    /// The Process as it is from now on.
    fn adopt(&mut self, spec: Arc<ProcessSpec>) {
        if rollout::replaces(&self.spec, &spec) {
            self.revision += 1;
            // It may well have been edited because starts kept failing.
            self.forget_failures();
        }
        self.spec = spec;
    }

    /// Starts or stops replicas; says when to look again if a start has to
    /// wait.
    fn reconcile(&mut self, wanted: u32) -> Option<Instant> {
        if wanted == 0 {
            // Whoever wakes it next gets a fresh try.
            self.forget_failures();
        }
        let living = self.replicas.iter().filter(|(_, kept)| !kept.is_stopping());
        let living = living.map(|(index, kept)| Standing {
            index: *index,
            is_ready: kept.endpoint.is_some(),
            is_outdated: kept.revision != self.revision,
        });
        let step = rollout::step(living.collect(), wanted);
        for index in step.stop {
            self.stop(index);
        }
        for _ in 0..step.start {
            match self.backoff.not_before() {
                Some(at) if at > Instant::now() => return Some(at),
                _ => self.start(),
            }
        }
        None
    }

    fn start(&mut self) {
        let index = (0..)
            .find(|index| !self.replicas.contains_key(index))
            .unwrap_or_default();
        let name = format!("{}-{index}", self.pool.name);
        let (stop, stopped) = watch::channel(Stop::No);
        self.pool.starts.fetch_add(1, Ordering::Relaxed);
        tracing::info!(replica = %name, "starting");
        let replica = Replica {
            index,
            name: name.clone(),
            spec: self.spec.clone(),
            ready: self.ready.0.clone(),
            stop: stopped,
        };
        self.lives.spawn(replica.run());
        self.replicas.insert(
            index,
            Kept {
                name,
                revision: self.revision,
                stop,
                endpoint: None,
            },
        );
    }

    fn stop(&mut self, index: u32) {
        let Some(kept) = self.replicas.get_mut(&index) else {
            return;
        };
        let endpoint = kept.endpoint.take();
        if let Some(endpoint) = &endpoint {
            self.service.remove(endpoint);
            self.pool.ready.fetch_sub(1, Ordering::Relaxed);
        }
        kept.stop.send_replace(Stop::Gracefully(endpoint));
    }

    fn got_ready(&mut self, ready: &Ready) {
        let Some(kept) = self.replicas.get_mut(&ready.index) else {
            return;
        };
        if kept.is_stopping() {
            return;
        }
        kept.endpoint = Some(self.service.add(ready.addr, &kept.name));
        self.pool.ready.fetch_add(1, Ordering::Relaxed);
        tracing::info!(replica = %kept.name, addr = %ready.addr, after = ?ready.after, "ready");
        self.failed_starts = 0;
        if self.service.failing().is_some() {
            self.service.set_failing(None);
        }
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let ended = match ended {
            Ok(ended) => ended,
            // A replica's task holds no state that a panic could leave
            // half-changed; let the owner of the pool see it.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let Some(kept) = self.replicas.remove(&ended.index) else {
            return;
        };
        if let Some(endpoint) = &kept.endpoint {
            self.service.remove(endpoint);
            self.pool.ready.fetch_sub(1, Ordering::Relaxed);
        }
        if kept.is_stopping() || matches!(ended.how, End::Stopped) {
            tracing::info!(replica = %kept.name, "stopped");
            return;
        }
        self.backoff.failed(Instant::now(), ended.served);
        self.pool.failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            replica = %kept.name, how = %ended.how, served = ?ended.served,
            "ended on its own; it will be started again"
        );
        if ended.served.is_none() {
            self.failed_starts += 1;
        }
        if self.failed_starts >= FAILING_AFTER && self.pool.ready() == 0 {
            let reason = format!(
                "{} cannot be started ({} failed starts in a row): {}",
                self.pool.name, self.failed_starts, ended.how
            );
            if self.failed_starts == FAILING_AFTER {
                tracing::error!(
                    workload = %self.pool.name, how = %ended.how,
                    "starts keep failing: requests get 503 at once until one succeeds"
                );
            }
            self.service.set_failing(Some(&reason.into()));
        }
    }

    fn forget_failures(&mut self) {
        self.backoff.reset();
        self.failed_starts = 0;
        if self.service.failing().is_some() {
            self.service.set_failing(None);
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
