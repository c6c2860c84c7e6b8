//! Which metrics of a page are kept.
//!
//! Made by `scraper` for a source, asked by `page` once for each name.

use super::NamePattern;
use crate::series::{NeededNames, metric_name};
use std::sync::Arc;

/// The gauge by which a page tells since when its process runs.
const PROCESS_START: &str = "process_start_time_seconds";

/// What is behind the name of a counter or histogram where the page tells since
/// when it counts (OpenMetrics, "Counter").
const CREATED: &str = "_created";

/// What a source lets in, and what registered queries need.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    allowed: Arc<[NamePattern]>,
    needed: Arc<NeededNames>,
}

/// What a metric is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// It is kept.
    pub(super) keep: bool,
    /// It tells since when one that is kept counts.
    pub(super) created: bool,
    /// It tells since when the process runs.
    pub(super) process_start: bool,
}

impl Verdict {
    pub(super) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl Filter {
    pub(super) fn new(allowed: Arc<[NamePattern]>, needed: Arc<NeededNames>) -> Self {
        Self { allowed, needed }
    }

    /// Of a name as a page writes it.
    pub(super) fn of(&self, name: &str) -> Verdict {
        let parts = ["", "_total", "_bucket", "_count", "_sum"];
        let created = name.strip_suffix(CREATED).is_some_and(|base| {
            let mut names = parts.iter().map(|part| format!("{base}{part}"));
            names.any(|name| self.keeps(&name))
        });
        Verdict {
            keep: self.keeps(name),
            created,
            process_start: name == PROCESS_START,
        }
    }

    /// Whether a metric is kept.
    pub(super) fn keeps(&self, name: &str) -> bool {
        let stored = metric_name(name);
        let mut allowed = self.allowed.iter();
        self.needed.contains(&stored) || allowed.any(|pattern| pattern.matches(name, &stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Limits, MatchOp, Matcher, Selector, Store};
    use std::time::Duration;

    #[test]
    fn what_is_allowed_or_needed_is_kept() {
        let store = Arc::new(Store::new(Limits::default()));
        let selector = |op, name| Selector {
            matchers: vec![Matcher::new("__name__", op, name).unwrap()],
            back: Duration::from_secs(60),
        };
        let _one = store.register(&[
            selector(MatchOp::Equal, "dapr_needed_total"),
            selector(MatchOp::Regex, "http_(a|b)"),
        ]);
        let allowed = Arc::new(["allowed_*".parse().unwrap()]);
        let filter = Filter::new(allowed, store.needed_names());
        for (name, keep, created) in [
            ("needed_total", true, false),
            ("dapr_needed_total", true, false),
            ("needed_created", false, true),
            ("dapr_needed_created", false, true),
            ("http_a", true, false),
            ("dapr_http_b", true, false),
            ("http_c", false, false),
            ("allowed_x", true, false),
            ("other_created", false, false),
        ] {
            let verdict = filter.of(name);
            assert_eq!((verdict.keep, verdict.created), (keep, created), "{name}");
        }
        assert!(filter.of("process_start_time_seconds").process_start);
    }
}
