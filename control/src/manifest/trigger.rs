//! Triggers of a ScaledObject: whom KEDA, or the embedded autoscaler, asks for demand.
//!
//! Decoded for `scaled_object`. It must never interpret the metadata: the scaler does, the same way
//! whether KEDA or we ask it, and it is the scaler's check of metrics that is called here.

use std::collections::BTreeMap;

use super::decode::Field;
use super::report::Scope;
use crate::autoscaler::MetricType;

/// One trigger.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// Its type.
    pub kind: TriggerKind,
    /// Its name, where it has one; unique within the ScaledObject.
    pub name: Option<String>,
    /// How its value is compared with its target.
    pub metric_type: MetricType,
    /// What the scaler is told.
    pub metadata: BTreeMap<String, String>,
}

/// Type of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerKind {
    /// `external`: a scaler that is polled.
    External,
    /// `external-push`: a scaler that also says by itself when there is demand.
    ExternalPush,
    /// A type that only KEDA serves.
    NotServed(String),
}

impl Trigger {
    /// Decodes the list of triggers.
    pub fn decode_list(triggers: &Field<'_>) -> Vec<Self> {
        if triggers.list_is_empty() {
            triggers.error("must have at least one trigger");
        }
        let mut names = std::collections::HashSet::new();
        let decoded = triggers.list_of(|trigger| {
            let decoded = Self::decode(&trigger)?;
            if let Some(name) = &decoded.name
                && !names.insert(name.clone())
            {
                trigger.error(format!("a trigger named {name:?} exists already"));
            }
            Some(decoded)
        });
        let unserved = |trigger: &Self| matches!(trigger.kind, TriggerKind::NotServed(_));
        if triggers.scope() == Scope::Local && !decoded.is_empty() && decoded.iter().all(unserved) {
            triggers.error("no trigger is served here: one must be external or external-push");
        }
        decoded
    }

    fn decode(trigger: &Field<'_>) -> Option<Self> {
        let fields = trigger.map()?;
        let kind = fields
            .required("type")
            .and_then(|field| trigger_kind(&field));
        let name = fields
            .optional("name")
            .and_then(|field| field.string().map(str::to_owned));
        let metric_type = match fields.optional("metricType") {
            Some(field) => metric_type(&field, kind.as_ref()),
            None => Some(MetricType::AverageValue),
        };
        if let Some(field) = fields.optional("useCachedMetrics")
            && field.bool() == Some(true)
        {
            field.not_served_locally("metrics are always read afresh");
        }
        if let Some(field) = fields.optional("authenticationRef") {
            field.not_served_locally("there are no TriggerAuthentications");
        }
        let served = matches!(
            kind,
            Some(TriggerKind::External | TriggerKind::ExternalPush)
        );
        let metadata = fields
            .required("metadata")
            .and_then(|field| metadata(&field, served));
        fields.finish();
        Some(Self {
            kind: kind?,
            name,
            metric_type: metric_type?,
            metadata: metadata?,
        })
    }
}

fn trigger_kind(field: &Field<'_>) -> Option<TriggerKind> {
    Some(match field.non_empty()? {
        "external" => TriggerKind::External,
        "external-push" => TriggerKind::ExternalPush,
        other => {
            if field.scope() == Scope::Local {
                field.warning(format!(
                    "trigger type {other:?} is not served here: only external and external-push \
                     are, the others need KEDA"
                ));
            }
            TriggerKind::NotServed(other.to_owned())
        }
    })
}

fn metric_type(field: &Field<'_>, kind: Option<&TriggerKind>) -> Option<MetricType> {
    if field.string()? == "Utilization" {
        if let Some(TriggerKind::NotServed(_)) = kind {
            // Right for a cpu trigger, and nobody here will ever look at it.
            return Some(MetricType::AverageValue);
        }
        field.error("Utilization is for cpu and memory triggers only: use AverageValue or Value");
        return None;
    }
    field.choice(&[
        ("AverageValue", MetricType::AverageValue),
        ("Value", MetricType::Value),
    ])
}

fn metadata(map: &Field<'_>, served: bool) -> Option<BTreeMap<String, String>> {
    let mut metadata = BTreeMap::new();
    for (key, field) in map.entries()? {
        match field.as_str() {
            Some(value) => {
                metadata.insert(key.to_owned(), value.to_owned());
            }
            None => {
                let found = field.describe();
                field.error(format!(
                    "must be a quoted string, not {found}: KEDA refuses it"
                ));
            }
        }
    }
    if served {
        let fields = map.map()?;
        if let Some(field) = fields.required("scalerAddress")
            && field.as_str() == Some("")
        {
            field.error("must not be empty");
        }
    }
    if served {
        check_metric(map, &metadata);
    }
    Some(metadata)
}

/// Says what the scaler would say of `metricQuery` and what goes with it, at the line of the key.
fn check_metric(map: &Field<'_>, metadata: &BTreeMap<String, String>) {
    let value = |key: &str| metadata.get(key).map(String::as_str);
    let Err((key, said)) = scaler::keda::check(value) else {
        return;
    };
    let entries = map.entries().unwrap_or_default();
    match entries.into_iter().find(|(name, _)| *name == key) {
        // It was noted already if it is no text.
        Some((_, field)) if field.as_str().is_some() => field.error(said),
        Some(_) => {}
        None => map.error(format!("`{key}` {said}")),
    }
}
