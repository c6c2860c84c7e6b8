//! The chart, over the values that change what it gives.

use crate::{
    helm,
    objects::{Object, one},
    read,
};
use clap::CommandFactory;
use control::cli::Cli;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Values that change what is rendered, with what they are about.
const COMBINATIONS: &[(&str, &[&str])] = &[
    ("the chart's own values", &[]),
    ("one replica", &["replicaCount=1"]),
    ("Reveille scales itself", &["autoscaling.enabled=true"]),
    ("some namespaces", &[r#"watchNamespaces=["shop","blog"]"#]),
    ("the add-on's names", &["addOnNames.enabled=true"]),
    (
        "TLS for clients",
        &[r#"proxy.tls={"secretNames":["shop-tls","blog.tls"]}"#],
    ),
    (
        "clients show certificates",
        &[
            r#"proxy.tls={"secretNames":["tls"],"clientAuth":"required","clientCaSecretName":"clients"}"#,
            "addOnNames.enabled=true",
            "networkPolicy.enabled=true",
        ],
    ),
    (
        "TLS for KEDA",
        &[
            r#"scaler.tls.secretName="grpc""#,
            "autoscaling.enabled=true",
        ],
    ),
    (
        "KEDA shows a certificate",
        &[
            r#"scaler.tls={"secretName":"grpc","clientAuth":"required"}"#,
            "autoscaling.enabled=true",
        ],
    ),
    (
        "a public authority",
        &[
            r#"scaler.tls={"secretName":"grpc","caInSecret":false}"#,
            "autoscaling.enabled=true",
        ],
    ),
    (
        "metrics come in",
        &[
            r#"metricsIn={"otlpGrpc":{"enabled":true},"otlpHttp":{"enabled":true},"openCensus":{"enabled":true}}"#,
            "networkPolicy.enabled=true",
        ],
    ),
    (
        "metrics come in over HTTP only",
        &[
            "metricsIn.otlpHttp.enabled=true",
            "networkPolicy.enabled=true",
        ],
    ),
    (
        "a network policy",
        &[
            "networkPolicy.enabled=true",
            r#"networkPolicy.proxyFrom=[{"podSelector":{"matchLabels":{"app":"ingress"}}}]"#,
            r#"networkPolicy.scalerFrom=[{"namespaceSelector":{}}]"#,
            r#"networkPolicy.adminFrom=[{"ipBlock":{"cidr":"10.0.0.0/8"}}]"#,
        ],
    ),
    (
        "monitoring",
        &[
            r#"serviceMonitor={"enabled":true,"labels":{"release":"prometheus"}}"#,
            r#"alerts={"enabled":true,"labels":{"release":"prometheus"}}"#,
            r#"dashboards={"enabled":true,"annotations":{"grafana_folder":"Reveille"}}"#,
        ],
    ),
    (
        "nothing beside",
        &[
            "crds.install=false",
            "rbac.create=false",
            "serviceAccount.create=false",
            "podDisruptionBudget.enabled=false",
            "resources=null",
        ],
    ),
    (
        "a load balancer",
        &[
            r#"proxy.service={"type":"LoadBalancer","loadBalancerClass":"example.com/lb","loadBalancerSourceRanges":["10.0.0.0/8"],"externalTrafficPolicy":"Local","nodePort":30080,"annotations":{"a":"b"}}"#,
        ],
    ),
    (
        "everything else",
        &[
            r#"image={"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}"#,
            r#"imagePullSecrets=["registry"]"#,
            r#"nameOverride="front""#,
            r#"fullnameOverride="front-door""#,
            r#"commonLabels={"team":"platform"}"#,
            r#"proxy.upstream.caSecretName="internal-ca""#,
            r#"proxy.sessionSecretName="sessions""#,
            r#"trustedProxies=["10.0.0.0/8","fd00::/8"]"#,
            r#"traces.endpoint="http://collector:4317""#,
            r#"bindAddress="[::]""#,
            r#"accessLog="json""#,
            r#"extraArgs=["--request-timeout=60s"]"#,
            r#"extraEnv=[{"name":"REVEILLE_WORKERS","value":"2"}]"#,
            r#"extraEnvFrom=[{"configMapRef":{"name":"settings"}}]"#,
            r#"extraVolumes=[{"name":"more","emptyDir":{}}]"#,
            r#"extraVolumeMounts=[{"name":"more","mountPath":"/more"}]"#,
            r#"podAnnotations={"a":"b"}"#,
            r#"podLabels={"c":"d"}"#,
            r#"priorityClassName="system-cluster-critical""#,
            r#"nodeSelector={"kubernetes.io/os":"linux"}"#,
            r#"tolerations=[{"key":"edge","operator":"Exists"}]"#,
            r#"affinity={"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"a":"b"}}}]}}"#,
            r#"topologySpreadConstraints=[{"topologyKey":"rack","maxSkew":1,"whenUnsatisfiable":"DoNotSchedule"}]"#,
            r#"serviceAccount={"name":"door","annotations":{"a":"b"}}"#,
            r#"shutdown={"delaySeconds":20,"drainSeconds":600}"#,
        ],
    ),
];

/// Flags of `reveille kubernetes` that this version does not have yet, or not
/// with such values.
const FLAGS_TO_COME: [&str; 4] = ["watch-namespace", "wake", "peers", "opencensus-addr"];

/// A flag whose file, of a Secret, is read with the command line.
const READ_AT_ONCE: &str = "session-secret-file";

fn deployment(objects: &[Object]) -> &Object {
    let found = objects.iter().find(|object| object.kind == "Deployment");
    found.expect("a Deployment")
}

const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

fn names(list: &[Value]) -> BTreeSet<&str> {
    list.iter()
        .map(|item| item["name"].as_str().expect("a name"))
        .collect()
}

#[test]
fn the_linter_has_no_objection() {
    let Some(helm) = helm::binary() else { return };
    let said = helm::lint(helm);
    assert!(
        !said.contains("[WARNING]") && !said.contains("[ERROR]"),
        "{said}"
    );
}

#[test]
fn every_combination_gives_objects_that_fit_together() {
    let Some(helm) = helm::binary() else { return };
    for (about, settings) in COMBINATIONS {
        let objects = helm::objects(helm, settings);
        eprintln!("{about}: {} objects", objects.len());
        let mut seen = BTreeSet::new();
        for object in &objects {
            let namespace = object.value.pointer("/metadata/namespace");
            let key = format!("{} {namespace:?} {}", object.kind, object.name);
            assert!(seen.insert(key.clone()), "{about}: {key} twice");
        }
        pods_are_restricted(&objects);
        names_lead_somewhere(&objects);
        services_lead_to_the_pods(&objects);
        roles_are_bound(&objects);
        args_are_taken(&objects);
        scaled_objects_are_sound(&objects);
    }
}

/// As the Pod Security Standard "restricted" wants it.
fn pods_are_restricted(objects: &[Object]) {
    let deployment = deployment(objects);
    let pod = deployment.at(&format!("{POD}/securityContext"));
    assert_eq!(pod["runAsNonRoot"], true);
    assert_eq!(pod["runAsUser"], 65532);
    assert_eq!(pod["seccompProfile"]["type"], "RuntimeDefault");
    let container = deployment.at(&format!("{CONTAINER}/securityContext"));
    let wanted = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    assert_eq!(*container, wanted);
    let spec = deployment.at(POD);
    for name in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(spec.get(name).is_none(), "{name}");
    }
    for volume in deployment.list(&format!("{POD}/volumes")) {
        assert!(volume.get("hostPath").is_none(), "{volume}");
    }
}

/// Probes, mounts and the time that a stop has.
fn names_lead_somewhere(objects: &[Object]) {
    let deployment = deployment(objects);
    let ports = names(deployment.list(&format!("{CONTAINER}/ports")));
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let port = deployment.text(&format!("{CONTAINER}/{probe}/httpGet/port"));
        assert!(ports.contains(port), "{probe}");
    }
    let volumes = names(deployment.list(&format!("{POD}/volumes")));
    let mounts = deployment.list(&format!("{CONTAINER}/volumeMounts"));
    assert_eq!(names(mounts), volumes);
    let paths: BTreeSet<&str> = mounts
        .iter()
        .filter_map(|m| m["mountPath"].as_str())
        .collect();
    assert_eq!(paths.len(), mounts.len(), "{mounts:?}");

    let seconds = |flag: &str| -> i64 {
        let arg = args(objects).find_map(|arg| arg.strip_prefix(flag)?.strip_prefix('='));
        let text = arg.and_then(|value| value.strip_suffix('s'));
        text.expect("it is set").parse().expect("whole seconds")
    };
    let grace = deployment.at(&format!("{POD}/terminationGracePeriodSeconds"));
    let stop = seconds("--shutdown-delay") + seconds("--drain-timeout");
    assert!(grace.as_i64().expect("a number") > stop);
}

fn services_lead_to_the_pods(objects: &[Object]) {
    let deployment = deployment(objects);
    let labels = deployment.at("/spec/template/metadata/labels");
    let fits = |selector: &Value| {
        let selector = selector.as_object().expect("a map");
        !selector.is_empty() && selector.iter().all(|(name, value)| labels[name] == *value)
    };
    assert!(fits(deployment.at("/spec/selector/matchLabels")));
    let ports = names(deployment.list(&format!("{CONTAINER}/ports")));
    for object in objects {
        match object.kind.as_str() {
            "Service" => {
                assert!(fits(object.at("/spec/selector")), "{}", object.name);
                for port in object.list("/spec/ports") {
                    let to = port["targetPort"].as_str().expect("by name");
                    assert!(ports.contains(to), "{} {to}", object.name);
                }
            }
            "PodDisruptionBudget" => assert!(fits(object.at("/spec/selector/matchLabels"))),
            "NetworkPolicy" => {
                assert!(fits(object.at("/spec/podSelector/matchLabels")));
                let rules = object.list("/spec/ingress").iter();
                let allowed = rules.filter_map(|rule| rule["ports"].as_array()).flatten();
                let allowed: BTreeSet<&str> =
                    allowed.filter_map(|port| port["port"].as_str()).collect();
                assert_eq!(allowed, ports, "every port has its rule");
            }
            _ => {}
        }
    }
}

fn roles_are_bound(objects: &[Object]) {
    let account = deployment(objects).text(&format!("{POD}/serviceAccountName"));
    for binding in objects.iter().filter(|o| o.kind.ends_with("RoleBinding")) {
        let kind = binding.text("/roleRef/kind");
        let name = binding.text("/roleRef/name");
        assert!(objects.iter().any(|o| o.kind == kind && o.name == name));
        assert_eq!(binding.text("/subjects/0/name"), account);
    }
    for role in objects.iter().filter(|o| o.kind.ends_with("Role")) {
        for rule in role.list("/rules") {
            let text = rule.to_string();
            assert!(!text.contains('*'), "{}: {text}", role.name);
            assert!(!text.contains("secrets"), "{}: {text}", role.name);
        }
    }
}

fn args(objects: &[Object]) -> impl Iterator<Item = &str> {
    let args = deployment(objects).list(&format!("{CONTAINER}/args"));
    args.iter().map(|arg| arg.as_str().expect("text"))
}

/// The program takes its command line; until there is `kubernetes`, as `local`,
/// which shares all flags but those to come.
fn args_are_taken(objects: &[Object]) {
    let command = Cli::command();
    let is_there = command.find_subcommand("kubernetes").is_some();
    let mut args = args(objects);
    assert_eq!(args.next(), Some("kubernetes"));
    let is_left_out = |arg: &str| {
        let name = arg.trim_start_matches("--").split('=').next();
        let name = name.unwrap_or_default();
        name == READ_AT_ONCE || (!is_there && FLAGS_TO_COME.contains(&name))
    };
    let mode = if is_there { "kubernetes" } else { "local" };
    let line = ["reveille", mode]
        .into_iter()
        .chain(args.filter(|arg| !is_left_out(arg)));
    if let Err(error) = command.try_get_matches_from(line) {
        panic!("{error}");
    }
}

/// As `reveille check` sees them; only a cluster knows the Deployment.
fn scaled_objects_are_sound(objects: &[Object]) {
    for object in objects.iter().filter(|o| o.kind == "ScaledObject") {
        let yaml = object.value.to_string();
        let read = control::manifest::parse("chart", std::path::Path::new("."), &yaml);
        let problems = read.problems.iter().map(ToString::to_string);
        let local = ["there is no Process", "in local mode"];
        let mut bad = problems.filter(|said| !local.iter().any(|words| said.contains(words)));
        assert_eq!(bad.next(), None);
        assert_eq!(
            object.text("/spec/scaleTargetRef/name"),
            deployment(objects).name
        );
    }
}

#[test]
fn the_add_ons_names_lead_to_reveille() {
    let Some(helm) = helm::binary() else { return };
    let objects = helm::objects(
        helm,
        &[
            "addOnNames.enabled=true",
            "proxy.port=8000",
            "scaler.port=9000",
        ],
    );
    for (name, port, to) in [
        ("keda-add-ons-http-interceptor-proxy", 8080, "http"),
        ("keda-add-ons-http-external-scaler", 9090, "grpc"),
    ] {
        let service = one(&objects, "Service", name);
        assert_eq!(*service.at("/spec/ports/0/port"), port);
        assert_eq!(service.text("/spec/ports/0/targetPort"), to);
        assert_eq!(service.text("/metadata/namespace"), "keda");
    }
}

#[test]
fn roles_are_of_the_namespaces_that_are_watched() {
    let Some(helm) = helm::binary() else { return };
    let objects = helm::objects(helm, &[r#"watchNamespaces=["shop","blog"]"#]);
    let of = |kind: &str| {
        let found = objects.iter().filter(|object| object.kind == kind);
        let namespaces = found.map(|o| o.value.pointer("/metadata/namespace").cloned());
        namespaces.flatten().collect::<Vec<_>>()
    };
    assert_eq!(
        of("Role"),
        ["shop", "blog", "keda"],
        "and the replicas' own"
    );
    assert_eq!(of("RoleBinding"), ["shop", "blog", "keda"]);
    assert!(
        !objects
            .iter()
            .any(|object| object.kind.starts_with("Cluster"))
    );
}

#[test]
fn what_belongs_to_one_switch_comes_and_goes_with_it() {
    let Some(helm) = helm::binary() else { return };
    let kinds = |settings: &[&str]| {
        let objects = helm::objects(helm, settings);
        objects
            .into_iter()
            .map(|object| object.kind)
            .collect::<BTreeSet<_>>()
    };
    let plain = kinds(&[]);
    for (kind, settings) in [
        ("ScaledObject", &["autoscaling.enabled=true"][..]),
        (
            "TriggerAuthentication",
            &["autoscaling.enabled=true", r#"scaler.tls.secretName="a""#],
        ),
        ("NetworkPolicy", &["networkPolicy.enabled=true"]),
        ("ServiceMonitor", &["serviceMonitor.enabled=true"]),
        ("PrometheusRule", &["alerts.enabled=true"]),
        ("ConfigMap", &["dashboards.enabled=true"]),
    ] {
        assert!(!plain.contains(kind), "{kind}");
        assert!(kinds(settings).contains(kind), "{kind}");
    }
    for (kind, setting) in [
        ("CustomResourceDefinition", "crds.install=false"),
        ("ClusterRole", "rbac.create=false"),
        ("ServiceAccount", "serviceAccount.create=false"),
        ("PodDisruptionBudget", "podDisruptionBudget.enabled=false"),
        // One replica that may not go would hold up the drain of its node.
        ("PodDisruptionBudget", "replicaCount=1"),
    ] {
        assert!(plain.contains(kind), "{kind}");
        assert!(!kinds(&[setting]).contains(kind), "{kind}");
    }
}

#[test]
fn only_who_wakes_workloads_may_scale_them() {
    let Some(helm) = helm::binary() else { return };
    assert!(!helm::text(helm, &[]).contains("deployments/scale"));
    assert!(helm::text(helm, &[r#"wake="both""#]).contains("deployments/scale"));
}

#[test]
fn the_definitions_keep_routes_alive_unless_told_otherwise() {
    let Some(helm) = helm::binary() else { return };
    let keep = "/metadata/annotations/helm.sh~1resource-policy";
    let name = "interceptorroutes.http.keda.sh";
    let kept = helm::objects(helm, &[]);
    assert_eq!(
        one(&kept, "CustomResourceDefinition", name).text(keep),
        "keep"
    );
    let gone = helm::objects(helm, &["crds.keep=false"]);
    let definition = one(&gone, "CustomResourceDefinition", name);
    assert_eq!(definition.value.pointer(keep), None);
}

#[test]
fn values_that_mean_nothing_are_refused_by_name() {
    let Some(helm) = helm::binary() else { return };
    for (setting, named) in [
        ("replicas=3", "replicas"),
        (r#"replicaCount="many""#, "/replicaCount"),
        (r#"wake="never""#, "/wake"),
        ("proxy.port=70000", "/proxy/port"),
        (r#"proxy.tls.clientAuth="maybe""#, "/proxy/tls/clientAuth"),
        ("podDisruptionBudget.minAvailable=1", "minAvailable"),
        (r#"shutdown.drainSeconds="30s""#, "/shutdown/drainSeconds"),
        (
            r#"proxy.tls={"secretNames":["a"],"clientAuth":"required"}"#,
            "proxy.tls.clientCaSecretName",
        ),
    ] {
        let said = helm::refusal(helm, &[setting]);
        assert!(said.contains(named), "{setting}: {said}");
    }
}

#[test]
fn the_image_is_of_the_charts_version_unless_told_otherwise() {
    let Some(helm) = helm::binary() else { return };
    let image = |settings: &[&str]| {
        let objects = helm::objects(helm, settings);
        deployment(&objects)
            .text(&format!("{CONTAINER}/image"))
            .to_owned()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("helm/reveille/Chart.yaml").contains(&format!("appVersion: {version}\n")));
    assert_eq!(
        image(&[]),
        format!("ghcr.io/reveille-dev/reveille:{version}")
    );
    assert!(image(&[r#"image.tag="dev""#]).ends_with(":dev"));
    let digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let setting = format!("image.digest={digest:?}");
    assert_eq!(
        image(&[&setting]),
        format!("ghcr.io/reveille-dev/reveille@{digest}")
    );
}
