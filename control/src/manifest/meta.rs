//! What every object has: its name, and the place it was read from.
//!
//! Decoded by `kind` before the spec, so that all problems of the spec can name the object. It must
//! never refuse metadata that an API server adds (uid, managedFields and the like).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decode::Field;
use super::names;
use super::timestamp;

/// Namespace of objects that name none, as with `kubectl`.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Name and labels of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectMeta {
    /// Name, unique per kind and namespace; a DNS-1123 subdomain.
    pub name: String,
    /// Namespace; `default` where the manifest has none.
    pub namespace: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// `creationTimestamp` in unix seconds; files usually have none.
    pub created: Option<u64>,
    /// `generation`, counted up by an API server with every change of the spec.
    pub generation: Option<i64>,
}

/// Where an object was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// The line its document begins on, from 1; 0 for API objects.
    pub line: usize,
}

/// An object of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<S> {
    /// Name and labels.
    pub meta: ObjectMeta,
    /// What the kind is about.
    pub spec: S,
    /// Where it was read from.
    pub source: Source,
}

impl ObjectMeta {
    /// Decodes `metadata`. `max_name` is the longest name of the kind in bytes.
    ///
    /// `None` only after an error was noted.
    pub fn decode(metadata: &Field<'_>, max_name: usize) -> Option<Self> {
        let fields = metadata.map()?;
        let name = fields
            .required("name")
            .and_then(|field| field.parse(|name| names::object_name(name, max_name)));
        let namespace = match fields.optional("namespace") {
            Some(field) => field.parse(names::namespace),
            None => Some(DEFAULT_NAMESPACE.to_owned()),
        };
        let strings = |name| {
            fields
                .optional(name)
                .map(|field| field.strings())
                .unwrap_or_default()
        };
        let labels = strings("labels");
        let annotations = strings("annotations");
        let created = fields
            .optional("creationTimestamp")
            .and_then(|field| field.parse(timestamp::unix_seconds));
        let generation = fields
            .optional("generation")
            .and_then(|field| field.int(0..=i64::MAX));
        fields.ignore(&[
            "uid",
            "resourceVersion",
            "managedFields",
            "ownerReferences",
            "finalizers",
            "generateName",
            "selfLink",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ]);
        fields.finish();
        let (name, namespace) = (name?, namespace?);
        Some(Self {
            name,
            namespace,
            labels,
            annotations,
            created,
            generation,
        })
    }
}
