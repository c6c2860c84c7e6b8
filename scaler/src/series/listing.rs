//! What is stored, page by page: for `GET /api/v1/series`.

use super::{Labels, Matcher, Point, Store, wanted::Wanted};

/// One series, as an operator sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesView {
    /// Its labels, the metric's name among them.
    pub labels: Labels,
    /// How many points are held.
    pub points: usize,
    /// The newest one; none only of a series whose points were all dropped.
    pub last: Option<Point>,
    /// Whether a registered query needs it.
    pub needed: bool,
}

/// A part of all series.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The series, in no order that means something.
    pub series: Vec<SeriesView>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<u32>,
}

impl Store {
    /// Up to `limit` series that one of `selectors` matches with all of its
    /// matchers (without any: all series), beginning at `from`: 0, or what the
    /// page before says. Series that come or go meanwhile may be
    /// missed; no other is, and none is listed twice.
    #[must_use]
    pub fn list(&self, selectors: &[Vec<Matcher>], from: u32, limit: usize) -> Page {
        let all = selectors.iter().map(|matchers| Wanted::new(matchers));
        let wanted: Vec<Wanted> = all.collect();
        let inner = self.inner.read();
        let mut series = Vec::new();
        let mut next = None;
        for (number, held) in inner.slots.from(from) {
            let is_wanted = |wanted: &Wanted| wanted.matches(&held.labels);
            if !wanted.is_empty() && !wanted.iter().any(is_wanted) {
                continue;
            }
            if series.len() >= limit.max(1) {
                next = Some(number);
                break;
            }
            series.push(SeriesView {
                labels: held.labels.clone(),
                points: held.ring.len(),
                last: held.ring.last().copied(),
                needed: inner.needs.is_needed(held.need),
            });
        }
        Page { series, next }
    }
}
