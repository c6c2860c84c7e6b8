//! Whether the objects of the chart fit together, and the program to them.

use crate::objects::Object;
use clap::CommandFactory;
use control::cli::Cli;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A flag whose file, of a Secret, is read with the command line.
const READ_AT_ONCE: &str = "session-secret-file";

pub(crate) fn deployment(objects: &[Object]) -> &Object {
    let found = objects.iter().find(|object| object.kind == "Deployment");
    found.expect("a Deployment")
}

/// Seconds that a stop takes beside its delay and its drain: the Lease is given
/// back, the last spans are sent, the admin server ends.
const AFTER_THE_DRAIN: i64 = 10;

const POD: &str = "/spec/template/spec";
pub(crate) const CONTAINER: &str = "/spec/template/spec/containers/0";

fn names(list: &[Value]) -> BTreeSet<&str> {
    list.iter()
        .map(|item| item["name"].as_str().expect("a name"))
        .collect()
}

/// Everything that must hold of what the chart gives.
///
/// # Panics
/// On the first thing that does not.
pub(crate) fn check(objects: &[Object]) {
    let mut seen = BTreeSet::new();
    for object in objects {
        let namespace = object.value.pointer("/metadata/namespace");
        let key = format!("{} {namespace:?} {}", object.kind, object.name);
        assert!(seen.insert(key.clone()), "{key} twice");
    }
    pods_are_restricted(objects);
    names_lead_somewhere(objects);
    replicas_are_replaced_without_loss(objects);
    services_lead_to_the_pods(objects);
    roles_are_bound(objects);
    args_are_taken(objects);
    scaled_objects_are_sound(objects);
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
    assert!(grace.as_i64().expect("a number") >= stop + AFTER_THE_DRAIN);
}

/// What the tests on a played cluster (`e2e/kubernetes/circle/rollout.rs`)
/// rely on when they replace replicas under traffic.
fn replicas_are_replaced_without_loss(objects: &[Object]) {
    let deployment = deployment(objects);
    let rolling = deployment.at("/spec/strategy/rollingUpdate");
    assert_eq!(*rolling, json!({"maxSurge": 1, "maxUnavailable": 0}));
    let container = deployment.at(CONTAINER);
    // The delay is the program's own, from SIGTERM on.
    assert!(container.get("lifecycle").is_none(), "{container}");
    // One slow answer takes no replica out.
    let most = &container["readinessProbe"]["failureThreshold"];
    assert!(most.as_i64().is_none_or(|most| most > 1));
    // Replicas know each other by the Service whose name KEDA resolves, and
    // KEDA finds only who is ready.
    let peers = args(objects).find_map(|arg| arg.strip_prefix("--peers=kubernetes:"));
    let (place, port) = peers
        .and_then(|peers| peers.rsplit_once(':'))
        .expect("peers");
    let (_, name) = place.split_once('/').expect("a namespace");
    let mut services = objects.iter().filter(|object| object.kind == "Service");
    let service = services.find(|service| service.name == name);
    let spec = service.expect("it is there").at("/spec");
    assert_eq!(spec["clusterIP"], "None");
    assert!(spec.get("publishNotReadyAddresses").is_none());
    assert_eq!(spec["ports"][0]["port"].to_string(), port);
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
            let is_of_one = rule["resourceNames"]
                .as_array()
                .is_some_and(|names| names.len() == 1);
            assert!(
                is_of_one || !text.contains("secrets"),
                "{}: {text}",
                role.name
            );
        }
    }
}

fn args(objects: &[Object]) -> impl Iterator<Item = &str> {
    let args = deployment(objects).list(&format!("{CONTAINER}/args"));
    args.iter().map(|arg| arg.as_str().expect("text"))
}

/// The program takes its command line.
fn args_are_taken(objects: &[Object]) {
    let mut args = args(objects);
    assert_eq!(args.next(), Some("kubernetes"));
    let read_later = args.filter(|arg| {
        let name = arg.trim_start_matches("--").split('=').next();
        name != Some(READ_AT_ONCE)
    });
    let line = ["reveille", "kubernetes"].into_iter().chain(read_later);
    if let Err(error) = Cli::command().try_get_matches_from(line) {
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
