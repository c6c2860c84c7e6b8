//! Sources of metrics: from manifests to what the scaler fetches.
//!
//! Called by `world.rs` with each set of manifests; the scaler applies it by
//! difference. Pure.

use super::{connectors::Connectors, key};
use crate::manifest::{MetricSourceSpec, MetricTargets, Object};
use scaler::ingest::prometheus::{SourceConfig, SourceId, TargetList};
use std::collections::BTreeMap;

/// All of them, by namespace and name.
pub(super) fn sources(
    objects: Vec<Object<MetricSourceSpec>>,
    connectors: &Connectors,
) -> BTreeMap<SourceId, SourceConfig> {
    let source = |object: Object<MetricSourceSpec>| {
        let tls = connectors.of_source(&key(&object)).cloned();
        let spec = object.spec;
        let config = SourceConfig {
            targets: match spec.targets {
                MetricTargets::Addresses(addresses) => TargetList::Addresses(addresses),
                MetricTargets::File(path) => TargetList::File(path),
            },
            path: spec.path,
            tls,
            interval: spec.interval,
            timeout: spec.timeout,
            labels: spec.labels,
            metrics: spec.metrics.into(),
        };
        let id = SourceId {
            namespace: object.meta.namespace,
            name: object.meta.name,
        };
        (id, config)
    };
    objects.into_iter().map(source).collect()
}
