//! What this replica's queries ask of other replicas: their selectors, each
//! once, however many queries have it.
//!
//! Kept by [`super::register`], read by `crate::peers`, which tells it to the
//! others.

use super::{Selector, need::QueryId};
use parking_lot::Mutex;
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};
use tokio::sync::watch;

/// What a registered query asks.
#[derive(Debug, Default)]
pub(super) struct Asked {
    id: QueryId,
    selectors: Vec<Arc<str>>,
    /// Who has answered this revision has answered the query.
    pub(super) revision: u64,
}

/// All that is asked.
#[derive(Debug)]
pub(crate) struct AskedOfOthers {
    known: Mutex<Known>,
    revision: watch::Sender<u64>,
}

/// Selectors by what they say.
pub(crate) type Selectors = BTreeMap<Arc<str>, Arc<Selector>>;

#[derive(Debug)]
struct Known {
    /// From 1 on.
    revision: u64,
    selectors: BTreeMap<Arc<str>, Held>,
}

#[derive(Debug)]
struct Held {
    selector: Arc<Selector>,
    queries: Vec<QueryId>,
    /// When it was new.
    revision: u64,
}

impl Default for AskedOfOthers {
    fn default() -> Self {
        Self {
            known: Mutex::new(Known {
                revision: 1,
                selectors: BTreeMap::new(),
            }),
            revision: watch::Sender::new(1),
        }
    }
}

impl AskedOfOthers {
    pub(super) fn add(&self, id: QueryId, selectors: &[Selector]) -> Asked {
        let mut asked = Asked {
            id,
            ..Asked::default()
        };
        let mut known = self.known.lock();
        let known = &mut *known;
        for selector in selectors {
            let said: Arc<str> = said(selector).into();
            let held = known.selectors.entry(said.clone()).or_insert_with(|| {
                known.revision += 1;
                Held {
                    selector: Arc::new(selector.clone()),
                    queries: Vec::new(),
                    revision: known.revision,
                }
            });
            held.queries.push(id);
            asked.revision = asked.revision.max(held.revision);
            asked.selectors.push(said);
        }
        self.publish(known.revision);
        asked
    }

    pub(super) fn remove(&self, asked: &Asked) {
        let mut known = self.known.lock();
        for said in &asked.selectors {
            let Some(held) = known.selectors.get_mut(said) else {
                continue;
            };
            if let Some(at) = held.queries.iter().position(|id| *id == asked.id) {
                held.queries.swap_remove(at);
            }
            if held.queries.is_empty() {
                known.selectors.remove(said);
                known.revision += 1;
            }
        }
        self.publish(known.revision);
    }

    /// Called under the lock, so that revisions never go back.
    fn publish(&self, revision: u64) {
        self.revision.send_if_modified(|told| {
            let news = *told != revision;
            *told = revision;
            news
        });
    }

    /// All selectors, and the revision that this is.
    pub(crate) fn all(&self) -> (u64, Selectors) {
        let known = self.known.lock();
        let all = known.selectors.iter();
        let all = all.map(|(said, held)| (said.clone(), held.selector.clone()));
        (known.revision, all.collect())
    }

    /// Follows the revision.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Queries whose answer came with a revision in this range.
    pub(super) fn queries(&self, revisions: std::ops::RangeInclusive<u64>) -> Vec<QueryId> {
        let known = self.known.lock();
        let held = known.selectors.values();
        let new = held.filter(|held| revisions.contains(&held.revision));
        new.flat_map(|held| held.queries.iter().copied()).collect()
    }
}

/// What a selector says; of two equal ones the same.
pub(super) fn said(selector: &Selector) -> String {
    let mut text = format!("{}ms", selector.back_ms());
    for matcher in &selector.matchers {
        // Writing to a string does not fail. Quoted, so that nothing is taken
        // for something else.
        let (name, op, value) = (matcher.name(), matcher.op(), matcher.value());
        let _written = write!(text, " {name:?}{op:?}{value:?}");
    }
    text
}
