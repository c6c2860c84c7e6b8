//! Three replicas: whichever a client meets, and whichever KEDA listens to.

use super::cluster::{Cluster, Fleet, Image};
use crate::support::{Reveille, wait_for};

/// Streams of KEDA's that a replica has.
fn streams(of: &Reveille) -> u32 {
    let streams = of.metric("reveille_scaler_open_streams{kind=\"activity\"}");
    streams.map_or(0, |streams| streams as u32)
}

#[test]
fn a_request_at_one_replica_wakes_its_workload_through_the_stream_of_another() {
    let cluster = Cluster::new();
    let fleet = Fleet::start(&cluster, 3, &[]);
    fleet.deploy("web", Image::Http);
    let hears = wait_for("KEDA listens", || {
        let all: Vec<_> = fleet.replicas().map(streams).collect();
        (all.iter().sum::<u32>() == 1).then(|| all.iter().position(|&streams| streams == 1))?
    });
    for offset in [1, 2, 0] {
        let asked = (hears + offset) % 3;
        cluster.kubelet().hold_probes("web", true);
        let answer = fleet[asked].client("web").get("/");
        assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
        assert!(!cluster.was_ready(&answer.body));
        // KEDA was not told otherwise by a replica that has seen nothing.
        cluster.kubelet().hold_probes("web", false);
        cluster.until_zero("web");
        assert_eq!(streams(&fleet[hears]), 1, "all that time it was this one");
    }
    fleet.stop();
}
