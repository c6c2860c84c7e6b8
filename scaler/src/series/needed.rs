//! The names of metrics that registered queries need: for whoever fetches, so
//! that nothing else is read.

use super::{Store, wanted::Wanted};
use std::{collections::HashSet, sync::Arc};

/// A set of names, as it was at one moment.
#[derive(Debug, Default)]
pub struct NeededNames {
    pub(super) version: u64,
    pub(super) named: HashSet<String>,
    /// Selectors that do not give the name.
    pub(super) unnamed: Vec<Arc<Wanted>>,
}

impl NeededNames {
    /// Whether some query may need a metric of that name, in stored spelling
    /// ([`super::metric_name`]).
    #[must_use]
    pub fn contains(&self, metric: &str) -> bool {
        let mut unnamed = self.unnamed.iter();
        self.named.contains(metric) || unnamed.any(|wanted| wanted.may_be(metric))
    }
}

impl Store {
    /// The names that registered queries need now. Cheap while they stay the
    /// same: then it is the same set.
    #[must_use]
    pub fn needed_names(&self) -> Arc<NeededNames> {
        let inner = self.inner.read();
        let mut last = self.needed_names.lock();
        if last.version != inner.needs.version() {
            *last = Arc::new(inner.needs.names());
        }
        last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Limits, MatchOp, Matcher, Selector};
    use std::time::Duration;

    fn selector(op: MatchOp, label: &str, value: &str) -> Selector {
        Selector {
            matchers: vec![Matcher::new(label, op, value).unwrap()],
            back: Duration::from_secs(60),
        }
    }

    #[test]
    fn names_come_and_go_with_queries() {
        let store = Arc::new(Store::new(Limits::default()));
        let none = store.needed_names();
        assert!(!none.contains("a"));
        let one = store.register(&[selector(MatchOp::Equal, "__name__", "dapr_a")]);
        let names = store.needed_names();
        assert!(names.contains("a") && !names.contains("b"));
        assert!(Arc::ptr_eq(&names, &store.needed_names()));
        drop(one);
        assert!(!store.needed_names().contains("a"));
    }

    #[test]
    fn selectors_without_a_name_need_what_they_may_match() {
        let store = Arc::new(Store::new(Limits::default()));
        let one = store.register(&[selector(MatchOp::Regex, "__name__", "dapr_(a|b)_.*")]);
        let names = store.needed_names();
        assert!(names.contains("a_x") && names.contains("dapr_b_x") && !names.contains("c_x"));
        drop(one);
        let _other = store.register(&[selector(MatchOp::NotEqual, "__name__", "a")]);
        let names = store.needed_names();
        assert!(names.contains("b") && !names.contains("a"));
        let _all = store.register(&[selector(MatchOp::Equal, "app", "x")]);
        assert!(store.needed_names().contains("a"));
    }
}
