//! Who writes statuses when the holder of the Lease does not any more.

use super::objects::all_of;
use crate::support::{ApiServer, Pod, Reveille, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

fn is_ready(api: &ApiServer, name: &str) -> bool {
    let route = api.get("InterceptorRoute", "default", name).expect("there");
    let conditions = route["status"]["conditions"].as_array().cloned();
    conditions
        .unwrap_or_default()
        .iter()
        .any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn lease(api: &ApiServer) -> Value {
    api.get("Lease", "default", "reveille").expect("there")
}

#[test]
fn a_holder_that_dies_is_replaced_when_its_lease_ends() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let first = Reveille::in_cluster(&api).start();
    first.until_logged("statuses are ours to write");
    let second = Reveille::in_cluster(&api).start();
    second.until_ready();
    first.signal(Signal::KILL);
    // As if it had asked for a second only: nobody wants to wait for more here.
    let mut left = lease(&api);
    let holder = left["spec"]["holderIdentity"].clone();
    left["spec"]["leaseDurationSeconds"] = json!(1);
    api.put(left);
    api.put_all(all_of("shop", &pod));
    second.until_logged("statuses are ours to write");
    assert_ne!(lease(&api)["spec"]["holderIdentity"], holder);
    wait_until("the other one writes", || is_ready(&api, "shop"));
    assert_eq!(second.client("shop").get("/").body, "pod");
    second.stop();
}

#[test]
fn a_holder_that_was_replaced_writes_no_more() {
    let (api, pod) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    wait_until("it writes", || is_ready(&api, "web"));
    // Its renewals were late, and somebody was faster.
    let mut taken = lease(&api);
    taken["spec"]["holderIdentity"] = "somebody else".into();
    taken["spec"]["leaseDurationSeconds"] = json!(3_600);
    api.put(taken.clone());
    reveille.until_logged("another replica writes statuses");
    api.put_all(all_of("shop", &pod));
    wait_until("it is served", || {
        reveille.client("shop").get("/").body == "pod"
    });
    assert!(!is_ready(&api, "shop"));
    assert_eq!(lease(&api)["spec"], taken["spec"]);
    // Until that one gives it back.
    taken["spec"]["holderIdentity"] = "".into();
    taken["metadata"]["resourceVersion"] = lease(&api)["metadata"]["resourceVersion"].clone();
    api.put(taken);
    wait_until("it writes again", || is_ready(&api, "shop"));
    reveille.stop();
}
