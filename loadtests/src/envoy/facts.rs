//! Figures that are one number each, as Markdown and JSON, judged against
//! goals.

use serde::Serialize;
use std::fmt;

/// One number.
#[derive(Serialize)]
struct Fact {
    what: String,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Goal>,
}

/// What it must be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Goal {
    Below(f64),
    Exactly(f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::Below(limit) => value < limit,
            Self::Exactly(wanted) => (value - wanted).abs() < f64::EPSILON,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Below(limit) => write!(f, "< {limit}"),
            Self::Exactly(wanted) => write!(f, "{wanted}"),
        }
    }
}

/// Numbers under a title.
#[derive(Serialize)]
pub(super) struct Facts {
    title: String,
    facts: Vec<Fact>,
}

impl Facts {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            facts: Vec::new(),
        }
    }

    /// A number that is not judged.
    pub(super) fn add(&mut self, what: impl Into<String>, value: f64) {
        self.push(what.into(), value, None);
    }

    /// One that is.
    pub(super) fn judge(&mut self, what: impl Into<String>, value: f64, goal: Goal) {
        self.push(what.into(), value, Some(goal));
    }

    fn push(&mut self, what: String, value: f64, goal: Option<Goal>) {
        self.facts.push(Fact { what, value, goal });
    }

    pub(super) fn all_met(&self) -> bool {
        let mut facts = self.facts.iter();
        facts.all(|fact| fact.goal.is_none_or(|goal| goal.is_met(fact.value)))
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        writeln!(f, "| | | target |")?;
        writeln!(f, "|---|---|---|")?;
        for Fact { what, value, goal } in &self.facts {
            write!(f, "| {what} | {value:.2} | ")?;
            if let Some(goal) = goal {
                let verdict = if goal.is_met(*value) { "PASS" } else { "MISS" };
                write!(f, "{goal}: {verdict} ")?;
            }
            writeln!(f, "|")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, Goal};

    #[test]
    fn judges_and_prints() {
        let mut facts = Facts::new("all");
        facts.add("plain", 1.0);
        facts.judge("fast", 2.0, Goal::Below(3.0));
        assert!(facts.all_met());
        facts.judge("one", 2.0, Goal::Exactly(1.0));
        assert!(!facts.all_met());
        let text = facts.to_string();
        for line in [
            "| plain | 1.00 | |",
            "| fast | 2.00 | < 3: PASS |",
            "| one | 2.00 | 1: MISS |",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
