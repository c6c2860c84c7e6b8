//! From a text to the checked expression.
//!
//! The parser's tree is taken apart once; what it may hold beyond the
//! supported part is refused here too, should a token have passed by.

use super::{
    QueryError,
    expr::{Aggregation, Cardinality, Each, Expr, Grouping, Matching, Op, OverTime, Selector},
    grammar,
    scan::{self, Token},
    subset,
};
use crate::series::{METRIC_NAME, MatchOp, Matcher, label_name};
use promql_parser::{label, parser};
use std::time::Duration;

/// # Errors
///
/// When the text is no query, or not one of the supported part.
pub(super) fn compile(text: &str) -> Result<Expr, QueryError> {
    if text.len() > subset::MAX_LENGTH {
        let said = format!("the query is longer than {} bytes", subset::MAX_LENGTH);
        return Err(QueryError::at(text, 0, said));
    }
    let tokens = scan::tokens(text)?;
    if tokens.is_empty() {
        return Err(QueryError::at(text, 0, "there is no query"));
    }
    subset::check(text, &tokens)?;
    let tree = parser::parse(text).map_err(|said| grammar::place(text, &tokens, &said))?;
    Compiler {
        text,
        tokens: &tokens,
    }
    .expr(&tree)
}

struct Compiler<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
}

