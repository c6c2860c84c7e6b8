//! Operators between two expressions, and how series of both sides find each
//! other.

use super::{EvalError, Sample, aggregate::group_of, sample, unique};
use crate::{
    query::expr::{Cardinality, Grouping, Matching, Op},
    series::Labels,
};
use std::collections::{HashMap, HashSet};

/// Two numbers: the result, or 0 or 1 for a comparison.
pub(super) fn scalars(op: Op, left: f64, right: f64) -> f64 {
    match compared(op, left, right) {
        Some(holds) => f64::from(u8::from(holds)),
        None => calculated(op, left, right),
    }
}

/// Whether a comparison holds; `None` for what is no comparison.
fn compared(op: Op, left: f64, right: f64) -> Option<bool> {
    Some(match op {
        Op::Eq => left == right,
        Op::Ne => left != right,
        Op::Gt => left > right,
        Op::Lt => left < right,
        Op::Ge => left >= right,
        Op::Le => left <= right,
        _ => return None,
    })
}

fn calculated(op: Op, left: f64, right: f64) -> f64 {
    match op {
        Op::Add => left + right,
        Op::Sub => left - right,
        Op::Mul => left * right,
        Op::Div => left / right,
        // The sign of the left side, as C's `fmod`.
        Op::Mod => left % right,
        Op::Pow => left.powf(right),
        // Comparisons and sets do not come here.
        _ => f64::NAN,
    }
}

/// A vector and a number; `sides` puts them in the order of the text. A
/// comparison keeps or drops each series, unless it is to give 0 or 1.
pub(super) fn with_scalar(
    op: Op,
    as_bool: bool,
    samples: Vec<Sample>,
    sides: impl Fn(f64) -> (f64, f64),
) -> Result<Vec<Sample>, EvalError> {
    if op.compares() && !as_bool {
        let mut kept = samples;
        kept.retain(|sample| {
            let (left, right) = sides(sample.value);
            compared(op, left, right) == Some(true)
        });
        return Ok(kept);
    }
    let changed = samples.into_iter().map(|old| {
        let (left, right) = sides(old.value);
        sample(old.labels.without_name(), scalars(op, left, right))
    });
    unique(changed.collect())
}

/// `and`, `or`, `unless`.
pub(super) fn sets(
    op: Op,
    matching: &Matching,
    left: Vec<Sample>,
    right: Vec<Sample>,
) -> Vec<Sample> {
    let groups = |samples: &[Sample]| -> HashSet<Labels> {
        let group = |sample: &Sample| group_of(&sample.labels, &matching.labels);
        samples.iter().map(group).collect()
    };
    let keep = |mut samples: Vec<Sample>, others: &HashSet<Labels>, present: bool| {
        samples.retain(|sample| {
            others.contains(&group_of(&sample.labels, &matching.labels)) == present
        });
        samples
    };
    match op {
        Op::And => keep(left, &groups(&right), true),
        Op::Unless => keep(left, &groups(&right), false),
        _ => {
            let mut all = left;
            let added = keep(right, &groups(&all), false);
            all.extend(added);
            all
        }
    }
}

/// Two vectors, for all operators but sets.
pub(super) fn vectors(
    op: Op,
    as_bool: bool,
    matching: &Matching,
    left: &[Sample],
    right: &[Sample],
) -> Result<Vec<Sample>, EvalError> {
    let swapped = matches!(matching.cardinality, Cardinality::OneToMany(_));
    let (many, one) = if swapped {
        (right, left)
    } else {
        (left, right)
    };
    let several = |side, group: &Labels| EvalError::SeveralMatches {
        side,
        op: op.sign(),
        group: group.clone(),
    };

    let mut ones: HashMap<Labels, &Sample> = HashMap::with_capacity(one.len());
    for sample in one {
        let group = group_of(&sample.labels, &matching.labels);
        if ones.insert(group, sample).is_some() {
            let group = group_of(&sample.labels, &matching.labels);
            return Err(several(if swapped { "left" } else { "right" }, &group));
        }
    }

    let mut results = Vec::new();
    let mut matched: HashSet<Labels> = HashSet::new();
    let mut given: HashSet<Labels> = HashSet::new();
    for other in many {
        let group = group_of(&other.labels, &matching.labels);
        let Some(&single) = ones.get(&group) else {
            continue;
        };
        let (l, r) = if swapped {
            (single.value, other.value)
        } else {
            (other.value, single.value)
        };
        let value = match compared(op, l, r) {
            None => calculated(op, l, r),
            Some(holds) if as_bool => f64::from(u8::from(holds)),
            Some(true) => l,
            // Looked at only after the match, as Prometheus does: what is
            // filtered out cannot be one too many.
            Some(false) => continue,
        };
        let labels = result_labels(op, as_bool, matching, other, single);
        if matching.cardinality == Cardinality::OneToOne && !matched.insert(group.clone()) {
            return Err(several("left", &group));
        }
        if !given.insert(labels.clone()) {
            return Err(EvalError::SameResult {
                op: op.sign(),
                labels,
            });
        }
        results.push(sample(labels, value));
    }
    Ok(results)
}

/// The labels of a result, from the side that may have many.
fn result_labels(
    op: Op,
    as_bool: bool,
    matching: &Matching,
    many: &Sample,
    one: &Sample,
) -> Labels {
    let labels = if op.compares() && !as_bool {
        many.labels.clone()
    } else {
        many.labels.without_name()
    };
    let taken = match &matching.cardinality {
        Cardinality::OneToOne => {
            return match &matching.labels {
                Grouping::By(names) => labels.only(names),
                Grouping::Without(names) => {
                    // `without` drops the name, which a filter keeps.
                    let kept: Vec<_> = labels
                        .iter()
                        .filter(|(name, _)| !names.iter().any(|other| other == name))
                        .collect();
                    Labels::new(kept).unwrap_or(labels.clone())
                }
            };
        }
        Cardinality::ManyToOne(taken) | Cardinality::OneToMany(taken) => taken,
    };
    let own = labels
        .iter()
        .filter(|(name, _)| !taken.iter().any(|other| other == name));
    let others = taken.iter().filter_map(|name| {
        let value = one.labels.get(name)?;
        Some((name.as_str(), value))
    });
    // Taken labels are distinct since compiling, and none is among its own.
    Labels::new(own.chain(others)).unwrap_or_else(|_| labels.clone())
}
