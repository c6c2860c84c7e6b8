//! Clients that refuse virtual hosts.

use super::{ALL, Answered, Client, DeltaDiscoveryRequest, Flavour, delta};
use crate::xds::{
    Host, Kind, Resource, Snapshot, names,
    resource::Version,
    stream::{Instead, quarantine::Quarantine},
};
use envoy_types::pb::envoy::config::route::v3::{
    Route, RouteConfiguration, VirtualHost,
    route::Action::Route as ToCluster,
    route_action::ClusterSpecifier::{self, Cluster},
};
use proptest::{prelude::*, sample::select};
use prost::Message as _;
use std::{collections::BTreeMap, sync::Arc};

const BOTH: [Flavour; 2] = [Flavour::Delta, Flavour::StateOfTheWorld];

/// Where our proxy decides.
const OURS: &str = "ours";

/// Hosts with their states.
type Hosts = BTreeMap<String, String>;

fn routes_of(snapshot: &Snapshot) -> &Arc<Resource> {
    let all = snapshot.of(Kind::Routes);
    all.get(names::ROUTES).expect("there are routes")
}

fn hosts<'a>(some: impl IntoIterator<Item = (&'a str, &'a str)>) -> Hosts {
    let owned = |(name, state): (&str, &str)| (name.to_owned(), state.to_owned());
    some.into_iter().map(owned).collect()
}

fn served(hosts: &Hosts) -> Snapshot {
    let host = |(name, state): (&String, &String)| {
        Host::new(VirtualHost {
            name: name.clone(),
            domains: vec![name.clone()],
            routes: vec![Route {
                name: state.clone(),
                ..Route::default()
            }],
            ..VirtualHost::default()
        })
    };
    let rest = RouteConfiguration {
        name: names::ROUTES.to_owned(),
        ..RouteConfiguration::default()
    };
    let mut snapshot = Snapshot::default();
    let routes = Resource::of_hosts(&rest, hosts.iter().map(host).collect());
    snapshot.put(routes);
    snapshot
}

fn cluster(route: &Route) -> Option<&ClusterSpecifier> {
    match route.action.as_ref()? {
        ToCluster(action) => action.cluster_specifier.as_ref(),
        _ => None,
    }
}

/// What is in a resource as a client reads it.
fn read(resource: &Resource) -> Hosts {
    let configuration = RouteConfiguration::decode(&*resource.any().value).expect("routes");
    assert_eq!(configuration.name, names::ROUTES);
    let state = |host: &VirtualHost| {
        assert_eq!(host.domains, [host.name.as_str()]);
        let ours = Cluster(names::PROXY.to_owned());
        match &*host.routes {
            [route] if cluster(route) == Some(&ours) => OURS.to_owned(),
            [route] => route.name.clone(),
            _ => panic!("{host:?}"),
        }
    };
    let hosts = configuration.virtual_hosts.iter();
    hosts.map(|host| (host.name.clone(), state(host))).collect()
}

/// A client, and what it refuses.
struct Picky {
    client: Client,
    refuses: fn(&Hosts) -> bool,
    reason: &'static str,
    /// All configurations that it accepted.
    accepted: Vec<Hosts>,
    refused: usize,
    refused_last: Option<Version>,
}

/// Any host in a bad state, and any whose domains are bad.
fn bad_hosts(hosts: &Hosts) -> bool {
    let mut hosts = hosts.iter();
    hosts.any(|(name, state)| name.starts_with('!') || state.starts_with("bad"))
}

impl Picky {
    fn new(flavour: Flavour, refuses: fn(&Hosts) -> bool) -> Self {
        let mut client = Client::new(flavour);
        client.ask(Kind::Routes, &[names::ROUTES]);
        Self {
            client,
            refuses,
            reason: "no such matcher",
            accepted: Vec::new(),
            refused: 0,
            refused_last: None,
        }
    }

