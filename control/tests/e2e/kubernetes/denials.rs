//! Permissions that are missing: each is named with its verb, and costs no more
//! than what it is for.

use super::objects::{all_of, answers, route, scaled_object, service, until_answers};
use crate::support::{ApiServer, Pod, Reveille};
use serde_json::json;

/// What is followed: kind, resource, and where.
const FOLLOWED: [(&str, &str, &str); 9] = [
    (
        "InterceptorRoute",
        "interceptorroutes.http.keda.sh",
        "all namespaces",
    ),
    ("ScaledObject", "scaledobjects.keda.sh", "all namespaces"),
    ("Service", "services", "all namespaces"),
    (
        "EndpointSlice",
        "endpointslices.discovery.k8s.io",
        "all namespaces",
    ),
    ("ConfigMap", "configmaps", "all namespaces"),
    ("Pod", "pods", "all namespaces"),
    (
        "EndpointSlice",
        "endpointslices.discovery.k8s.io",
        "namespace keda",
    ),
    ("ConfigMap", "configmaps", "namespace dapr-system"),
    ("Secret", "secrets", "namespace dapr-system"),
];

#[test]
fn of_all_that_is_followed_the_missing_verb_is_named() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    for (kind, ..) in FOLLOWED {
        api.permit("list", kind, false);
    }
    let reveille = Reveille::in_cluster(&api)
        .env("REVEILLE_DAPR_SIDECARS", "true")
        .arg("--dapr-trust-bundle", "dapr-system")
        .arg("--peers", "kubernetes:keda/reveille-scaler:9090")
        .start();
    let until_named = |verb: &str| {
        for (_, resource, place) in FOLLOWED {
            let said = format!("the permission to {verb} {resource} in {place} is missing");
            reveille.until_logged(&said);
        }
    };
    until_named("list");
    assert_eq!(reveille.ask("/readyz").status, 503);
    for (kind, ..) in FOLLOWED {
        api.permit("watch", kind, false);
        api.permit("list", kind, true);
    }
    until_named("watch");
    // What was listed is served all the same.
    until_answers(&reveille, "web", "pod");
    for (kind, ..) in FOLLOWED {
        api.permit("watch", kind, true);
    }
    api.put_all(all_of("shop", &pod));
    until_answers(&reveille, "shop", "pod");
    reveille.stop();
}

#[test]
fn of_all_that_is_written_the_missing_verb_is_named() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let mut broken = route("broken");
    broken["spec"]["timeouts"] = json!({"request": "soon"});
    let workload =
        json!({"kind": "Deployment", "metadata": {"name": "cold"}, "spec": {"replicas": 0}});
    api.put_all([
        broken,
        route("cold"),
        service("cold"),
        scaled_object("cold"),
        workload,
    ]);
    for (verb, kind) in [
        ("get", "Lease"),
        ("patch", "InterceptorRoute"),
        ("create", "Event"),
        ("get", "Deployment"),
    ] {
        api.permit(verb, kind, false);
    }
    let reveille = Reveille::in_cluster(&api).arg("--wake", "both").start();
    reveille.until_ready();
    let lease = "the permissions to get, create and update leases.coordination.k8s.io in namespace default are missing";
    let said = reveille.until_logged(lease);
    assert!(said.contains("cannot get resource"), "{said}");
    // Nobody's, and there already; that it cannot be created is shown elsewhere.
    api.put(
        json!({"kind": "Lease", "metadata": {"name": "reveille"}, "spec": {"holderIdentity": ""}}),
    );
    api.permit("update", "Lease", false);
    api.permit("get", "Lease", true);
    reveille.until_logged("cannot update resource");
    api.permit("update", "Lease", true);
    reveille
        .until_logged("the permission to patch interceptorroutes.http.keda.sh/status is missing");
    api.permit("patch", "InterceptorRoute", true);
    reveille.until_logged(
        "the permission to create events.events.k8s.io in namespace default is missing",
    );

    let held = reveille.client("cold").begin("GET", "/");
    let said = reveille.until_logged(
        "Deployment cold in namespace default cannot be woken: the permissions to get and patch",
    );
    assert!(said.contains("cannot get resource"), "{said}");
    api.permit("patch", "Deployment", false);
    api.permit("get", "Deployment", true);
    reveille.until_logged("cannot patch resource \"deployments/scale\"");
    assert!(answers(&reveille, "web", "pod"));
    drop(held);
    reveille.stop();
}

#[test]
fn a_missing_permission_is_named() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    api.permit("list", "EndpointSlice", false);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_logged(
        "the permission to list endpointslices.discovery.k8s.io in all namespaces is missing",
    );
    assert_eq!(reveille.ask("/readyz").status, 503);
    let view = reveille.ask("/api/v1/cluster").body;
    assert!(
        view.contains("the permission to list endpointslices"),
        "{view}"
    );
    let page = reveille.ask("/metrics").body;
    assert!(
        page.contains("kind=\"EndpointSlice\",namespace=\"\",reason=\"denied\""),
        "{page}"
    );
    api.permit("list", "EndpointSlice", true);
    reveille.until_ready();
    assert!(answers(&reveille, "web", "pod"));
    // One that is taken away later harms nobody.
    api.permit("watch", "InterceptorRoute", false);
    reveille.until_logged("the permission to watch interceptorroutes.http.keda.sh");
    assert!(answers(&reveille, "web", "pod"));
    api.permit("watch", "InterceptorRoute", true);
    api.put_all(all_of("shop", &pod));
    until_answers(&reveille, "shop", "pod");
    reveille.stop();
}
