//! What HTTPScaledObjects stand for, and that what is printed in their place is the same.

use std::path::Path;
use std::time::Duration;

use crate::autoscaler::MetricType;
use crate::manifest::*;

const FULL: &str = "\
apiVersion: http.keda.sh/v1alpha1
kind: HTTPScaledObject
metadata:
  name: web
  namespace: shop
  labels: {team: a}
  annotations:
    note: keep
    kubectl.kubernetes.io/last-applied-configuration: '{}'
    httpscaledobject.keda.sh/orphan-scaledobject: 'true'
  creationTimestamp: 2026-06-28T10:20:30Z
spec:
  hosts: [a.example.com, '*.b.example.com']
  pathPrefixes: [/api, '']
  headers: [{name: X-Tenant, value: ''}, {name: X-Debug}]
  scaleTargetRef: {name: web, kind: Deployment, apiVersion: apps/v1, service: web, portName: http}
  coldStartTimeoutFailoverRef: {service: spare, port: 8080, timeoutSeconds: 7}
  replicas: {min: 1, max: 5}
  scaledownPeriod: 60
  initialCooldownPeriod: 5
  scalingMetric: {requestRate: {targetValue: 20, window: 90s}}
  timeouts: {conditionWait: 40s, responseHeader: 1500ms}
status: {targetService: 'web:0'}
";

const LEAST: &str = "\
apiVersion: http.keda.sh/v1alpha1
kind: HTTPScaledObject
metadata: {name: web, namespace: shop}
spec: {scaleTargetRef: {name: web, service: web, port: 80}}
";

const WORKLOADS: &str = "\
---
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {name: web, namespace: shop}
spec: {command: [web]}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {name: spare, namespace: shop}
spec: {addresses: ['127.0.0.1:9']}
";

fn read(text: &str) -> Manifests {
    parse("set.yaml", Path::new("/srv"), &format!("{text}{WORKLOADS}"))
}

fn errors(manifests: &Manifests) -> Vec<&Problem> {
    let problems = manifests.problems.iter();
    let is_error = |problem: &&Problem| problem.severity == Severity::Error;
    problems.filter(is_error).collect()
}

#[test]
fn every_field_has_its_place_in_the_route_and_the_scaled_object() {
    let manifests = read(FULL);
    assert_eq!(errors(&manifests), Vec::<&Problem>::new());
    let object = &manifests.http_scaled_objects[0];
    let route = object.interceptor_route();
    assert_eq!(route.meta.created, object.meta.created);
    let spec = route.spec;
    assert_eq!(spec.rules.len(), 1);
    assert_eq!(spec.rules[0].hosts, ["a.example.com", "*.b.example.com"]);
    assert_eq!(spec.rules[0].paths, ["/api", ""]);
    assert_eq!(spec.rules[0].headers[0].value.as_deref(), Some(""));
    assert_eq!(spec.rules[0].headers[1].value, None);
    assert_eq!(spec.target.port, PortRef::Name("http".to_owned()));
    let rate = spec.scaling_metric.request_rate.expect("a rate");
    assert_eq!((rate.target_value, rate.window.as_secs()), (20, 90));
    assert_eq!(spec.scaling_metric.concurrency, None);
    let fallback = spec.cold_start.and_then(|cold| cold.fallback);
    assert_eq!(fallback.expect("the failover").service, "spare");
    // The failover's own timeout goes before conditionWait.
    assert_eq!(spec.timeouts.readiness, Some(Duration::from_secs(7)));
    let header = spec.timeouts.response_header;
    assert_eq!(header, Some(Duration::from_millis(1500)));

    let scaled = &manifests.scaled_objects[0];
    assert_eq!(scaled.meta.name, "web");
    assert_eq!(scaled.meta.labels["team"], "a");
    assert!(
        scaled
            .meta
            .annotations
            .keys()
            .all(|name| !name.starts_with("kubectl"))
    );
    let spec = &scaled.spec;
    assert_eq!((spec.min_replica_count, spec.max_replica_count), (1, 5));
    assert_eq!(spec.polling_interval, Duration::from_secs(15));
    assert_eq!(spec.cooldown_period, Duration::from_secs(60));
    assert_eq!(spec.initial_cooldown_period, Duration::from_secs(5));
    assert_eq!(spec.triggers[0].kind, TriggerKind::ExternalPush);
    assert_eq!(spec.triggers[0].metric_type, MetricType::AverageValue);
    assert_eq!(spec.triggers[0].metadata["httpScaledObject"], "web");
}

