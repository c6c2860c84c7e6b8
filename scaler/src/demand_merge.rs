//! Several sources of demand in one trigger: one number, in replicas.
//!
//! Pure. Each source gives a value and what one replica is good for; the
//! merged metric is `demand` with target 1.

use std::str::FromStr;
use thiserror::Error;

/// How the sources of a trigger become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merge {
    /// As many replicas as the source that wants most.
    #[default]
    Max,
    /// As many as all of them want together.
    Sum,
}

/// A word for `merge` that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`merge`: {}", self.said())]
pub struct UnknownMerge(String);

impl UnknownMerge {
    /// What is wrong with the word.
    #[must_use]
    pub fn said(&self) -> String {
        let word: String = self.0.chars().take(64).collect();
        format!("{word:?} is neither max nor sum")
    }
}

impl FromStr for Merge {
    type Err = UnknownMerge;

    fn from_str(word: &str) -> Result<Self, UnknownMerge> {
        match word {
            "max" => Ok(Self::Max),
            "sum" => Ok(Self::Sum),
            other => Err(UnknownMerge(other.to_owned())),
        }
    }
}

/// What one source wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// How much there is; finite.
    pub value: f64,
    /// How much of it one replica is good for; above zero.
    pub target: f64,
    /// Whether it counts as activity.
    pub active: bool,
}

/// What the sources want together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// In replicas, not rounded.
    pub replicas: f64,
    /// Whether one of the sources is active.
    pub active: bool,
}

impl Merge {
    /// Merges them. A source below zero wants nothing: it takes nothing away
    /// from the others. Without sources there is no demand.
    #[must_use]
    pub fn of(self, parts: &[Part]) -> Demand {
        let wants = parts.iter().map(|part| (part.value / part.target).max(0.0));
        Demand {
            replicas: match self {
                Self::Max => wants.fold(0.0, f64::max),
                Self::Sum => wants.sum(),
            },
            active: parts.iter().any(|part| part.active),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(value: f64, target: f64, active: bool) -> Part {
        Part {
            value,
            target,
            active,
        }
    }

    #[test]
    fn replicas_are_merged_not_values() {
        // 30 requests at 10 each and 8 messages at 2 each: 3 and 4 replicas.
        let parts = [part(30.0, 10.0, true), part(8.0, 2.0, false)];
        let merged = |merge: Merge| merge.of(&parts);
        assert_eq!(
            (merged(Merge::Max).replicas, merged(Merge::Sum).replicas),
            (4.0, 7.0)
        );
        assert!(merged(Merge::Max).active);
    }

    #[test]
    fn a_negative_source_takes_nothing_away() {
        let parts = [part(-5.0, 1.0, false), part(2.0, 1.0, false)];
        assert_eq!(Merge::Sum.of(&parts).replicas, 2.0);
        assert_eq!(
            Merge::Max.of(&parts[..1]),
            Demand {
                replicas: 0.0,
                active: false
            }
        );
        assert_eq!(
            Merge::Max.of(&[]),
            Demand {
                replicas: 0.0,
                active: false
            }
        );
    }

    #[test]
    fn the_words_are_max_and_sum() {
        assert_eq!(
            ("max".parse(), "sum".parse()),
            (Ok(Merge::Max), Ok(Merge::Sum))
        );
        let error = "min".parse::<Merge>().unwrap_err();
        assert_eq!(error.to_string(), "`merge`: \"min\" is neither max nor sum");
    }
}
