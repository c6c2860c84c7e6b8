//! Queries: a documented part of PromQL, and the OTel scaler's looser form,
//! evaluated at one instant against a [`Select`](crate::series::Select).
//!
//! Triggers and the admin interface parse a text once and evaluate it often.
//! Nothing here stores, waits or knows where points come from.
//!
//! ```text
//! text ─ scan ─► tokens ─ subset ─► refused, with its place
//!                   └ promql-parser ─► tree ─ compile ─► expr ─ eval ─► answer
//! text ─ simple ───────────────────────────────────────► expr
//! ```

mod answer;
mod compile;
mod error;
mod eval;
mod expr;
mod grammar;
#[cfg(test)]
mod memory;
mod scan;
mod simple;
mod subset;

pub use answer::{Answer, Sample, SeveralSeries, Value};
pub use error::{EvalError, QueryError};
pub use expr::Selector;
pub use simple::{Operation, UnknownOperation};

use crate::series::{Matcher, Select};
use expr::Expr;
use std::time::Duration;

/// How far back an instant selector looks for a point, as Prometheus does.
pub const LOOKBACK: Duration = Duration::from_secs(300);

/// How a text was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As PromQL.
    Promql,
    /// As the OTel scaler's form: an operation over time for each series, then
    /// an aggregation over all of them.
    Simple,
}

impl Reading {
    /// As the interfaces spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promql => "promql",
            Self::Simple => "simple",
        }
    }
}

/// A query that was understood, ready to be evaluated.
#[derive(Clone, Debug)]
pub struct Query {
    expr: Expr,
    reading: Reading,
}

impl Query {
    /// Reads PromQL.
    ///
    /// # Errors
    ///
    /// When it is none, or uses what is not supported; the error names the
    /// construct and its place.
    pub fn promql(text: &str) -> Result<Self, QueryError> {
        Ok(Self {
            expr: compile::compile(text)?,
            reading: Reading::Promql,
        })
    }

    /// Reads what a trigger may say: the OTel scaler's form where the whole
    /// text has it, with `operation` (by default the last point) over
    /// `window`; otherwise PromQL, which takes no operation.
    ///
    /// # Errors
    ///
    /// When it is neither, or an operation is given for PromQL.
    pub fn trigger(
        text: &str,
        operation: Option<Operation>,
        window: Duration,
    ) -> Result<Self, QueryError> {
        if let Some(expr) = simple::read(text, operation.unwrap_or_default(), window)? {
            return Ok(Self {
                expr,
                reading: Reading::Simple,
            });
        }
        let query = Self::promql(text)?;
        match operation {
            None => Ok(query),
            Some(operation) => Err(QueryError::at(
                text,
                0,
                format!(
                    "operationOverTime {operation} goes with a metric's name and labels only; \
                     this is a full PromQL expression: use rate(…[1m]) and its like in it"
                ),
            )),
        }
    }

    /// Reads a selector alone, as the `match[]` of Prometheus' interfaces: what
    /// the labels must be.
    ///
    /// # Errors
    ///
    /// When it is none, or has more to it.
    pub fn selector(text: &str) -> Result<Vec<Matcher>, QueryError> {
        match compile::compile(text)? {
            Expr::Select(selector) if selector.offset_ms == 0 => Ok(selector.matchers),
            _ => {
                let message = "a selector alone is expected, such as name{label=\"value\"}";
                Err(QueryError::at(text, 0, message))
            }
        }
    }

    /// How the text was understood.
    pub fn reading(&self) -> Reading {
        self.reading
    }

    /// All that it reads.
    pub fn selectors(&self) -> Vec<&Selector> {
        let mut found = Vec::new();
        self.expr.selectors(&mut found);
        found
    }

    /// How far before the time of evaluation it reads.
    pub fn reach(&self) -> Duration {
        let reaches = self.selectors().into_iter().map(Selector::reach);
        reaches.max().unwrap_or_default()
    }

    /// Evaluates at `now_ms` (milliseconds since the Unix epoch).
    ///
    /// # Errors
    ///
    /// When series that the query must tell apart have equal labels.
    pub fn answer(&self, from: &dyn Select, now_ms: i64) -> Result<Answer, EvalError> {
        eval::answer(&self.expr, from, now_ms)
    }
}
