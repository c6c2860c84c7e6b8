//! Which labels a resource and a scope give to their series.
//!
//! A selection keeps series small and readable; what is left out must not make
//! two pods' series one. So a resource has an `instance`: its own
//! `service.instance.id` if that is selected (the specification has it unique
//! among the instances of a service), else a hash of all its attributes.

use super::{
    text::{KeyValue, key_text, key_value, value_text},
    wire::{Fields, WireError},
};
use crate::series::{DropReason, LabelBuilder, Limits};
use foldhash::quality::FixedState;
use std::hash::BuildHasher;

const SERVICE_NAME: &str = "service.name";
const SERVICE_NAMESPACE: &str = "service.namespace";
const INSTANCE_ID: &str = "service.instance.id";
const INSTANCE: &str = "instance";

/// What a resource's label is called where a data point has that name.
const PREFIX: &str = "resource_";

/// Replicas and later runs must come to the same hash.
const SEED: u64 = 0x5265_7665_696c_6c65;

/// Which attributes of a resource become labels, and under which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceLabels(Vec<(String, String)>);

impl Default for ResourceLabels {
    fn default() -> Self {
        Self::new([
            (SERVICE_NAME, "job"),
            (INSTANCE_ID, INSTANCE),
            ("host.name", "host_name"),
            ("k8s.namespace.name", "namespace"),
            ("k8s.pod.name", "pod"),
            ("k8s.container.name", "container"),
            ("k8s.deployment.name", "deployment"),
        ])
    }
}

impl ResourceLabels {
    /// These attributes under these labels.
    ///
    /// `service.name` is preceded by `service.namespace` and a slash where the
    /// resource has one that is not selected by itself, as Prometheus has it.
    pub fn new<A: Into<String>, L: Into<String>>(
        selected: impl IntoIterator<Item = (A, L)>,
    ) -> Self {
        let selected = selected.into_iter();
        Self(selected.map(|(a, l)| (a.into(), l.into())).collect())
    }

    fn label(&self, attribute: &str) -> Option<&str> {
        let mut all = self.0.iter();
        let (_, label) = all.find(|(selected, _)| selected == attribute)?;
        Some(label)
    }

    /// The labels of the bytes of a `Resource`.
    pub(super) fn of(
        &self,
        resource: &[u8],
        limits: &Limits,
    ) -> Result<Vec<(String, String)>, DropReason> {
        let most = limits.value_bytes;
        let mut labels: Vec<(String, String)> = Vec::new();
        let mut namespace = String::new();
        let mut left_out = false;
        let mut attributes = attributes("Resource", resource, 1)?;
        for (key, value) in &attributes {
            let key = key_text(key)?;
            match self.label(key) {
                Some(label) => labels.push((label.to_owned(), value_text(value, most)?.into())),
                None if key == SERVICE_NAMESPACE => namespace = value_text(value, most)?.into(),
                None => left_out = true,
            }
        }
        if !namespace.is_empty() {
            let label = self.label(SERVICE_NAME);
            match labels.iter_mut().find(|(held, _)| Some(&**held) == label) {
                Some((_, job)) => job.insert_str(0, &format!("{namespace}/")),
                None => left_out = true,
            }
        }
        let has_id = self.label(INSTANCE_ID).is_some()
            && attributes
                .iter()
                .any(|(key, value)| *key == INSTANCE_ID.as_bytes() && !value.is_empty());
        if left_out && !has_id {
            attributes.sort_unstable();
            let hash = FixedState::with_seed(SEED).hash_one(&attributes);
            // Somebody may have selected another attribute for that name.
            let name = match labels.iter().any(|(label, _)| label == INSTANCE) {
                true => "resource_hash",
                false => INSTANCE,
            };
            labels.push((name.to_owned(), format!("{hash:016x}")));
        }
        Ok(labels)
    }
}

/// The labels of the bytes of an `InstrumentationScope`, as Prometheus names
/// them: a metric of the same name may come from two scopes.
pub(super) fn scope_labels(
    scope: &[u8],
    limits: &Limits,
) -> Result<Vec<(String, String)>, DropReason> {
    let mut labels = Vec::new();
    for field in Fields::of("InstrumentationScope", scope) {
        let field = field.map_err(|_| DropReason::BadLabel)?;
        let name = match field.number {
            1 => "otel_scope_name",
            2 => "otel_scope_version",
            _ => continue,
        };
        let text = field.bytes().map_err(|_| DropReason::BadLabel)?;
        labels.push((name.to_owned(), key_text(text)?.to_owned()));
    }
    for (key, value) in attributes("InstrumentationScope", scope, 3)? {
        let name = format!("otel_scope_{}", key_text(key)?);
        labels.push((name, value_text(value, limits.value_bytes)?.into()));
    }
    Ok(labels)
}

