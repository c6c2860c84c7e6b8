//! The definitions of the kinds: taken as they are, and their rules hold.

use super::{CHART, documents, installed, until_defined, whole};
use crate::kubernetes::objects::route;
use serde_json::{Value, json};
use std::fs;

#[test]
fn the_chart_is_taken_and_its_definitions_refuse_what_is_wrong() {
    let Some(plane) = installed() else { return };
    let client = plane.client();
    let definitions = documents(CHART).into_iter();
    for definition in definitions.filter(|one| one["kind"] == "CustomResourceDefinition") {
        let name = definition["metadata"]["name"].as_str().expect("text");
        let conditions = until_defined(client, name)["status"]["conditions"].clone();
        let conditions = conditions.as_array().expect("a list");
        let is_bad = |one: &&Value| one["type"] == "NonStructuralSchema";
        assert_eq!(conditions.iter().find(is_bad), None);
    }
    for (pointer, value, said) in [
        (
            "/spec/target",
            json!({"service": "web", "port": 80, "portName": "http"}),
            "exactly one of 'port' or 'portName' must be set",
        ),
        (
            "/spec/scalingMetric",
            json!({}),
            "at least one of 'concurrency' or 'requestRate' must be set",
        ),
        (
            "/spec/coldStart",
            json!({}),
            "at least one of 'fallback', 'placeholder' or 'maxPendingRequests' must be set",
        ),
        (
            "/spec/coldStart",
            json!({"maxPendingRequests": 1, "overflow": "Placeholder"}),
            "'placeholder' must be set when 'overflow' is 'Placeholder'",
        ),
        (
            "/spec/coldStart",
            json!({"placeholder": {"response": {"body": "a", "bodyFromConfigMap": {"name": "b"}}}}),
            "at most one of 'body' or 'bodyFromConfigMap' may be set",
        ),
        (
            "/spec/rules",
            json!([{"hosts": ["a.test", "a.test"]}]),
            "duplicate",
        ),
        ("/spec/surprise", json!(1), "field not declared in schema"),
    ] {
        let mut wrong = whole(route("wrong"));
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        wrong.pointer_mut(parent).expect("there")[field] = value;
        let why = client.try_apply(&wrong).expect_err("it is refused");
        assert!(why.contains(said), "{pointer}: {why}");
    }
    client.apply(&whole(route("right")));
}

#[test]
fn every_example_is_taken() {
    let Some(plane) = installed() else { return };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples/cluster");
    let files = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    let mut applied = 0;
    for file in files {
        let text = fs::read_to_string(&file).expect("readable");
        for object in documents(&text) {
            let version = object["apiVersion"].as_str().expect("text");
            // Its definitions are those of the Gateway API.
            if !version.starts_with("gateway.networking.k8s.io/") {
                plane.client().apply(&object);
                applied += 1;
            }
        }
    }
    assert!(applied > 30, "{applied}");
}
