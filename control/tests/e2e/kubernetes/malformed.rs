//! Objects and answers that make no sense, among good ones: each is named, and
//! none harms another.

use super::objects::{all_of, answers, until_answers};
use crate::support::{ApiServer, Pod, Reveille};
use serde_json::{Value, json};

/// An object, and what is said of it.
type Bad = (Value, &'static str);

/// Malformed objects of every kind that is followed.
fn every_kind() -> Vec<Bad> {
    let object = |kind: &str, name: &str, rest: Value| {
        let mut object = json!({"kind": kind, "metadata": {"name": name}});
        let fields = rest.as_object().expect("fields").clone();
        object.as_object_mut().expect("an object").extend(fields);
        object
    };
    let labelled = |name: &str, service: &str, rest: Value| {
        let mut slice = object("EndpointSlice", name, rest);
        slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": service});
        slice
    };
    let bodies = |name: &str, rest: Value| {
        let mut map = object("ConfigMap", name, rest);
        map["metadata"]["labels"] = json!({"http.keda.sh/response-body": "true"});
        map
    };
    let mut deep = json!(1);
    for _ in 0..150 {
        deep = json!([deep]);
    }
    vec![
        (
            object("InterceptorRoute", "a1", json!({"spec": 5})),
            "InterceptorRoute default/a1: spec: must be a map",
        ),
        (
            object("InterceptorRoute", "a2", json!({})),
            "InterceptorRoute default/a2: spec: is required",
        ),
        (
            object("InterceptorRoute", "a3", json!({"spec": {"target": {}}})),
            "InterceptorRoute default/a3: spec.target.service: is required",
        ),
        (
            object("InterceptorRoute", "a4", json!({"spec": {"rules": deep}})),
            "InterceptorRoute default/a4: cannot be read: recursion limit exceeded",
        ),
        (
            object("Service", "s1", json!({"spec": {"ports": "none"}})),
            "what was known of it stays: spec.ports: invalid type",
        ),
        (
            object(
                "Service",
                "s2",
                json!({"spec": {"ports": [{"port": 99_999}]}}),
            ),
            "what was known of it stays: spec.ports[0].port: invalid value",
        ),
        (object("Service", "s3", json!({})), "missing field `spec`"),
        (
            object("EndpointSlice", "e1", json!({"endpoints": []})),
            "the label kubernetes.io/service-name is missing",
        ),
        (
            labelled("e2", "web", json!({"endpoints": [{"addresses": 5}]})),
            "stays: endpoints[0].addresses: invalid type",
        ),
        (
            labelled("e3", "web", json!({"ports": [{"port": "http"}]})),
            "stays: ports[0].port: invalid type",
        ),
        (
            object("ScaledObject", "o1", json!({"spec": {"triggers": {}}})),
            "stays: spec.triggers: invalid type",
        ),
        (
            object(
                "ScaledObject",
                "o2",
                json!({"spec": {"maxReplicaCount": -1}}),
            ),
            "stays: spec.maxReplicaCount: invalid value",
        ),
        (
            bodies("m1", json!({"data": {"x": 5}})),
            "stays: data.x: must be a string, not the number 5",
        ),
        (
            bodies("m2", json!({"binaryData": {"x": "%"}})),
            "stays: binaryData.x: is not base64",
        ),
    ]
}

#[test]
fn malformed_objects_are_named_and_harm_nobody_else() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let bad = every_kind();
    api.put_all(bad.iter().map(|(object, _)| object.clone()));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert!(answers(&reveille, "web", "pod"));
    assert_eq!(reveille.targets().len(), 1);
    // One of a kind that is watched by label is not asked for without it.
    for (object, said) in bad
        .iter()
        .filter(|(object, _)| object["metadata"]["name"] != "e1")
    {
        let line = reveille.until_logged(said);
        let name = object["metadata"]["name"].as_str().expect("a name");
        assert!(line.contains(name), "{line}");
    }
    // Also when they come later.
    for (object, _) in bad {
        let (kind, name) = (object["kind"].clone(), object["metadata"]["name"].clone());
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        api.delete(&text(&kind), "default", &text(&name));
        api.put(object);
    }
    api.put_all(all_of("shop", &pod));
    until_answers(&reveille, "shop", "pod");
    assert!(answers(&reveille, "web", "pod"));
    assert_eq!(reveille.targets().len(), 2);
    reveille.stop();
}

#[test]
fn lines_that_are_no_events_hide_none_after_them() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let lines = [
        "no JSON at all",
        "{}",
        "[]",
        r#"{"type": "ADDED"}"#,
        r#"{"type": "ADDED", "object": 5}"#,
        r#"{"type": "ADDED", "object": {}}"#,
        r#"{"type": "ADDED", "object": {"metadata": {"namespace": "default"}}}"#,
        r#"{"type": "MODIFIED", "object": {"metadata": {"name": 7}}}"#,
        r#"{"type": "DELETED", "object": {"metadata": {"name": "nobody", "namespace": "default"}}}"#,
        r#"{"type": "SOMETHING_NEW", "object": {"metadata": {"name": "x"}}}"#,
        r#"{"type": "BOOKMARK", "object": {"metadata": {}}}"#,
        r#"{"type": 5, "object": {}}"#,
        "",
        "\u{0}",
    ];
    for (round, line) in lines.into_iter().enumerate() {
        for kind in [
            "InterceptorRoute",
            "Service",
            "EndpointSlice",
            "ScaledObject",
            "ConfigMap",
        ] {
            api.say(kind, line);
        }
        let name = format!("r{round}");
        api.put_all(all_of(&name, &pod));
        until_answers(&reveille, &name, "pod");
    }
    assert!(answers(&reveille, "web", "pod"));
    assert_eq!(reveille.targets().len(), 1 + lines.len());
    let page = reveille.ask("/metrics").body;
    assert!(
        page.contains("kind=\"Service\",namespace=\"\",reason=\"garbled\""),
        "{page}"
    );
    reveille.stop();
}
