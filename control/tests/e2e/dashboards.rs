//! What alerts and dashboards ask for is what `/metrics` has: every name, and
//! every label that they select, group or show by.

use crate::{
    ingest::{gauge, post},
    metrics::{Family, parse},
    support::{ApiServer, Reveille, Target},
    tls,
};
use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Labels that Prometheus adds itself.
const OF_PROMETHEUS: [&str; 3] = ["job", "instance", "namespace"];

fn deploy(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All texts in fields of that name.
fn texts<'a>(value: &'a Value, field: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == field => found.push(text),
                    value => texts(value, field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, field, found)),
        _ => {}
    }
}

/// Every selector of an expression, and every label that it groups by.
#[derive(Default)]
struct Asked {
    selectors: Vec<VectorSelector>,
    labels: Vec<String>,
}

impl Asked {
    fn read(&mut self, expr: &Expr) {
        match expr {
            Expr::Aggregate(aggregate) => {
                self.modifier(aggregate.modifier.as_ref());
                self.read(&aggregate.expr);
                aggregate.param.iter().for_each(|param| self.read(param));
            }
            Expr::Unary(unary) => self.read(&unary.expr),
            Expr::Binary(binary) => {
                let matching = binary.modifier.as_ref().and_then(|m| m.matching.as_ref());
                self.modifier(matching);
                self.read(&binary.lhs);
                self.read(&binary.rhs);
            }
            Expr::Paren(paren) => self.read(&paren.expr),
            Expr::Call(call) => call.args.args.iter().for_each(|arg| self.read(arg)),
            Expr::MatrixSelector(matrix) => self.selectors.push(matrix.vs.clone()),
            Expr::VectorSelector(selector) => self.selectors.push(selector.clone()),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => {}
            other => panic!("{other:?} is not understood here"),
        }
    }

    fn modifier(&mut self, modifier: Option<&LabelModifier>) {
        if let Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) = modifier {
            self.labels.extend(labels.labels.iter().cloned());
        }
    }
}

/// Names of series and their labels, of everything that has a sample.
fn exposed(families: &BTreeMap<String, Family>) -> BTreeMap<String, BTreeSet<String>> {
    let mut exposed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, family) in families {
        for (suffix, labels, _) in &family.samples {
            let series = exposed.entry(format!("{name}{suffix}")).or_default();
            series.extend(labels.keys().cloned());
        }
    }
    exposed
}

/// Variables of Grafana's, as Prometheus would be asked.
fn filled_in(expr: &str) -> String {
    let rate = expr
        .replace("$__rate_interval", "5m")
        .replace("$__range", "1h");
    rate.replace("$route_namespace", ".*")
        .replace("$route", ".*")
}

fn check(expr: &str, exposed: &BTreeMap<String, BTreeSet<String>>) {
    let parsed = parser::parse(&filled_in(expr)).unwrap_or_else(|e| panic!("{expr}: {e}"));
    let mut asked = Asked::default();
    asked.read(&parsed);
    assert!(!asked.selectors.is_empty(), "{expr}");
    let mut all = BTreeSet::from(OF_PROMETHEUS.map(str::to_owned));
    for selector in &asked.selectors {
        let name = selector.name.as_deref().expect("selectors have names");
        let labels = exposed
            .get(name)
            .unwrap_or_else(|| panic!("no series {name}, for {expr}"));
        for matcher in &selector.matchers.matchers {
            assert!(
                labels.contains(&matcher.name),
                "{name} has no {}: {expr}",
                matcher.name
            );
        }
        all.extend(labels.iter().cloned());
    }
    for label in &asked.labels {
        assert!(all.contains(label), "nothing has {label}: {expr}");
    }
}

/// A Reveille in which every metric has a series: something was served, a
/// certificate is in use, there is another replica, metrics came in.
fn everything() -> Reveille {
    let starter = Reveille::of(Target::hello())
        .arg("--proxy-tls-addr", "127.0.0.1:0")
        .arg("--otlp-http-addr", "127.0.0.1:0")
        .arg("--peers", "127.0.0.1:1")
        .arg("--peers-timeout", "100ms")
        .arg("--tls-cert", "web.crt")
        .arg("--tls-key", "web.key");
    tls::authority(starter.path());
    tls::issue(starter.path(), "web", "DNS:web.test");
    let reveille = starter.start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    let (_, otlp) = reveille.otlp();
    let otlp = otlp.expect("it was asked for");
    assert_eq!(post(otlp, &gauge("queue.depth", "a", 1)).status, 200);
    // A metric without a name is dropped.
    assert_eq!(post(otlp, &gauge("", "a", 1)).status, 200);
    reveille
}

/// Series that only a cluster has, refused lists and writes among them.
fn of_a_cluster() -> BTreeMap<String, BTreeSet<String>> {
    let api = ApiServer::start();
    api.permit("list", "Pod", false);
    api.permit("patch", "InterceptorRoute", false);
    api.put(json!({"kind": "InterceptorRoute", "metadata": {"name": "web"}, "spec": {}}));
    let reveille = Reveille::in_cluster(&api)
        .env("REVEILLE_DAPR_SIDECARS", "true")
        .start();
    let page = crate::support::wait_for("it has tried to read and to write", || {
        let page = reveille.ask("/metrics").body;
        let refused = |name: &str, labels: &str| {
            let mut lines = page.lines();
            lines.any(|line| line.starts_with(name) && line.contains(labels))
        };
        let all = refused("reveille_kubernetes_failures_total", r#"reason="denied""#)
            && refused("reveille_kubernetes_writes_total", r#"result="denied""#);
        all.then_some(page)
    });
    let held = page.contains("reveille_kubernetes_lease_holder 1\n");
    assert!(held, "{page}");
    let invalid = r#"reveille_kubernetes_routes{kind="InterceptorRoute",reason="Invalid"} 1"#;
    assert!(page.contains(invalid), "{page}");
    exposed(&parse(&page))
}

#[test]
fn alerts_and_dashboards_ask_for_what_there_is() {
    let reveille = everything();
    let page = crate::support::wait_for("KEDA was told a value", || {
        let page = reveille.ask("/metrics").body;
        page.contains("reveille_scaler_metric_value{")
            .then_some(page)
    });
    let mut exposed = exposed(&parse(&page));
    exposed.extend(of_a_cluster());
    let board: Value = serde_json::from_str(&deploy("dashboards/reveille.json")).expect("JSON");
    let rules: Value = serde_saphyr::from_str(&deploy("alerts/reveille.yaml")).expect("YAML");
    let mut exprs = Vec::new();
    texts(&board["panels"], "expr", &mut exprs);
    texts(&rules, "expr", &mut exprs);
    assert!(exprs.len() > 40, "{}", exprs.len());
    for expr in exprs {
        check(expr, &exposed);
    }
}
