//! All sources and their targets: who is fetched, by a task each.
//!
//! Made by the composition root, told by whoever reads manifests. Changes are
//! applied by difference: what stays is fetched on, with all that is known of
//! it.

use super::{
    Address, PageLimits, SourceConfig, SourceId, SourceReading, TargetList, TargetReading,
    reading::{Shown, SourceCounters},
    source::{self, FoundTarget},
    target::{self, Context, Order, Target},
};
use crate::{
    ingest::IngestCounters,
    series::{Store, unix_ms},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    future::Future,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

/// Files of addresses are read this often.
const READ_EACH: Duration = Duration::from_secs(1);

/// Which targets this replica fetches, by what [`Mine::fetches`] is asked.
///
/// The default is all of them. Replicas that share the work give another
/// decision whenever the replicas change: a target that goes to another one is
/// let go of without an end of its series, and one that comes is no new target:
/// nothing of it counts from zero but what its own times say.
#[derive(Clone, Default)]
pub struct Mine(Option<Arc<Decide>>);

type Decide = dyn Fn(&str) -> bool + Send + Sync;

impl Mine {
    /// Decides by a target's key, which is the same on all replicas.
    pub fn new(decide: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(decide)))
    }

    fn fetches(&self, key: &str) -> bool {
        self.0.as_ref().is_none_or(|decide| decide(key))
    }
}

impl fmt::Debug for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "some" } else { "all" })
    }
}

/// Fetches the pages of all sources.
#[derive(Debug)]
pub struct Scraper {
    context: Arc<Context>,
    wanted: watch::Sender<Arc<BTreeMap<SourceId, SourceConfig>>>,
    shown: Mutex<BTreeMap<SourceId, ShownSource>>,
}

#[derive(Debug)]
struct ShownSource {
    counters: Arc<SourceCounters>,
    problem: Option<String>,
    targets: Vec<ShownTarget>,
}

#[derive(Clone, Debug)]
struct ShownTarget {
    address: String,
    labels: BTreeMap<String, String>,
    /// `None`: another replica fetches it.
    last: Option<Arc<Shown>>,
}

impl Scraper {
    /// Without sources. Pages go into `store`, never more of one than `limits`.
    #[must_use]
    pub fn new(store: Arc<Store>, counters: Arc<IngestCounters>, limits: PageLimits) -> Self {
        Self::with_clock(store, counters, limits, unix_ms)
    }

    fn with_clock(
        store: Arc<Store>,
        counters: Arc<IngestCounters>,
        limits: PageLimits,
        now_ms: fn() -> i64,
    ) -> Self {
        Self {
            context: Arc::new(Context {
                store,
                counters,
                limits,
                now_ms,
            }),
            wanted: watch::Sender::default(),
            shown: Mutex::default(),
        }
    }

    /// From now on these are the sources.
    pub fn set_sources(&self, sources: BTreeMap<SourceId, SourceConfig>) {
        self.wanted.send_if_modified(|wanted| {
            let is_new = **wanted != sources;
            if is_new {
                *wanted = Arc::new(sources);
            }
            is_new
        });
    }

    /// What all sources do.
    #[must_use]
    pub fn read(&self) -> Vec<SourceReading> {
        let shown = self.shown.lock();
        let reading = |(id, source): (&SourceId, &ShownSource)| {
            let target = |target: &ShownTarget| TargetReading {
                address: target.address.clone(),
                labels: target.labels.clone(),
                is_elsewhere: target.last.is_none(),
                last: target.last.as_ref().and_then(|last| last.get()),
            };
            SourceReading {
                problem: source.problem.clone(),
                targets: source.targets.iter().map(target).collect(),
                ..source.counters.read(id.clone())
            }
        };
        shown.iter().map(reading).collect()
    }

    /// Fetches until `shutdown` is ready. Series do not end with it: another
    /// replica goes on, or this program is started again.
    ///
    /// # Panics
    /// If the task of a target does.
    pub async fn run(&self, mut mine: watch::Receiver<Mine>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut wanted = self.wanted.subscribe();
        let mut round = Round {
            scraper: self,
            sources: BTreeMap::new(),
            tasks: JoinSet::new(),
        };
        let mut reads = interval(READ_EACH);
        reads.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut decides = true;
        loop {
            let sources = wanted.borrow_and_update().clone();
            round.take(&sources);
            let mine_now = mine.borrow_and_update().clone();
            round.settle(&mine_now);
            let read = async {
                if round.sources.values().any(|source| source.file.is_some()) {
                    reads.tick().await;
                } else {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                // The sender lives as long as this.
                _changed = wanted.changed() => {}
                changed = mine.changed(), if decides => decides = changed.is_ok(),
                () = read => {
                    tokio::select! {
                        () = &mut shutdown => return,
                        () = round.read_files() => {}
                    }
                }
                Some(ended) = round.tasks.join_next() => {
                    if let Err(error) = ended
                        && error.is_panic()
                    {
                        std::panic::resume_unwind(error.into_panic());
                    }
                }
            }
        }
    }
}

/// What runs now. Dropping it stops all tasks where they are.
struct Round<'s> {
    scraper: &'s Scraper,
    sources: BTreeMap<SourceId, Running>,
    tasks: JoinSet<()>,
}

struct Running {
    config: Arc<SourceConfig>,
    watched_ms: i64,
    file: Option<PathBuf>,
    problem: Option<String>,
    listed: Vec<FoundTarget>,
    counters: Arc<SourceCounters>,
    targets: HashMap<Key, Task>,
}

/// What makes a target another one: its series would be others, or of another
/// page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    address: Address,
    path: String,
    has_tls: bool,
    labels: Arc<[(String, String)]>,
}

