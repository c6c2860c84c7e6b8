//! Replicas, targets and traffic, moved step by step.
//!
//! Each request is known: when and where it began, whether it was held, when
//! it ended. A target serves while its workload has replicas that have booted;
//! otherwise its requests are held by the replica that they came to.

use super::{
    keda::{Dns, Keda, ScaledObject, Timings, Workload},
    relay::Link,
    replica::Replica,
    time::{self, STEP},
};
use std::time::Duration;
use tokio::time::Instant;

/// The name that KEDA knows the scaler by.
pub(crate) const SCALER: &str = "reveille.keda:9090";

/// From the first replica asked for to the first one that serves.
const BOOT: Duration = Duration::from_secs(1);

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) target: String,
    pub(crate) begun: Instant,
    /// When it ended, or was lost with its replica.
    pub(crate) ended: Option<Instant>,
    replica: usize,
    life: usize,
    takes: Duration,
    /// When it will end; `None` while it is held.
    ends: Option<Instant>,
}

/// A target and its workload.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) workload: Workload,
}

/// Everything around KEDA.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) replicas: Vec<Replica>,
    pub(crate) backends: Vec<Backend>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) dns: Dns,
}

impl World {
    /// So many replicas that have loaded these targets, all asleep.
    pub(crate) async fn new(replicas: usize, targets: &[&str]) -> Self {
        let backend = |name: &&str| Backend {
            name: (*name).to_owned(),
            workload: Workload::new(0),
        };
        let mut world = Self {
            replicas: Vec::new(),
            backends: targets.iter().map(backend).collect(),
            sent: Vec::new(),
            dns: Dns::default(),
        };
        for index in 0..replicas {
            world.replicas.push(Replica::new(index, replicas).await);
        }
        for index in 0..replicas {
            world.start(index).await;
        }
        world.keda_reaches(0..replicas);
        if replicas > 1 {
            world.run(Duration::from_secs(3)).await;
            assert!(!world.replicas.iter().any(Replica::is_blind));
        }
        world
    }

    /// The replicas behind the name that KEDA knows.
    pub(crate) fn keda_reaches(&self, replicas: std::ops::Range<usize>) {
        let named = self.replicas[replicas].iter();
        let addresses = named.map(|replica| replica.relay.address);
        self.dns.set(SCALER, addresses.collect());
    }

    /// Starts a replica and loads its routes.
    pub(crate) async fn start(&mut self, index: usize) {
        self.start_without_routes(index).await;
        self.load(index);
    }

    /// Starts a replica that does not know its routes yet.
    pub(crate) async fn start_without_routes(&mut self, index: usize) {
        let all = self.replicas.iter().enumerate();
        let others = all.filter(|(other, _)| *other != index);
        let ways = others.map(|(_, other)| other.from_peers[index].address.to_string());
        let ways = ways.collect();
        self.replicas[index].start(ways).await;
    }

    /// A replica loads its routes.
    pub(crate) fn load(&mut self, index: usize) {
        let names = self.backends.iter().map(|backend| backend.name.clone());
        self.replicas[index].load(names);
    }

    /// A KEDA with one ScaledObject per target.
    pub(crate) fn keda(&self, of: impl Fn(&str) -> ScaledObject) -> Keda {
        self.keda_with(Timings::KEDA, of)
    }

    /// The same with other timings.
    pub(crate) fn keda_with(&self, timings: Timings, of: impl Fn(&str) -> ScaledObject) -> Keda {
        let objects = self.backends.iter();
        let objects = objects.map(|b| (of(&b.name), b.workload.clone())).collect();
        Keda::start(timings, &self.dns, objects)
    }

    pub(crate) fn workload(&self, target: &str) -> &Workload {
        let backend = self.backends.iter().find(|backend| backend.name == target);
        &backend.expect("a target").workload
    }

    fn serves(&self, target: &str) -> bool {
        let up = self.workload(target).up_for();
        up.is_some_and(|up| up >= BOOT)
    }

    /// A request that takes so long once it is served arrives at a replica.
    pub(crate) fn send(&mut self, replica: usize, target: &str, takes: Duration) {
        let now = Instant::now();
        let served = self.serves(target);
        self.replicas[replica].set_ready(target, usize::from(served));
        self.replicas[replica].begin(target, !served);
        self.sent.push(Sent {
            target: target.to_owned(),
            begun: now,
            ended: None,
            replica,
            life: self.replicas[replica].lives.len(),
            takes,
            ends: served.then(|| now + takes),
        });
    }

