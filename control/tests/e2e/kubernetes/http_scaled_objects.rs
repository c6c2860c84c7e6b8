//! HTTPScaledObjects of the cluster: served, made into ScaledObjects, and told
//! in their statuses what became of them.

use super::{
    keda::Keda,
    objects::{route, scaled_object, service, serving},
};
use crate::{
    support::{ApiServer, Pod, Reveille, wait_for, wait_until},
    tls::{authority, issue},
};
use serde_json::{Value, json};

/// One for `NAME.test` and the Deployment and the Service of its name.
fn http_scaled_object(name: &str) -> Value {
    json!({
        "kind": "HTTPScaledObject",
        "metadata": {"name": name, "labels": {"team": "a"}, "annotations": {"note": "keep"}},
        "spec": {
            "hosts": [format!("{name}.test")],
            "scaleTargetRef": {"name": name, "kind": "Deployment", "apiVersion": "apps/v1",
                "service": name, "port": 80},
            "replicas": {"min": 0, "max": 5},
            "scaledownPeriod": 60,
            "scalingMetric": {"concurrency": {"targetValue": 10}},
        },
    })
}

fn all_of(name: &str, pod: &Pod) -> [Value; 3] {
    [
        http_scaled_object(name),
        service(name),
        serving(name, 0, pod),
    ]
}

fn made(api: &ApiServer) -> Option<Value> {
    api.get("ScaledObject", "default", "web")
}

fn until_made(api: &ApiServer) -> Value {
    wait_for("there is a ScaledObject", || made(api))
}

/// The condition of its status, once it has that reason.
fn until_reason(api: &ApiServer, name: &str, kind: &str, reason: &str) -> Value {
    wait_for(&format!("{kind} of {name} is {reason}"), || {
        let object = api.get("HTTPScaledObject", "default", name)?;
        let conditions = object["status"]["conditions"].as_array()?;
        let condition = conditions.iter().find(|one| one["type"] == kind)?;
        (condition["reason"] == reason).then(|| condition.clone())
    })
}

fn annotated(name: &str, annotation: &str, value: &str) -> Value {
    let mut object = http_scaled_object(name);
    object["metadata"]["annotations"][annotation] = value.into();
    object
}

const SKIP: &str = "httpscaledobject.keda.sh/skip-scaledobject-creation";
const ORPHAN: &str = "httpscaledobject.keda.sh/orphan-scaledobject";
const FINALIZER: &str = "httpscaledobject.http.keda.sh";

/// How often a ScaledObject was written.
fn writes(api: &ApiServer) -> usize {
    let asked = api.asked();
    let is_one = |path: &str| path.contains("/scaledobjects/");
    asked.iter().filter(|asked| is_one(&asked.path)).count()
}

#[test]
fn one_is_a_route_and_a_scaled_object_under_its_own_name() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api)
        .arg("--scaler-address", "scaler.keda:9090")
        .start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "pod");

    let made = until_made(&api);
    let owner = api
        .get("HTTPScaledObject", "default", "web")
        .expect("there");
    assert_eq!(made["metadata"]["labels"], json!({"team": "a"}));
    assert_eq!(made["metadata"]["annotations"], json!({"note": "keep"}));
    let owners = json!([{"apiVersion": "http.keda.sh/v1alpha1", "kind": "HTTPScaledObject",
        "name": "web", "uid": owner["metadata"]["uid"], "controller": true}]);
    assert_eq!(made["metadata"]["ownerReferences"], owners);
    let spec = json!({
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "pollingInterval": 15,
        "minReplicaCount": 0,
        "maxReplicaCount": 5,
        "cooldownPeriod": 60,
        "advanced": {"restoreToOriginalReplicaCount": true},
        "triggers": [{"type": "external-push", "metadata":
            {"scalerAddress": "scaler.keda:9090", "httpScaledObject": "web"}}],
    });
    assert_eq!(made["spec"], spec);

    let found = until_reason(&api, "web", "ScaledObjectFound", "Found");
    assert_eq!(found["message"], "ScaledObject default/web");
    let ready = until_reason(&api, "web", "Ready", "Reconciled");
    assert_eq!(ready["status"], "True");
    let owner = api
        .get("HTTPScaledObject", "default", "web")
        .expect("there");
    assert_eq!(owner["status"]["targetWorkload"], "apps/v1/Deployment/web");
    assert_eq!(owner["status"]["targetService"], "web:80");
    assert_eq!(owner["metadata"]["finalizers"], Value::Null);
    let target = reveille.target("web");
    assert_eq!(target.scaled_object.as_deref(), Some("default/web"));
    assert_eq!(writes(&api), 1);
    reveille.stop();
}

