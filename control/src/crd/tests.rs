//! The schemas against `manifest`, which reads the same objects.

use super::{InterceptorRoute, all};
use crate::manifest;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path};

fn schema(kind: &str) -> JSONSchemaProps {
    let crd = all().into_iter().find(|crd| crd.spec.names.kind == kind);
    let version = crd.expect("it exists").spec.versions.remove(0);
    let schema = version.schema.expect("a schema").open_api_v3_schema;
    schema.expect("a schema")
}

/// Calls `visit` for each schema with its path: `spec.rules[].hosts`.
fn walk(schema: &JSONSchemaProps, path: &str, visit: &mut impl FnMut(&str, &JSONSchemaProps)) {
    visit(path, schema);
    for (name, property) in schema.properties.iter().flatten() {
        walk(property, &format!("{path}.{name}"), visit);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        walk(items, &format!("{path}[]"), visit);
    }
}

/// Paths of a value, in the same form.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    found.insert(path.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                paths(value, &format!("{path}.{name}"), found);
            }
        }
        Value::Array(items) => {
            for item in items {
                paths(item, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

fn rule() -> Value {
    json!({
        "hosts": ["a.example.com"],
        "paths": [{"value": "/api"}],
        "headers": [{"name": "X-Tenant", "value": "a"}],
    })
}

/// Two specs that have every field between them.
fn full() -> [Value; 2] {
    let response = json!({"statusCode": 418, "body": "short", "headers": {"A": "b"}});
    let from_map = json!({"bodyFromConfigMap": {"name": "pages", "key": "index.html"}});
    [
        json!({
            "target": {"service": "web", "port": 80},
            "rules": [rule()],
            "scalingMetric": {
                "concurrency": {"targetValue": 10},
                "requestRate": {"targetValue": 10, "window": "1m", "granularity": "1s"},
            },
            "coldStart": {
                "fallback": {"service": {"name": "spare", "port": 80}},
                "placeholder": {"response": response},
                "maxPendingRequests": 10,
                "overflow": "Placeholder",
            },
            "timeouts": {"request": "1m", "responseHeader": "30s", "readiness": "20s"},
            "staticRoutes": [{"rules": [rule()], "response": response, "responseMode": "Always"}],
            "sessionPersistence": {
                "type": "Cookie", "absoluteTimeout": "1h", "cookie": {"name": "sid"},
            },
        }),
        json!({
            "target": {"service": "web", "portName": "http"},
            "scalingMetric": {"concurrency": {"targetValue": 10}},
            "coldStart": {
                "fallback": {"service": {"name": "spare", "portName": "http"}},
                "placeholder": {"response": from_map},
            },
            "staticRoutes": [{"rules": [{}], "response": from_map}],
        }),
    ]
}

fn route(spec: &Value) -> Value {
    json!({
        "apiVersion": "http.keda.sh/v1beta1",
        "kind": "InterceptorRoute",
        "metadata": {"name": "web"},
        "spec": spec,
    })
}

/// What `manifest` says of a route, beside that nothing else is there.
fn problems(spec: &Value) -> Vec<String> {
    let read = manifest::parse("test", Path::new("."), &route(spec).to_string());
    let problems = read.problems.iter().map(ToString::to_string);
    let elsewhere = ["there is no ", "receives no traffic"];
    problems
        .filter(|problem| !elsewhere.iter().any(|words| problem.contains(words)))
        .collect()
}

#[test]
fn the_schema_has_the_fields_that_are_read() {
    let mut known = BTreeSet::new();
    walk(&schema("InterceptorRoute"), "", &mut |path, _| {
        if path.starts_with(".spec.") {
            known.insert(path.trim_start_matches(".spec").to_owned());
        }
    });
    let mut set = BTreeSet::new();
    for spec in full() {
        assert_eq!(problems(&spec), [] as [&str; 0]);
        paths(&spec, "", &mut set);
    }
    set.remove("");
    // The names of headers are anybody's.
    set.retain(|path| !path.ends_with(".headers.A"));
    assert_eq!(set, known);
}

#[test]
fn what_the_schema_gives_up_is_read_back_by_its_type() {
    for spec in full() {
        let object = route(&spec);
        let typed: InterceptorRoute = serde_json::from_value(object.clone()).expect("it is one");
        let back = serde_json::to_value(&typed).expect("JSON");
        for (name, value) in spec.as_object().expect("a map") {
            if name != "coldStart" && name != "staticRoutes" {
                assert_eq!(back["spec"][name], *value, "{name}");
            }
        }
    }
}

/// A spec with this in place of what is there.
fn with(pointer: &str, value: Value) -> Value {
    let [mut spec, _] = full();
    *spec.pointer_mut(pointer).expect("it is there") = value;
    spec
}

#[test]
fn rules_of_the_schema_have_the_messages_of_the_reader() {
    let mut messages = BTreeSet::new();
    walk(&schema("InterceptorRoute"), "", &mut |_, schema| {
        let rules = schema.x_kubernetes_validations.iter().flatten();
        messages.extend(rules.map(|rule| rule.message.clone().expect("a message")));
    });
    for spec in [
        with(
            "/target",
            json!({"service": "web", "port": 80, "portName": "http"}),
        ),
        with("/target", json!({"service": "web"})),
        with("/scalingMetric", json!({})),
        with("/coldStart", json!({})),
        with(
            "/coldStart",
            json!({"maxPendingRequests": 1, "overflow": "Placeholder"}),
        ),
        with(
            "/staticRoutes/0/response",
            json!({"body": "a", "bodyFromConfigMap": {"name": "b"}}),
        ),
    ] {
        let said = problems(&spec);
        assert!(
            said.iter()
                .any(|said| messages.iter().any(|message| said.ends_with(message))),
            "{said:?} has none of {messages:?}"
        );
    }
    assert_eq!(
        messages.len(),
        6,
        "five that are shared, and the session's: {messages:?}"
    );
}

#[test]
fn lists_merge_as_the_add_ons_do() {
    let mut lists = Vec::new();
    walk(&schema("InterceptorRoute"), "", &mut |path, schema| {
        if schema.items.is_some() && path.starts_with(".spec.rules") {
            let keys = schema
                .x_kubernetes_list_map_keys
                .clone()
                .unwrap_or_default();
            let kind = schema.x_kubernetes_list_type.clone().unwrap_or_default();
            lists.push(format!("{path} {kind} {}", keys.join(",")));
        }
    });
    let wanted = [
        ".spec.rules atomic ",
        ".spec.rules[].headers map name",
        ".spec.rules[].hosts set ",
        ".spec.rules[].paths atomic ",
    ];
    assert_eq!(lists, wanted);
}

#[test]
fn definitions_are_those_of_the_add_on_by_name_and_columns() {
    for (crd, (plural, version, short, columns)) in all().into_iter().zip([
        (
            "interceptorroutes",
            "v1beta1",
            None,
            &["TargetService", "Ready", "Age"][..],
        ),
        (
            "httpscaledobjects",
            "v1alpha1",
            Some("httpso"),
            &[
                "TargetWorkload",
                "TargetService",
                "MinReplicas",
                "MaxReplicas",
                "Age",
                "Ready",
            ],
        ),
    ]) {
        let names = crd.spec.names;
        assert_eq!(
            (crd.spec.group.as_str(), names.plural.as_str()),
            ("http.keda.sh", plural)
        );
        assert_eq!(crd.spec.scope, "Namespaced");
        let short: Vec<String> = short.into_iter().map(str::to_owned).collect();
        assert_eq!(names.short_names.unwrap_or_default(), short);
        let served = &crd.spec.versions[0];
        assert_eq!(
            (served.name.as_str(), served.served, served.storage),
            (version, true, true)
        );
        let status = served
            .subresources
            .as_ref()
            .and_then(|sub| sub.status.as_ref());
        assert!(status.is_some());
        let shown = served.additional_printer_columns.iter().flatten();
        let shown: Vec<&str> = shown.map(|column| column.name.as_str()).collect();
        assert_eq!(shown, columns);
    }
}
