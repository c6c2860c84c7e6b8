//! Tables of percentiles, as Markdown and JSON, judged against goals.

use crate::stats::Percentiles;
use serde::Serialize;
use std::fmt;

/// A percentile must stay below a limit, in the row's unit.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Goal {
    percentile: &'static str,
    below: f64,
    of: Of,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Of {
    P50,
    P99,
    Max,
}

impl Goal {
    pub(crate) fn p50(below: f64) -> Self {
        let (percentile, of) = ("p50", Of::P50);
        Self {
            percentile,
            below,
            of,
        }
    }

    pub(crate) fn p99(below: f64) -> Self {
        let (percentile, of) = ("p99", Of::P99);
        Self {
            percentile,
            below,
            of,
        }
    }

    pub(crate) fn max(below: f64) -> Self {
        let (percentile, of) = ("max", Of::Max);
        Self {
            percentile,
            below,
            of,
        }
    }

    fn is_met(&self, measured: &Percentiles) -> bool {
        let value = match self.of {
            Of::P50 => measured.p50,
            Of::P99 => measured.p99,
            Of::Max => measured.max,
        };
        value < self.below
    }
}

/// One measured quantity.
#[derive(Serialize)]
pub(crate) struct Row {
    what: &'static str,
    /// `None` when nothing was measured.
    measured: Option<Percentiles>,
    goals: Vec<Judged>,
}

#[derive(Serialize)]
struct Judged {
    #[serde(flatten)]
    goal: Goal,
    met: bool,
}

impl Row {
    pub(crate) fn new(
        what: &'static str,
        values: impl IntoIterator<Item = f64>,
        goals: &[Goal],
    ) -> Self {
        let measured = Percentiles::of(values);
        let judge = |goal: &Goal| Judged {
            goal: *goal,
            met: measured.is_some_and(|measured| goal.is_met(&measured)),
        };
        let goals = goals.iter().map(judge).collect();
        Self {
            what,
            measured,
            goals,
        }
    }
}

/// Rows under a title that names the unit.
#[derive(Serialize)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(title: String, rows: impl Into<Vec<Row>>) -> Self {
        let rows = rows.into();
        Self { title, rows }
    }

    pub(crate) fn all_met(&self) -> bool {
        let mut goals = self.rows.iter().flat_map(|row| &row.goals);
        goals.all(|judged| judged.met)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        writeln!(f, "| | p50 | p90 | p99 | max | target |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for row in &self.rows {
            write!(f, "| {} | ", row.what)?;
            match &row.measured {
                None => write!(f, "– | – | – | –")?,
                Some(measured) => {
                    let Percentiles {
                        p50, p90, p99, max, ..
                    } = measured;
                    write!(f, "{p50:.2} | {p90:.2} | {p99:.2} | {max:.2}")?;
                }
            }
            write!(f, " | ")?;
            for (n, Judged { goal, met }) in row.goals.iter().enumerate() {
                let comma = if n == 0 { "" } else { ", " };
                let verdict = if *met { "PASS" } else { "MISS" };
                write!(f, "{comma}{} < {}: {verdict}", goal.percentile, goal.below)?;
            }
            writeln!(f, " |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Goal, Row, Table};

    #[test]
    fn judges_and_prints() {
        let goals = [Goal::p50(2.0), Goal::p99(2.5)];
        let table = Table::new("ms".to_owned(), [Row::new("wait", [1.0, 3.0, 1.5], &goals)]);
        assert!(!table.all_met());
        let text = table.to_string();
        let expected = "| wait | 1.50 | 3.00 | 3.00 | 3.00 | p50 < 2: PASS, p99 < 2.5: MISS |";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn nothing_measured_is_a_miss() {
        let table = Table::new("ms".to_owned(), [Row::new("wait", [], &[Goal::p99(1.0)])]);
        assert!(!table.all_met());
        assert!(
            table
                .to_string()
                .contains("| – | – | – | – | p99 < 1: MISS |")
        );
    }
}
