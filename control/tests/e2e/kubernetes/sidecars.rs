//! Dapr's sidecars are found by their Pods, and what they count scales.

use super::{keda::Keda, objects::all_of};
use crate::support::{ApiServer, Pod, Reveille, Sidecar, Starter, wait_until};
use serde_json::{Value, json};

const CALLS: &str = "sum(dapr_runtime_service_invocation_req_sent_total)";

fn starter(api: &ApiServer) -> Starter {
    Reveille::in_cluster(api)
        .env("REVEILLE_DAPR_SIDECARS", "true")
        .arg("--dapr-scrape-interval", "100ms")
}

/// A running Pod with the sidecar that the injector gave it.
fn pod(name: &str, sidecar: &Sidecar) -> Value {
    let ports = json!([
        {"name": "dapr-http", "containerPort": 3500},
        {"name": "dapr-metrics", "containerPort": sidecar.addr().port()},
    ]);
    json!({
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"dapr.io/sidecar-injected": "true"}},
        "spec": {"containers": [{"name": "app"}, {"name": "daprd", "ports": ports}]},
        "status": {"phase": "Running", "podIP": sidecar.addr().ip().to_string()},
    })
}

fn counting(calls: u32) -> Sidecar {
    let sidecar = Sidecar::start();
    sidecar.counts(calls);
    sidecar
}

fn asks(reveille: &Reveille, query: &str) -> Keda {
    let metadata = [("metricQuery", query), ("targetValue", "1")];
    Keda::asks_for(reveille, &metadata)
}

fn until_value(keda: &mut Keda, wanted: f64) {
    wait_until(&format!("KEDA is told {wanted}"), || {
        let told = keda.metrics("default-web");
        told.is_ok_and(|values| values[0].metric_value_float == wanted)
    });
}

/// The Pods that are fetched, in order.
fn fetched(reveille: &Reveille) -> Vec<String> {
    let view: Value = serde_json::from_str(&reveille.ask("/api/v1/sources").body).expect("JSON");
    let sources = view["sources"].as_array().expect("a list").iter();
    let targets = sources.flat_map(|source| source["targets"].as_array().expect("a list"));
    let mut pods: Vec<String> = targets
        .map(|target| {
            let label = |name: &str| target["labels"][name].as_str().expect("a label");
            assert_eq!(label("job"), "dapr");
            format!("{}/{}", label("namespace"), label("pod"))
        })
        .collect();
    pods.sort();
    pods
}

fn until_fetched(reveille: &Reveille, wanted: &[&str]) {
    wait_until(&format!("{wanted:?} are fetched"), || {
        fetched(reveille) == wanted
    });
}

#[test]
fn what_sidecars_count_is_what_keda_is_told() {
    let api = ApiServer::start();
    let (one, two) = (counting(3), counting(4));
    let mut elsewhere = pod("caller", &two);
    elsewhere["metadata"]["namespace"] = "shop".into();
    api.put_all([pod("caller", &one), elsewhere]);
    let reveille = starter(&api).start();
    reveille.until_ready();
    until_fetched(&reveille, &["default/caller", "shop/caller"]);
    let mut keda = asks(&reveille, CALLS);
    until_value(&mut keda, 7.0);
    one.counts(30);
    until_value(&mut keda, 34.0);
    // Series say whose they are.
    let calls = CALLS.replace(')', "{namespace=\"shop\",pod=\"caller\"})");
    until_value(&mut asks(&reveille, &calls), 4.0);
    // A Pod that goes takes its series with it.
    api.delete("Pod", "default", "caller");
    until_value(&mut keda, 4.0);
    // So does one that is about to go.
    let mut going = pod("caller", &two);
    going["metadata"]["namespace"] = "shop".into();
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    api.put(going);
    until_value(&mut keda, 0.0);
    until_fetched(&reveille, &[]);
    reveille.stop();
}