    /// Lets so much time pass.
    pub(crate) async fn run(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            self.act();
            let now = Instant::now();
            if now >= until {
                time::settle().await;
                return;
            }
            let ends = self.open().filter_map(|sent| sent.ends);
            let next = ends.chain([until, now + STEP]).min().unwrap_or(until);
            time::step(next - now).await;
        }
    }

    fn open(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(|sent| sent.ended.is_none())
    }

    /// What proxies and endpoints do at this instant.
    fn act(&mut self) {
        let now = Instant::now();
        for backend in &self.backends {
            let ready = usize::from(self.serves(&backend.name));
            for replica in self.replicas.iter().filter(|r| r.is_running()) {
                replica.set_ready(&backend.name, ready);
            }
        }
        let serves: Vec<bool> = self.sent.iter().map(|s| self.serves(&s.target)).collect();
        for (sent, serves) in self.sent.iter_mut().zip(serves) {
            if sent.ended.is_some() {
                continue;
            }
            let replica = &self.replicas[sent.replica];
            if !replica.is_running() || replica.lives.len() != sent.life {
                sent.ended = Some(now);
                continue;
            }
            match sent.ends {
                None if serves => {
                    replica.release(&sent.target);
                    sent.ends = Some(now + sent.takes);
                }
                Some(ends) if ends <= now => {
                    replica.end(&sent.target);
                    sent.ended = Some(now);
                }
                _ => {}
            }
        }
    }

    /// Sudden death of a replica: what it was serving is lost.
    pub(crate) async fn kill(&mut self, index: usize) {
        self.replicas[index].kill().await;
        self.act();
    }

    /// A replica stops in order: it first serves what it has.
    pub(crate) async fn stop(&mut self, index: usize) {
        while self.open().any(|sent| sent.replica == index) {
            self.run(STEP).await;
        }
        self.replicas[index].stop().await;
        self.act();
    }

    /// Cuts, freezes or mends the way between KEDA and a replica.
    pub(crate) fn link(&self, index: usize, link: Link) {
        self.replicas[index].relay.set(link);
    }

    /// Cuts, freezes or mends the ways between one replica and all others, not
    /// those of KEDA.
    pub(crate) fn link_peers(&self, index: usize, link: Link) {
        for (other, replica) in self.replicas.iter().enumerate() {
            if other == index {
                replica.from_peers.iter().for_each(|relay| relay.set(link));
            } else {
                replica.from_peers[index].set(link);
            }
        }
    }

    /// Requests of a target that a replica can have heard of: its own, and
    /// those of every replica that lived at any time since it was started.
    pub(crate) fn audible(&self, index: usize, target: &str) -> u64 {
        let (started, _) = *self.replicas[index].lives.last().expect("it was started");
        let of_target = self.sent.iter().filter(|sent| sent.target == target);
        let heard = of_target.filter(|sent| {
            let (_, ended) = self.replicas[sent.replica].lives[sent.life - 1];
            ended.is_none_or(|ended| ended > started)
        });
        heard.count() as u64
    }

    /// Every replica that answers knows of every request, exactly.
    ///
    /// # Panics
    /// If one does not.
    pub(crate) fn assert_sums(&self) {
        for backend in &self.backends {
            let target = &backend.name;
            for (index, replica) in self.replicas.iter().enumerate() {
                if !replica.is_running() || replica.is_blind() {
                    continue;
                }
                let sent = (self.audible(index, target), self.in_flight(target) as u64);
                let in_flight = replica.demand(target).in_flight;
                let known = (replica.requests_begun(target), in_flight);
                assert_eq!(
                    known, sent,
                    "{target}: begun and in flight at replica {index}"
                );
            }
        }
    }

    /// Requests of a target that began within the last `time`.
    pub(crate) fn begun_within(&self, target: &str, time: Duration) -> usize {
        let now = Instant::now();
        let of_target = self.sent.iter().filter(|sent| sent.target == target);
        of_target
            .filter(|sent| now.duration_since(sent.begun) < time)
            .count()
    }

    /// Requests of a target that are held or served now.
    pub(crate) fn in_flight(&self, target: &str) -> usize {
        self.open().filter(|sent| sent.target == target).count()
    }
}
