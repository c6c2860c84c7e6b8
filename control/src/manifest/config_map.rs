//! `ConfigMap` (v1): in local mode, the bodies of answers that a route gives
//! itself.
//!
//! Only those with the label `http.keda.sh/response-body: "true"` are read, as
//! in a cluster; the others belong to somebody else and are ignored.

use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::BTreeMap;

use super::decode::Field;
use super::meta::ObjectMeta;

/// The label of ConfigMaps with bodies, whose value must be `true`.
pub const RESPONSE_BODY_LABEL: &str = "http.keda.sh/response-body";

/// The API server's limit of all values together, in bytes.
const MAX_TOTAL: usize = 1 << 20;

/// The API server's limit of a key, in bytes.
const MAX_KEY: usize = 253;

/// The values of a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigMapSpec {
    /// `data` and `binaryData`, by key.
    pub bodies: BTreeMap<String, Vec<u8>>,
}

/// Does this ConfigMap hold bodies?
pub(super) fn is_labelled(meta: &ObjectMeta) -> bool {
    meta.labels
        .get(RESPONSE_BODY_LABEL)
        .is_some_and(|value| value == "true")
}

impl ConfigMapSpec {
    /// Decodes the values: `data` and `binaryData` stand at the root.
    pub(super) fn decode(data: Option<&Field<'_>>, binary: Option<&Field<'_>>) -> Self {
        let mut bodies = BTreeMap::new();
        let mut total = 0;
        let mut add = |key: &str, field: &Field<'_>, body: Option<Vec<u8>>| {
            let Some(body) = body else { return };
            if !is_key(key) {
                field.error(format!(
                    "{key:?} is not a valid key: use at most {MAX_KEY} letters, digits, '-', '_' and '.'"
                ));
            }
            total += body.len();
            if bodies.insert(key.to_owned(), body).is_some() {
                field.error(format!("{key:?} is set in data already"));
            }
        };
        for (key, field) in data.and_then(Field::entries).unwrap_or_default() {
            add(key, &field, field.string().map(|text| text.into()));
        }
        for (key, field) in binary.and_then(Field::entries).unwrap_or_default() {
            let body = field.parse(|text| {
                // Line breaks are common in YAML blocks, and Go ignores them.
                let text: String = text.split_ascii_whitespace().collect();
                STANDARD
                    .decode(text)
                    .map_err(|error| format!("is not base64: {error}"))
            });
            add(key, &field, body);
        }
        if let Some(field) = data.or(binary).filter(|_| total > MAX_TOTAL) {
            field.error(format!(
                "all values together must have at most {MAX_TOTAL} bytes, not {total}"
            ));
        }
        Self { bodies }
    }
}

fn is_key(key: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    !key.is_empty() && key.len() <= MAX_KEY && key.bytes().all(allowed)
}