#[test]
fn the_first_call_that_a_sidecar_counts_wakes() {
    let api = ApiServer::start();
    let reveille = starter(&api).start();
    reveille.until_ready();
    let caller = counting(0);
    api.put(pod("caller", &caller));
    until_fetched(&reveille, &["default/caller"]);
    let growth = CALLS
        .replace("sum(", "sum(increase(")
        .replace(')', "[1m]))");
    let mut keda = asks(&reveille, &growth);
    wait_until("nobody calls", || {
        keda.is_active().is_ok_and(|active| !active)
    });
    // Two that were begun after that: the row is looked for, and is not there.
    caller.until_served(3);
    assert!(!keda.is_active().expect("known"));
    caller.counts(1);
    wait_until("it is woken", || keda.is_active().expect("known"));
    reveille.stop();
}

#[test]
fn only_sidecars_that_run_and_can_be_understood_count() {
    let api = ApiServer::start();
    let sidecar = counting(1);
    let mut portless = pod("portless", &sidecar);
    portless["spec"] = json!({"containers": [{"name": "daprd"}]});
    let mut stranger = pod("stranger", &sidecar);
    stranger["metadata"]["labels"] = json!({"app": "web"});
    let mut early = pod("early", &sidecar);
    early["status"] = json!({"phase": "Pending"});
    let mut broken = pod("broken", &sidecar);
    broken["spec"]["containers"] = json!("none");
    api.put_all([
        portless,
        stranger,
        broken.clone(),
        early,
        pod("good", &sidecar),
    ]);
    let reveille = starter(&api).start();
    reveille.until_ready();
    until_fetched(&reveille, &["default/good"]);
    reveille.until_logged("default/broken");
    // It runs; one breaks that was understood before.
    let other = counting(1);
    api.put(pod("early", &other));
    until_fetched(&reveille, &["default/early", "default/good"]);
    broken["metadata"]["name"] = "good".into();
    api.put(broken);
    reveille.until_logged("default/good");
    api.delete("Pod", "default", "early");
    until_fetched(&reveille, &["default/good"]);
    reveille.stop();
}

#[test]
fn without_the_permission_routes_are_served_and_it_is_named() {
    let (api, web) = (ApiServer::start(), Pod::start("pod"));
    let sidecar = counting(3);
    api.put_all(all_of("web", &web));
    api.put(pod("caller", &sidecar));
    api.permit("list", "Pod", false);
    let reveille = starter(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "pod");
    let log = reveille.until_logged("the permission to list pods in all namespaces is missing");
    assert!(log.contains("routes are served"), "{log}");
    let mut keda = asks(&reveille, CALLS);
    let refused = keda.is_active().expect_err("what nobody sees is not zero");
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    api.permit("list", "Pod", true);
    until_value(&mut keda, 3.0);
    // One that is taken away later changes nothing.
    api.permit("watch", "Pod", false);
    reveille.until_logged("the permission to watch pods");
    sidecar.counts(5);
    until_value(&mut keda, 5.0);
    reveille.stop();
}

#[test]
fn pods_are_asked_for_only_where_and_if_they_are_wanted() {
    let api = ApiServer::start();
    let (here, there) = (counting(1), counting(1));
    let mut elsewhere = pod("caller", &there);
    elsewhere["metadata"]["namespace"] = "shop".into();
    api.put_all([pod("caller", &here), elsewhere]);
    let about_pods = || {
        let asked = api.asked().into_iter();
        asked.filter(|asked| asked.path.ends_with("/pods")).count()
    };
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.ask("/api/v1/sources").body, r#"{"sources":[]}"#);
    assert_eq!(about_pods(), 0);
    reveille.stop();
    let reveille = starter(&api).arg("--watch-namespace", "shop").start();
    reveille.until_ready();
    until_fetched(&reveille, &["shop/caller"]);
    assert!(about_pods() > 0);
    reveille.stop();
}
