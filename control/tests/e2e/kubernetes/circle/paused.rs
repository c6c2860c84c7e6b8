//! A ScaledObject that is paused in the middle.

use super::cluster::{Cluster, Fleet, Image};
use serde_json::json;

const WHY: &str = "asleep, and KEDA was told not to wake it: autoscaling.keda.sh/paused";

#[test]
fn while_keda_is_paused_nobody_waits_in_vain_and_then_all_goes_on() {
    let cluster = Cluster::new();
    let fleet = Fleet::start(&cluster, 1, &[]);
    fleet.deploy("web", Image::Http);
    let web = fleet[0].client("web");
    assert_eq!(web.get("/").body, "web-1");
    cluster.until_zero("web");

    pause(&cluster, &fleet, true);
    let refused = web.get("/");
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains(WHY), "{refused:?}");
    assert_eq!(cluster.replicas("web"), 0);
    pause(&cluster, &fleet, false);
    assert_eq!(web.get("/").body, "web-2");
    cluster.until_zero("web");

    // Who waits already when it is paused learns of it, too.
    cluster.kubelet().hold_image("web", true);
    let mut held = web.begin("GET", "/");
    cluster.until_replicas("web", 1);
    pause(&cluster, &fleet, true);
    let refused = held.answer();
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains(WHY), "{refused:?}");
    // What serves goes on to serve, and KEDA takes nothing away.
    cluster.kubelet().hold_image("web", false);
    cluster.until_pods("web", 1);
    fleet[0].until_warm("web");
    assert_eq!(web.get("/").body, "web-3");
    assert_eq!(cluster.replicas("web"), 1);
    pause(&cluster, &fleet, false);
    cluster.until_zero("web");
    fleet.stop();
}

/// Waits until everybody knows it.
fn pause(cluster: &Cluster, fleet: &Fleet<'_>, is_paused: bool) {
    let object = cluster.api().get("ScaledObject", "default", "web");
    let mut object = object.expect("there");
    let paused = json!({"autoscaling.keda.sh/paused": is_paused.to_string()});
    object["metadata"]["annotations"] = paused;
    cluster.api().put(object);
    cluster.until_operated("web", !is_paused);
    fleet[0].until("web", "it is known", |now| {
        let bounds = now.bounds.as_ref();
        bounds.is_some_and(|bounds| bounds.paused.is_some() == is_paused)
    });
}
