//! A Pod that dies under load, and a kubelet that has not noticed.

use super::cluster::{Cluster, Fleet, Image};
use crate::support::{Client, wait_until};
use serde_json::json;
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

#[test]
fn nobody_who_may_ask_again_sees_that_a_pod_has_died() {
    let cluster = Cluster::new();
    let fleet = Fleet::start(&cluster, 1, &[]);
    fleet.deploy_scaled("web", Image::Http, &json!({"minReplicaCount": 2}));
    let before = cluster.until_pods("web", 2);
    let client = fleet[0].client("web");
    let (served, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let until_more = |more: usize| {
        let wanted = served.load(Ordering::SeqCst) + more;
        wait_until("more is served", || served.load(Ordering::SeqCst) >= wanted);
    };
    let load = |client: &Client| {
        let mut connection = client.connect();
        while !is_over.load(Ordering::SeqCst) {
            connection.request("GET", "/work");
            let answer = connection.answer();
            assert_eq!(answer.status, 200, "{answer:?}");
            served.fetch_add(1, Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(|| load(&client))).collect();
        until_more(50);
        // In the middle of answers. The cluster goes on to call it ready.
        cluster.kubelet().kill(&before[0].name);
        until_more(100);
        assert_eq!(cluster.listed("web"), [true, true]);
        cluster.kubelet().notice();
        let after = cluster.until_pods("web", 2);
        assert_eq!(after[0].name, before[1].name);
        until_more(100);
        is_over.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().expect("nothing but 200");
        }
    });
    let pods = cluster.until_pods("web", 2);
    assert!(pods.iter().all(|pod| pod.requests > 0), "{pods:?}");
    fleet.stop();
}
