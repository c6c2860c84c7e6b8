//! The pages of one target on their way into the store, wherever they come
//! from.
//!
//! `target` fetches them; measurements and fuzzing have them at hand.

use super::{
    BadPage, Format, NamePattern, PageLimits,
    filter::Filter,
    history::History,
    page::{Page, Reader},
};
use crate::{ingest::Outcome, series::Store};
use std::sync::Arc;

/// Takes the pages of one target into a store.
#[derive(Debug)]
pub struct Intake {
    store: Arc<Store>,
    limits: PageLimits,
    history: History,
}

impl Intake {
    /// Of a target whose series get `labels`, and that is watched since then:
    /// a process that started later counts from zero.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        labels: Arc<[(String, String)]>,
        limits: PageLimits,
        watched_ms: i64,
    ) -> Self {
        Self {
            store,
            limits,
            history: History::new(labels, watched_ms),
        }
    }

    /// Takes a page in whatever chunks it comes: what `metrics` names, and what
    /// registered queries need. `at_ms` is when it was asked for, later than
    /// for the page before.
    ///
    /// # Errors
    /// What is wrong with the page as a whole; then nothing is stored.
    pub fn page<'c>(
        &mut self,
        format: Format,
        metrics: &Arc<[NamePattern]>,
        chunks: impl IntoIterator<Item = &'c [u8]>,
        at_ms: i64,
    ) -> Result<Outcome, BadPage> {
        let filter = self.filter(metrics);
        let mut reader = Reader::new(format, self.limits, filter.clone());
        chunks
            .into_iter()
            .try_for_each(|chunk| reader.feed(chunk))?;
        Ok(self.take(reader.finish()?, &filter, at_ms))
    }

    /// The target did not answer what it was asked at `at_ms`, or is none any
    /// more: its series end.
    pub fn end(&mut self, at_ms: i64) {
        self.history.end(&self.store, at_ms);
    }

    /// What the next page is read for.
    pub(super) fn filter(&self, metrics: &Arc<[NamePattern]>) -> Arc<Filter> {
        let needed = self.store.needed_names();
        Arc::new(Filter::new(metrics.clone(), needed))
    }

    /// Stores a page that was read.
    pub(super) fn take(&mut self, page: Page, filter: &Arc<Filter>, at_ms: i64) -> Outcome {
        self.history.take(page, filter, &self.store, at_ms)
    }
}
