//! Sessions as a client sees them, without a wire.

mod quarantine;

use super::{Flavour, Message, Session, delta, session::Answered, sotw};
use crate::xds::{Kind, Resource, Snapshot};
use envoy_types::pb::{
    envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    google::rpc::Status,
};
use std::{sync::Arc, time::Duration};
use tokio::time::advance;

const ALL: [&str; 0] = [];

fn resource(kind: Kind, name: &str, state: &str) -> Arc<Resource> {
    Resource::new(kind, name, &state.to_owned())
}

fn snapshot(resources: &[(Kind, &str, &str)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (kind, name, state) in resources {
        snapshot.put(resource(*kind, name, state));
    }
    snapshot
}

/// Clusters of these names and states, with endpoints, and routes to them.
fn world(clusters: &[(&str, &str)], routes: &str) -> Snapshot {
    let mut all = vec![(Kind::Routes, "r", routes)];
    for (name, state) in clusters {
        all.extend([
            (Kind::Cluster, *name, *state),
            (Kind::Endpoints, *name, *state),
        ]);
    }
    snapshot(&all)
}

/// A client of either variant.
struct Client(Session, Flavour);

impl Client {
    fn new(flavour: Flavour) -> Self {
        Self(Session::new(flavour), flavour)
    }

    fn say(&mut self, kind: Kind, names: &[&str], nonce: &str, error: Option<&str>) -> Answered {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let error_detail = error.map(|message| Status {
            message: message.to_owned(),
            ..Status::default()
        });
        let said = match self.1 {
            Flavour::Delta => {
                let request = DeltaDiscoveryRequest {
                    resource_names_subscribe: names,
                    response_nonce: nonce.to_owned(),
                    error_detail,
                    ..DeltaDiscoveryRequest::default()
                };
                delta::hear(&mut self.0, kind, request)
            }
            Flavour::StateOfTheWorld => {
                let request = DiscoveryRequest {
                    resource_names: names,
                    response_nonce: nonce.to_owned(),
                    error_detail,
                    ..DiscoveryRequest::default()
                };
                sotw::hear(&mut self.0, kind, request)
            }
        };
        said.expect("few names")
    }

    fn ask(&mut self, kind: Kind, names: &[&str]) {
        assert_eq!(self.say(kind, names, "", None), Answered::Other);
    }

    /// The next response: its kind, the names in it, and those that are gone.
    fn next(&mut self, snapshot: &Snapshot) -> Option<(Message, String)> {
        let message = self.0.next(snapshot)?;
        let names = message.resources.iter().map(|one| one.name().to_string());
        let gone = message.removed.iter().map(|name| format!("-{name}"));
        let names: Vec<String> = names.chain(gone).collect();
        let told = format!("{} {}", message.kind.as_str(), names.join(" "));
        Some((message, told))
    }

    /// Likewise, accepted at once. In the state-of-the-world variant every
    /// answer repeats what is wanted.
    fn take(&mut self, snapshot: &Snapshot, wanted: &[&str]) -> String {
        let Some((message, told)) = self.next(snapshot) else {
            return String::new();
        };
        self.accept(&message, wanted);
        told
    }

    fn accept(&mut self, message: &Message, wanted: &[&str]) {
        let named = self.1 == Flavour::StateOfTheWorld;
        let names = if named { wanted } else { &ALL };
        let said = self.say(message.kind, names, &message.nonce, None);
        assert_eq!(said, Answered::Accepted);
    }
}

#[test]
fn delta_sends_what_changed_and_what_is_gone() {
    let mut client = Client::new(Flavour::Delta);
    let first = world(&[("a", "1"), ("b", "1")], "1");
    assert!(client.next(&first).is_none(), "nothing was asked for");
    client.ask(Kind::Cluster, &ALL);
    assert_eq!(client.take(&first, &ALL), "cluster a b");
    client.ask(Kind::Endpoints, &["a", "b"]);
    assert_eq!(client.take(&first, &ALL), "endpoints a b");
    assert_eq!(client.take(&first, &ALL), "");
    let mut moved = first.clone();
    moved.put(resource(Kind::Endpoints, "a", "2"));
    assert_eq!(client.take(&moved, &ALL), "endpoints a");
    let fewer = world(&[("b", "1")], "1");
    assert_eq!(client.take(&fewer, &ALL), "cluster -a");
    assert_eq!(client.take(&fewer, &ALL), "endpoints -a");
    assert_eq!(client.take(&fewer, &ALL), "");
}

#[test]
fn the_state_of_the_world_has_all_clusters_and_only_changed_endpoints() {
    let mut client = Client::new(Flavour::StateOfTheWorld);
    let first = world(&[("a", "1"), ("b", "1")], "1");
    client.ask(Kind::Cluster, &ALL);
    assert_eq!(client.take(&first, &ALL), "cluster a b");
    client.ask(Kind::Endpoints, &["a", "b"]);
    assert_eq!(client.take(&first, &["a", "b"]), "endpoints a b");
    let second = world(&[("a", "2"), ("b", "1")], "1");
    assert_eq!(client.take(&second, &ALL), "cluster a b");
    // The cluster is another one, so its endpoints go with it.
    assert_eq!(client.take(&second, &["a", "b"]), "endpoints a");
    // Asked for once more, all are sent once more.
    client.ask(Kind::Endpoints, &["a", "b"]);
    assert_eq!(client.take(&second, &["a", "b"]), "endpoints a b");
    // One more name is one more resource.
    let third = world(&[("a", "2"), ("b", "1"), ("c", "1")], "1");
    assert_eq!(client.take(&third, &ALL), "cluster a b c");
    client.ask(Kind::Endpoints, &["a", "b", "c"]);
    assert_eq!(client.take(&third, &["a", "b", "c"]), "endpoints c");
    let fewer = world(&[("c", "1")], "1");
    let told = client.take(&fewer, &ALL);
    assert!(told.starts_with("cluster c -"), "{told}");
}

#[test]
fn one_response_of_a_kind_is_under_way_and_the_next_has_all_that_came_since() {
    let mut client = Client::new(Flavour::Delta);
    client.ask(Kind::Cluster, &ALL);
    let (first, _) = client.next(&world(&[("a", "1")], "1")).expect("news");
    let second = world(&[("a", "2"), ("b", "1")], "1");
    assert!(client.next(&second).is_none());
    let stale = client.say(Kind::Cluster, &ALL, "some-other", None);
    assert_eq!(stale, Answered::Other);
    assert!(client.next(&second).is_none());
    client.say(Kind::Cluster, &ALL, &first.nonce, None);
    assert_eq!(client.take(&second, &ALL), "cluster a b");
}

#[test]
fn what_was_refused_waits_for_a_change() {
    for flavour in [Flavour::Delta, Flavour::StateOfTheWorld] {
        let mut client = Client::new(flavour);
        client.ask(Kind::Cluster, &ALL);
        let first = world(&[("a", "1")], "1");
        let (message, _) = client.next(&first).expect("news");
        let Answered::Refused(refusal) =
            client.say(Kind::Cluster, &ALL, &message.nonce, Some("bad"))
        else {
            panic!("it was refused");
        };
        assert_eq!(
            (refusal.resources, &*refusal.reason),
            (vec!["a".into()], "bad")
        );
        assert!(client.next(&first).is_none());
        let [clusters, ..] = client.0.standings();
        assert_eq!((clusters.accepted, clusters.refused), (0, 1));
        assert_eq!(client.take(&world(&[("a", "2")], "1"), &ALL), "cluster a");
        let [clusters, ..] = client.0.standings();
        assert_eq!((clusters.accepted, clusters.refused), (1, 0));
    }
}

#[test]
fn a_bad_one_keeps_no_other_back() {
    let mut client = Client::new(Flavour::Delta);
    client.ask(Kind::Cluster, &ALL);
    let names = ["a", "b", "bad", "c", "d"];
    let all = world(&names.map(|name| (name, "1")), "1");
    let mut accepted = Vec::new();
    while let Some((message, told)) = client.next(&all) {
        if told.contains("bad") {
            client.say(Kind::Cluster, &ALL, &message.nonce, Some("bad"));
        } else {
            client.say(Kind::Cluster, &ALL, &message.nonce, None);
            accepted.extend(
                told.split(' ')
                    .skip(1)
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
            );
        }
    }
    accepted.sort();
    assert_eq!(accepted, ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn routes_wait_for_clusters_and_their_endpoints_and_clusters_go_after_routes() {
    for flavour in [Flavour::Delta, Flavour::StateOfTheWorld] {
        let mut client = Client::new(flavour);
        let first = world(&[("a", "1")], "1");
        client.ask(Kind::Cluster, &ALL);
        client.ask(Kind::Routes, &["r"]);
        assert_eq!(client.take(&first, &ALL), "cluster a");
        assert!(
            client.next(&first).is_none(),
            "its endpoints are not asked for"
        );
        client.ask(Kind::Endpoints, &["a"]);
        let (message, told) = client.next(&first).expect("endpoints");
        assert_eq!(told, "endpoints a");
        assert!(client.next(&first).is_none(), "they are not accepted");
        client.accept(&message, &["a"]);
        assert_eq!(client.take(&first, &["r"]), "routes r");

        let second = world(&[("b", "1")], "2");
        let clusters = client.take(&second, &ALL);
        match flavour {
            Flavour::Delta => assert_eq!(clusters, "cluster b"),
            Flavour::StateOfTheWorld => assert_eq!(clusters, "cluster b a"),
        }
        client.ask(Kind::Endpoints, &["a", "b"]);
        assert_eq!(client.take(&second, &["a", "b"]), "endpoints b");
        assert_eq!(client.take(&second, &["r"]), "routes r");
        let clusters = client.take(&second, &ALL);
        match flavour {
            Flavour::Delta => assert_eq!(clusters, "cluster -a"),
            Flavour::StateOfTheWorld => assert_eq!(clusters, "cluster b -a"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_asks_for_endpoints_gets_its_routes_in_the_end() {
    let mut client = Client::new(Flavour::Delta);
    let first = world(&[("a", "1")], "1");
    client.ask(Kind::Cluster, &ALL);
    client.ask(Kind::Routes, &["r"]);
    assert_eq!(client.take(&first, &ALL), "cluster a");
    assert!(client.next(&first).is_none());
    assert!(client.0.deadline().is_some());
    advance(Duration::from_secs(6)).await;
    assert_eq!(client.take(&first, &ALL), "routes r");
    assert!(client.0.deadline().is_none());
}

#[tokio::test(start_paused = true)]
async fn routes_wait_for_as_long_as_clusters_take() {
    let mut client = Client::new(Flavour::Delta);
    let first = world(&[("a", "1")], "1");
    client.ask(Kind::Routes, &["r"]);
    client.ask(Kind::Cluster, &ALL);
    let (message, _) = client.next(&first).expect("clusters");
    assert!(client.next(&first).is_none());
    advance(Duration::from_secs(60)).await;
    assert!(client.next(&first).is_none());
    client.accept(&message, &ALL);
    assert!(
        client.next(&first).is_none(),
        "it may ask for endpoints now"
    );
    client.ask(Kind::Endpoints, &["a"]);
    assert_eq!(client.take(&first, &ALL), "endpoints a");
    assert_eq!(client.take(&first, &ALL), "routes r");
}

#[test]
fn a_client_with_clusters_of_its_own_gets_routes_at_once() {
    let mut client = Client::new(Flavour::Delta);
    client.ask(Kind::Routes, &["r"]);
    assert_eq!(client.take(&world(&[("a", "1")], "1"), &ALL), "routes r");
}

#[test]
fn what_a_client_has_from_before_is_not_sent_again() {
    let first = world(&[("a", "1"), ("b", "1")], "1");
    let cluster = first.of(Kind::Cluster).get("a").expect("it is there");
    let version = cluster.version().to_string();
    let mut client = Client::new(Flavour::Delta);
    let request = DeltaDiscoveryRequest {
        initial_resource_versions: [
            ("a".to_owned(), version),
            ("b".to_owned(), "of another time".to_owned()),
            ("gone".to_owned(), "0".to_owned()),
        ]
        .into(),
        ..DeltaDiscoveryRequest::default()
    };
    delta::hear(&mut client.0, Kind::Cluster, request).expect("few names");
    assert_eq!(client.take(&first, &ALL), "cluster b -gone");
}

/// A client that refused `b` as it is now, in the response that also said that
/// `a` is gone.
fn refused_with_what_is_gone(flavour: Flavour) -> (Client, Snapshot) {
    let mut client = Client::new(flavour);
    client.ask(Kind::Cluster, &ALL);
    let first = world(&[("a", "1"), ("b", "1")], "1");
    assert_eq!(client.take(&first, &ALL), "cluster a b");
    let bad = world(&[("b", "bad")], "1");
    let (message, told) = client.next(&bad).expect("news");
    assert_eq!(told, "cluster b -a");
    client.say(Kind::Cluster, &ALL, &message.nonce, Some("bad"));
    (client, bad)
}

#[test]
fn a_refused_whole_state_is_not_sent_again_for_what_is_gone_in_it() {
    let (mut client, bad) = refused_with_what_is_gone(Flavour::StateOfTheWorld);
    assert_eq!(client.take(&bad, &ALL), "");
    let mut good = bad.clone();
    good.put(resource(Kind::Cluster, "b", "2"));
    assert_eq!(client.take(&good, &ALL), "cluster b");
    let [clusters, ..] = client.0.standings();
    assert_eq!(clusters.accepted, 1);
}

#[test]
fn what_is_gone_is_said_again_where_it_was_refused_with_something_else() {
    let (mut client, bad) = refused_with_what_is_gone(Flavour::Delta);
    assert_eq!(client.take(&bad, &ALL), "cluster -a");
    assert_eq!(client.take(&bad, &ALL), "");
}

#[test]
fn after_more_changes_than_are_noted_nothing_is_missed() {
    let mut client = Client::new(Flavour::Delta);
    let mut world = world(&[("a", "1"), ("b", "1")], "1");
    client.ask(Kind::Cluster, &ALL);
    assert_eq!(client.take(&world, &ALL), "cluster a b");
    world.put(resource(Kind::Cluster, "a", "2"));
    for state in 0..2_000 {
        world.put(resource(Kind::Cluster, "c", &state.to_string()));
    }
    world.remove(Kind::Cluster, "b");
    assert_eq!(client.take(&world, &ALL), "cluster a c -b");
    assert_eq!(client.take(&world, &ALL), "");
}

#[test]
fn a_name_that_is_not_there_is_said_to_be_missing_once() {
    let mut client = Client::new(Flavour::Delta);
    client.ask(Kind::Endpoints, &["x"]);
    let none = world(&[], "1");
    assert_eq!(client.take(&none, &ALL), "endpoints -x");
    assert_eq!(client.take(&none, &ALL), "");
    assert_eq!(client.take(&world(&[("x", "1")], "1"), &ALL), "endpoints x");
}

#[test]
fn names_are_bounded() {
    let names = || (0..=100_000).map(|n| n.to_string()).collect::<Vec<_>>();
    let mut delta = Session::new(Flavour::Delta);
    let request = DeltaDiscoveryRequest {
        resource_names_subscribe: names(),
        ..DeltaDiscoveryRequest::default()
    };
    assert!(delta::hear(&mut delta, Kind::Endpoints, request).is_err());
    let mut sotw = Session::new(Flavour::StateOfTheWorld);
    let request = DiscoveryRequest {
        resource_names: names(),
        ..DiscoveryRequest::default()
    };
    assert!(sotw::hear(&mut sotw, Kind::Endpoints, request).is_err());
}
