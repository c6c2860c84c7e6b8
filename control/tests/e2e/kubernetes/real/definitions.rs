//! The definitions of the kinds: taken as they are, and their rules hold.

use super::{CHART, documents, installed, until_defined, whole};
use crate::kubernetes::objects::route;
use serde_json::{Value, json};

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