/// Adds a resource's labels. Where a data point has a label of that name, the
/// resource's is kept beside it with `resource_` before its name.
pub(super) fn add_beside<'a>(
    builder: &mut LabelBuilder<'a>,
    labels: &'a [(String, String)],
) -> Result<(), DropReason> {
    for (label, value) in labels {
        if builder.has(label) {
            builder.label(format!("{PREFIX}{label}"), &**value)?;
        } else {
            builder.label(&**label, &**value)?;
        }
    }
    Ok(())
}

fn attributes<'a>(
    message: &'static str,
    bytes: &'a [u8],
    number: u64,
) -> Result<Vec<KeyValue<'a>>, DropReason> {
    Fields::of(message, bytes)
        .filter_map(|field| match field {
            Ok(field) if field.number == number => Some(field.bytes().and_then(key_value)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<_, WireError>>()
        .map_err(|_| DropReason::BadLabel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::{
        common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
        resource::v1::Resource,
    };
    use prost::Message;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
        let pair = |(key, value): &(&str, &str)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue {
                value: Some(Value::StringValue((*value).to_owned())),
            }),
            ..KeyValue::default()
        };
        pairs.iter().map(pair).collect()
    }

    fn of(selection: &ResourceLabels, attributes: &[(&str, &str)]) -> Vec<(String, String)> {
        let resource = Resource {
            attributes: pairs(attributes),
            ..Resource::default()
        };
        let mut labels = selection
            .of(&resource.encode_to_vec(), &Limits::default())
            .unwrap();
        labels.sort();
        labels
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn an_instance_id_is_enough_to_tell_resources_apart() {
        let all = ResourceLabels::default();
        let labels = of(
            &all,
            &[
                ("service.name", "shop"),
                ("service.namespace", "eu"),
                ("service.instance.id", "i-1"),
                ("process.pid", "17"),
            ],
        );
        assert_eq!(labels, owned(&[("instance", "i-1"), ("job", "eu/shop")]));
    }

    #[test]
    fn without_one_what_is_left_out_is_in_a_hash() {
        let all = ResourceLabels::default();
        let one = of(&all, &[("service.name", "shop"), ("process.pid", "17")]);
        let two = of(&all, &[("service.name", "shop"), ("process.pid", "18")]);
        let turned = of(&all, &[("process.pid", "17"), ("service.name", "shop")]);
        assert_eq!(one[0].0, "instance");
        assert_eq!(one[0].1.len(), 16);
        assert_ne!(one, two);
        assert_eq!(one, turned);
    }

    #[test]
    fn with_nothing_left_out_there_is_no_hash() {
        let all = ResourceLabels::default();
        let labels = of(&all, &[("k8s.pod.name", "a"), ("k8s.namespace.name", "n")]);
        assert_eq!(labels, owned(&[("namespace", "n"), ("pod", "a")]));
        assert_eq!(of(&all, &[]), []);
    }

    #[test]
    fn a_selection_that_leaves_the_instance_out_gets_the_hash() {
        let few = ResourceLabels::new([("service.name", "service")]);
        let labels = |id| of(&few, &[("service.name", "a"), ("service.instance.id", id)]);
        assert_ne!(labels("1"), labels("2"));
        let other = ResourceLabels::new([("host.name", "instance")]);
        let labels = of(&other, &[("host.name", "a"), ("x", "y")]);
        assert_eq!(labels[0], ("instance".to_owned(), "a".to_owned()));
        assert_eq!(labels[1].0, "resource_hash");
    }

    #[test]
    fn a_scope_has_name_version_and_attributes() {
        let scope = InstrumentationScope {
            name: "lib".to_owned(),
            version: "1".to_owned(),
            attributes: pairs(&[("a.b", "c")]),
            dropped_attributes_count: 0,
        };
        let labels = scope_labels(&scope.encode_to_vec(), &Limits::default()).unwrap();
        let wanted = [
            ("otel_scope_name", "lib"),
            ("otel_scope_version", "1"),
            ("otel_scope_a.b", "c"),
        ];
        assert_eq!(labels, owned(&wanted));
    }

    #[test]
    fn a_data_points_label_keeps_its_name() {
        let limits = Limits::default();
        let labels = owned(&[("pod", "b"), ("job", "j")]);
        let mut builder = LabelBuilder::new(&limits, "m").unwrap();
        builder.label("pod", "a").unwrap();
        add_beside(&mut builder, &labels).unwrap();
        let built = builder.build().unwrap();
        assert_eq!(
            built.to_string(),
            r#"m{job="j", pod="a", resource_pod="b"}"#
        );
    }
}
