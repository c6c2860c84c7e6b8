//! What registered queries need: which series, and how far back.
//!
//! Each series carries the number of a set of queries, not the set: there are
//! few different sets, however many series there are.

use super::{Labels, NeededNames, wanted::Wanted};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// One selector of a query.
#[derive(Clone, Debug)]
pub struct Selector {
    /// All must match.
    pub matchers: Vec<super::Matcher>,
    /// How far before the time of evaluation its points are read.
    pub back: Duration,
}

pub(super) type QueryId = u64;

/// Number of a set of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NeedId(u32);

impl NeedId {
    /// No query.
    pub(super) const NONE: Self = Self(0);
}

#[derive(Debug)]
struct Query {
    selectors: Vec<(Arc<Wanted>, i64)>,
    /// Counts batches that had points for it.
    arrivals: watch::Sender<u64>,
}

/// A set of queries that need the same series, with how far back each of them
/// looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct NeededBy(Vec<(QueryId, i64)>);

/// All registered queries, and the sets of them that series are needed by.
#[derive(Debug)]
pub(super) struct Needs {
    next: QueryId,
    /// Of the set of queries: counts changes.
    version: u64,
    queries: BTreeMap<QueryId, Query>,
    /// Selectors that name their metric, by the name.
    named: HashMap<String, Vec<QueryId>>,
    unnamed: Vec<QueryId>,
    sets: Vec<NeededBy>,
    numbers: HashMap<NeededBy, NeedId>,
}

impl Default for Needs {
    fn default() -> Self {
        let mut needs = Self {
            next: 0,
            version: 0,
            queries: BTreeMap::new(),
            named: HashMap::new(),
            unnamed: Vec::new(),
            sets: Vec::new(),
            numbers: HashMap::new(),
        };
        needs.forget_sets();
        needs
    }
}

impl Needs {
    /// Takes a query in. The caller then asks [`Needs::of`] for each series.
    pub(super) fn add(&mut self, selectors: &[Selector]) -> (QueryId, watch::Receiver<u64>) {
        let id = self.next;
        self.next += 1;
        self.version += 1;
        let mut known = Vec::with_capacity(selectors.len());
        for selector in selectors {
            let back = i64::try_from(selector.back.as_millis()).unwrap_or(i64::MAX / 4);
            let wanted = Wanted::new(&selector.matchers);
            let list = match wanted.metric() {
                Some(metric) => self.named.entry(metric.to_owned()).or_default(),
                None => &mut self.unnamed,
            };
            if list.last() != Some(&id) {
                list.push(id);
            }
            known.push((Arc::new(wanted), back));
        }
        let (arrivals, changes) = watch::channel(0);
        self.queries.insert(
            id,
            Query {
                selectors: known,
                arrivals,
            },
        );
        (id, changes)
    }

    /// Lets a query go. The caller then asks [`Needs::of`] for each series.
    pub(super) fn remove(&mut self, id: QueryId) {
        self.version += 1;
        self.queries.remove(&id);
        self.named.retain(|_, queries| {
            queries.retain(|other| *other != id);
            !queries.is_empty()
        });
        self.unnamed.retain(|other| *other != id);
    }

    /// Begins to number sets anew, so that sets of the past do not add up. The
    /// caller then asks [`Needs::of`] for each series.
    pub(super) fn forget_sets(&mut self) {
        self.sets = vec![NeededBy::default()];
        self.numbers = HashMap::from([(NeededBy::default(), NeedId::NONE)]);
    }

    /// Who needs a series of these labels.
    pub(super) fn of(&mut self, labels: &Labels) -> NeedId {
        if self.queries.is_empty() {
            return NeedId::NONE;
        }
        let metric = labels.metric_name().unwrap_or_default();
        let named = self.named.get(metric).map_or(&[][..], Vec::as_slice);
        let mut set: Vec<(QueryId, i64)> = Vec::new();
        for id in named.iter().chain(&self.unnamed) {
            let Some(query) = self.queries.get(id) else {
                continue;
            };
            let back = query
                .selectors
                .iter()
                .filter(|(wanted, _)| wanted.matches(labels))
                .map(|(_, back)| *back)
                .max();
            set.extend(back.map(|back| (*id, back)));
        }
        set.sort_unstable();
        set.dedup_by_key(|(id, _)| *id);
        let set = NeededBy(set);
        if let Some(number) = self.numbers.get(&set) {
            return *number;
        }
        let number = NeedId(u32::try_from(self.sets.len()).unwrap_or(u32::MAX));
        self.sets.push(set.clone());
        self.numbers.insert(set, number);
        number
    }

    /// How far back the queries of a set look, in milliseconds; zero for none.
    pub(super) fn back(&self, need: NeedId) -> i64 {
        let set = self.sets.get(need.0 as usize);
        set.and_then(|set| set.0.iter().map(|(_, back)| *back).max())
            .unwrap_or(0)
    }

    /// Tells the queries of these sets that points have come.
    pub(super) fn tell(&self, touched: &mut Vec<NeedId>) {
        touched.sort_unstable();
        touched.dedup();
        let mut told: Vec<QueryId> = touched
            .drain(..)
            .filter_map(|need| self.sets.get(need.0 as usize))
            .flat_map(|set| set.0.iter().map(|(id, _)| *id))
            .collect();
        told.sort_unstable();
        told.dedup();
        for id in told {
            if let Some(query) = self.queries.get(&id) {
                query.arrivals.send_modify(|batches| *batches += 1);
            }
        }
    }

    /// Another number after each change of what is needed.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The names of metrics that are needed.
    pub(super) fn names(&self) -> NeededNames {
        let unnamed = self.unnamed.iter().filter_map(|id| self.queries.get(id));
        let unnamed = unnamed
            .flat_map(|query| &query.selectors)
            .filter(|(wanted, _)| wanted.metric().is_none())
            .map(|(wanted, _)| wanted.clone());
        NeededNames {
            version: self.version,
            named: self.named.keys().cloned().collect(),
            unnamed: unnamed.collect(),
        }
    }

    /// How many queries are registered.
    pub(super) fn queries(&self) -> usize {
        self.queries.len()
    }
}