impl Compiler<'_> {
    /// An error at the first of these words or signs.
    fn refuse<T>(&self, near: &str, said: impl Into<String>) -> Result<T, QueryError> {
        let token = self.tokens.iter().find(|token| token.text == near);
        let at = token.map_or(0, |token| token.at);
        Err(QueryError::at(self.text, at, said))
    }

    fn boxed(&self, tree: &parser::Expr) -> Result<Box<Expr>, QueryError> {
        self.expr(tree).map(Box::new)
    }

    fn expr(&self, tree: &parser::Expr) -> Result<Expr, QueryError> {
        match tree {
            parser::Expr::Paren(inner) => self.expr(&inner.expr),
            parser::Expr::NumberLiteral(number) => Ok(Expr::Number(number.val)),
            parser::Expr::Unary(inner) => Ok(Expr::Each(Each::Negate, self.boxed(&inner.expr)?)),
            parser::Expr::VectorSelector(selector) => {
                Ok(Expr::Select(self.selector(selector, super::LOOKBACK)?))
            }
            parser::Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            parser::Expr::Binary(binary) => self.binary(binary),
            parser::Expr::Call(call) => self.call(call),
            parser::Expr::MatrixSelector(_) => self.refuse(
                "[",
                "a range needs a function around it, as in rate(name[5m])",
            ),
            parser::Expr::StringLiteral(text) => {
                self.refuse(&format!("\"{}\"", text.val), "a text is not a value")
            }
            parser::Expr::Subquery(_) => self.refuse("[", "subqueries are not supported"),
            parser::Expr::Extension(_) => self.refuse("", "this is not supported"),
        }
    }

    fn selector(
        &self,
        tree: &parser::VectorSelector,
        range: Duration,
    ) -> Result<Selector, QueryError> {
        let near = tree.name.as_deref().unwrap_or("{");
        if tree.at.is_some() {
            return self.refuse("@", "the @ modifier is not supported");
        }
        if !tree.matchers.or_matchers.is_empty() {
            return self.refuse(near, "or between label matchers is not supported");
        }
        let mut matchers = Vec::with_capacity(tree.matchers.matchers.len() + 1);
        let named = tree.name.as_deref();
        let all = named
            .map(|name| (METRIC_NAME, MatchOp::Equal, name))
            .into_iter()
            .chain(tree.matchers.matchers.iter().map(|matcher| {
                let op = match matcher.op {
                    label::MatchOp::Equal => MatchOp::Equal,
                    label::MatchOp::NotEqual => MatchOp::NotEqual,
                    label::MatchOp::Re(_) => MatchOp::Regex,
                    label::MatchOp::NotRe(_) => MatchOp::NotRegex,
                };
                (&*matcher.name, op, &*matcher.value)
            }));
        for (name, op, value) in all {
            match Matcher::new(name, op, value) {
                Ok(matcher) => matchers.push(matcher),
                Err(error) => return self.refuse(name, error.to_string()),
            }
        }
        let offset_ms = match &tree.offset {
            None => 0,
            Some(parser::Offset::Pos(back)) => self.milliseconds(*back, "offset")?,
            Some(parser::Offset::Neg(ahead)) => -self.milliseconds(*ahead, "offset")?,
        };
        Ok(Selector {
            matchers,
            range_ms: self.milliseconds(range, "[")?,
            offset_ms,
        })
    }

    fn milliseconds(&self, duration: Duration, near: &str) -> Result<i64, QueryError> {
        /// A hundred years: sums of these do not overflow.
        const MOST: i64 = 100 * 366 * 24 * 3600 * 1000;
        match i64::try_from(duration.as_millis()) {
            Ok(0) => self.refuse(near, "the duration is zero; at least 1ms is needed"),
            Ok(milliseconds) if milliseconds <= MOST => Ok(milliseconds),
            _ => self.refuse(near, "the duration is too long"),
        }
    }

    fn aggregate(&self, tree: &parser::AggregateExpr) -> Result<Expr, QueryError> {
        let name = tree.op.to_string();
        let Some(function) = Aggregation::named(&name) else {
            return self.refuse(&name, format!("the aggregation {name} is not supported"));
        };
        if tree.param.is_some() {
            return self.refuse(&name, format!("{name} takes one argument"));
        }
        let grouping = match &tree.modifier {
            None => Grouping::By(Vec::new()),
            Some(labels) => grouping(labels),
        };
        Ok(Expr::Aggregate {
            function,
            grouping,
            of: self.boxed(&tree.expr)?,
        })
    }

    fn binary(&self, tree: &parser::BinaryExpr) -> Result<Expr, QueryError> {
        let sign = tree.op.to_string();
        let Some(op) = Op::named(&sign) else {
            return self.refuse(&sign, format!("the operator {sign} is not supported"));
        };
        let modifier = tree.modifier.clone().unwrap_or_default();
        if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
            return self.refuse("fill", "the modifier fill is not supported");
        }
        let labels = match &modifier.matching {
            None => Grouping::Without(Vec::new()),
            Some(labels) => grouping(labels),
        };
        let cardinality = match &modifier.card {
            parser::VectorMatchCardinality::OneToOne
            | parser::VectorMatchCardinality::ManyToMany => Cardinality::OneToOne,
            parser::VectorMatchCardinality::ManyToOne(taken) => {
                Cardinality::ManyToOne(distinct(taken))
            }
            parser::VectorMatchCardinality::OneToMany(taken) => {
                Cardinality::OneToMany(distinct(taken))
            }
        };
        Ok(Expr::Binary {
            op,
            as_bool: modifier.return_bool,
            matching: Matching {
                labels,
                cardinality,
            },
            left: self.boxed(&tree.lhs)?,
            right: self.boxed(&tree.rhs)?,
        })
    }

    fn call(&self, tree: &parser::Call) -> Result<Expr, QueryError> {
        let name = tree.func.name;
        let arguments: Vec<&parser::Expr> = tree.args.args.iter().map(|arg| &**arg).collect();
        if let Some(function) = over_time(name) {
            let (param, range) = match &arguments[..] {
                [range] => (None, range),
                [param, range] => (Some(self.boxed(param)?), range),
                _ => return self.refuse(name, format!("{name} has the wrong arguments")),
            };
            return Ok(Expr::OverTime {
                function,
                param,
                of: self.range(name, range)?,
            });
        }
        match (name, &arguments[..]) {
            ("time", []) => Ok(Expr::Time),
            ("abs", [of]) => Ok(Expr::Each(Each::Abs, self.boxed(of)?)),
            ("ceil", [of]) => Ok(Expr::Each(Each::Ceil, self.boxed(of)?)),
            ("floor", [of]) => Ok(Expr::Each(Each::Floor, self.boxed(of)?)),
            ("clamp", [of, min, max]) => Ok(Expr::Clamp {
                of: self.boxed(of)?,
                min: self.boxed(min)?,
                max: self.boxed(max)?,
            }),
            ("clamp_min", [of, min]) => Ok(Expr::Clamp {
                of: self.boxed(of)?,
                min: self.boxed(min)?,
                max: Box::new(Expr::Number(f64::INFINITY)),
            }),
            ("clamp_max", [of, max]) => Ok(Expr::Clamp {
                of: self.boxed(of)?,
                min: Box::new(Expr::Number(f64::NEG_INFINITY)),
                max: self.boxed(max)?,
            }),
            ("histogram_quantile", [quantile, of]) => Ok(Expr::HistogramQuantile(
                self.boxed(quantile)?,
                self.boxed(of)?,
            )),
            ("absent", [of]) => {
                let of = self.boxed(of)?;
                let labels = match &*of {
                    Expr::Select(selector) => selector.known_labels(),
                    _ => crate::series::Labels::empty(),
                };
                Ok(Expr::Absent(of, labels))
            }
            ("vector", [of]) => Ok(Expr::ToVector(self.boxed(of)?)),
            ("scalar", [of]) => Ok(Expr::ToScalar(self.boxed(of)?)),
            _ => self.refuse(name, format!("the function {name} is not supported")),
        }
    }

    fn range(&self, function: &str, tree: &parser::Expr) -> Result<Selector, QueryError> {
        match tree {
            parser::Expr::Paren(inner) => self.range(function, &inner.expr),
            parser::Expr::MatrixSelector(matrix) => self.selector(&matrix.vs, matrix.range),
            _ => self.refuse(
                function,
                format!("{function} needs a metric with a range, as in {function}(name[5m])"),
            ),
        }
    }
}

