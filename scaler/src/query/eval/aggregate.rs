//! `sum`, `avg`, `min`, `max` and `count` over groups of series.

use super::{Aggregation, Grouping, Sample, numbers, sample};
use crate::series::Labels;
use std::collections::HashMap;

/// The labels that a series keeps, and by which it finds others.
pub(super) fn group_of(labels: &Labels, grouping: &Grouping) -> Labels {
    match grouping {
        Grouping::By(names) => labels.only(names),
        Grouping::Without(names) => labels.without(names),
    }
}

/// One sample for each group. No series give no group, so no sample: nothing
/// is not zero.
pub(super) fn groups(
    function: Aggregation,
    grouping: &Grouping,
    samples: &[Sample],
) -> Vec<Sample> {
    let mut groups: HashMap<Labels, Vec<f64>> = HashMap::new();
    for sample in samples {
        let group = group_of(&sample.labels, grouping);
        groups.entry(group).or_default().push(sample.value);
    }
    let aggregated = groups.into_iter().map(|(labels, values)| {
        let values = values.into_iter();
        let value = match function {
            Aggregation::Sum => numbers::sum(values),
            Aggregation::Avg => numbers::mean(values),
            Aggregation::Min => numbers::min(values),
            Aggregation::Max => numbers::max(values),
            Aggregation::Count => values.len() as f64,
        };
        sample(labels, value)
    });
    aggregated.collect()
}
