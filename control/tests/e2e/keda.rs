//! Several Reveilles and a KEDA that behaves as KEDA does, while one of them
//! stands still.

use crate::{
    peers::{Group, until_peer},
    support::{
        Connection, Reveille, Target,
        keda::{Dns, Event, Keda, ScaledObject, Timings, Workload},
        wait_until,
    },
};
use rustix::process::Signal;
use std::time::Duration;
use tonic::Code;

const SCALER: &str = "reveille.keda:9090";

/// Two targets whose processes never serve: what is held stays.
fn manifests() -> String {
    let target = |name| Target::new(name, "[sh, -c, 'exec sleep 1000']").to_string();
    target("web") + &target("lonely")
}

fn hold(at: &Reveille, target: &str) -> Connection {
    at.client(target).begin("GET", "/")
}

/// A KEDA, on a runtime of its own.
struct Operator {
    keda: Keda,
    web: Workload,
    lonely: Workload,
    _runtime: tokio::runtime::Runtime,
}

impl Operator {
    fn start(reaches: &[&Reveille]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let _entered = runtime.enter();
        let dns = Dns::default();
        dns.set(SCALER, reaches.iter().map(|one| one.grpc()).collect());
        let (web, lonely) = (Workload::new(0), Workload::new(0));
        let object = |name| ScaledObject {
            namespace: "default".to_owned(),
            polling_interval: Duration::from_millis(200),
            cooldown: Duration::from_millis(500),
            ..ScaledObject::of_route(name, SCALER)
        };
        let objects = vec![
            (object("web"), web.clone()),
            (object("lonely"), lonely.clone()),
        ];
        let keda = Keda::start(Timings::divided(20), &dns, objects);
        Self {
            keda,
            web,
            lonely,
            _runtime: runtime,
        }
    }

    fn count(&self, target: &str, is_so: impl Fn(&Event) -> bool) -> usize {
        self.keda.log.count(target, is_so)
    }

    /// So many more such events.
    fn until(&self, target: &str, more: usize, is_so: impl Fn(&Event) -> bool + Copy) {
        let before = self.count(target, is_so);
        wait_until(&format!("KEDA saw that of {target}"), || {
            self.count(target, is_so) >= before + more
        });
    }

    /// How often it was told that nothing is asked of a target, or acted so.
    fn denials(&self, target: &str) -> usize {
        self.count(target, |event| {
            matches!(
                event,
                Event::Answered { active: false, .. }
                    | Event::Said(false)
                    | Event::Scaled { to: 0, .. }
            )
        })
    }
}

fn until_concurrency(of: &[&Reveille], target: &str, wanted: f64) {
    for one in of {
        wait_until(&format!("{wanted} requests of {target} are known"), || {
            one.target(target).concurrency == wanted
        });
    }
}

#[test]
fn a_replica_that_stands_still_takes_no_demand_away_and_counts_again_when_it_goes_on() {
    let group = Group::new();
    let [a, b, c] = [(); 3].map(|()| group.starter_of(manifests()).start());
    let all = [&a, &b, &c];
    group.name(&all);
    let mut held = vec![hold(&a, "web"), hold(&a, "web"), hold(&b, "web")];
    held.push(hold(&a, "lonely"));
    until_concurrency(&all, "web", 3.0);
    until_concurrency(&all, "lonely", 1.0);
    // Its calls to the one that stands still would never end: it meets others.
    let keda = Operator::start(&[&b, &c]);
    wait_until("both are awake", || {
        keda.web.replicas() > 0 && keda.lonely.replicas() > 0
    });
    let before = keda.denials("web") + keda.denials("lonely");

    a.signal(Signal::STOP);
    let address = a.grpc().to_string();
    for other in [&b, &c] {
        until_peer(other, &address, "lost");
    }
    held.push(hold(&c, "web"));
    // Its requests count for the grace, then no more.
    until_concurrency(&[&b, &c], "web", 2.0);
    until_concurrency(&[&b, &c], "lonely", 0.0);
    // Nobody who is left has anything of `lonely`, and nobody says so.
    keda.until("lonely", 10, |event| {
        matches!(
            event,
            Event::Failed {
                code: Code::Unavailable,
                ..
            }
        )
    });
    keda.until("web", 10, |event| {
        matches!(
            event,
            Event::Polled {
                active: true,
                failed: false
            }
        )
    });
    assert!(keda.web.replicas() > 0 && keda.lonely.replicas() > 0);

    a.signal(Signal::CONT);
    for other in [&b, &c] {
        until_peer(other, &address, "connected");
    }
    until_concurrency(&all, "web", 4.0);
    until_concurrency(&all, "lonely", 1.0);
    keda.until("lonely", 10, |event| {
        matches!(
            event,
            Event::Polled {
                active: true,
                failed: false
            }
        )
    });
    assert_eq!(keda.denials("web") + keda.denials("lonely"), before);

    held.into_iter().for_each(Connection::leave);
    wait_until("both sleep", || {
        keda.web.replicas() == 0 && keda.lonely.replicas() == 0
    });
    for target in ["web", "lonely"] {
        until_concurrency(&all, target, 0.0);
    }
}
