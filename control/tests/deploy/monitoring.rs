//! Alerts and dashboards: of one copy, and in the form that Prometheus and
//! Grafana read. What they ask for is compared with `/metrics` in the
//! end-to-end tests (`dashboards.rs`).

use crate::{kept, read};
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn the_chart_has_the_same_alerts_and_dashboards() {
    for path in ["alerts/reveille.yaml", "dashboards/reveille.json"] {
        kept::same(&format!("helm/reveille/files/{path}"), &read(path));
    }
}

#[test]
fn every_alert_says_what_happened_and_what_to_do() {
    let file: Value = serde_saphyr::from_str(&read("alerts/reveille.yaml")).expect("YAML");
    let groups = file["groups"].as_array().expect("groups");
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"));
    let mut names = BTreeSet::new();
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        assert!(names.insert(name), "{name} twice");
        let severity = rule["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("critical" | "warning")), "{name}");
        for text in ["summary", "description"] {
            let said = rule["annotations"][text].as_str();
            assert!(said.is_some_and(|said| !said.is_empty()), "{name}: {text}");
        }
    }
    assert!(names.len() >= 10, "{names:?}");
}

#[test]
fn every_panel_has_its_place_and_asks_for_something() {
    let board: Value = serde_json::from_str(&read("dashboards/reveille.json")).expect("JSON");
    let panels = board["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(
            ids.insert(panel["id"].as_u64()),
            "{title}: its id is used twice"
        );
        let at = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(at("x") + at("w") <= 24, "{title}");
        for y in at("y")..at("y") + at("h") {
            for x in at("x")..at("x") + at("w") {
                assert!(taken.insert((x, y)), "{title} overlaps");
            }
        }
        if panel["type"] != "row" {
            let targets = panel["targets"].as_array().expect("targets");
            assert!(!targets.is_empty(), "{title}");
            assert!(
                panel["description"].as_str().is_some_and(|d| !d.is_empty()),
                "{title}"
            );
        }
    }
}