#[test]
fn keda_is_told_of_it_and_its_deprecation_once() {
    let api = ApiServer::start();
    api.put_all([http_scaled_object("web"), service("web")]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let mut keda = Keda::asks_for(&reveille, &[("httpScaledObject", "web")]);
    let mut stream = keda.stream();
    let mut held = reveille.client("web").begin("GET", "/");
    keda.until_active(&mut stream);
    let values = keda.metrics("http-default_002Fweb").expect("answered");
    assert_eq!(values[0].metric_value, 1);
    let pod = Pod::start("pod");
    api.put(serving("web", 0, &pod));
    assert_eq!(held.answer().body, "pod");

    reveille.until_logged("HTTPScaledObject default/web: HTTPScaledObject is deprecated");
    let events = || {
        let events = api.all("Event").into_iter();
        events
            .filter(|event| event["reason"] == "Deprecated")
            .collect::<Vec<_>>()
    };
    wait_until("there is an Event", || events().len() == 1);
    let event = &events()[0];
    assert_eq!(event["regarding"]["kind"], "HTTPScaledObject");
    let note = event["note"].as_str().expect("text");
    assert!(note.contains("kind: InterceptorRoute\n"), "{note}");
    assert!(note.contains("interceptorRoute: web"), "{note}");
    reveille.stop();
    let again = Reveille::in_cluster(&api).start();
    again.until_logged("statuses are ours to write");
    api.put(annotated("web", "note", "other"));
    wait_until("it is written", || {
        until_made(&api)["metadata"]["annotations"]["note"] == "other"
    });
    until_reason(&api, "web", "Ready", "Reconciled");
    assert_eq!(events().len(), 1);
    again.stop();
}

#[test]
fn its_scaled_object_is_kept_as_it_says() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    let first = until_made(&api);
    let mut edited = annotated("web", "autoscaling.keda.sh/paused-replicas", "0");
    edited["spec"]["replicas"]["max"] = 9.into();
    edited["spec"]["hosts"] = json!(["other.test"]);
    edited["spec"]
        .as_object_mut()
        .expect("a map")
        .remove("scaledownPeriod");
    api.put(edited);
    wait_until("it follows", || {
        until_made(&api)["spec"]["maxReplicaCount"] == 9
    });
    let made = until_made(&api);
    assert_eq!(made["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(made["spec"]["cooldownPeriod"], Value::Null);
    // It is paused now, and its workload has no Pod.
    api.delete("EndpointSlice", "default", "web-0");
    wait_until("it is answered at once", || {
        reveille.client("other").get("/").status == 503
    });
    assert_eq!(reveille.client("web").get("/").status, 404);

    api.put(http_scaled_object("web"));
    wait_until("what was taken away is gone", || {
        until_made(&api)["metadata"]["annotations"] == json!({"note": "keep"})
    });
    // What others change is put right, what they add is theirs.
    let mut meddled = until_made(&api);
    meddled["spec"]["triggers"][0]["metadata"]["scalerAddress"] = "elsewhere:1".into();
    meddled["spec"]["fallback"] = json!({"failureThreshold": 3, "replicas": 2});
    meddled["metadata"]["labels"]["scaledobject.keda.sh/name"] = "web".into();
    api.put(meddled);
    wait_until("it is put right", || {
        let address = &until_made(&api)["spec"]["triggers"][0]["metadata"]["scalerAddress"];
        address == "reveille-scaler.default:9090"
    });
    let made = until_made(&api);
    assert_eq!(made["spec"]["fallback"]["replicas"], 2);
    assert_eq!(
        made["metadata"]["labels"]["scaledobject.keda.sh/name"],
        "web"
    );
    reveille.stop();
}

#[test]
fn none_is_made_and_one_that_was_is_deleted_where_the_annotation_says_so() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    api.put(annotated("web", SKIP, "true"));
    let reveille = Reveille::in_cluster(&api).start();
    let unwanted = until_reason(&api, "web", "ScaledObjectFound", "NotWanted");
    let why = "there is no ScaledObject: its annotation says that none is made";
    assert_eq!(unwanted["message"], why);
    assert_eq!(
        until_reason(&api, "web", "Ready", "Reconciled")["status"],
        "True"
    );
    assert_eq!(writes(&api), 0);
    api.put(http_scaled_object("web"));
    until_made(&api);
    api.put(annotated("web", SKIP, "true"));
    wait_until("it is gone", || made(&api).is_none());
    until_reason(&api, "web", "ScaledObjectFound", "NotWanted");
    // The user's own is another matter.
    let mut own = scaled_object("web");
    own["spec"]["triggers"][0]["metadata"] =
        json!({"scalerAddress": "own:1", "httpScaledObject": "web"});
    api.put(own);
    let found = until_reason(&api, "web", "ScaledObjectFound", "Found");
    let message = "ScaledObject default/web, which is not of this object";
    assert_eq!(found["message"], message);
    assert_eq!(reveille.client("web").get("/").body, "pod");
    assert_eq!(writes(&api), 2);
    reveille.stop();
}

#[test]
fn a_route_of_its_name_wins_until_it_goes() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    until_reason(&api, "web", "ScaledObjectFound", "Found");
    let mut newer = route("web");
    newer["spec"]["rules"] = json!([{"hosts": ["new.test"]}]);
    api.put(newer);
    wait_until("the route is served", || {
        reveille.client("new").get("/").status == 200
    });
    assert_eq!(reveille.client("web").get("/").status, 404);
    let shadowed = until_reason(&api, "web", "Ready", "Shadowed");
    let message = shadowed["message"].as_str().expect("text");
    assert!(
        message.starts_with("InterceptorRoute default/web is served in its place"),
        "{message}"
    );
    // Its ScaledObject is told of the route.
    api.delete("EndpointSlice", "default", "web-0");
    reveille.until("web", "it is cold", |now| now.state == "cold");
    let mut keda = Keda::asks_for(&reveille, &[("httpScaledObject", "web")]);
    let mut stream = keda.stream();
    let mut held = reveille.client("new").begin("GET", "/");
    keda.until_active(&mut stream);
    let target = reveille.until_held("web", 1);
    assert_eq!(target.scaled_object.as_deref(), Some("default/web"));
    api.put(serving("web", 0, &pod));
    assert_eq!(held.answer().body, "pod");

    api.delete("InterceptorRoute", "default", "web");
    wait_until("it is served again", || {
        reveille.client("web").get("/").status == 200
    });
    assert_eq!(reveille.client("new").get("/").status, 404);
    until_reason(&api, "web", "Ready", "Reconciled");
    assert_eq!(writes(&api), 1);
    reveille.stop();
}

