//! What was read of one target before, and what its next page means.
//!
//! Owned by the task of a target (`target`). It decides from when a counter
//! counts:
//!
//! - a series that the page before did not have, though it would have been
//!   kept, began at zero between the two pages;
//! - a process that started after the page before, or, of a target that was
//!   never read, after its source is watched, began all of its counters at
//!   zero when it started;
//! - `_created` says it of a series, whatever was before;
//! - else the first value is what growth is reckoned from.
//!
//! A series that a page does not have any more ends, and so do all when a
//! target does not answer; those with times of their own do not, as in
//! Prometheus (`scrape/scrape.go`).

use super::{
    filter::Filter,
    line::{self, BadLine, seconds_to_ms},
    page::{Flawed, Page, Sample},
};
use crate::{
    ingest::Outcome,
    series::{
        AppendError, DropReason, Growth, LabelBuilder, Labels, Limits, SeriesRef, Store, Writer,
    },
};
use foldhash::fast::RandomState;
use std::{borrow::Cow, collections::HashMap, hash::BuildHasher, sync::Arc};

/// A process that runs since then or a little later is the same: systems that
/// correct their clock tell another time.
const SAME_START_MS: i64 = 2_000;

/// What label a page's own goes under where the target has one of that name.
const EXPORTED: &str = "exported_";

/// What was read of a target.
#[derive(Debug)]
pub(super) struct History {
    /// Of the target.
    labels: Arc<[(String, String)]>,
    /// Since when the source is watched.
    watched_ms: i64,
    /// Those of the last page, by name and labels as they are written.
    series: HashMap<Box<[u8]>, Known, RandomState>,
    /// Number of the last page.
    page: u64,
    last: Option<LastPage>,
    /// When all series ended because the target did not answer.
    ended_ms: i64,
    is_down: bool,
}

#[derive(Debug)]
struct LastPage {
    at_ms: i64,
    process_start_ms: Option<i64>,
    filter: Arc<Filter>,
    flawed: Flawed,
}

/// A series of the last page.
#[derive(Debug)]
struct Known {
    /// `None` until it is in the store.
    series: Option<SeriesRef>,
    /// Of a series whose reference is not good any more, built again.
    labels: Option<Labels>,
    page: u64,
    value: f64,
    at_ms: Option<i64>,
    growth: Growth,
    /// From when it counts if it was not there before, however it was written.
    appeared_ms: Option<i64>,
    /// Not in the store yet.
    is_new_value: bool,
}

impl History {
    /// Of a target that was never read.
    pub(super) fn new(labels: Arc<[(String, String)]>, watched_ms: i64) -> Self {
        Self {
            labels,
            watched_ms,
            series: HashMap::default(),
            page: 0,
            last: None,
            ended_ms: i64::MIN,
            is_down: false,
        }
    }

    /// Takes a page that was asked for at `at_ms` into the store.
    pub(super) fn take(
        &mut self,
        mut page: Page,
        filter: &Arc<Filter>,
        store: &Store,
        at_ms: i64,
    ) -> Outcome {
        self.page += 1;
        let process_start_ms = page.process_start.and_then(seconds_to_ms);
        let fresh_ms = self.fresh(process_start_ms, at_ms);
        let created = self.created(&page);
        let mut outcome = std::mem::take(&mut page.outcome);
        let mut flawed = std::mem::take(&mut page.flawed);
        for sample in &page.samples {
            let identity = page.identity(sample);
            if let Err(reason) = self.note(identity, sample, fresh_ms, &created, store.limits()) {
                let name = metric(identity);
                flawed.add(&name);
                outcome.refuse(1, reason, &name);
            }
        }
        self.store(&page, filter, store, at_ms, &mut outcome);
        self.is_down = false;
        self.last = Some(LastPage {
            at_ms,
            process_start_ms,
            filter: filter.clone(),
            flawed,
        });
        outcome
    }

    /// The target did not answer what it was asked at `at_ms`, or is none any
    /// more: its series end.
    pub(super) fn end(&mut self, store: &Store, at_ms: i64) {
        if self.is_down || self.series.is_empty() {
            return;
        }
        let mut writer = store.write(at_ms);
        for known in self.series.values() {
            known.end(&mut writer, at_ms);
        }
        (self.is_down, self.ended_ms) = (true, at_ms);
    }

