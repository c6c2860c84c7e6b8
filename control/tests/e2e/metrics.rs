//! `/metrics`: names, labels and numbers, read by a parser that forgives
//! nothing.

use crate::support::{Reveille, Target, wait_for, wait_until};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Labels = BTreeMap<String, String>;

/// One family of OpenMetrics text: its type and its samples.
#[derive(Debug, Default)]
pub(crate) struct Family {
    kind: String,
    /// Suffix of the name, labels, value.
    pub(crate) samples: Vec<(String, Labels, f64)>,
}

/// Parses a whole page.
///
/// # Panics
/// On anything that OpenMetrics does not allow or that we never write.
pub(crate) fn parse(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let body = page.strip_suffix("# EOF\n").expect("ends with # EOF");
    let (mut current, mut seen) = (String::new(), BTreeSet::new());
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) = (words.next(), words.next().expect("a name"), words.next());
            match what {
                Some("HELP") => {
                    assert!(!families.contains_key(name), "{name} twice");
                    name.clone_into(&mut current);
                    families.entry(current.clone()).or_default();
                }
                Some("TYPE") => {
                    assert_eq!(name, current, "HELP comes before TYPE");
                    let family = families.get_mut(name).expect("helped");
                    rest.expect("a type").clone_into(&mut family.kind);
                }
                Some("UNIT") => assert!(name.ends_with(rest.expect("a unit")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(seen.insert(series.to_owned()), "{series} twice");
        let (name, labels) = match series.split_once('{') {
            None => (series, Labels::new()),
            Some((name, labels)) => (name, parse_labels(labels.strip_suffix('}').expect(line))),
        };
        let value: f64 = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(value >= 0.0 && value.is_finite(), "{line}");
        let family = families
            .get_mut(&current)
            .expect("a family before its samples");
        let suffix = name
            .strip_prefix(&current)
            .unwrap_or_else(|| panic!("{line} in {current}"));
        let allowed: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            kind => panic!("{kind}"),
        };
        assert!(allowed.contains(&suffix), "{line} in a {}", family.kind);
        family.samples.push((suffix.to_owned(), labels, value));
    }
    families
}

fn parse_labels(text: &str) -> Labels {
    let mut labels = Labels::new();
    let inner = text.strip_suffix('"').unwrap_or_else(|| panic!("{text}"));
    for pair in inner.split("\",") {
        let (name, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("{text}"));
        assert!(!value.contains(['"', '\\', '\n']), "{text}");
        assert!(
            labels.insert(name.to_owned(), value.to_owned()).is_none(),
            "{text}"
        );
    }
    labels
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl Family {
    /// The value of a series, by the suffix of its name and all its labels.
    fn value(&self, suffix: &str, wanted: &Labels) -> Option<f64> {
        let mut found = self
            .samples
            .iter()
            .filter(|(s, l, _)| s == suffix && l == wanted);
        found.next().map(|sample| sample.2)
    }

    /// The buckets of one histogram: bound as it is written, count.
    fn buckets(&self, of: &Labels) -> Vec<(String, f64)> {
        let mut buckets = Vec::new();
        for (suffix, labels, value) in &self.samples {
            let mut rest = labels.clone();
            if suffix == "_bucket" {
                let bound = rest.remove("le").expect("a bound");
                if rest == *of {
                    buckets.push((bound, *value));
                }
            }
        }
        buckets
    }
}

#[test]
fn the_add_ons_metrics_have_its_names_labels_and_buckets() {
    let reveille = Reveille::of(Target::hello()).start();
    let client = reveille.client("web");
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(client.begin("BREW", "/").answer().status, 405);
    assert_eq!(reveille.client("unknown").get("/").status, 404);
    reveille.until("web", "all have ended", |now| now.in_flight == 0);
    let answer = reveille.ask("/metrics");
    assert_eq!(answer.status, 200);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(kind));
    let families = parse(&answer.body);

    let series = |code, method, name, namespace| {
        labels(&[
            ("code", code),
            ("method", method),
            ("route_name", name),
            ("route_namespace", namespace),
        ])
    };
    let served = [
        (series("200", "GET", "web", "default"), 3.0),
        (series("405", "_OTHER", "web", "default"), 1.0),
        (series("404", "GET", "", ""), 1.0),
    ];
    let count = &families["interceptor_request_count"];
    assert_eq!(
        (count.kind.as_str(), count.samples.len()),
        ("counter", served.len())
    );
    let duration = &families["interceptor_request_duration_seconds"];
    assert_eq!(duration.kind, "histogram");
    for (labels, times) in &served {
        assert_eq!(count.value("_total", labels), Some(*times), "{labels:?}");
        assert_eq!(duration.value("_count", labels), Some(*times));
        // Times are in whole microseconds; finding no route may take none.
        let took = duration.value("_sum", labels).expect("a sum");
        assert!(took > 0.0 || labels["code"] == "404", "{labels:?}");
        let buckets = duration.buckets(labels);
        let bounds: Vec<&str> = buckets.iter().map(|bucket| bucket.0.as_str()).collect();
        let wanted = [
            "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5",
            "5.0", "7.5", "10.0", "15.0", "30.0", "60.0", "120.0", "300.0", "+Inf",
        ];
        assert_eq!(bounds, wanted);
        assert!(
            buckets.is_sorted_by_key(|bucket| bucket.1),
            "cumulative: {buckets:?}"
        );
        assert_eq!(buckets.last().map(|bucket| bucket.1), Some(*times));
    }
    let concurrency = &families["interceptor_request_concurrency"];
    let route = labels(&[("route_name", "web"), ("route_namespace", "default")]);
    assert_eq!(
        (concurrency.kind.as_str(), concurrency.samples.len()),
        ("gauge", 1)
    );
    assert_eq!(concurrency.value("", &route), Some(0.0));
}

