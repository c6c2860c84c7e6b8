//! An API server that dies and comes back, and has forgotten what it watched.

use super::{installed, pod, reveille, whole};
use crate::kubernetes::objects::{all_of, answers, until_answers};

#[test]
fn while_it_is_away_everything_is_served_and_afterwards_what_is_new() {
    let Some(mut plane) = installed() else { return };
    let pod = pod("pod");
    for object in all_of("web", &pod) {
        plane.client().apply(&whole(object));
    }
    let reveille = reveille(&plane).start();
    reveille.until_ready();
    until_answers(&reveille, "web", "pod");
    plane.kill_apiserver();
    reveille.until_logged("the API server cannot be reached");
    assert!(answers(&reveille, "web", "pod"));
    plane.start_apiserver();
    for object in all_of("shop", &pod) {
        plane.client().apply(&whole(object));
    }
    until_answers(&reveille, "shop", "pod");
    assert!(answers(&reveille, "web", "pod"));
    // It refused everybody until it had read its roles.
    let log = reveille.log();
    assert!(!log.contains("is missing"), "{log}");
    reveille.stop();
}