#[test]
fn what_is_left_out_has_the_add_ons_defaults() {
    let manifests = read(LEAST);
    let object = &manifests.http_scaled_objects[0];
    let route = object.interceptor_route().spec;
    assert_eq!(route.rules, [RoutingRule::default()]);
    assert_eq!(route.scaling_metric.concurrency, Some(100));
    assert_eq!(route.timeouts, Timeouts::default());
    assert_eq!(route.cold_start, None);
    let scaled = &manifests.scaled_objects[0].spec;
    assert_eq!(
        (scaled.min_replica_count, scaled.max_replica_count),
        (0, 100)
    );
    assert_eq!(scaled.cooldown_period, Duration::from_secs(300));
}

#[test]
fn one_metric_counts() {
    for (given, concurrency, rate) in [
        ("targetPendingRequests: 7", Some(7), None),
        ("scalingMetric: {}", Some(100), None),
        (
            "{targetPendingRequests: 7, scalingMetric: {concurrency: {}}}",
            Some(100),
            None,
        ),
        (
            "{targetPendingRequests: 7, scalingMetric: {concurrency: {targetValue: 3}}}",
            Some(3),
            None,
        ),
        ("scalingMetric: {requestRate: {}}", None, Some(100)),
    ] {
        let inner = given
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let given = if given.starts_with('{') {
            inner.expect("a map")
        } else {
            given
        };
        let spec = format!("{{{given}, scaleTargetRef: {{service: web, port: 80}}}}");
        let manifests = read(&LEAST.replace(
            "{scaleTargetRef: {name: web, service: web, port: 80}}",
            &spec,
        ));
        assert_eq!(errors(&manifests), Vec::<&Problem>::new(), "{given}");
        let metric = &manifests.http_scaled_objects[0].spec.scaling_metric;
        assert_eq!(metric.concurrency, concurrency, "{given}");
        let target = metric.request_rate.as_ref().map(|rate| rate.target_value);
        assert_eq!(target, rate, "{given}");
        // It names no workload.
        assert!(manifests.scaled_objects.is_empty());
    }
}

/// Names and the place of an object aside, which differ on purpose.
fn same_scaling(one: &ScaledObjectSpec, other: &ScaledObjectSpec) {
    let without_triggers = |spec: &ScaledObjectSpec| ScaledObjectSpec {
        triggers: Vec::new(),
        ..spec.clone()
    };
    assert_eq!(without_triggers(one), without_triggers(other));
}

#[test]
fn the_documents_say_what_is_served() {
    for text in [FULL, LEAST] {
        let manifests = read(text);
        let object = &manifests.http_scaled_objects[0];
        let printed = object.equivalent(None);
        let written = read(&printed);
        assert_eq!(errors(&written), Vec::<&Problem>::new(), "{printed}");
        let mut route = object.interceptor_route().spec;
        for path in &mut route.rules[0].paths {
            if path.is_empty() {
                "/".clone_into(path);
            }
        }
        assert_eq!(written.routes[0].spec, route, "{printed}");
        same_scaling(
            &written.scaled_objects[0].spec,
            &manifests.scaled_objects[0].spec,
        );
        let trigger = &written.scaled_objects[0].spec.triggers[0];
        assert_eq!(trigger.metadata["interceptorRoute"], "web");
        assert!(!printed.contains("httpscaledobject"), "{printed}");

        let document = object
            .scaled_object_document(&ScalerRef::plain("scaler.keda:9090"))
            .expect("one");
        let written = read(&format!("{document}\n---\n{text}"));
        assert_eq!(errors(&written), Vec::<&Problem>::new(), "{document}");
        assert_eq!(
            written.scaled_objects.len(),
            1,
            "it is used in place of a derived one"
        );
        same_scaling(
            &written.scaled_objects[0].spec,
            &manifests.scaled_objects[0].spec,
        );
        let metadata = &written.scaled_objects[0].spec.triggers[0].metadata;
        assert_eq!(metadata["httpScaledObject"], "web");
        assert_eq!(metadata["scalerAddress"], "scaler.keda:9090");
    }
}

#[test]
fn none_is_made_where_the_annotation_says_so() {
    let skipping = LEAST.replace(
        "namespace: shop}",
        "namespace: shop, annotations: {httpscaledobject.keda.sh/skip-scaledobject-creation: 'true'}}",
    );
    let manifests = read(&skipping);
    let object = &manifests.http_scaled_objects[0];
    assert!(manifests.scaled_objects.is_empty());
    assert_eq!(
        object.scaled_object_document(&ScalerRef::plain("s:1")),
        None
    );
    assert!(!object.equivalent(None).contains("kind: ScaledObject"));
}
