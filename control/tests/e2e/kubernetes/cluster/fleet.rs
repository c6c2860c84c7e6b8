//! The replicas of Reveille as the chart deploys them: behind one proxy Service
//! and one headless scaler Service, replaced one after another.
//!
//! A new replica is listed as not ready until it says that it is; one that is
//! told to stop is listed as terminating from that moment, and as serving no
//! more once its probe fails.

use super::{Cluster, Image, network::Network};
use crate::{
    kubernetes::objects::{endpoint, slice},
    support::{Reveille, Starter, wait_until},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    ops::Index,
    sync::Arc,
};

pub(super) const NAMESPACE: &str = "keda";
pub(super) const PROXY_SERVICE: &str = "reveille-proxy";
pub(super) const PROXY_PORT: u16 = 28_080;
/// As the chart's Service, with another port.
pub(super) const SCALER_ADDRESS: &str = "reveille-scaler.keda:29090";
const SCALER_SERVICE: &str = "reveille-scaler";
const SCALER_PORT: u16 = 29_090;
const ADMIN_PORT: u16 = 29_901;

/// All replicas.
pub(crate) struct Fleet<'c> {
    cluster: &'c Cluster,
    network: Arc<Network>,
    replicas: Vec<Replica>,
    made: usize,
    /// What the slices say of each.
    listed: BTreeMap<String, (IpAddr, Value)>,
    flags: Vec<(String, String)>,
}

/// One of them.
pub(crate) struct Replica {
    name: String,
    reveille: Reveille,
}

/// One that was told to stop.
pub(crate) struct Leaving(Replica);

impl Index<usize> for Fleet<'_> {
    type Output = Reveille;

    fn index(&self, index: usize) -> &Reveille {
        &self.replicas[index].reveille
    }
}

impl<'c> Fleet<'c> {
    /// So many replicas, which are ready and know each other, with more flags.
    pub(crate) fn start(cluster: &'c Cluster, count: usize, flags: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut fleet = Self {
            cluster,
            network: cluster.network.clone(),
            replicas: Vec::new(),
            made: 0,
            listed: BTreeMap::new(),
            flags: flags.iter().map(owned).collect(),
        };
        for _ in 0..count {
            fleet.add();
        }
        fleet
    }

    pub(crate) fn replicas(&self) -> impl Iterator<Item = &Reveille> {
        self.replicas.iter().map(|replica| &replica.reveille)
    }

    /// Deploys what [`Cluster::deploy`] does; waits until all replicas know its
    /// route, and the Service behind it.
    pub(crate) fn deploy(&self, name: &str, image: Image) {
        self.deploy_scaled(name, image, &json!({}));
    }

    /// The same with more in the ScaledObject's spec.
    pub(crate) fn deploy_scaled(&self, name: &str, image: Image, spec: &Value) {
        self.cluster.deploy(name, image, spec);
        let full_name = format!("default/{name}");
        for replica in self.replicas() {
            wait_until("the route is known", || {
                let mut targets = replica.targets().into_iter();
                targets.any(|target| target.name == full_name && target.reason.is_none())
            });
        }
    }

    /// One more; waits until it is ready and connected to the others.
    pub(crate) fn add(&mut self) {
        self.made += 1;
        let name = format!("reveille-{}", self.made);
        let ip = self.network.address();
        self.list(
            &name,
            ip,
            &json!({"ready": false, "serving": false, "terminating": false}),
        );
        let reveille = self.starter(ip).start();
        reveille.until_ready();
        self.list(
            &name,
            ip,
            &json!({"ready": true, "serving": true, "terminating": false}),
        );
        self.replicas.push(Replica { name, reveille });
        let others = self.replicas.len() - 1;
        let connected = format!("reveille_peers{{state=\"connected\"}} {others}\n");
        for replica in self.replicas() {
            wait_until("they are connected", || {
                replica.ask("/metrics").body.contains(&connected)
            });
        }
    }

    fn starter(&self, ip: IpAddr) -> Starter {
        let at = |port| SocketAddr::new(ip, port).to_string();
        let peers = format!("kubernetes:{NAMESPACE}/{SCALER_SERVICE}:{SCALER_PORT}");
        let mut starter = Reveille::in_cluster(self.cluster.api())
            .set("--proxy-addr", &at(PROXY_PORT))
            .set("--grpc-addr", &at(SCALER_PORT))
            .set("--admin-addr", &at(ADMIN_PORT))
            .arg("--peers", &peers)
            .arg("--peer-grace", "300ms");
        for (name, value) in &self.flags {
            starter = if starter.has(name) {
                starter.set(name, value)
            } else {
                starter.arg(name, value)
            };
        }
        starter
    }

    /// Tells a replica to stop; it is not waited for.
    pub(crate) fn dismiss(&mut self, index: usize) -> Leaving {
        let replica = self.replicas.remove(index);
        let (ip, _) = self.listed[&replica.name];
        replica.reveille.signal(Signal::TERM);
        self.list(
            &replica.name,
            ip,
            &json!({"ready": false, "serving": true, "terminating": true}),
        );
        // From here its probe fails.
        replica.reveille.until_logged("not ready any more");
        self.list(
            &replica.name,
            ip,
            &json!({"ready": false, "serving": false, "terminating": true}),
        );
        Leaving(replica)
    }

    /// Waits until it has ended in order.
    pub(crate) fn finish(&mut self, Leaving(mut replica): Leaving) {
        replica.reveille.wait_for_orderly_end();
        self.listed.remove(&replica.name);
        self.publish();
        let log = replica.reveille.log();
        assert!(!log.contains("drain deadline passed"), "{log}");
    }

    /// Replaces all replicas, one after another: first the new one, then the
    /// old one goes (maxSurge 1, maxUnavailable 0).
    pub(crate) fn roll(&mut self) {
        for _ in 0..self.replicas.len() {
            self.add();
            let leaving = self.dismiss(0);
            self.finish(leaving);
        }
    }

    /// Stops all of them in order.
    pub(crate) fn stop(mut self) {
        let count = self.replicas.len();
        let leaving: Vec<_> = (0..count).map(|_| self.dismiss(0)).collect();
        leaving.into_iter().for_each(|one| self.finish(one));
    }

    fn list(&mut self, name: &str, ip: IpAddr, conditions: &Value) {
        self.listed
            .insert(name.to_owned(), (ip, conditions.clone()));
        self.publish();
    }

    fn publish(&self) {
        let of = |service: &str, port| {
            let endpoints = self.listed.iter().map(|(name, (ip, conditions))| {
                endpoint(name, SocketAddr::new(*ip, port), conditions)
            });
            let mut slice = slice(service, 0, port, &endpoints.collect::<Vec<_>>());
            slice["metadata"]["namespace"] = NAMESPACE.into();
            slice
        };
        self.cluster.api().put_all([
            of(PROXY_SERVICE, PROXY_PORT),
            of(SCALER_SERVICE, SCALER_PORT),
        ]);
    }
}

impl Leaving {
    pub(crate) fn reveille(&self) -> &Reveille {
        &self.0.reveille
    }
}
