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
    life: u32,
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
        for _ in 0..replicas {
            world.replicas.push(Replica::new().await);
        }
        for index in 0..replicas {
            world.start(index).await;
        }
        world.publish();
        world
    }

    /// The headless Service lists all replicas.
    fn publish(&self) {
        let all = self.replicas.iter().map(|replica| replica.relay.address);
        self.dns.set(SCALER, all.collect());
    }

    /// Starts a replica and loads its routes.
    pub(crate) async fn start(&mut self, index: usize) {
        self.replicas[index].start().await;
        self.load(index);
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
            life: self.replicas[replica].life,
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
            if !replica.is_running() || replica.life != sent.life {
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
