//! What a selector asks for, in the spelling in which series are stored.

use super::{Labels, METRIC_NAME, MatchOp, Matcher, name};
use std::borrow::Cow;

/// The matchers of a selector, made fit for the store: names of metrics and
/// labels take the form that [`name`] gives them on arrival.
///
/// An expression about the metric's name is matched against the name with
/// Dapr's prefix and without it.
#[derive(Debug)]
pub(super) struct Wanted(Vec<Matcher>);

impl Wanted {
    pub(super) fn new(matchers: &[Matcher]) -> Self {
        Self(matchers.iter().map(stored).collect())
    }

    /// The metric's name, where the selector gives it.
    pub(super) fn metric(&self) -> Option<&str> {
        self.pairs()
            .find(|(name, _)| *name == METRIC_NAME)
            .map(|(_, value)| value)
    }

    /// The labels that a series must have with just this value.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter(|matcher| matcher.op() == MatchOp::Equal && !matcher.value().is_empty())
            .map(|matcher| (matcher.name(), matcher.value()))
    }

    /// Whether a metric of that name, in stored spelling, may be asked for.
    pub(super) fn may_be(&self, metric: &str) -> bool {
        let about_name = self
            .0
            .iter()
            .filter(|matcher| matcher.name() == METRIC_NAME);
        let mut about_name = about_name.map(|matcher| {
            let (alone, with_dapr) = (matcher.matches(metric), || {
                matcher.matches(&name::with_dapr(metric))
            });
            match matcher.op() {
                MatchOp::Regex => alone || with_dapr(),
                MatchOp::NotRegex => alone && with_dapr(),
                MatchOp::Equal | MatchOp::NotEqual => alone,
            }
        });
        about_name.all(|passes| passes)
    }

    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| {
            if matcher.matches_series(labels) {
                // For "not": neither spelling may be one of the unwanted.
                matcher.op() != MatchOp::NotRegex || with_prefix(matcher, labels)
            } else {
                matcher.op() == MatchOp::Regex && with_prefix(matcher, labels)
            }
        })
    }
}

/// Whether the name with Dapr's prefix passes. Of other labels, what the label
/// itself says.
fn with_prefix(matcher: &Matcher, labels: &Labels) -> bool {
    if matcher.name() != METRIC_NAME {
        return matcher.op() == MatchOp::NotRegex;
    }
    let metric = labels.metric_name().unwrap_or_default();
    matcher.matches(&name::with_dapr(metric))
}

fn stored(matcher: &Matcher) -> Matcher {
    let label = name::asked_label(matcher.name());
    let is_text = matches!(matcher.op(), MatchOp::Equal | MatchOp::NotEqual);
    let value = if is_text && label == METRIC_NAME {
        name::metric_name(matcher.value())
    } else {
        Cow::Borrowed(matcher.value())
    };
    if label == matcher.name() && value == matcher.value() {
        return matcher.clone();
    }
    // It was compiled before, so that it compiles again: only the label's name
    // is another one.
    Matcher::new(&label, matcher.op(), &value).unwrap_or_else(|_| matcher.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(name: &str, op: MatchOp, value: &str, pairs: &[(&str, &str)]) -> bool {
        let matcher = Matcher::new(name, op, value).unwrap();
        let labels = Labels::new(pairs.iter().copied()).unwrap();
        Wanted::new(&[matcher]).matches(&labels)
    }

    #[test]
    fn each_spelling_of_a_name_finds_the_series() {
        let series = [("__name__", "http_server_latency"), ("service_name", "a")];
        for spelling in [
            "http_server_latency",
            "dapr_http_server_latency",
            "http/server/latency",
            "dapr/http/server/latency",
        ] {
            assert!(wants(METRIC_NAME, MatchOp::Equal, spelling, &series));
            assert!(!wants(METRIC_NAME, MatchOp::NotEqual, spelling, &series));
        }
        assert!(wants("service.name", MatchOp::Equal, "a", &series));
        assert!(!wants("service.name", MatchOp::Equal, "A", &series));
    }

    #[test]
    fn expressions_see_the_name_with_and_without_the_prefix() {
        let series = [("__name__", "http_server_latency")];
        for (pattern, matches) in [("dapr_http_.*", true), ("http_.*", true), ("x.*", false)] {
            let is = wants(METRIC_NAME, MatchOp::Regex, pattern, &series);
            let is_not = wants(METRIC_NAME, MatchOp::NotRegex, pattern, &series);
            assert_eq!((is, is_not), (matches, !matches), "{pattern}");
        }
    }

    #[test]
    fn expressions_about_other_labels_mean_what_they_say() {
        let series = [("__name__", "x"), ("pod", "a-1")];
        assert!(wants("pod", MatchOp::Regex, "a-.*", &series));
        assert!(!wants("pod", MatchOp::NotRegex, "a-.*", &series));
        assert!(wants("pod", MatchOp::NotRegex, "b-.*", &series));
        assert!(wants("zone", MatchOp::Equal, "", &series));
    }
}