    /// Takes the next response, if there is one, and answers it.
    fn step(&mut self, served: &Snapshot) -> bool {
        let Some((message, _)) = self.client.next(served) else {
            return false;
        };
        let [routes] = &*message.resources else {
            panic!("{message:?}");
        };
        let has = read(routes);
        let refuses = (self.refuses)(&has);
        let version = routes.version();
        assert_ne!(self.refused_last, Some(version), "it was refused already");
        assert!(self.client.next(served).is_none(), "one is under way");
        let names: &[&str] = match self.client.1 {
            Flavour::Delta => &ALL,
            Flavour::StateOfTheWorld => &[names::ROUTES],
        };
        let reason = refuses.then_some(self.reason);
        let answered = self.client.say(Kind::Routes, names, &message.nonce, reason);
        if refuses {
            assert!(matches!(answered, Answered::Refused(_)));
            self.refused += 1;
            self.refused_last = Some(version);
        } else {
            assert_eq!(answered, Answered::Accepted);
            self.accepted.push(has);
            self.refused_last = None;
        }
        true
    }

    /// Until nothing is to be sent any more. How many responses that were.
    fn settle(&mut self, served: &Snapshot) -> usize {
        for steps in 0..1000 {
            if !self.step(served) {
                return steps;
            }
        }
        panic!("it does not end");
    }

    fn has(&self) -> &Hosts {
        self.accepted.last().expect("it accepted some")
    }

    fn verdicts(&self) -> Vec<(&str, Instead)> {
        let verdicts = self.client.0.quarantined().iter();
        let verdicts = verdicts.map(|(host, verdict)| {
            assert_eq!(&*verdict.reason, self.reason);
            (&**host, verdict.instead)
        });
        verdicts.collect()
    }
}

#[test]
fn of_a_first_configuration_only_the_bad_host_takes_the_long_way() {
    for flavour in BOTH {
        let names: Vec<String> = (0..256).map(|nth| format!("{nth:03}.test")).collect();
        for bad in [0, 100, 255] {
            let state = |nth| if nth == bad { "bad" } else { "1" };
            let states = names.iter().enumerate();
            let all = hosts(states.map(|(nth, name)| (name.as_str(), state(nth))));
            let mut client = Picky::new(flavour, bad_hosts);
            let now = served(&all);
            let steps = client.settle(&now);
            // Everything, detours, eight halves, everything but the bad one.
            assert!(steps <= 11, "{steps}");
            let mut wanted = all.clone();
            wanted.insert(names[bad].clone(), OURS.to_owned());
            assert_eq!(client.has(), &wanted);
            assert_eq!(client.verdicts(), [(&*names[bad], Instead::Proxy)]);
            // Meanwhile no host was unknown to it.
            assert!(client.accepted.iter().all(|hosts| hosts.len() == 256));
            assert_eq!(client.settle(&now), 0);
            let [.., routes] = client.client.0.standings();
            assert_eq!((routes.accepted, routes.refused), (1, 0));
        }
    }
}

#[test]
fn a_reason_that_quotes_the_bad_host_saves_tries_and_one_that_misleads_costs_few() {
    for flavour in BOTH {
        let names: Vec<String> = (0..256).map(|nth| format!("{nth:03}.test")).collect();
        let state = |nth| match nth {
            77 => "bad pattern",
            200..210 => "good pattern",
            _ => "1",
        };
        let states = names.iter().enumerate();
        let now = served(&hosts(
            states.map(|(nth, name)| (name.as_str(), state(nth))),
        ));
        for (reason, most) in [
            // Everything, detours, everything but that one.
            ("regex 'bad pattern' is too long", 3),
            ("domain 077.test is too long", 3),
            ("regex 'good pattern' is too long", 12),
            ("no host of '.test' is good", 12),
        ] {
            let mut client = Picky::new(flavour, bad_hosts);
            client.reason = reason;
            let steps = client.settle(&now);
            assert!(steps <= most, "{reason}: {steps}");
            assert_eq!(client.verdicts(), [("077.test", Instead::Proxy)]);
            assert_eq!(client.has()["200.test"], "good pattern");
        }
    }
}

