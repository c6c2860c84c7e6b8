//! What registered queries need: which series, how far back, and for whom.
//!
//! Each series carries the number of a set of queries, not the set: there are
//! few different sets, however many series there are. A query that comes moves
//! the series that it needs to other sets ([`super::register`] does, bit by
//! bit); one that goes leaves its sets, and no series is touched.

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

impl Selector {
    pub(super) fn back_ms(&self) -> i64 {
        i64::try_from(self.back.as_millis()).unwrap_or(i64::MAX / 4)
    }
}

pub(super) type QueryId = u64;

/// Number of a set of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct NeedId(u32);

impl NeedId {
    /// No query.
    const NONE: Self = Self(0);
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Queries of this replica.
    Ourselves,
    /// Another replica, which is told of the points.
    Another,
}

#[derive(Debug)]
struct Query {
    selectors: Vec<(Arc<Wanted>, i64)>,
    whose: For,
    /// Counts batches that had points for it.
    arrivals: watch::Sender<u64>,
}

/// A set of queries that need the same series, with how far back each of them
/// looks.
type NeededBy = Vec<(QueryId, i64)>;

#[derive(Debug, Default)]
struct Set {
    needed_by: NeededBy,
    /// The longest of them.
    back: i64,
    /// One of them is of another replica.
    is_shared: bool,
    /// How many series are of this set.
    series: usize,
}

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
    /// By number. The first is of no query, for ever.
    sets: Vec<Set>,
    free: Vec<NeedId>,
    /// One number for each set; further ones of the same set may be in use.
    numbers: HashMap<NeededBy, NeedId>,
    needed: usize,
    /// How many queries are of other replicas.
    of_others: usize,
}

impl Default for Needs {
    fn default() -> Self {
        Self {
            next: 0,
            version: 0,
            queries: BTreeMap::new(),
            named: HashMap::new(),
            unnamed: Vec::new(),
            sets: vec![Set::default()],
            free: Vec::new(),
            numbers: HashMap::from([(NeededBy::new(), NeedId::NONE)]),
            needed: 0,
            of_others: 0,
        }
    }
}

impl Needs {
    /// Takes a query in: series that come from now on are of it.
    pub(super) fn add(
        &mut self,
        selectors: &[Selector],
        whose: For,
    ) -> (QueryId, watch::Receiver<u64>) {
        let id = self.next;
        self.next += 1;
        self.version += 1;
        let mut known = Vec::with_capacity(selectors.len());
        for selector in selectors {
            let wanted = Wanted::new(&selector.matchers);
            let list = match wanted.metric() {
                Some(metric) => self.named.entry(metric.to_owned()).or_default(),
                None => &mut self.unnamed,
            };
            if list.last() != Some(&id) {
                list.push(id);
            }
            known.push((Arc::new(wanted), selector.back_ms()));
        }
        self.of_others += usize::from(whose == For::Another);
        let (arrivals, changes) = watch::channel(0);
        self.queries.insert(
            id,
            Query {
                selectors: known,
                whose,
                arrivals,
            },
        );
        (id, changes)
    }

    /// Lets a query go, out of all sets.
    pub(super) fn remove(&mut self, id: QueryId) {
        self.version += 1;
        let gone = self.queries.remove(&id);
        let was_of_another = gone.is_some_and(|query| query.whose == For::Another);
        self.of_others -= usize::from(was_of_another);
        self.named.retain(|_, queries| {
            queries.retain(|other| *other != id);
            !queries.is_empty()
        });
        self.unnamed.retain(|other| *other != id);
        for number in 1..self.sets.len() {
            let set = &mut self.sets[number];
            if set.needed_by.iter().all(|(other, _)| *other != id) {
                continue;
            }
            let number = NeedId(u32::try_from(number).unwrap_or(u32::MAX));
            if self.numbers.get(&set.needed_by) == Some(&number) {
                self.numbers.remove(&set.needed_by);
            }
            set.needed_by.retain(|(other, _)| *other != id);
            if set.needed_by.is_empty() {
                self.needed -= set.series;
            }
            let left = set.needed_by.clone();
            self.numbers.entry(left).or_insert(number);
            self.weigh(number);
        }
    }

