//! Requests that wait while manifests change.

use super::{edit, following};
use crate::support::Target;

const GATED: &str = "[sh, -c, 'while ! [ -e go ]; do sleep 0.01; done; exec python3 -B server.py']";

fn never_ready(name: &str) -> String {
    Target::new(name, "[sleep, '1000']").to_string()
}

#[test]
fn who_waits_for_a_route_that_stays_is_served() {
    let web = Target::new("web", GATED).scaled("maxReplicaCount: 1");
    let web = web.to_string();
    let reveille = following(web.clone()).start();
    let mut held = reveille.client("web").begin("GET", "/held");
    reveille.until_held("web", 1);
    edit(&reveille, web.clone() + &never_ready("other"));
    edit(&reveille, web);
    assert_eq!(reveille.target("web").held, 1);
    reveille.touch("go");
    let answer = held.answer();
    assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
    assert_eq!(reveille.lines("requests"), ["GET /held"]);
}

#[test]
fn who_waits_for_a_route_that_goes_gets_404_at_once() {
    let reveille = following(never_ready("web") + &never_ready("other")).start();
    let mut held = [(); 3].map(|()| reveille.client("web").begin("GET", "/"));
    reveille.until_held("web", 3);
    let mut other = reveille.client("other").begin("GET", "/");
    reveille.until_held("other", 1);
    edit(&reveille, never_ready("other"));
    for held in &mut held {
        let answer = held.answer();
        assert_eq!((answer.status, answer.body.as_str()), (404, "Not Found\n"));
        // The connection is as good as any.
        held.request("GET", "/");
        assert_eq!(held.answer().status, 404);
    }
    assert_eq!(reveille.target("other").held, 1);
    edit(&reveille, never_ready("third"));
    assert_eq!(other.answer().status, 404);
    // The only process left is asleep.
    reveille.until_workloads(0);
}

#[test]
fn who_waits_for_a_process_that_never_gets_ready_is_served_once_it_is_mended() {
    let reveille = following(never_ready("web")).start();
    let mut held = reveille.client("web").begin("GET", "/mended");
    reveille.until_held("web", 1);
    let mended = Target::python().to_string();
    edit(&reveille, mended);
    let answer = held.answer();
    assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
}

#[test]
fn who_waits_goes_where_the_route_leads_now() {
    let other = Target::new("other", "[python3, -B, server.py]").to_string();
    let both = never_ready("web") + &other;
    let reveille = following(both.clone()).start();
    let mut held = reveille.client("web").begin("GET", "/elsewhere");
    reveille.until_held("web", 1);
    // Nobody asked for the other service so far.
    let led = both.replace("{service: web,", "{service: other,");
    edit(
        &reveille,
        led.replace("interceptorRoute: other", "interceptorRoute: web"),
    );
    assert_eq!(held.answer().status, 200);
    assert_eq!(reveille.lines("requests"), ["GET /elsewhere"]);
}
