//! What is told, in which words.

use super::*;
use std::{net::SocketAddr, time::Duration};

fn told(what: Happening) -> (EventKind, String) {
    let sight = Sight::default();
    sight.happened(&TargetId::new("ns", "web"), what);
    let events = sight.events(Some("ns/web"), 10);
    assert_eq!(events.len(), 1);
    (events[0].kind, events[0].text.clone())
}

#[test]
fn turns_of_a_wake_are_told_in_words() {
    let by = "GET web.test/x".to_owned();
    let text = "woken by GET web.test/x".to_owned();
    assert_eq!(told(Happening::Woken { by }), (EventKind::Woken, text));
    let ready = |after| Happening::Ready {
        endpoint: "web-0".to_owned(),
        address: SocketAddr::from(([127, 0, 0, 1], 80)),
        after,
    };
    let text = "first endpoint web-0 ready after 1.2 s".to_owned();
    let after = Some(Duration::from_millis(1_200));
    assert_eq!(told(ready(after)), (EventKind::Ready, text));
    let text = "first endpoint web-0 ready".to_owned();
    assert_eq!(told(ready(None)), (EventKind::Ready, text));
    let released = |requests, lost| Happening::Released {
        requests,
        longest: Duration::from_millis(1_234),
        lost,
    };
    let text = "1 held request released, the longest waited 1.2 s".to_owned();
    assert_eq!(told(released(1, 0)), (EventKind::Released, text));
    let text = "3 held requests released, the longest waited 1.2 s; 2 left or were refused";
    assert_eq!(told(released(3, 2)), (EventKind::Released, text.to_owned()));
    let awake = Some(Duration::from_secs(90));
    let text = "asleep after 90 s awake".to_owned();
    assert_eq!(told(Happening::Asleep { awake }), (EventKind::Asleep, text));
}

#[test]
fn refusals_become_one_event_that_counts() {
    let sight = Sight::default();
    let id = TargetId::new("ns", "web");
    let mut counts = Counts::default();
    for refused in [0, 2, 5] {
        counts.refused[HoldRefusal::NotReady as usize] = refused;
        sight.record(&id, counts, Gauges::default());
        sight.recorded();
    }
    let events = sight.events(None, 10);
    assert_eq!(events.len(), 1);
    let text = "refused: no endpoint became ready in time";
    assert_eq!((events[0].text.as_str(), events[0].times), (text, Some(5)));
}

#[test]
fn a_refused_reload_names_its_first_problem() {
    let sight = Sight::default();
    sight.reload_refused(&["a.yaml:3: bad".to_owned()]);
    let events = sight.events(None, 1);
    assert_eq!(events[0].kind, EventKind::ReloadRefused);
    assert_eq!(events[0].text, "manifests not reloaded: a.yaml:3: bad");
    assert_eq!(events[0].target, None);
}