#[test]
fn one_of_the_add_ons_can_be_deleted_and_takes_its_scaled_object_along() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let mut old = http_scaled_object("web");
    old["metadata"]["finalizers"] = json!([FINALIZER, "other.test/kept"]);
    api.put(old);
    let reveille = Reveille::in_cluster(&api).start();
    until_made(&api);
    api.delete("HTTPScaledObject", "default", "web");
    let left = wait_for("only the other finalizer is left", || {
        let object = api.get("HTTPScaledObject", "default", "web")?;
        (object["metadata"]["finalizers"] == json!(["other.test/kept"])).then_some(object)
    });
    // It is there, so it is served.
    assert_eq!(reveille.client("web").get("/").body, "pod");
    let mut freed = left;
    freed["metadata"]["finalizers"] = json!([]);
    api.put(freed);
    wait_until("it is not served", || {
        reveille.client("web").get("/").status == 404
    });
    assert_eq!(made(&api), None);
    reveille.stop();
}

#[test]
fn an_orphaned_scaled_object_outlives_its_owner() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    let before = until_made(&api);
    // Both at once: the finalizer goes last.
    let mut leaving = annotated("web", ORPHAN, "true");
    leaving["metadata"]["finalizers"] = json!([FINALIZER]);
    api.put(leaving);
    api.delete("HTTPScaledObject", "default", "web");
    wait_until("it is gone", || {
        api.get("HTTPScaledObject", "default", "web").is_none()
    });
    let after = made(&api).expect("it stays");
    assert_eq!(after["metadata"]["ownerReferences"], json!([]));
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["spec"], before["spec"]);
    reveille.stop();
}