    /// From when all counters of a page count, if its process is a new one.
    fn fresh(&self, process_start_ms: Option<i64>, at_ms: i64) -> Option<i64> {
        let start = process_start_ms?;
        let (is_new, earliest) = match &self.last {
            Some(last) => {
                let before = last.process_start_ms;
                // The same clock twice where there are two times of it.
                let is_new =
                    before.map_or(start > last.at_ms, |before| start > before + SAME_START_MS);
                (is_new, last.at_ms + 1)
            }
            None => (start > self.watched_ms, i64::MIN),
        };
        is_new.then(|| self.zero_at(start.max(earliest), at_ms))
    }

    /// A time for a zero: not before the end that was written last, and before
    /// the page, whatever the target's clock says.
    fn zero_at(&self, start_ms: i64, at_ms: i64) -> i64 {
        start_ms.max(self.ended_ms.saturating_add(1)).min(at_ms - 1)
    }

    /// Remembers what a page says of a series.
    fn note(
        &mut self,
        identity: &[u8],
        sample: &Sample,
        fresh_ms: Option<i64>,
        created: &Created,
        limits: &Limits,
    ) -> Result<(), DropReason> {
        let since = created.of(identity).map(|at_ms| self.created_at(at_ms));
        if let Some(known) = self.series.get_mut(identity) {
            if known.page == self.page {
                return known.again(sample);
            }
            known.set(self.page, sample, since.or(fresh_ms));
            return Ok(());
        }
        let mut known = Known {
            series: None,
            labels: Some(labels(identity, &self.labels, limits)?),
            page: self.page,
            value: 0.0,
            at_ms: None,
            growth: Growth::Level,
            appeared_ms: None,
            is_new_value: false,
        };
        if since.is_none() && sample.counts {
            known.appeared_ms = self.appeared(identity);
        }
        known.set(self.page, sample, since.or(fresh_ms));
        self.series.insert(identity.into(), known);
        Ok(())
    }

    /// From when a series counts that the page before did not have.
    fn appeared(&self, identity: &[u8]) -> Option<i64> {
        let last = self.last.as_ref()?;
        let (name, _) = line::name(identity).ok()?;
        let was_looked_for = last.filter.keeps(&name) && !last.flawed.has(&name);
        was_looked_for.then_some(last.at_ms + 1)
    }

    /// From when a series counts of which the page tells it. After a restart
    /// that is before the end that was written meanwhile.
    fn created_at(&self, created_ms: i64) -> i64 {
        match &self.last {
            Some(last) if created_ms > last.at_ms => {
                created_ms.max(self.ended_ms.saturating_add(1))
            }
            _ => created_ms,
        }
    }

    /// Writes what the page said, in its order, and ends what it did not have.
    fn store(
        &mut self,
        page: &Page,
        filter: &Filter,
        store: &Store,
        at_ms: i64,
        outcome: &mut Outcome,
    ) {
        let mut writer = store.write(at_ms);
        for sample in &page.samples {
            let identity = page.identity(sample);
            let Some(known) = self.series.get_mut(identity) else {
                continue;
            };
            if !std::mem::take(&mut known.is_new_value) {
                continue;
            }
            let labels = || labels(identity, &self.labels, store.limits());
            match known.append(&mut writer, at_ms, labels) {
                Ok(()) => outcome.accept(),
                // A page may tell a time of its own again and again.
                Err(DropReason::Duplicate) if known.at_ms.is_some() => outcome.accept(),
                Err(reason) => outcome.refuse(1, reason, &metric(identity)),
            }
        }
        let number = self.page;
        self.series.retain(|identity, known| {
            // Nobody needs it any more: then its end was not seen.
            if known.page != number && filter.keeps(&metric(identity)) {
                known.end(&mut writer, at_ms);
            }
            known.page == number
        });
    }

    /// Since when series count, as far as a page tells it.
    fn created(&self, page: &Page) -> Created {
        let mut created = Created {
            hasher: self.series.hasher().clone(),
            since: HashMap::new(),
        };
        for sample in &page.created {
            let identity = page.identity(sample);
            if let Some(at_ms) = seconds_to_ms(sample.value)
                && let Some(key) = created.key(identity, &["_created"])
            {
                created.since.insert(key, at_ms);
            }
        }
        created
    }
}

