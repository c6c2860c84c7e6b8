//! What one other replica says about points, understood and stored.
//!
//! Owned by [`super::gather`], which does the network. Points enter the store
//! like those of a sender, but are not told on; what cannot be stored is
//! counted under `peer`, and harms no other.

use super::spelling;
use crate::{
    gen_peers::{Points, Series, SeriesPoints},
    ingest::{Outcome, Source},
    metric_sources::MetricSources,
    series::{DropReason, Labels, Piece, Place, SeriesRef, Writer},
};

/// Series that one stream may name before it begins anew.
pub(crate) const MOST_SERIES: usize = 200_000;

/// Why a stream cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPoints {
    #[error("it numbers a series {told}, the next number is {next}")]
    Number { told: u32, next: usize },
    #[error("it names more than {MOST_SERIES} series")]
    TooMany,
    #[error("it tells of series {0}, which it has not named")]
    Unnamed(u32),
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Gathered {
    sources: MetricSources,
    place: Place,
    /// By number.
    series: Vec<Result<Named, DropReason>>,
}

#[derive(Debug)]
struct Named {
    labels: Labels,
    held: Option<SeriesRef>,
}

impl Gathered {
    /// From now on, and until it is dropped, an answer is expected.
    pub(crate) fn new(sources: MetricSources) -> Self {
        Self {
            place: sources.store.expect_from_elsewhere(),
            sources,
            series: Vec::new(),
        }
    }

    /// The next message, which came at `now_ms`.
    pub(crate) fn take(&mut self, points: &Points, now_ms: i64) -> Result<(), BadPoints> {
        if let Some(ago) = points.arrived_ms_ago {
            let ago = i64::try_from(ago).unwrap_or(i64::MAX);
            self.sources
                .counters
                .heard(Source::Peer, now_ms.saturating_sub(ago));
        }
        if points.anew {
            self.series = Vec::new();
        }
        for series in &points.series {
            self.name(series)?;
        }
        if !points.points.is_empty() {
            let mut outcome = Outcome::default();
            let mut writer = self.sources.store.write(now_ms);
            for told in &points.points {
                let number = told.number;
                let series = self.series.get_mut(number as usize);
                let series = series.ok_or(BadPoints::Unnamed(number))?;
                store(&mut writer, series, told, &mut outcome);
            }
            drop(writer);
            self.sources.counters.took(Source::Peer, &outcome, now_ms);
        }
        if points.complete > 0 {
            self.place.told(points.complete);
        }
        Ok(())
    }

    fn name(&mut self, series: &Series) -> Result<(), BadPoints> {
        let next = self.series.len();
        if series.number as usize != next {
            let told = series.number;
            return Err(BadPoints::Number { told, next });
        }
        if next >= MOST_SERIES {
            return Err(BadPoints::TooMany);
        }
        let labels = spelling::labels(series, self.sources.store.limits());
        let named = labels.map(|labels| Named { labels, held: None });
        self.series.push(named);
        Ok(())
    }
}

/// Stores what is told of one series.
fn store(
    writer: &mut Writer<'_>,
    series: &mut Result<Named, DropReason>,
    told: &SeriesPoints,
    outcome: &mut Outcome,
) {
    let all = told.values.len() as u64;
    let series = match series {
        Ok(series) => series,
        Err(reason) => return outcome.refuse(all, *reason, "?"),
    };
    let name = series.labels.metric_name().unwrap_or_default();
    let (points, values) = match spelling::points(told) {
        Ok(read) => read,
        Err(reason) => return outcome.refuse(all, reason, name),
    };
    let held = match series.held.filter(|held| writer.is_there(*held)) {
        Some(held) => held,
        None => match writer.intern(series.labels.clone()) {
            Ok(held) => *series.held.insert(held),
            Err(reason) => return outcome.refuse(all, reason, name),
        },
    };
    let piece = Piece {
        points: &points,
        values,
    };
    match writer.merge(held, piece) {
        Ok(merged) => {
            outcome.accept_all(merged.news);
            if let Some(reason) = merged.reason {
                outcome.refuse(merged.refused, reason, name);
            }
        }
        // It made room for others.
        Err(_) => outcome.refuse(all, DropReason::BytesLimit, name),
    }
}
