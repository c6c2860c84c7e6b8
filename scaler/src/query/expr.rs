//! What a query means: the checked form that is evaluated.
//!
//! Only [`compile`](super::compile) and [`simple`](super::simple) make one.
//! Every value of these types can be evaluated; there is nothing left to
//! refuse.

use crate::series::{Labels, MatchOp, Matcher};
use std::time::Duration;

/// Series, and which of their points.
#[derive(Clone, Debug)]
pub struct Selector {
    pub(super) matchers: Vec<Matcher>,
    /// Length of the range, or the lookback of an instant selector.
    pub(super) range_ms: i64,
    /// Positive: into the past.
    pub(super) offset_ms: i64,
}

impl Selector {
    /// What the labels must be. All must match.
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    /// How far before the time of evaluation it reads.
    pub fn reach(&self) -> Duration {
        let back = self.range_ms.saturating_add(self.offset_ms).max(0);
        Duration::from_millis(back.unsigned_abs())
    }

    /// The times `(from, to]` that it reads when evaluated at `now_ms`.
    pub(super) fn window(&self, now_ms: i64) -> (i64, i64) {
        let to = now_ms.saturating_sub(self.offset_ms);
        (to.saturating_sub(self.range_ms), to)
    }

    /// What `absent` says of it: the labels that are given by `=`, once.
    pub(super) fn known_labels(&self) -> Labels {
        let named = |name: &str| self.matchers.iter().filter(|m| m.name() == name).count();
        let known = self.matchers.iter().filter(|matcher| {
            matcher.op() == MatchOp::Equal
                && matcher.name() != crate::series::METRIC_NAME
                && named(matcher.name()) == 1
        });
        Labels::new(known.map(|matcher| (matcher.name(), matcher.value())))
            .unwrap_or_else(|_| Labels::empty())
    }
}

/// A function of the points of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OverTime {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Avg,
    Min,
    Max,
    Sum,
    Count,
    Last,
    Present,
    Stddev,
    Stdvar,
    Quantile,
    /// The OTel scaler's `last_one`: nothing where the series has ended.
    SimpleLast,
    /// The OTel scaler's `rate`: not extrapolated, zero for a single point.
    SimpleRate,
}

impl OverTime {
    pub(super) fn keeps_name(self) -> bool {
        matches!(self, Self::Last | Self::SimpleLast)
    }
}

/// A function of many series at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aggregation {
    Sum,
    Avg,
    Min,
    Max,
    Count,
}

impl Aggregation {
    pub(super) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "count" => Self::Count,
            _ => return None,
        })
    }
}

/// Which labels tell groups apart.
#[derive(Clone, Debug)]
pub(super) enum Grouping {
    By(Vec<String>),
    Without(Vec<String>),
}

/// An operator between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    And,
    Or,
    Unless,
}

impl Op {
    pub(super) fn named(sign: &str) -> Option<Self> {
        Some(match sign {
            "+" => Self::Add,
            "-" => Self::Sub,
            "*" => Self::Mul,
            "/" => Self::Div,
            "%" => Self::Mod,
            "^" => Self::Pow,
            "==" => Self::Eq,
            "!=" => Self::Ne,
            ">" => Self::Gt,
            "<" => Self::Lt,
            ">=" => Self::Ge,
            "<=" => Self::Le,
            "and" => Self::And,
            "or" => Self::Or,
            "unless" => Self::Unless,
            _ => return None,
        })
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Gt => ">",
            Self::Lt => "<",
            Self::Ge => ">=",
            Self::Le => "<=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    pub(super) fn compares(self) -> bool {
        use Op::{Eq, Ge, Gt, Le, Lt, Ne};
        matches!(self, Eq | Ne | Gt | Lt | Ge | Le)
    }

    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// Which side may have several series to one of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cardinality {
    OneToOne,
    /// `group_left`, with the labels taken from the right.
    ManyToOne(Vec<String>),
    /// `group_right`, with the labels taken from the left.
    OneToMany(Vec<String>),
}

/// How series of two sides find each other.
#[derive(Clone, Debug)]
pub(super) struct Matching {
    /// `on`, or all labels but these (`ignoring`).
    pub(super) labels: Grouping,
    pub(super) cardinality: Cardinality,
}

/// A function of each value by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Each {
    Abs,
    Ceil,
    Floor,
    Negate,
}

/// An expression. Whether it is a scalar or a vector is known from its form:
/// see [`Expr::is_scalar`].
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Number(f64),
    /// Seconds since the Unix epoch.
    Time,
    Select(Selector),
    OverTime {
        function: OverTime,
        /// Of `quantile_over_time`; a scalar.
        param: Option<Box<Expr>>,
        of: Selector,
    },
    Aggregate {
        function: Aggregation,
        grouping: Grouping,
        of: Box<Expr>,
    },
    Each(Each, Box<Expr>),
    /// A vector and two scalars.
    Clamp {
        of: Box<Expr>,
        min: Box<Expr>,
        max: Box<Expr>,
    },
    Binary {
        op: Op,
        /// `bool`: 0 or 1 in place of a filter.
        as_bool: bool,
        matching: Matching,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// A scalar and a vector of buckets.
    HistogramQuantile(Box<Expr>, Box<Expr>),
    Absent(Box<Expr>, Labels),
    ToVector(Box<Expr>),
    ToScalar(Box<Expr>),
}

impl Expr {
    /// Whether it gives one number rather than a vector.
    pub(super) fn is_scalar(&self) -> bool {
        match self {
            Self::Number(_) | Self::Time | Self::ToScalar(_) => true,
            Self::Each(_, of) => of.is_scalar(),
            Self::Binary { left, right, .. } => left.is_scalar() && right.is_scalar(),
            _ => false,
        }
    }

    /// All selectors in it.
    pub(super) fn selectors<'a>(&'a self, found: &mut Vec<&'a Selector>) {
        match self {
            Self::Number(_) | Self::Time => {}
            Self::Select(selector) => found.push(selector),
            Self::OverTime { param, of, .. } => {
                if let Some(param) = param {
                    param.selectors(found);
                }
                found.push(of);
            }
            Self::Aggregate { of, .. }
            | Self::Each(_, of)
            | Self::Absent(of, _)
            | Self::ToVector(of)
            | Self::ToScalar(of) => of.selectors(found),
            Self::Clamp { of, min, max } => {
                for part in [of, min, max] {
                    part.selectors(found);
                }
            }
            Self::Binary { left, right, .. } | Self::HistogramQuantile(left, right) => {
                left.selectors(found);
                right.selectors(found);
            }
        }
    }
}
