//! Patches: JSON merge patch (RFC 7396), and server-side apply as far as our
//! own objects go: what is applied replaces what was there, field by field.

use serde_json::{Map, Value};

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
