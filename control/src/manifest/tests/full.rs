//! Objects with every field set, and the defaults of objects with none.

use crate::autoscaler::{
    Behavior, MetricType, PolicyKind, ScalingPolicy, ScalingRules, SelectPolicy,
};
use proxy::{Protocol, tls::UpstreamTls};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::manifest::*;

const ROUTE: &str = r#"
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata:
  name: web
  namespace: shop
  labels: {team: a}
  annotations: {note: "1"}
  creationTimestamp: "2026-06-28T10:20:30Z"
  generation: 7
  uid: 6b0a
spec:
  target: {service: web, portName: http}
  rules:
  - hosts: [a.example.com, "*.b.example.com"]
    paths: [{value: /api}, {value: /v2}]
    headers: [{name: X-Tenant, value: ""}, {name: X-Debug}]
  - {}
  scalingMetric:
    concurrency: {targetValue: 10}
    requestRate: {targetValue: 20, window: 90s, granularity: 2s}
  coldStart:
    fallback: {service: {name: spare, port: 8080}}
    placeholder:
      response: {body: waking, headers: {Retry-After: "5"}}
    maxPendingRequests: 100
    overflow: Placeholder
  timeouts: {request: 0s, responseHeader: 5m, readiness: 1m30s}
  staticRoutes:
  - rules: [{paths: [{value: /robots.txt}]}]
    response: {statusCode: 204}
    responseMode: Always
  - rules: [{}]
    response: {body: later}
  sessionPersistence: {type: Cookie, absoluteTimeout: 1h, cookie: {name: sid}}
status: {conditions: []}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {name: web, namespace: shop}
spec:
  addresses: ["127.0.0.1:9000", "[::1]:9000"]
  appProtocol: https
  tls:
    caFile: tls/ca.crt
    clientCertFile: /etc/client.crt
    clientKeyFile: /etc/client.key
    serverName: other.test
    insecureSkipVerify: true
---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {name: spare, namespace: shop}
spec: {addresses: ["127.0.0.1:9001"]}
"#;

fn rule(hosts: &[&str], paths: &[&str]) -> RoutingRule {
    let strings = |list: &[&str]| list.iter().map(|text| text.to_string()).collect();
    RoutingRule {
        hosts: strings(hosts),
        paths: strings(paths),
        headers: Vec::new(),
    }
}

fn response(status_code: u16, body: Option<&str>) -> StaticResponse {
    StaticResponse {
        status_code,
        body: body.map(str::to_owned),
        body_from_config_map: None,
        body_from_file: None,
        headers: Default::default(),
    }
}

#[test]
fn every_field_of_an_interceptor_route() {
    let manifests = parse("route.yaml", Path::new("/srv"), ROUTE);
    let told: Vec<String> = manifests.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told, [] as [&str; 0]);
    let route = &manifests.routes[0];
    assert_eq!(
        route.source,
        Source {
            file: "route.yaml".into(),
            line: 2
        }
    );
    assert_eq!(
        route.meta,
        ObjectMeta {
            name: "web".into(),
            namespace: "shop".into(),
            labels: [("team".into(), "a".into())].into(),
            annotations: [("note".into(), "1".into())].into(),
            created: Some(1_782_642_030),
            generation: Some(7),
        }
    );
    let headers = vec![
        HeaderMatch {
            name: "X-Tenant".into(),
            value: Some(String::new()),
        },
        HeaderMatch {
            name: "X-Debug".into(),
            value: None,
        },
    ];
    let expected = InterceptorRouteSpec {
        target: ServicePort {
            service: "web".into(),
            port: PortRef::Name("http".into()),
        },
        rules: vec![
            RoutingRule {
                headers,
                ..rule(&["a.example.com", "*.b.example.com"], &["/api", "/v2"])
            },
            RoutingRule::default(),
        ],
        scaling_metric: ScalingMetric {
            concurrency: Some(10),
            request_rate: Some(RequestRate {
                target_value: 20,
                window: Duration::from_secs(90),
                granularity: Duration::from_secs(2),
            }),
        },
        cold_start: Some(ColdStart {
            fallback: Some(ServicePort {
                service: "spare".into(),
                port: PortRef::Number(8080),
            }),
            placeholder: Some(StaticResponse {
                headers: [("Retry-After".into(), "5".into())].into(),
                ..response(503, Some("waking"))
            }),
            max_pending_requests: Some(100),
            overflow: Overflow::Placeholder,
        }),
        timeouts: Timeouts {
            request: Some(Duration::ZERO),
            response_header: Some(Duration::from_secs(300)),
            readiness: Some(Duration::from_secs(90)),
        },
        static_routes: vec![
            StaticRoute {
                rules: vec![rule(&[], &["/robots.txt"])],
                response: response(204, None),
                mode: ResponseMode::Always,
            },
            StaticRoute {
                rules: vec![RoutingRule::default()],
                response: response(200, Some("later")),
                mode: ResponseMode::WhenUnavailable,
            },
        ],
        session_persistence: Some(SessionPersistence {
            absolute_timeout: Some(Duration::from_secs(3600)),
            cookie_name: Some("sid".into()),
        }),
    };
    assert_eq!(route.spec, expected);
    let addresses: Vec<SocketAddr> = vec![
        "127.0.0.1:9000".parse().unwrap(),
        "[::1]:9000".parse().unwrap(),
    ];
    assert_eq!(
        manifests.backends[0].spec,
        BackendSpec {
            addresses,
            protocol: AppProtocol::Tls {
                http1_only: false,
                settings: UpstreamTls {
                    ca: Some("/srv/tls/ca.crt".into()),
                    client_cert: Some("/etc/client.crt".into()),
                    client_key: Some("/etc/client.key".into()),
                    server_name: Some("other.test".into()),
                    insecure_skip_verify: true,
                },
            },
        }
    );
}

