//! From what a sender calls a series to its labels: normal form, within limits.
//!
//! Every receiver builds labels with this, so that all have the same rules.

use super::{DropReason, Labels, Limits, METRIC_NAME, name};
use std::borrow::Cow;

/// Collects the labels of one or several series that differ in a label.
#[derive(Debug)]
pub struct LabelBuilder<'a> {
    limits: Limits,
    metric: Cow<'a, str>,
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> LabelBuilder<'a> {
    /// Labels of this metric.
    ///
    /// # Errors
    /// The name is empty or too long.
    pub fn new(limits: &Limits, metric: &'a str) -> Result<Self, DropReason> {
        let mut builder = Self {
            limits: *limits,
            metric: Cow::Borrowed(""),
            pairs: Vec::new(),
        };
        builder.check_name(metric)?;
        builder.metric = name::metric_name(metric);
        Ok(builder)
    }

    /// One more label. An empty value is an absent label.
    ///
    /// # Errors
    /// The name is empty; name or value is too long; there are too many; or
    /// there is one of this name (in normal form) with another value.
    pub fn label(
        &mut self,
        label: impl Into<Cow<'a, str>>,
        value: impl Into<Cow<'a, str>>,
    ) -> Result<(), DropReason> {
        let label = label.into();
        self.check_name(&label)?;
        let value = value.into();
        if value.len() > self.limits.value_bytes {
            return Err(DropReason::ValueTooLong);
        }
        if value.is_empty() {
            return Ok(());
        }
        let label = match label {
            Cow::Borrowed(label) => name::label_name(label),
            Cow::Owned(label) => Cow::Owned(name::label_name(&label).into_owned()),
        };
        if self.has(&label) {
            return Err(DropReason::DuplicateLabel);
        }
        // The metric's name is one more.
        if self.pairs.len() + 1 >= self.limits.labels {
            return Err(DropReason::TooManyLabels);
        }
        self.pairs.push((label, value));
        Ok(())
    }

    /// Whether there is a label of this name in normal form.
    #[must_use]
    pub fn has(&self, label: &str) -> bool {
        self.pairs.iter().any(|(held, _)| held == label)
    }

    /// The labels.
    ///
    /// # Errors
    /// None that adding did not have.
    pub fn build(&self) -> Result<Labels, DropReason> {
        self.variant("", None)
    }

    /// The labels with something added to the metric's name, and one more
    /// label: a part of a histogram or summary.
    ///
    /// # Errors
    /// A sender's label has the name of that label.
    pub fn variant(&self, suffix: &str, label: Option<(&str, &str)>) -> Result<Labels, DropReason> {
        let metric = if suffix.is_empty() {
            Cow::Borrowed(&*self.metric)
        } else {
            Cow::Owned(format!("{}{suffix}", self.metric))
        };
        let pairs = self.pairs.iter().map(|(name, value)| (&**name, &**value));
        let pairs = pairs.chain([(METRIC_NAME, &*metric)]).chain(label);
        Labels::new(pairs).map_err(|_| DropReason::DuplicateLabel)
    }

    fn check_name(&self, name: &str) -> Result<(), DropReason> {
        if name.is_empty() {
            Err(DropReason::NoName)
        } else if name.len() > self.limits.name_bytes {
            Err(DropReason::NameTooLong)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            labels: 4,
            name_bytes: 10,
            value_bytes: 5,
            ..Limits::default()
        }
    }

    #[test]
    fn labels_come_out_in_normal_form() {
        let mut builder = LabelBuilder::new(&limits(), "a.b/c").unwrap();
        builder.label("x.y", "1").unwrap();
        builder.label("empty", "").unwrap();
        assert_eq!(builder.build().unwrap().to_string(), r#"a_b_c{x_y="1"}"#);
        let bucket = builder.variant("_bucket", Some(("le", "+Inf"))).unwrap();
        assert_eq!(bucket.to_string(), r#"a_b_c_bucket{le="+Inf", x_y="1"}"#);
    }

    #[test]
    fn what_is_too_much_is_refused_by_name() {
        let new = |name| LabelBuilder::new(&limits(), name).map(|_| ());
        assert_eq!(new(""), Err(DropReason::NoName));
        assert_eq!(new(&"n".repeat(11)), Err(DropReason::NameTooLong));
        let limits = limits();
        let mut builder = LabelBuilder::new(&limits, "m").unwrap();
        let long = "n".repeat(1 << 20);
        assert_eq!(builder.label("", "v"), Err(DropReason::NoName));
        assert_eq!(builder.label(&*long, "v"), Err(DropReason::NameTooLong));
        assert_eq!(builder.label("n", &*long), Err(DropReason::ValueTooLong));
        builder.label("a.b", "1").unwrap();
        assert_eq!(builder.label("a/b", "1"), Err(DropReason::DuplicateLabel));
        builder.label("c", "1").unwrap();
        builder.label("d", "1").unwrap();
        assert_eq!(builder.label("e", "1"), Err(DropReason::TooManyLabels));
        let taken = builder.variant("_bucket", Some(("c", "+Inf")));
        assert_eq!(taken, Err(DropReason::DuplicateLabel));
    }

    #[test]
    fn no_sender_sets_the_metrics_name() {
        let mut builder = LabelBuilder::new(&limits(), "m").unwrap();
        builder.label("__name__", "evil").unwrap();
        let labels = builder.build().unwrap();
        assert_eq!(labels.metric_name(), Some("m"));
        assert_eq!(labels.get("key__name__"), Some("evil"));
    }
}
