//! Connections to the API server that break off, at every point of an answer:
//! nothing that is served changes, and nothing is missed.

use super::objects::{all_of, answers, serving, until_answers};
use crate::support::{ApiServer, Cut, Pod, Reveille, wait_until};

const CUTS: [Cut; 6] = [
    Cut::BeforeHead,
    Cut::InHead,
    Cut::AfterHead,
    Cut::InChunkSize,
    Cut::InObject,
    Cut::AfterObject,
];
const KINDS: [&str; 3] = ["InterceptorRoute", "Service", "EndpointSlice"];

/// In a Reveille of its own each: pauses grow with each failure.
fn a_watch_misses_nothing(cut: Cut) {
    let (api, pods) = (ApiServer::start(), ["a", "b"].map(Pod::start));
    api.put_all(all_of("web", &pods[0]));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    for kind in KINDS {
        api.cut_next("watch", kind, "", cut);
    }
    // New ones are opened, and suffer it as soon as there is news.
    api.cut_watches();
    for name in ["first", "second"] {
        api.put_all(all_of(name, &pods[1]));
        until_answers(&reveille, name, "b");
    }
    wait_until("all were cut", || api.cuts_left() == 0);
    assert!(answers(&reveille, "web", "a"));
    // What goes away is noticed, too.
    api.delete("InterceptorRoute", "default", "first");
    wait_until("it is gone", || {
        reveille.client("first").get("/").status == 404
    });
    assert_eq!(reveille.targets().len(), 2);
    reveille.stop();
}

#[test]
fn a_watch_that_breaks_off_at_any_point_misses_nothing() {
    for cut in CUTS {
        a_watch_misses_nothing(cut);
    }
}

#[test]
fn a_list_that_breaks_off_at_any_point_changes_nothing() {
    let (api, pods) = (ApiServer::start(), ["a", "b"].map(Pod::start));
    api.put_all(all_of("web", &pods[0]));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    for (round, cut) in CUTS.into_iter().enumerate() {
        for kind in KINDS {
            api.cut_next("list", kind, "", cut);
        }
        // Everything is listed anew.
        api.forget_history();
        api.cut_watches();
        let (name, pod) = (format!("r{round}"), &pods[round % 2]);
        api.put_all(all_of(&name, pod));
        wait_until(&format!("all were cut {cut:?}"), || api.cuts_left() == 0);
        assert!(answers(&reveille, "web", "a"), "{cut:?}");
        assert_eq!(reveille.ask("/readyz").status, 200);
        until_answers(&reveille, &name, &pod.name);
        assert!(answers(&reveille, "web", "a"), "{cut:?}");
    }
    reveille.stop();
}

#[test]
fn a_list_that_breaks_off_between_its_pages_is_begun_anew_and_never_served_in_part() {
    let (api, pods) = (ApiServer::start(), ["a", "b"].map(Pod::start));
    api.put_all((0..600).flat_map(|index| all_of(&format!("r{index:03}"), &pods[0])));
    for cut in [Cut::InHead, Cut::InObject, Cut::AfterObject] {
        api.cut_next("list", "InterceptorRoute", "continue=", cut);
    }
    let reveille = Reveille::in_cluster(&api).start();
    // Each breaks off in its second page.
    wait_until("it has got that far", || api.cuts_left() < 3);
    reveille.until_ready();
    assert_eq!(api.cuts_left(), 0);
    assert_eq!(reveille.targets().len(), 600);
    // The same for a list that replaces what is known.
    api.cut_next("list", "InterceptorRoute", "continue=", Cut::InObject);
    api.cut_next("list", "EndpointSlice", "continue=", Cut::InObject);
    api.forget_history();
    api.put(serving("r599", 0, &pods[1]));
    api.cut_watches();
    wait_until("both were cut", || api.cuts_left() == 0);
    for name in ["r000", "r598"] {
        assert!(answers(&reveille, name, "a"), "{name}");
    }
    assert_eq!(reveille.targets().len(), 600);
    until_answers(&reveille, "r599", "b");
    reveille.stop();
}
