//! The CustomResourceDefinitions are those of the Rust types.

use crate::{kept, objects::Object};
use control::crd;
use serde_json::Value;
use std::process::Command;

/// Bounds are floating point in the type, and whole in every definition.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0);
            *value = Value::from(whole.expect("whole") as i64);
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

#[test]
fn the_definitions_are_those_of_the_types() {
    for definition in crd::all() {
        let name = definition.metadata.name.clone().expect("a name");
        let (plural, group) = name.split_once('.').expect("plural.group");
        // By way of JSON values: their keys are sorted.
        let mut value = serde_json::to_value(definition).expect("JSON");
        whole_numbers(&mut value);
        let yaml = serde_saphyr::to_string(&value).expect("YAML");
        // A chart has only what lies in its own folder.
        for folder in ["crds", "helm/reveille/files/crds"] {
            kept::same(
                &format!("{folder}/{group}_{plural}.yaml"),
                &format!("---\n{yaml}"),
            );
        }
    }
}

#[test]
fn the_program_prints_them() {
    let output = Command::new(env!("CARGO_BIN_EXE_reveille"))
        .arg("crds")
        .output()
        .expect("it runs");
    let printed = Object::all(&String::from_utf8(output.stdout).expect("UTF-8"));
    let names: Vec<&str> = printed.iter().map(|object| object.name.as_str()).collect();
    let wanted = [
        "interceptorroutes.http.keda.sh",
        "httpscaledobjects.http.keda.sh",
    ];
    assert_eq!(names, wanted);
}
