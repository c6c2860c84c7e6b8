//! Upward by the HPA's formula while many wait, and to zero afterwards.

use super::cluster::{Cluster, Fleet, Image};
use crate::support::{Connection, keda::Event};

#[test]
fn a_crowd_gets_the_replicas_that_the_formula_gives() {
    let cluster = Cluster::new();
    let fleet = Fleet::start(&cluster, 1, &[]);
    fleet.deploy("web", Image::Http);
    let web = fleet[0].client("web");
    // The route wants 10 for each replica: 24 are three.
    let mut crowd: Vec<Connection> = (0..24).map(|_| web.begin("GET", "/hold")).collect();
    let pods = cluster.until_pods("web", 3);
    let denials = cluster.denials("web");
    let names: Vec<_> = pods.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, ["web-1", "web-2", "web-3"]);
    // It stays so while the HPA goes on to look.
    let is_read = |event: &Event| matches!(event, Event::Value { value, .. } if *value == 24.0);
    cluster.until_more("web", 3, is_read);
    assert_eq!(cluster.replicas("web"), 3);
    assert_eq!(cluster.denials("web"), denials);
    // Who comes now goes where there is room.
    let mut more: Vec<Connection> = (0..6).map(|_| web.begin("GET", "/")).collect();
    let answers: Vec<_> = more.iter_mut().map(Connection::answer).collect();
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(answers.iter().any(|answer| answer.body != "web-1"));

    cluster.release(true);
    for held in &mut crowd {
        assert_eq!(held.answer().status, 200);
    }
    cluster.until_zero("web");
    assert_eq!(
        cluster.scalings("web"),
        [
            (0, 1, "activated"),
            (1, 3, "the HPA"),
            (3, 0, "quiet for the cooldown")
        ]
    );
    fleet.stop();
}