#[test]
fn a_bad_host_harms_no_other_and_is_tried_again_when_it_changes() {
    for flavour in BOTH {
        let mut client = Picky::new(flavour, bad_hosts);
        client.settle(&served(&hosts([("a", "1"), ("b", "1"), ("c", "1")])));
        assert_eq!(client.accepted.len(), 1);
        // One is new, one changes, one goes, and one of each is bad.
        let states = [("a", "2"), ("b", "bad1"), ("d", "1"), ("e", "bad")];
        let now = served(&hosts(states));
        client.settle(&now);
        let wanted = hosts([("a", "2"), ("b", OURS), ("d", "1"), ("e", OURS)]);
        assert_eq!(client.has(), &wanted);
        let kept = |hosts: &Hosts| hosts.contains_key("a") && hosts.contains_key("b");
        assert!(client.accepted.iter().all(kept));
        assert_eq!(
            client.verdicts(),
            [("b", Instead::Proxy), ("e", Instead::Proxy)]
        );
        // What changes elsewhere does not bring them up again.
        let before = client.refused;
        let states = [("a", "3"), ("b", "bad1"), ("d", "1"), ("e", "bad")];
        assert_eq!(client.settle(&served(&hosts(states))), 1);
        assert_eq!(client.refused, before);
        // Another bad state is refused once and replaced; a good one is taken.
        let states = [("a", "3"), ("b", "bad2"), ("d", "1"), ("e", "2")];
        client.settle(&served(&hosts(states)));
        let wanted = hosts([("a", "3"), ("b", OURS), ("d", "1"), ("e", "2")]);
        assert_eq!(client.has(), &wanted);
        let states = [("a", "3"), ("b", "2"), ("d", "1"), ("e", "2")];
        assert_eq!(client.settle(&served(&hosts(states))), 1);
        assert_eq!(client.has(), &hosts(states));
        assert_eq!(client.verdicts(), []);
    }
}

#[test]
fn what_a_client_has_from_a_stream_before_stays_straight() {
    let first = served(&hosts([("a", "1"), ("b", "1"), ("c", "1")]));
    let version = routes_of(&first).version().to_string();
    let mut client = Picky::new(Flavour::Delta, bad_hosts);
    client.client = Client::new(Flavour::Delta);
    let request = DeltaDiscoveryRequest {
        resource_names_subscribe: vec![names::ROUTES.to_owned()],
        initial_resource_versions: [(names::ROUTES.to_owned(), version)].into(),
        ..DeltaDiscoveryRequest::default()
    };
    delta::hear(&mut client.client.0, Kind::Routes, request).expect("few names");
    assert_eq!(client.settle(&first), 0);
    let now = [("a", "2"), ("b", "1"), ("c", "bad"), ("d", "1")];
    client.settle(&served(&hosts(now)));
    let is_straight = |hosts: &Hosts| hosts["a"] != OURS && hosts["b"] == "1";
    assert!(
        client.accepted.iter().all(is_straight),
        "{:?}",
        client.accepted
    );
    assert_eq!(client.has()["c"], OURS);
    assert_eq!((&*client.has()["a"], &*client.has()["d"]), ("2", "1"));
}

#[test]
fn whose_domains_are_bad_is_left_out() {
    for flavour in BOTH {
        let mut client = Picky::new(flavour, bad_hosts);
        let states = [
            ("!a", "1"),
            ("b", "1"),
            ("c", "bad"),
            ("d", "1"),
            ("!e", "1"),
        ];
        client.settle(&served(&hosts(states)));
        let wanted = hosts([("b", "1"), ("c", OURS), ("d", "1")]);
        assert_eq!(client.has(), &wanted);
        let wanted = [
            ("!a", Instead::Nothing),
            ("!e", Instead::Nothing),
            ("c", Instead::Proxy),
        ];
        assert_eq!(client.verdicts(), wanted);
        assert_eq!(client.settle(&served(&hosts(states))), 0);
    }
}

#[test]
fn who_refuses_everything_is_left_in_peace() {
    for flavour in BOTH {
        let names: Vec<String> = (0..300).map(|nth| nth.to_string()).collect();
        let now = |state| served(&hosts(names.iter().map(|name| (&**name, state))));
        let mut client = Picky::new(flavour, |_| true);
        let steps = client.settle(&now("1"));
        assert!(steps < 200, "{steps}");
        assert_eq!(client.settle(&now("1")), 0);
        let steps = client.settle(&now("2"));
        assert!(steps < 5, "{steps}");
        assert_eq!(client.accepted, Vec::<Hosts>::new());
    }
}