fn over_time(name: &str) -> Option<OverTime> {
    Some(match name {
        "rate" => OverTime::Rate,
        "increase" => OverTime::Increase,
        "delta" => OverTime::Delta,
        "irate" => OverTime::Irate,
        "idelta" => OverTime::Idelta,
        "avg_over_time" => OverTime::Avg,
        "min_over_time" => OverTime::Min,
        "max_over_time" => OverTime::Max,
        "sum_over_time" => OverTime::Sum,
        "count_over_time" => OverTime::Count,
        "last_over_time" => OverTime::Last,
        "present_over_time" => OverTime::Present,
        "quantile_over_time" => OverTime::Quantile,
        "stddev_over_time" => OverTime::Stddev,
        "stdvar_over_time" => OverTime::Stdvar,
        _ => return None,
    })
}

fn grouping(labels: &parser::LabelModifier) -> Grouping {
    match labels {
        parser::LabelModifier::Include(labels) => Grouping::By(distinct(labels)),
        parser::LabelModifier::Exclude(labels) => Grouping::Without(distinct(labels)),
    }
}

/// In the spelling in which series are stored, each once.
fn distinct(labels: &label::Labels) -> Vec<String> {
    let stored = |name: &String| match &**name {
        METRIC_NAME => name.clone(),
        label => label_name(label).into_owned(),
    };
    let mut names: Vec<String> = labels.labels.iter().map(stored).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use crate::query::{Query, subset::FUNCTIONS};
    use std::time::Duration;

    /// What the messages list as supported is.
    #[test]
    fn each_listed_function_compiles() {
        for name in FUNCTIONS {
            let arguments = match name {
                "clamp" => "foo, 1, 2",
                "clamp_min" | "clamp_max" => "foo, 1",
                "histogram_quantile" => "0.9, foo",
                "quantile_over_time" => "0.9, foo[5m]",
                "vector" => "1",
                "abs" | "ceil" | "floor" | "absent" | "scalar" => "foo",
                _ => "foo[5m]",
            };
            let text = format!("{name}({arguments})");
            Query::promql(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }

    #[test]
    fn a_query_tells_what_it_reads_and_how_far_back() {
        let query = Query::promql("sum(rate(a{b=\"c\"}[10m] offset 1m)) / d").expect("a query");
        let read: Vec<String> = query
            .selectors()
            .iter()
            .map(|selector| {
                let matchers: Vec<_> = selector
                    .matchers()
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                format!("{} {:?}", matchers.join(","), selector.reach())
            })
            .collect();
        assert_eq!(read, [r#"__name__="a",b="c" 660s"#, r#"__name__="d" 300s"#]);
        assert_eq!(query.reach(), Duration::from_secs(660));
        assert_eq!(
            Query::promql("1 + 2").expect("a query").reach(),
            Duration::ZERO
        );
    }

    #[test]
    fn results_that_are_no_numbers_are_refused() {
        for (text, column, said) in [
            ("foo[5m]", 4, "rate(name[5m])"),
            ("sum(foo) + \"a\"", 1, "binary expression"),
            ("\"a\"", 1, "not a value"),
            ("rate(foo[0s])", 1, "greater than 0"),
        ] {
            let error = Query::promql(text).expect_err(text);
            assert_eq!(error.column(), column, "{text}: {error}");
            assert!(error.message().contains(said), "{text}: {error}");
        }
    }
}
