//! What alerts and dashboards ask for is what `/metrics` has: every name, and
//! every label that they select, group or show by.

mod asked;

use crate::{
    ingest::{gauge, post},
    metrics::{Family, parse},
    support::{ApiServer, Reveille, Target},
    tls,
};
use asked::Exposed;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(below)
}

fn deploy(below: &str) -> String {
    let path = path(below);
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

/// Names of series and their labels, of everything that has a sample.
fn exposed(families: &BTreeMap<String, Family>) -> Exposed {
    let mut exposed = Exposed::new();
    for (name, family) in families {
        for (suffix, labels, _) in &family.samples {
            let series = exposed.entry(format!("{name}{suffix}")).or_default();
            series.extend(labels.keys().cloned());
        }
    }
    exposed
}

/// Grafana's own variables and those of a dashboard, as Prometheus would be
/// asked.
fn filled_in(expr: &str, variables: &[&str]) -> String {
    let mut filled = expr
        .replace("$__rate_interval", "5m")
        .replace("$__range", "1h");
    for name in variables {
        filled = filled.replace(&format!("${name}"), ".*");
    }
    assert!(!filled.contains('$'), "a variable of nobody's: {expr}");
    filled
}

/// Labels that a text shows: what stands between `before` and `after`.
fn shown<'a>(text: &'a str, before: &str, after: &'a [char]) -> Vec<&'a str> {
    let rest = text.split(before).skip(1);
    rest.filter_map(|rest| rest.split(after).next())
        .map(str::trim)
        .collect()
}

fn check_panel(panel: &Value, variables: &[&str], exposed: &Exposed) -> usize {
    let targets = panel["targets"].as_array().map_or(&[][..], Vec::as_slice);
    let mut all = BTreeSet::new();
    for target in targets {
        let expr = target["expr"].as_str().expect("an expression");
        let labels = asked::check(&filled_in(expr, variables), exposed);
        let legend = target["legendFormat"].as_str().expect("a legend");
        for label in shown(legend, "{{", &['}']) {
            assert!(labels.contains(label), "no {label} for a legend: {expr}");
        }
        all.extend(labels);
    }
    let mut links = Vec::new();
    texts(&panel["fieldConfig"], "url", &mut links);
    for link in links {
        for label in shown(link, "${__field.labels.", &['}']) {
            assert!(all.contains(label), "no {label} for a link: {panel}");
        }
    }
    targets.len()
}

fn check_board(name: &str, exposed: &Exposed) -> usize {
    let board: Value = serde_json::from_str(&deploy(&format!("dashboards/{name}"))).expect("JSON");
    let list = board["templating"]["list"].as_array().expect("variables");
    let mut variables: Vec<&str> = list
        .iter()
        .map(|variable| variable["name"].as_str().expect("a name"))
        .collect();
    // `$route` is the beginning of `$route_namespace`.
    variables.sort_by_key(|name| std::cmp::Reverse(name.len()));
    for variable in list {
        if let Some(query) = variable["query"]["query"].as_str() {
            asked::check_label_values(&filled_in(query, &variables), exposed);
        }
    }
    let panels = board["panels"].as_array().expect("panels");
    let count = |panel| check_panel(panel, &variables, exposed);
    panels.iter().map(count).sum()
}

fn check_alerts(exposed: &Exposed) {
    let rules: Value = serde_saphyr::from_str(&deploy("alerts/reveille.yaml")).expect("YAML");
    let groups = rules["groups"].as_array().expect("groups");
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"));
    for rule in rules {
        let expr = rule["expr"].as_str().expect("an expression");
        let labels = asked::check(expr, exposed);
        let told = rule["annotations"].to_string();
        for label in shown(&told, "$labels.", &[' ', '}', '|']) {
            assert!(labels.contains(label), "no {label} to be told: {expr}");
        }
    }
}

/// A Reveille in which every metric has a series: something was served, a
/// certificate is in use, there is another replica, Envoys may connect, metrics came
/// in, pages are fetched, requests are logged and traced.
fn everything() -> Reveille {
    let source = "---\napiVersion: local.reveille.dev/v1alpha1\nkind: MetricSource\n\
                  metadata: {name: pages}\nspec: {addresses: ['127.0.0.1:1']}\n";
    let starter = Reveille::of(format!("{}{source}", Target::hello()))
        .arg("--proxy-tls-addr", "127.0.0.1:0")
        .arg("--otlp-http-addr", "127.0.0.1:0")
        .arg("--peers", "127.0.0.1:1")
        .arg("--peers-timeout", "100ms")
        .arg("--xds-addr", "127.0.0.1:0")
        .arg("--access-log", "common")
        .arg("--otlp-traces-endpoint", "http://127.0.0.1:1")
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
fn of_a_cluster() -> Exposed {
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
    let folder = fs::read_dir(path("dashboards")).expect("a folder");
    let names = folder.map(|entry| entry.expect("readable").file_name());
    let asked: usize = names
        .map(|name| check_board(name.to_str().expect("UTF-8"), &exposed))
        .sum();
    assert!(asked > 60, "{asked}");
    check_alerts(&exposed);
}