#[test]
fn the_same_object_from_json() {
    let text = r#"{"target": {"service": "web", "port": 80}, "rules": [{"hosts": ["a"]}],
        "scalingMetric": {"concurrency": {"targetValue": 3}},
        "staticRoutes": [{"rules": [{}], "response": {"bodyFromConfigMap": {"name": "pages"}}}]}"#;
    let node = node::Node::from_json(text).unwrap();
    let report = report::Report::new("api".into(), report::Scope::Cluster);
    let spec = InterceptorRouteSpec::decode(&decode::Field::root(&node, &report)).unwrap();
    assert_eq!(spec.target.port, PortRef::Number(80));
    assert_eq!(spec.scaling_metric.concurrency, Some(3));
    let config_map = spec.static_routes[0]
        .response
        .body_from_config_map
        .as_ref()
        .unwrap();
    assert_eq!(
        config_map,
        &ConfigMapRef {
            name: "pages".into(),
            key: None
        }
    );
    // No warning that ConfigMaps are missing in local mode: this is for a cluster.
    assert_eq!(report.into_problems(), []);
}

const SCALED: &str = r#"
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web, envSourceContainerName: x}
  minReplicaCount: 2
  maxReplicaCount: 20
  idleReplicaCount: 0
  pollingInterval: 5
  cooldownPeriod: 10
  initialCooldownPeriod: 60
  advanced:
    restoreToOriginalReplicaCount: false
    horizontalPodAutoscalerConfig:
      name: web-hpa
      behavior:
        scaleUp:
          stabilizationWindowSeconds: 3
          selectPolicy: Min
          policies: [{type: Percent, value: 900, periodSeconds: 15}]
          tolerance: 0.05
        scaleDown:
          selectPolicy: Disabled
          tolerance: "100m"
  triggers:
  - type: external-push
    name: http
    metricType: Value
    useCachedMetrics: false
    metadata: {scalerAddress: "reveille:9090", interceptorRoute: web}
  - type: external
    metadata: {scalerAddress: "reveille:9090", metricQuery: "sum(x)", targetValue: "5"}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {name: web}
spec:
  command: [python3, -m, http.server, "{port}"]
  env: {MODE: fast}
  workingDir: ./site
  readiness: {httpGet: {path: /healthz?full=1}}
  appProtocol: grpc
  startTimeout: 20s
  terminationGracePeriod: 1500ms
---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: web}
spec:
  target: {service: web, port: 80}
  rules: [{hosts: [web.localhost]}]
  scalingMetric: {concurrency: {targetValue: 1}}
"#;