    /// A series of these labels comes: who needs it.
    pub(super) fn enter(&mut self, labels: &Labels) -> NeedId {
        if self.queries.is_empty() {
            return self.join(NeededBy::new());
        }
        let metric = labels.metric_name().unwrap_or_default();
        let named = self.named.get(metric).map_or(&[][..], Vec::as_slice);
        let mut set = NeededBy::new();
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
        self.join(set)
    }

    /// A series of this set is needed by a query, too, that looks so far back.
    pub(super) fn also(&mut self, need: NeedId, id: QueryId, back: i64) -> NeedId {
        let mut set = self.set(need).needed_by.clone();
        match set.binary_search_by_key(&id, |(other, _)| *other) {
            Ok(at) if set[at].1 >= back => return need,
            Ok(at) => set[at].1 = back,
            Err(at) => set.insert(at, (id, back)),
        }
        self.leave(need);
        self.join(set)
    }

    /// A series of this set is gone.
    pub(super) fn leave(&mut self, need: NeedId) {
        self.needed -= usize::from(self.is_needed(need));
        let set = &mut self.sets[need.0 as usize];
        set.series -= 1;
        if set.series == 0 && need != NeedId::NONE {
            let gone = std::mem::take(set);
            if self.numbers.get(&gone.needed_by) == Some(&need) {
                self.numbers.remove(&gone.needed_by);
            }
            self.free.push(need);
        }
    }

    fn join(&mut self, set: NeededBy) -> NeedId {
        let number = match self.numbers.get(&set) {
            Some(number) => *number,
            None => {
                let number = self.free.pop().unwrap_or_else(|| {
                    self.sets.push(Set::default());
                    NeedId(u32::try_from(self.sets.len() - 1).unwrap_or(u32::MAX))
                });
                self.numbers.insert(set.clone(), number);
                self.sets[number.0 as usize].needed_by = set;
                self.weigh(number);
                number
            }
        };
        self.sets[number.0 as usize].series += 1;
        self.needed += usize::from(self.is_needed(number));
        number
    }

    /// Works out what is kept of a set beside its queries.
    fn weigh(&mut self, number: NeedId) {
        let set = &mut self.sets[number.0 as usize];
        set.back = set
            .needed_by
            .iter()
            .map(|(_, back)| *back)
            .max()
            .unwrap_or(0);
        let queries = &self.queries;
        set.is_shared = set.needed_by.iter().any(|(id, _)| {
            let query = queries.get(id);
            query.is_some_and(|query| query.whose == For::Another)
        });
    }

    fn set(&self, need: NeedId) -> &Set {
        &self.sets[need.0 as usize]
    }

    /// Whether some query needs it.
    pub(super) fn is_needed(&self, need: NeedId) -> bool {
        !self.set(need).needed_by.is_empty()
    }

    /// Whether another replica needs it.
    pub(super) fn is_shared(&self, need: NeedId) -> bool {
        self.set(need).is_shared
    }

    /// Who needs it, and how far back.
    pub(super) fn who(&self, need: NeedId) -> &[(QueryId, i64)] {
        &self.set(need).needed_by
    }

    /// How far back the queries of a set look, in milliseconds; zero for none.
    pub(super) fn back(&self, need: NeedId) -> i64 {
        self.set(need).back
    }

    /// Tells the queries of these sets that points have come.
    pub(super) fn tell(&self, touched: &mut Vec<NeedId>) {
        touched.sort_unstable();
        touched.dedup();
        let mut told: Vec<QueryId> = touched
            .drain(..)
            .filter_map(|need| self.sets.get(need.0 as usize))
            .flat_map(|set| set.needed_by.iter().map(|(id, _)| *id))
            .collect();
        told.sort_unstable();
        told.dedup();
        self.stir(told);
    }

    /// Has these queries look again.
    pub(super) fn stir(&self, queries: impl IntoIterator<Item = QueryId>) {
        for id in queries {
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

    /// Whether other replicas ask for anything.
    pub(super) fn are_shared(&self) -> bool {
        self.of_others > 0
    }

    /// How many series are needed.
    pub(super) fn needed(&self) -> usize {
        self.needed
    }

    #[cfg(test)]
    pub(super) fn sets(&self) -> usize {
        self.sets.len() - self.free.len()
    }
}