#[test]
fn reveilles_own_metrics_tell_what_happened() {
    let target = Target::new("web", "[sleep, '1000']").route("timeouts: {readiness: 5m}");
    let reveille = Reveille::of(target)
        .arg("--max-held-per-target", "1")
        .start();
    let client = reveille.client("web");
    let held = client.begin("GET", "/");
    reveille.until("web", "one is held and a replica on its way", |now| {
        now.held == 1 && now.replicas() == (1, 0)
    });
    reveille.until_workloads(1);
    assert_eq!(client.get("/").status, 503);
    let page = wait_for("only the held one is connected", || {
        let page = reveille.ask("/metrics").body;
        page.contains("reveille_client_connections 1\n")
            .then_some(page)
    });
    let families = parse(&page);
    let route = [("route_name", "web"), ("route_namespace", "default")];
    let value = |family: &str, suffix: &str, pairs: &[(&str, &str)]| {
        let found = families
            .get(family)
            .and_then(|family| family.value(suffix, &labels(pairs)));
        found.unwrap_or_else(|| panic!("no {family}{suffix} {pairs:?} in {families:#?}"))
    };
    assert_eq!(value("interceptor_request_concurrency", "", &route), 1.0);
    assert_eq!(value("reveille_held_requests", "", &route), 1.0);
    assert_eq!(value("reveille_hold_rejections", "_total", &route), 1.0);
    assert_eq!(value("reveille_cold_starts", "_total", &route), 0.0);
    assert_eq!(value("reveille_ready_endpoints", "", &route), 0.0);
    assert_eq!(
        value("reveille_upstream_connect_failures", "_total", &route),
        0.0
    );
    for reason in ["connect", "refused", "reset"] {
        let pairs = [route[0], route[1], ("reason", reason)];
        assert_eq!(value("reveille_upstream_retries", "_total", &pairs), 0.0);
    }
    let exhausted = "reveille_upstream_retry_budget_exhausted";
    assert_eq!(value(exhausted, "_total", &route), 0.0);
    for reason in ["connect", "gateway_errors", "server_errors", "broken"] {
        let pairs = [route[0], route[1], ("reason", reason)];
        assert_eq!(value("reveille_endpoint_ejections", "_total", &pairs), 0.0);
    }
    assert_eq!(value("reveille_ejected_endpoints", "", &route), 0.0);
    for reason in ["started", "moved"] {
        let pairs = [route[0], route[1], ("reason", reason)];
        assert_eq!(value("reveille_sessions", "_total", &pairs), 0.0);
    }
    assert_eq!(
        value("reveille_limit_wait_duration_seconds", "_count", &route),
        0.0
    );
    assert_eq!(value("reveille_client_connections", "", &[]), 1.0);
    for reason in [
        "malformed",
        "head_too_large",
        "protocol",
        "connections",
        "resets",
        "upgrades",
    ] {
        assert_eq!(
            value("reveille_refused", "_total", &[("reason", reason)]),
            0.0
        );
    }
    assert_eq!(value("reveille_client_connections_parked", "", &[]), 0.0);
    assert_eq!(
        value("reveille_client_connections_woken", "_total", &[]),
        0.0
    );
    for reason in ["header", "idle"] {
        let family = "reveille_client_connections_timed_out";
        assert_eq!(value(family, "_total", &[("reason", reason)]), 0.0);
    }
    for state in ["in_use", "idle"] {
        let pairs = [route[0], route[1], ("state", state)];
        assert_eq!(value("reveille_upstream_connections", "", &pairs), 0.0);
    }
    for outcome in ["ready", "refused", "cancelled"] {
        let pairs = [route[0], route[1], ("outcome", outcome)];
        assert_eq!(
            value("reveille_hold_duration_seconds", "_count", &pairs),
            0.0
        );
    }
    let workload = ("workload", "default/web");
    assert_eq!(
        value("reveille_replicas", "", &[("state", "wanted"), workload]),
        1.0
    );
    assert_eq!(
        value("reveille_replicas", "", &[("state", "ready"), workload]),
        0.0
    );
    assert_eq!(value("reveille_replica_starts", "_total", &[workload]), 1.0);
    assert_eq!(
        value("reveille_replica_failures", "_total", &[workload]),
        0.0
    );
    assert_eq!(
        value("reveille_scaler_open_streams", "", &[("kind", "activity")]),
        1.0
    );
    let calls = [("code", "OK"), ("method", "GetMetrics")];
    assert!(value("reveille_scaler_calls", "_total", &calls) >= 1.0);
    assert!(
        value(
            "reveille_scaler_activity_messages",
            "_total",
            &[("reason", "open")]
        ) >= 1.0
    );

    held.leave();
    reveille.until_held("web", 0);
    // Who left is out of the queue first, and counted then.
    let pairs = [route[0], route[1], ("outcome", "cancelled")];
    wait_until("it is counted as one who left", || {
        let families = parse(&reveille.ask("/metrics").body);
        let holds = &families["reveille_hold_duration_seconds"];
        holds.value("_count", &labels(&pairs)) == Some(1.0)
    });
}