#[test]
fn a_malformed_one_harms_no_other_and_keeps_its_scaled_object() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    api.put_all(all_of("shop", &pod));
    let mut nonsense = http_scaled_object("blog");
    nonsense["spec"] = json!(7);
    let mut both = http_scaled_object("both");
    both["spec"]["scalingMetric"]["requestRate"] = json!({"targetValue": 5});
    api.put_all([nonsense, both]);
    let reveille = Reveille::in_cluster(&api).start();
    let before = until_made(&api);
    until_reason(&api, "blog", "Ready", "Invalid");
    until_reason(&api, "both", "Ready", "Invalid");
    let mut broken = http_scaled_object("web");
    broken["spec"]["timeouts"] = json!({"conditionWait": "soon"});
    broken["spec"]["replicas"]["max"] = 9.into();
    api.put(broken);
    let invalid = until_reason(&api, "web", "Ready", "Invalid");
    let message = invalid["message"].as_str().expect("text");
    assert!(
        message.starts_with("spec.timeouts.conditionWait: "),
        "{message}"
    );
    assert_eq!(reveille.client("web").get("/").body, "pod");
    assert_eq!(until_made(&api)["spec"], before["spec"]);
    until_reason(&api, "shop", "ScaledObjectFound", "Found");
    assert_eq!(api.all("ScaledObject").len(), 2);
    reveille.stop();
}

#[test]
fn a_scaled_object_that_may_not_be_made_is_told_of() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    api.permit("create", "ScaledObject", false);
    let reveille = Reveille::in_cluster(&api).start();
    let missing = "the permissions to create and patch scaledobjects.keda.sh in namespace default \
                   are missing";
    reveille.until_logged(missing);
    let ready = until_reason(&api, "web", "Ready", "CreateError");
    assert!(
        ready["message"]
            .as_str()
            .expect("text")
            .starts_with(missing)
    );
    assert_eq!(reveille.client("web").get("/").body, "pod");
    api.permit("create", "ScaledObject", true);
    until_made(&api);
    until_reason(&api, "web", "Ready", "Reconciled");
    reveille.stop();
}

#[test]
fn what_belongs_to_users_stays_as_it_is() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    api.put_all(all_of("shop", &pod));
    api.put(scaled_object("web"));
    let mut elsewhere = scaled_object("mine");
    elsewhere["spec"]["scaleTargetRef"]["name"] = "shop".into();
    api.put(elsewhere);
    let theirs = api.all("ScaledObject");
    let reveille = Reveille::in_cluster(&api).start();
    let named = until_reason(&api, "web", "Ready", "Taken");
    let message = named["message"].as_str().expect("text");
    assert!(
        message.starts_with("ScaledObject default/web is not of this object and stays as it is"),
        "{message}"
    );
    let rival = until_reason(&api, "shop", "ScaledObjectFound", "Taken");
    let message = rival["message"].as_str().expect("text");
    assert!(
        message.starts_with("ScaledObject default/mine scales the same workload already"),
        "{message}"
    );
    assert_eq!(reveille.client("shop").get("/").body, "pod");
    assert_eq!(api.all("ScaledObject"), theirs);
    assert_eq!(writes(&api), 0);
    // Once they are out of the way, they are made.
    api.delete("ScaledObject", "default", "mine");
    until_reason(&api, "shop", "ScaledObjectFound", "Found");
    reveille.stop();
}

