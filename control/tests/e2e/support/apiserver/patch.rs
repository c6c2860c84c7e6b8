//! Patches: JSON merge patch (RFC 7396), and server-side apply with its memory
//! of who owns which field, as far as our own objects go: lists are owned as a
//! whole, but for `ownerReferences`.

use serde_json::{Map, Value, json};

/// RFC 7396.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().expect("it is one").remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}

/// Server-side apply of `sent` by `manager` to what is known; without `force`,
/// the fields that somebody else has set otherwise.
pub(super) fn apply(
    known: Option<Value>,
    sent: &Value,
    manager: &str,
    force: bool,
) -> Result<Value, Vec<String>> {
    let mut object = known.unwrap_or_else(|| json!({"metadata": {}}));
    let before = owned(&object, manager);
    let mut leaves = Vec::new();
    find_leaves(sent, &mut Vec::new(), &mut leaves);
    let conflicts: Vec<String> = leaves
        .iter()
        .filter(|path| !before.contains(path))
        .filter(|path| {
            let there = at(&object, path);
            there.is_some_and(|there| Some(there) != at(sent, path))
        })
        .map(|path| path.join("."))
        .collect();
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    for path in before.iter().filter(|path| !leaves.contains(path)) {
        remove(&mut object, path);
    }
    for path in &leaves {
        let value = at(sent, path).expect("it is there").clone();
        set(&mut object, path, value);
    }
    let mut fields = json!({});
    for path in &leaves {
        let path: Vec<String> = path.iter().map(|part| format!("f:{part}")).collect();
        set(&mut fields, &path, json!({}));
    }
    let managers = &mut object["metadata"]["managedFields"];
    if managers.is_null() {
        *managers = json!([]);
    }
    let managers = managers.as_array_mut().expect("a list");
    managers.retain(|entry| entry["manager"] != manager);
    managers.push(
        json!({"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1",
        "fieldsV1": fields}),
    );
    Ok(object)
}

type Path = Vec<String>;

/// What `manager` applied last.
fn owned(object: &Value, manager: &str) -> Vec<Path> {
    let managers = object["metadata"]["managedFields"].as_array();
    let mut managers = managers.into_iter().flatten();
    let entry = managers.find(|entry| entry["manager"] == manager);
    let mut fields = Vec::new();
    if let Some(entry) = entry {
        find_leaves(&entry["fieldsV1"], &mut Vec::new(), &mut fields);
    }
    let plain = |part: String| part.strip_prefix("f:").unwrap_or(&part).to_owned();
    let plain = |path: Path| path.into_iter().map(plain).collect();
    fields.into_iter().map(plain).collect()
}

/// Everything but what only says which object is meant.
fn find_leaves(value: &Value, path: &mut Path, found: &mut Vec<Path>) {
    const NAMES: [&str; 6] = [
        "apiVersion",
        "kind",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "metadata.resourceVersion",
    ];
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                path.push(name.clone());
                find_leaves(value, path, found);
                path.pop();
            }
        }
        _ if NAMES.contains(&path.join(".").as_str()) => {}
        _ => found.push(path.clone()),
    }
}

fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| value.get(part))
}

fn set(value: &mut Value, path: &[String], to: Value) {
    let place = path.iter().fold(value, |value, part| {
        if !value.is_object() {
            *value = json!({});
        }
        &mut value[part]
    });
    // Its items have a key.
    if path.last().is_some_and(|last| last == "ownerReferences")
        && let (Some(there), Some(to)) = (place.as_array_mut(), to.as_array())
    {
        there.retain(|one| to.iter().all(|new| new["uid"] != one["uid"]));
        there.extend(to.iter().cloned());
    } else {
        *place = to;
    }
}

fn remove(value: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let parent = parents
        .iter()
        .try_fold(value, |value, part| value.get_mut(part));
    if let Some(fields) = parent.and_then(Value::as_object_mut) {
        fields.remove(last);
    }
}