#[test]
fn who_refuses_any_change_keeps_what_it_had() {
    for flavour in BOTH {
        let mut client = Picky::new(flavour, |hosts| hosts.get("a").is_none_or(|a| a != "1"));
        client.settle(&served(&hosts([("a", "1"), ("b", "1")])));
        let now = served(&hosts([("a", "2"), ("b", "2")]));
        client.settle(&now);
        assert_eq!(client.has(), &hosts([("a", "1"), ("b", "2")]));
        assert_eq!(client.verdicts(), [("a", Instead::Former)]);
        assert_eq!(client.settle(&now), 0);
        // It would not be without it: nothing can be said any more.
        let gone = served(&hosts([("b", "2")]));
        assert_eq!(client.settle(&gone), 1);
        assert_eq!(client.settle(&gone), 0);
    }
}

#[test]
fn a_client_with_very_many_bad_hosts_gets_the_others_without_tries_for_each() {
    for flavour in BOTH {
        let names: Vec<String> = (0..400).map(|nth| format!("{nth:03}")).collect();
        let state = |nth| if nth % 2 == 0 { "bad" } else { "1" };
        let states = names.iter().enumerate();
        let all = hosts(states.map(|(nth, name)| (name.as_str(), state(nth))));
        let mut client = Picky::new(flavour, bad_hosts);
        let steps = client.settle(&served(&all));
        assert!(steps < 300, "{steps}");
        let count = |state: &str| client.has().values().filter(|now| *now == state).count();
        assert_eq!(count(OURS) + count("1"), 400);
        assert_eq!(client.settle(&served(&all)), 0);
    }
}

#[test]
fn endpoints_that_change_cost_no_look_at_the_hosts() {
    let mut quarantine = Quarantine::default();
    let mut now = served(&hosts([("a", "bad"), ("b", "1")]));
    let routes = |quarantine: &mut Quarantine, now: &Snapshot| {
        let own = quarantine.apply(now, None);
        routes_of(&own).clone()
    };
    let first = routes(&mut quarantine, &now);
    quarantine.sent(&[first]);
    quarantine.refused("bad");
    let before = routes(&mut quarantine, &now);
    assert_eq!(read(&before), hosts([("a", OURS), ("b", OURS)]));
    let endpoints = Resource::new(Kind::Endpoints, "a", &"2".to_owned());
    now.put(endpoints);
    let after = routes(&mut quarantine, &now);
    assert!(Arc::ptr_eq(&before, &after), "it is not made anew");
}

fn any_hosts() -> impl Strategy<Value = Hosts> {
    let name = select(vec!["!a", "b", "c", "d", "e", "f", "!g", "h"]);
    let state = select(vec!["1", "2", "3", "bad1", "bad2"]);
    let owned = |text: &'static str| text.to_owned();
    prop::collection::btree_map(name.prop_map(owned), state.prop_map(owned), 0..8)
}

proptest! {
    /// Whatever changes while it is looked for bad hosts, in the end exactly
    /// they are replaced.
    #[test]
    fn in_the_end_exactly_the_bad_hosts_are_replaced(
        changes in prop::collection::vec((any_hosts(), 0..6_usize), 1..8),
        flavour in select(BOTH.to_vec()),
    ) {
        let mut client = Picky::new(flavour, bad_hosts);
        for (hosts, steps) in &changes {
            let now = served(hosts);
            for _ in 0..*steps {
                client.step(&now);
            }
        }
        let (last, _) = changes.last().expect("some");
        let now = served(last);
        let steps = client.settle(&now);
        prop_assert!(steps <= 60, "{}", steps);
        let is_bad = |(name, state): &(&String, &String)| {
            name.starts_with('!') || state.starts_with("bad")
        };
        let all_bad = changes.iter().flat_map(|(hosts, _)| hosts).filter(is_bad);
        if all_bad.count() > 3 {
            // Some may have been judged together.
            for (name, state) in last.iter().filter(|(name, _)| !name.starts_with('!')) {
                let has = &client.has()[name];
                prop_assert!(has == OURS || has == state && !state.starts_with("bad"));
            }
            return Ok(());
        }
        let mut wanted = last.clone();
        wanted.retain(|name, _| !name.starts_with('!'));
        for state in wanted.values_mut().filter(|state| state.starts_with("bad")) {
            OURS.clone_into(state);
        }
        prop_assert_eq!(client.has(), &wanted);
        let verdicts = client.client.0.quarantined();
        let bad = last.iter().filter(is_bad);
        prop_assert!(verdicts.keys().map(|host| &**host).eq(bad.map(|(name, _)| &**name)));
        prop_assert_eq!(client.settle(&now), 0);
    }
}