#[test]
fn what_the_add_ons_operator_has_made_is_taken_over() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    let mut object = http_scaled_object("web");
    object["spec"]["scaleTargetRef"] = json!({"name": "web", "service": "web", "port": 80});
    api.put_all([object, service("web"), serving("web", 0, &pod)]);
    let owner = api
        .get("HTTPScaledObject", "default", "web")
        .expect("there");
    let mut old = scaled_object("web");
    old["metadata"]["ownerReferences"] = json!([{"apiVersion": "http.keda.sh/v1alpha1",
        "kind": "HTTPScaledObject", "name": "web", "uid": owner["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true}]);
    old["spec"]["scaleTargetRef"]["kind"] = "StatefulSet".into();
    old["spec"]["initialCooldownPeriod"] = 30.into();
    old["spec"]["triggers"][0]["metadata"] = json!({"httpScaledObject": "web",
        "scalerAddress": "keda-add-ons-http-external-scaler.keda:9090"});
    api.put(old);
    let reveille = Reveille::in_cluster(&api).start();
    wait_until("it is ours", || {
        let address = &until_made(&api)["spec"]["triggers"][0]["metadata"]["scalerAddress"];
        address == "reveille-scaler.default:9090"
    });
    // What the add-on had set, and is not wanted.
    wait_until("nothing else is left", || {
        let spec = &until_made(&api)["spec"];
        spec["initialCooldownPeriod"].is_null() && spec["scaleTargetRef"] == json!({"name": "web"})
    });
    until_reason(&api, "web", "Ready", "Reconciled");
    reveille.stop();
}

#[test]
fn another_replica_goes_on_where_the_first_one_stopped() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let first = Reveille::in_cluster(&api).start();
    first.until_logged("statuses are ours to write");
    let second = Reveille::in_cluster(&api).start();
    second.until_ready();
    let made = until_made(&api);
    until_reason(&api, "web", "Ready", "Reconciled");
    let before = writes(&api);
    first.stop();
    second.until_logged("statuses are ours to write");
    let mut edited = http_scaled_object("web");
    edited["spec"]["replicas"]["max"] = 9.into();
    api.put(edited);
    wait_until("it follows", || {
        until_made(&api)["spec"]["maxReplicaCount"] == 9
    });
    assert_eq!(until_made(&api)["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(writes(&api), before + 1);
    second.stop();
}

#[test]
fn beside_the_add_ons_operator_they_are_served_and_nothing_is_written() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    api.put_all(super::objects::all_of("shop", &pod));
    let reveille = Reveille::in_cluster(&api)
        .arg("--http-scaled-objects", "serve")
        .start();
    wait_until("the other's status is written", || {
        let route = api
            .get("InterceptorRoute", "default", "shop")
            .expect("there");
        !route["status"].is_null()
    });
    assert_eq!(reveille.client("web").get("/").body, "pod");
    let object = api
        .get("HTTPScaledObject", "default", "web")
        .expect("there");
    assert_eq!(object["status"], Value::Null);
    assert_eq!(made(&api), None);
    reveille.stop();
}

#[test]
fn a_cluster_without_the_kind_is_served_all_the_same() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.define("HTTPScaledObject", false);
    api.put_all(super::objects::all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "pod");
    reveille.until_logged("the cluster has no httpscaledobjects.http.keda.sh");
    reveille.stop();
}

#[test]
fn keda_is_told_how_to_ask_over_tls() {
    let api = ApiServer::start();
    api.put_all([http_scaled_object("web"), service("web")]);
    let starter = Reveille::in_cluster(&api);
    authority(starter.path());
    issue(starter.path(), "server", "DNS:reveille-scaler.default");
    let reveille = starter
        .arg("--grpc-tls-cert", "server.crt")
        .arg("--grpc-tls-key", "server.key")
        .arg(
            "--scaler-authentication",
            "ClusterTriggerAuthentication/reveille",
        )
        .start();
    let triggers = json!([{
        "type": "external-push",
        "metadata": {"scalerAddress": "reveille-scaler.default:9090", "enableTLS": "true",
            "httpScaledObject": "web"},
        "authenticationRef": {"kind": "ClusterTriggerAuthentication", "name": "reveille"},
    }]);
    assert_eq!(until_made(&api)["spec"]["triggers"], triggers);
    reveille.until_logged("HTTPScaledObject default/web: HTTPScaledObject is deprecated");
    let note = wait_for("there is an Event", || api.all("Event").pop())["note"].clone();
    assert!(note.to_string().contains("authenticationRef"), "{note}");
    reveille.stop();
}

#[test]
fn an_address_that_nobody_can_dial_is_refused_at_the_start() {
    let api = ApiServer::start();
    let ended = Reveille::in_cluster(&api)
        .arg("--scaler-address", "scaler")
        .run();
    assert!(!ended.status.success());
    let said = r#"--scaler-address "scaler": is not HOST:PORT, such as reveille-scaler.keda:9090"#;
    assert!(ended.log.contains(said), "{}", ended.log);
}