impl Known {
    /// What a page says of it; `since` is from when it counts, if it does.
    fn set(&mut self, page: u64, sample: &Sample, since: Option<i64>) {
        self.page = page;
        self.is_new_value = true;
        (self.value, self.at_ms) = (sample.value, sample.at_ms);
        self.growth = if sample.counts {
            Growth::Since(since)
        } else {
            Growth::Level
        };
    }

    /// What the same page says of it once more. Dapr can list a counter twice
    /// after a reload, once without the requests since: the larger one is
    /// right.
    fn again(&mut self, sample: &Sample) -> Result<(), DropReason> {
        if !sample.counts {
            return Err(DropReason::Duplicate);
        }
        if sample.value > self.value {
            (self.value, self.at_ms) = (sample.value, sample.at_ms);
        }
        Ok(())
    }

    fn append(
        &mut self,
        writer: &mut Writer<'_>,
        at_ms: i64,
        labels: impl FnOnce() -> Result<Labels, DropReason>,
    ) -> Result<(), DropReason> {
        let at_ms = self.at_ms.unwrap_or(at_ms);
        let series = match self.series.filter(|series| writer.is_there(*series)) {
            Some(series) => series,
            None => {
                let labels = self.labels.take().map_or_else(labels, Ok)?;
                *self.series.insert(writer.intern(labels)?)
            }
        };
        let growth = match (self.growth, self.appeared_ms.take()) {
            (Growth::Since(since), Some(appeared)) if writer.has_ended(series) => {
                Growth::Since(since.max(Some(appeared)))
            }
            (growth, _) => growth,
        };
        match writer.append(series, at_ms, self.value, growth) {
            Ok(()) => Ok(()),
            // It made room for the zero before it.
            Err(AppendError::Gone) => Err(DropReason::BytesLimit),
            Err(AppendError::Dropped(reason)) => Err(reason),
        }
    }

    fn end(&self, writer: &mut Writer<'_>, at_ms: i64) {
        if let Some(series) = self.series
            && self.at_ms.is_none()
        {
            // It is gone, or it ended before: as well.
            let _ended = writer.end(series, at_ms);
        }
    }
}

/// Since when series count, by their metric and labels.
struct Created {
    hasher: RandomState,
    since: HashMap<u64, i64>,
}

impl Created {
    fn of(&self, identity: &[u8]) -> Option<i64> {
        if self.since.is_empty() {
            return None;
        }
        let key = self.key(identity, &["_total", "_bucket", "_count", "_sum", ""])?;
        self.since.get(&key).copied()
    }

    /// Of a metric without what is behind its name, and of its labels without
    /// the bucket's, in any order.
    fn key(&self, identity: &[u8], suffixes: &[&str]) -> Option<u64> {
        let (name, _) = line::name(identity).ok()?;
        let mut suffixes = suffixes.iter();
        let base = suffixes.find_map(|suffix| name.strip_suffix(suffix))?;
        let mut key = self.hasher.hash_one(base);
        line::labels::<BadLine>(identity, |name, value| {
            if name != "le" {
                key = key.wrapping_add(self.hasher.hash_one((&*name, &*value)));
            }
            Ok(())
        })
        .ok()?;
        Some(key)
    }
}

/// The name in an identity.
fn metric(identity: &[u8]) -> Cow<'_, str> {
    line::name(identity).map_or(Cow::Borrowed(""), |(name, _)| name)
}

/// The labels of a series: its own, and those of the target. Where both have
/// one of a name, its own becomes `exported_` and that name, as in Prometheus
/// without `honor_labels`.
fn labels(
    identity: &[u8],
    target: &[(String, String)],
    limits: &Limits,
) -> Result<Labels, DropReason> {
    let (name, _) = line::name(identity)?;
    let mut builder = LabelBuilder::new(limits, &name)?;
    for (name, value) in target {
        builder.label(&**name, &**value)?;
    }
    let mut taken = Vec::new();
    line::labels::<DropReason>(identity, |name, value| {
        let stored = crate::series::label_name(&name);
        let mut of_target = target.iter().filter(|(_, value)| !value.is_empty());
        if !value.is_empty() && of_target.any(|(of_target, _)| *of_target == stored) {
            taken.push((stored.into_owned(), value));
            return Ok(());
        }
        builder.label(name, value)
    })?;
    for (name, value) in taken {
        let mut name = format!("{EXPORTED}{name}");
        while builder.has(&name) {
            name.insert_str(0, EXPORTED);
        }
        builder.label(name, value)?;
    }
    builder.build()
}

#[cfg(test)]
mod tests;
