//! The chart, over the values that change what it gives.

use crate::{
    combinations::COMBINATIONS,
    fit::{self, CONTAINER, deployment},
    helm,
    objects::{Object, one},
    read,
};
use serde_json::json;
use std::collections::BTreeSet;

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
        fit::check(&objects);
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
    for wake in [r#"wake="both""#, r#"wake="direct""#] {
        assert!(helm::text(helm, &[wake]).contains("deployments/scale"));
    }
}

#[test]
fn only_who_makes_scaled_objects_may_write_them() {
    let Some(helm) = helm::binary() else { return };
    let verbs = |settings: &[&str]| {
        let objects = helm::objects(helm, settings);
        let roles = objects.iter().filter(|object| object.kind == "ClusterRole");
        let rules = roles.flat_map(|role| role.list("/rules"));
        let of = |resource: &str| {
            let about = rules
                .clone()
                .find(|rule| rule["resources"] == json!([resource]));
            about.map(|rule| rule["verbs"].clone()).unwrap_or_default()
        };
        let status = of("httpscaledobjects/status");
        [of("scaledobjects"), of("httpscaledobjects"), status]
    };
    let writes = json!(["list", "watch", "create", "patch", "delete"]);
    let takes_finalizers = json!(["list", "watch", "patch"]);
    assert_eq!(verbs(&[]), [writes, takes_finalizers, json!(["patch"])]);
    let reads = json!(["list", "watch"]);
    let serves = [r#"httpScaledObjects="serve""#];
    assert_eq!(verbs(&serves), [reads.clone(), reads, json!(null)]);
    let text = helm::text(helm, &[]);
    assert!(text.contains("--scaler-address=reveille-scaler.keda:9090"));
    let named = [
        r#"scaler.tls={"secretName":"grpc","authentication":"ClusterTriggerAuthentication/reveille"}"#,
    ];
    let flag = "--scaler-authentication=ClusterTriggerAuthentication/reveille";
    assert!(helm::text(helm, &named).contains(flag));
    assert!(!text.contains("--scaler-authentication"));
}

#[test]
fn the_admin_tokens_are_a_file_of_their_secret() {
    let Some(helm) = helm::binary() else { return };
    assert!(!helm::text(helm, &[]).contains("--admin-token-file"));
    let objects = helm::objects(helm, &[r#"admin.tokenSecretName="looking""#]);
    let deployment = deployment(&objects);
    let args = deployment.list(&format!("{CONTAINER}/args"));
    assert!(args.contains(&json!("--admin-token-file=/admin/tokens")));
    let mounts = deployment.list(&format!("{CONTAINER}/volumeMounts"));
    // The folder, not the file in it: that would stay as it was at the start.
    let mount = json!({"name": "admin", "mountPath": "/admin", "readOnly": true});
    assert!(mounts.contains(&mount), "{mounts:?}");
    let volumes = deployment.list("/spec/template/spec/volumes");
    let items = json!([{"key": "tokens", "path": "tokens"}]);
    let volume = json!({"name": "admin", "secret": {"secretName": "looking", "items": items}});
    assert!(volumes.contains(&volume), "{volumes:?}");
}

#[test]
fn only_who_looks_for_sidecars_may_read_pods() {
    let Some(helm) = helm::binary() else { return };
    let grants = |objects: &[Object]| {
        let roles = objects
            .iter()
            .filter(|object| object.kind.ends_with("Role"));
        let rules = roles.flat_map(|role| role.list("/rules"));
        let about_pods = rules.filter(|rule| rule["resources"] == json!(["pods"]));
        let verbs: Vec<_> = about_pods.map(|rule| rule["verbs"].clone()).collect();
        verbs
    };
    assert!(grants(&helm::objects(helm, &[])).is_empty());
    assert!(!helm::text(helm, &[]).contains("--dapr"));
    let looks = [r#"watchNamespaces=["shop","blog"]"#, "dapr.sidecars=true"];
    let verbs = json!(["list", "watch"]);
    assert_eq!(
        grants(&helm::objects(helm, &looks)),
        [verbs.clone(), verbs.clone()]
    );
    assert_eq!(grants(&helm::objects(helm, &looks[1..])), [verbs]);
    assert!(helm::text(helm, &looks).contains("--dapr-sidecars"));
}

#[test]
fn of_secrets_only_the_trust_bundle_is_read_and_only_if_it_is_watched() {
    let Some(helm) = helm::binary() else { return };
    let grants = |settings: &[&str]| {
        let objects = helm::objects(helm, settings);
        let role =
            |object: &&Object| object.kind == "Role" && object.name.ends_with("trust-bundle");
        let role = objects.iter().find(role).map(|role| {
            let resource = |rule: &serde_json::Value| {
                let text = |name: &str| rule[name][0].as_str().unwrap_or_default().to_owned();
                (
                    text("resources"),
                    text("resourceNames"),
                    rule["verbs"].clone(),
                )
            };
            let rules = role.list("/rules").iter().map(resource).collect::<Vec<_>>();
            (role.text("/metadata/namespace").to_owned(), rules)
        });
        let is_asked_for = helm::text(helm, settings).contains("--dapr-trust-bundle=");
        assert_eq!(role.is_some(), is_asked_for, "{settings:?}");
        role
    };
    assert_eq!(grants(&[]), None);
    assert!(!helm::text(helm, &["dapr.sidecars=true"]).contains("secrets"));
    let (read, name) = (json!(["list", "watch"]), "dapr-trust-bundle".to_owned());
    let rule = |resource: &str, verbs: &serde_json::Value| {
        let name = if resource == "events" {
            String::new()
        } else {
            name.clone()
        };
        (resource.to_owned(), name, verbs.clone())
    };
    let events = rule("events", &json!(["create"]));
    let map = rule("configmaps", &read);
    let both = vec![map.clone(), rule("secrets", &read), events.clone()];
    let on = ["dapr.trustBundle.enabled=true"];
    assert_eq!(grants(&on), Some(("dapr-system".to_owned(), both)));
    let root_only = [on[0], "dapr.trustBundle.rootOnly=true"];
    assert_eq!(
        grants(&root_only),
        Some(("dapr-system".to_owned(), vec![map, events]))
    );
    assert!(helm::text(helm, &root_only).contains("--dapr-trust-bundle-root-only"));
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
        (r#"dapr.scrapeInterval="2""#, "/dapr/scrapeInterval"),
        (
            r#"dapr.trustBundle.namespace="""#,
            "/dapr/trustBundle/namespace",
        ),
        ("proxy.port=70000", "/proxy/port"),
        (r#"proxy.tls.clientAuth="maybe""#, "/proxy/tls/clientAuth"),
        (
            r#"scaler.tls.authentication="reveille""#,
            "/scaler/tls/authentication",
        ),
        ("podDisruptionBudget.minAvailable=1", "minAvailable"),
        (r#"shutdown.drainSeconds="30s""#, "/shutdown/drainSeconds"),
        (
            r#"proxy.tls={"secretNames":["a"],"clientAuth":"required"}"#,
            "proxy.tls.clientCaSecretName",
        ),
        (
            r#"envoy.listenerTls.cert="tls.crt""#,
            "/envoy/listenerTls/cert",
        ),
        (
            r#"envoy={"enabled":true,"listenerPort":10443,"listenerTls":{"cert":"/tls.crt"}}"#,
            "envoy.listenerTls.key",
        ),
        (
            r#"envoy={"enabled":true,"listenerTls":{"cert":"/tls.crt","key":"/tls.key"}}"#,
            "envoy.listenerPort",
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