#[test]
fn every_field_of_a_scaled_object_and_a_process() {
    let manifests = parse("scaled.yaml", Path::new("/srv/app"), SCALED);
    assert_eq!(manifests.problems, []);
    let expected = ScaledObjectSpec {
        scale_target_ref: ScaleTargetRef {
            api_version: Some("apps/v1".into()),
            kind: Some("Deployment".into()),
            name: "web".into(),
        },
        min_replica_count: 2,
        max_replica_count: 20,
        idle_replica_count: Some(0),
        polling_interval: Duration::from_secs(5),
        cooldown_period: Duration::from_secs(10),
        initial_cooldown_period: Duration::from_secs(60),
        behavior: Behavior {
            scale_up: ScalingRules {
                stabilization_window: Duration::from_secs(3),
                select_policy: SelectPolicy::Min,
                policies: vec![ScalingPolicy {
                    kind: PolicyKind::Percent,
                    value: 900,
                    period: Duration::from_secs(15),
                }],
                tolerance: Some(0.05),
            },
            scale_down: ScalingRules {
                select_policy: SelectPolicy::Disabled,
                tolerance: Some(0.1),
                ..Behavior::default().scale_down
            },
        },
        triggers: vec![
            Trigger {
                kind: TriggerKind::ExternalPush,
                name: Some("http".into()),
                metric_type: MetricType::Value,
                metadata: [
                    ("scalerAddress".into(), "reveille:9090".into()),
                    ("interceptorRoute".into(), "web".into()),
                ]
                .into(),
            },
            Trigger {
                kind: TriggerKind::External,
                name: None,
                metric_type: MetricType::AverageValue,
                metadata: [
                    ("scalerAddress".into(), "reveille:9090".into()),
                    ("metricQuery".into(), "sum(x)".into()),
                    ("targetValue".into(), "5".into()),
                ]
                .into(),
            },
        ],
    };
    assert_eq!(manifests.scaled_objects[0].spec, expected);
    let process = ProcessSpec {
        command: ["python3", "-m", "http.server", "{port}"]
            .map(str::to_owned)
            .into(),
        env: [("MODE".into(), "fast".into())].into(),
        working_dir: PathBuf::from("/srv/app/site"),
        readiness: Readiness::Http {
            path: "/healthz?full=1".into(),
        },
        protocol: AppProtocol::Clear(Protocol::H2c),
        start_timeout: Duration::from_secs(20),
        termination_grace_period: Duration::from_millis(1500),
    };
    assert_eq!(manifests.processes[0].spec, process);
}

#[test]
fn defaults() {
    let text = super::cases::GOOD;
    let manifests = parse("good.yaml", Path::new("/srv"), text);
    assert_eq!(manifests.problems, []);
    let route = &manifests.routes[0].spec;
    assert_eq!(route.timeouts, Timeouts::default());
    assert_eq!(
        (&route.cold_start, &route.session_persistence),
        (&None, &None)
    );
    let scaled = &manifests.scaled_objects[0].spec;
    assert_eq!(
        (scaled.min_replica_count, scaled.max_replica_count),
        (0, 100)
    );
    assert_eq!(scaled.idle_replica_count, None);
    assert_eq!(scaled.polling_interval, Duration::from_secs(30));
    assert_eq!(scaled.cooldown_period, Duration::from_secs(300));
    assert_eq!(scaled.initial_cooldown_period, Duration::ZERO);
    assert_eq!(scaled.behavior, Behavior::default());
    let process = &manifests.processes[0].spec;
    assert_eq!(process.working_dir, PathBuf::from("/srv"));
    assert_eq!(process.readiness, Readiness::Tcp);
    assert_eq!(process.protocol, AppProtocol::Clear(Protocol::Http1));
    assert_eq!(process.start_timeout, Duration::from_secs(60));
    assert_eq!(process.termination_grace_period, Duration::from_secs(5));
    assert_eq!(manifests.processes[0].meta.namespace, "default");
}

const SOURCES: &str = r#"
apiVersion: local.reveille.dev/v1alpha1
kind: MetricSource
metadata: {name: sidecars}
spec:
  file: targets.txt
  path: /metrics?format=text
  scheme: https
  tls: {insecureSkipVerify: true}
  interval: 5s
  timeout: 1s
  labels: {job: dapr, team: a}
  metrics: [dapr_http_*, process_start_time_seconds]
---
apiVersion: local.reveille.dev/v1alpha1
kind: MetricSource
metadata: {name: app, namespace: shop}
spec: {addresses: ["localhost:9090", "[::1]:9091"]}
"#;

#[test]
fn every_field_of_a_metric_source_and_its_defaults() {
    let manifests = parse("sources.yaml", Path::new("/srv"), SOURCES);
    assert_eq!(manifests.problems, []);
    let [sidecars, app] = &manifests.metric_sources[..] else {
        panic!("two sources: {:?}", manifests.metric_sources)
    };
    let expected = MetricSourceSpec {
        targets: MetricTargets::File("/srv/targets.txt".into()),
        path: "/metrics?format=text".into(),
        tls: Some(UpstreamTls {
            insecure_skip_verify: true,
            ..UpstreamTls::default()
        }),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        labels: [("job".into(), "dapr".into()), ("team".into(), "a".into())].into(),
        metrics: ["dapr_http_*", "process_start_time_seconds"]
            .map(|name| name.parse().unwrap())
            .into(),
    };
    assert_eq!(sidecars.spec, expected);
    let addresses = ["localhost:9090", "[::1]:9091"].map(|text| text.parse().unwrap());
    let expected = MetricSourceSpec {
        targets: MetricTargets::Addresses(addresses.into()),
        path: "/metrics".into(),
        tls: None,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(2),
        labels: BTreeMap::new(),
        metrics: Vec::new(),
    };
    assert_eq!(app.spec, expected);
}
