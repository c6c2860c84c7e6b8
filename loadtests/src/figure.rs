//! Figures of a run that can be compared with those of another run.
//!
//! `report` writes them; `compare A.json B.json` reads them back. Each has
//! several values, of rounds or of slices of the run, so that a difference can
//! be told from noise.

use crate::stats::Spread;
use serde::{Deserialize, Serialize};

/// Slices of a run's samples.
const SLICES: usize = 5;

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    /// Less is.
    Lower,
    /// More is.
    Higher,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// What was measured, the same in every run.
    pub(crate) name: String,
    /// Of the values.
    pub(crate) unit: String,
    /// Which way is good.
    pub(crate) better: Better,
    /// Of each round, or of each slice of the run, in their order.
    pub(crate) values: Vec<f64>,
}

impl Figure {
    /// A figure of which less is better.
    pub(crate) fn lower(name: impl Into<String>, unit: &str, values: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            unit: unit.to_owned(),
            better: Better::Lower,
            values,
        }
    }

    /// A figure of which more is better.
    pub(crate) fn higher(name: impl Into<String>, unit: &str, values: Vec<f64>) -> Self {
        Self {
            better: Better::Higher,
            ..Self::lower(name, unit, values)
        }
    }

    /// `None` without values.
    pub(crate) fn spread(&self) -> Option<Spread> {
        Spread::of(self.values.iter().copied())
    }
}

/// A percentile of each of five slices of the samples, in the order in which
/// they were taken; of all of them where they are too few.
pub(crate) fn slices(samples: &[f64], of: impl Fn(&[f64]) -> Option<f64>) -> Vec<f64> {
    let size = samples.len().div_ceil(SLICES).max(4);
    samples.chunks(size).filter_map(of).collect()
}

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The bands of both runs touch.
    Noise,
    /// One of them has no band, or there is nothing to compare.
    Unknown,
    Better,
    Worse,
}

impl Verdict {
    /// Of a figure before and after. Bands are from the least to the greatest
    /// value: they overlap, or all values of one run are beyond all of the other.
    pub(crate) fn of(better: Better, before: &[f64], after: &[f64]) -> Self {
        let bands = (
            Spread::of(before.iter().copied()),
            Spread::of(after.iter().copied()),
        );
        let (Some(old), Some(new)) = bands else {
            return Self::Unknown;
        };
        if before.len() < 2 || after.len() < 2 {
            return Self::Unknown;
        }
        let fell = new.max < old.min;
        let rose = new.min > old.max;
        match (better, fell, rose) {
            (Better::Lower, true, _) | (Better::Higher, _, true) => Self::Better,
            (Better::Lower, _, true) | (Better::Higher, true, _) => Self::Worse,
            _ => Self::Noise,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Noise => "within noise",
            Self::Unknown => "no band",
            Self::Better => "better",
            Self::Worse => "WORSE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Better, Verdict, slices};

    #[test]
    fn only_bands_apart_are_a_difference() {
        let verdict = |better, before: &[f64], after: &[f64]| Verdict::of(better, before, after);
        let lower = Better::Lower;
        assert_eq!(verdict(lower, &[2.0, 3.0], &[2.9, 9.0]), Verdict::Noise);
        assert_eq!(verdict(lower, &[2.0, 3.0], &[3.1, 9.0]), Verdict::Worse);
        assert_eq!(verdict(lower, &[2.0, 3.0], &[1.0, 1.9]), Verdict::Better);
        let higher = Better::Higher;
        assert_eq!(verdict(higher, &[2.0, 3.0], &[3.1, 9.0]), Verdict::Better);
        assert_eq!(verdict(higher, &[2.0, 3.0], &[1.0, 1.9]), Verdict::Worse);
        assert_eq!(verdict(lower, &[2.0], &[9.0, 9.5]), Verdict::Unknown);
        assert_eq!(verdict(lower, &[], &[9.0, 9.5]), Verdict::Unknown);
    }

    #[test]
    fn samples_are_cut_into_five() {
        let samples: Vec<f64> = (0..50).map(f64::from).collect();
        let firsts = slices(&samples, |slice| slice.first().copied());
        assert_eq!(firsts, [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(
            slices(&samples[..5], |slice| slice.last().copied()),
            [3.0, 4.0]
        );
        assert!(slices(&[], |slice| slice.first().copied()).is_empty());
    }
}
