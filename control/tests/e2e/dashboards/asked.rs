//! What a PromQL expression asks for, and which labels its result has.

use promql_parser::{
    label::METRIC_NAME,
    parser::{self, Expr, LabelModifier, VectorSelector},
};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

/// Names of series and their labels.
pub(super) type Exposed = BTreeMap<String, BTreeSet<String>>;

/// Labels that Prometheus adds itself.
const OF_PROMETHEUS: [&str; 3] = ["job", "instance", "namespace"];

/// What only counters may be given to.
const OF_COUNTERS: [&str; 3] = ["rate", "irate", "increase"];

/// Fails if the expression asks for anything that is not exposed. Gives the
/// labels of its result.
pub(super) fn check(expr: &str, exposed: &Exposed) -> BTreeSet<String> {
    let parsed = parser::parse(expr).unwrap_or_else(|e| panic!("{expr}: {e}"));
    let selectors = Cell::new(0);
    let reading = Reading {
        expr,
        exposed,
        selectors: &selectors,
    };
    let labels = reading.labels(&parsed);
    assert!(selectors.get() > 0, "it asks for nothing: {expr}");
    labels
}

/// `label_values(selector, label)` of Grafana's variables.
pub(super) fn check_label_values(query: &str, exposed: &Exposed) {
    let inner = query
        .strip_prefix("label_values(")
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or_else(|| panic!("{query}"));
    let (selector, label) = inner.rsplit_once(", ").expect("a selector and a label");
    let labels = check(selector, exposed);
    assert!(labels.contains(label), "nothing has {label}: {query}");
}

struct Reading<'a> {
    expr: &'a str,
    exposed: &'a Exposed,
    /// How many were read.
    selectors: &'a Cell<usize>,
}

impl Reading<'_> {
    /// The labels of the result; every label that is grouped or matched by
    /// must be there.
    fn labels(&self, expr: &Expr) -> BTreeSet<String> {
        match expr {
            Expr::Aggregate(aggregate) => {
                let inner = self.labels(&aggregate.expr);
                if let Some(param) = &aggregate.param {
                    self.labels(param);
                }
                self.modified(&inner, aggregate.modifier.as_ref());
                match &aggregate.modifier {
                    Some(LabelModifier::Include(by)) => by.labels.iter().cloned().collect(),
                    Some(LabelModifier::Exclude(without)) => {
                        let goes = |label: &String| without.labels.contains(label);
                        inner.into_iter().filter(|label| !goes(label)).collect()
                    }
                    // These keep the series that they choose.
                    None if matches!(aggregate.op.to_string().as_str(), "topk" | "bottomk") => {
                        inner
                    }
                    None => BTreeSet::new(),
                }
            }
            Expr::Binary(binary) => {
                let mut left = self.labels(&binary.lhs);
                let right = self.labels(&binary.rhs);
                let all = left.union(&right).cloned().collect();
                let matching = binary.modifier.as_ref().and_then(|m| m.matching.as_ref());
                self.modified(&all, matching);
                if left.is_empty() {
                    left = right;
                }
                left
            }
            Expr::Call(call) => {
                let arguments = call.args.args.iter();
                if OF_COUNTERS.contains(&call.func.name) {
                    arguments.clone().for_each(|one| self.is_counter(one));
                }
                let mut labels: BTreeSet<String> =
                    arguments.flat_map(|one| self.labels(one)).collect();
                if call.func.name == "histogram_quantile" {
                    assert!(labels.remove("le"), "no le: {}", self.expr);
                }
                labels
            }
            Expr::Unary(unary) => self.labels(&unary.expr),
            Expr::Paren(paren) => self.labels(&paren.expr),
            Expr::MatrixSelector(matrix) => self.selected(&matrix.vs),
            Expr::VectorSelector(selector) => self.selected(selector),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => BTreeSet::new(),
            other => panic!("{other:?} is not understood here"),
        }
    }

    fn modified(&self, labels: &BTreeSet<String>, modifier: Option<&LabelModifier>) {
        let (Some(LabelModifier::Include(by)) | Some(LabelModifier::Exclude(by))) = modifier else {
            return;
        };
        for label in &by.labels {
            assert!(labels.contains(label), "nothing has {label}: {}", self.expr);
        }
    }

    fn selected(&self, selector: &VectorSelector) -> BTreeSet<String> {
        self.selectors.set(self.selectors.get() + 1);
        let name = name(selector);
        let labels = self
            .exposed
            .get(name)
            .unwrap_or_else(|| panic!("no series {name}, for {}", self.expr));
        for matcher in &selector.matchers.matchers {
            assert!(
                matcher.name == METRIC_NAME || labels.contains(&matcher.name),
                "{name} has no {}: {}",
                matcher.name,
                self.expr
            );
        }
        let of_prometheus = OF_PROMETHEUS.map(str::to_owned);
        labels.iter().cloned().chain(of_prometheus).collect()
    }

    fn is_counter(&self, expr: &Expr) {
        let Expr::MatrixSelector(matrix) = expr else {
            panic!("not of a range: {}", self.expr);
        };
        let name = name(&matrix.vs);
        let suffixes = ["_total", "_bucket", "_count", "_sum"];
        assert!(
            suffixes.iter().any(|suffix| name.ends_with(suffix)),
            "{name} may fall: {}",
            self.expr
        );
    }
}

fn name(selector: &VectorSelector) -> &str {
    selector.name.as_deref().expect("selectors have names")
}
