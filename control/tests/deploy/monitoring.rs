//! Alerts and dashboards: of one copy, and in the form that Prometheus and
//! Grafana read. What they ask for is compared with `/metrics` in the
//! end-to-end tests (`dashboards.rs`).

use crate::{deploy, helm, kept, read};
use serde_json::Value;
use std::{collections::BTreeSet, fs};

/// Longest `uid` that Grafana takes.
const LONGEST_UID: usize = 40;

/// Names of all dashboards.
fn dashboards() -> BTreeSet<String> {
    let folder = fs::read_dir(deploy("dashboards")).expect("a folder");
    folder
        .map(|entry| entry.expect("readable").file_name())
        .map(|name| name.into_string().expect("UTF-8"))
        .collect()
}

fn board(name: &str) -> Value {
    let text = read(&format!("dashboards/{name}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_chart_has_the_same_alerts_and_dashboards() {
    kept::same(
        "helm/reveille/files/alerts/reveille.yaml",
        &read("alerts/reveille.yaml"),
    );
    for name in dashboards() {
        kept::same(
            &format!("helm/reveille/files/dashboards/{name}"),
            &read(&format!("dashboards/{name}")),
        );
    }
    let in_chart = fs::read_dir(deploy("helm/reveille/files/dashboards")).expect("a folder");
    assert_eq!(in_chart.count(), dashboards().len(), "one that is gone");
}

#[test]
fn labels_of_metrics_stay_as_they_are_asked_for() {
    let Some(helm) = helm::binary() else { return };
    let rendered = helm::text(helm, &["serviceMonitor.enabled=true"]);
    assert!(rendered.contains("honorLabels: true"), "{rendered}");
}

#[test]
fn every_alert_says_what_happened_what_it_means_and_what_to_do() {
    let file: Value = serde_saphyr::from_str(&read("alerts/reveille.yaml")).expect("YAML");
    let groups = file["groups"].as_array().expect("groups");
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"));
    let tests = read("alerts/tests.yaml");
    let mut names = BTreeSet::new();
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        assert!(names.insert(name), "{name} twice");
        let severity = rule["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("critical" | "warning")), "{name}");
        for text in ["summary", "description", "runbook"] {
            let said = rule["annotations"][text].as_str();
            assert!(said.is_some_and(|said| !said.is_empty()), "{name}: {text}");
        }
        let fires = format!("alertname=\"{name}\"");
        assert!(tests.contains(&fires), "no test in which {name} fires");
    }
    assert!(names.len() >= 16, "{names:?}");
}

#[test]
fn dashboards_are_told_apart_and_lead_to_each_other() {
    let mut uids = BTreeSet::new();
    let mut titles = BTreeSet::new();
    let boards: Vec<(String, Value)> = dashboards()
        .into_iter()
        .map(|name| (name.clone(), board(&name)))
        .collect();
    for (name, board) in &boards {
        let uid = board["uid"].as_str().expect("a uid");
        assert!(uid.len() <= LONGEST_UID, "{name}: {uid}");
        assert!(uids.insert(uid), "{uid} twice");
        let title = board["title"].as_str().expect("a title");
        assert!(titles.insert(title), "{title} twice");
        let tags = board["tags"].as_array().expect("tags");
        assert!(tags.contains(&"reveille".into()), "{name}");
        let links = board["links"].as_array().expect("links");
        assert_eq!(links[0]["tags"], serde_json::json!(["reveille"]), "{name}");
    }
    for (name, board) in &boards {
        let text = board.to_string();
        let leads_to = text
            .split("\"url\":\"/d/")
            .skip(1)
            .filter_map(|rest| rest.split(['?', '"']).next());
        for uid in leads_to {
            assert!(uids.contains(uid), "{name} leads to {uid}");
        }
    }
    assert_eq!(
        uids,
        BTreeSet::from(["reveille-overview", "reveille-scaler", "reveille-target"])
    );
}

#[test]
fn every_panel_has_its_place_and_asks_for_something() {
    for name in dashboards() {
        let board = board(&name);
        let panels = board["panels"].as_array().expect("panels");
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in panels {
            let title = panel["title"].as_str().expect("a title");
            let title = format!("{name}: {title}");
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
}