struct Task {
    orders: watch::Sender<Order>,
    shown: Arc<Shown>,
}

impl Round<'_> {
    /// The sources are these now.
    fn take(&mut self, wanted: &BTreeMap<SourceId, SourceConfig>) {
        self.sources.retain(|id, source| {
            let stays = wanted.contains_key(id);
            if !stays {
                let targets = source.targets.values();
                targets.for_each(|task| drop(task.orders.send_replace(Order::End)));
            }
            stays
        });
        let now_ms = (self.scraper.context.now_ms)();
        for (id, config) in wanted {
            let source = self.sources.entry(id.clone());
            let is_new = matches!(source, std::collections::btree_map::Entry::Vacant(_));
            let source = source.or_insert_with(|| Running::new(config, now_ms));
            if !is_new && *source.config == *config {
                continue;
            }
            if is_new || source.config.targets != config.targets {
                source.list(&config.targets);
            }
            // An order begins an interval anew: where targets come and go all
            // the time, those that stay would never be fetched.
            let goes_on = source.config.fetches_like(config);
            source.config = Arc::new(config.clone());
            if goes_on {
                continue;
            }
            for task in source.targets.values() {
                task.orders
                    .send_replace(Order::Fetch(source.config.clone()));
            }
        }
    }

    async fn read_files(&mut self) {
        for (id, source) in &mut self.sources {
            let Some(path) = source.file.clone() else {
                continue;
            };
            let shown = path.display().to_string();
            let read = tokio::task::spawn_blocking(move || source::read(&path));
            match read.await.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(listed) => {
                    if source.problem.take().is_some() {
                        tracing::info!(source = %id, file = shown, "the targets are known again");
                    }
                    source.listed = listed;
                }
                Err(problem) => {
                    let problem = format!("{shown}: {problem}");
                    if source.problem.as_ref() != Some(&problem) {
                        tracing::warn!(source = %id, "targets that are known stay: {problem}");
                        source.problem = Some(problem);
                    }
                }
            }
        }
    }

    /// Starts and stops tasks, so that there is one for each target of ours.
    fn settle(&mut self, mine: &Mine) {
        let mut taken = HashSet::new();
        let mut all = BTreeMap::new();
        for (id, source) in &mut self.sources {
            let mut wanted = HashMap::new();
            let mut targets = Vec::new();
            let mut problem = source.problem.clone();
            for listed in &source.listed {
                let labels = source.config.labels_of(id, listed);
                let key = source.key(listed, &labels);
                if !taken.insert(key.labels.clone()) {
                    problem = Some(format!(
                        "{}: another source has a target of the same labels, so this one is not \
                         fetched: give it another job in spec.labels",
                        listed.address
                    ));
                    continue;
                }
                let is_mine = mine.fetches(&format!("{id} {}", listed.address));
                targets.push((key.clone(), labels));
                wanted.insert(key, is_mine);
            }
            source.targets.retain(|key, task| match wanted.get(key) {
                Some(true) => true,
                Some(false) => {
                    task.orders.send_replace(Order::Release);
                    false
                }
                None => {
                    task.orders.send_replace(Order::End);
                    false
                }
            });
            for (key, _) in wanted.into_iter().filter(|(_, is_mine)| *is_mine) {
                if !source.targets.contains_key(&key) {
                    let task = source.spawn(&key, &self.scraper.context, &mut self.tasks);
                    source.targets.insert(key, task);
                }
            }
            let target = |(key, labels): (Key, BTreeMap<String, String>)| ShownTarget {
                address: key.address.to_string(),
                labels,
                last: source.targets.get(&key).map(|task| task.shown.clone()),
            };
            let shown = ShownSource {
                counters: source.counters.clone(),
                problem,
                targets: targets.into_iter().map(target).collect(),
            };
            all.insert(id.clone(), shown);
        }
        *self.scraper.shown.lock() = all;
    }
}

impl Running {
    fn new(config: &SourceConfig, now_ms: i64) -> Self {
        Self {
            config: Arc::new(config.clone()),
            watched_ms: now_ms,
            file: None,
            problem: None,
            listed: Vec::new(),
            counters: Arc::default(),
            targets: HashMap::new(),
        }
    }

    fn list(&mut self, targets: &TargetList) {
        match targets {
            TargetList::Found(found) => {
                (self.file, self.problem) = (None, None);
                self.listed = found.to_vec();
            }
            TargetList::Addresses(addresses) => {
                let listed = |address: &Address| FoundTarget {
                    address: address.clone(),
                    labels: BTreeMap::new(),
                };
                (self.file, self.problem) = (None, None);
                self.listed = addresses.iter().map(listed).collect();
            }
            // What is known stays until the file is read.
            TargetList::File(path) => self.file = Some(path.clone()),
        }
    }

    fn key(&self, listed: &FoundTarget, labels: &BTreeMap<String, String>) -> Key {
        let labels: Vec<_> = labels.clone().into_iter().collect();
        Key {
            address: listed.address.clone(),
            path: self.config.path.clone(),
            has_tls: self.config.tls.is_some(),
            labels: labels.into(),
        }
    }

    fn spawn(&self, key: &Key, context: &Arc<Context>, tasks: &mut JoinSet<()>) -> Task {
        let (orders, told) = watch::channel(Order::Fetch(self.config.clone()));
        let shown = Arc::new(Shown::default());
        let target = Target {
            address: key.address.clone(),
            labels: key.labels.clone(),
            watched_ms: self.watched_ms,
            counters: self.counters.clone(),
            shown: shown.clone(),
        };
        tasks.spawn(target::run(target, told, context.clone()));
        Task { orders, shown }
    }
}

#[cfg(test)]
mod tests;
