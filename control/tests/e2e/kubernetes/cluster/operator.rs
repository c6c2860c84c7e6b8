//! KEDA in the cluster: the double of the scaler's tests, which asks real
//! Reveilles over gRPC, with its ScaledObjects from the API server and its
//! replicas written to the scale subresources there.
//!
//! All its times, those of the ScaledObjects included, are [`FASTER`] times
//! shorter than they are written.

use super::{scale, slices::ready};
use crate::support::{
    ApiServer,
    keda::{Dns, Event, Keda, ScaledObject, Timings, Trigger, Workload},
};
use parking_lot::Mutex;
use serde_json::Value;
use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

const FASTER: u32 = 20;

/// KEDA's operator, with the HPA.
pub(crate) struct Operator {
    api: Arc<ApiServer>,
    keda: Keda,
    dns: Dns,
    /// ScaledObjects as they are operated: their specs.
    operated: Mutex<HashMap<String, Value>>,
    workloads: Mutex<HashMap<String, Workload>>,
}

impl Operator {
    /// To be called within the cluster's runtime.
    pub(super) fn new(api: Arc<ApiServer>) -> Self {
        let dns = Dns::default();
        Self {
            keda: Keda::start(Timings::divided(FASTER), &dns, Vec::new()),
            api,
            dns,
            operated: Mutex::default(),
            workloads: Mutex::default(),
        }
    }

    /// Follows ScaledObjects for ever.
    pub(super) async fn run(self: Arc<Self>) {
        let mut changes = self.api.changes();
        loop {
            changes.borrow_and_update();
            for object in self.api.all("ScaledObject") {
                self.look_at(&object);
            }
            changes.changed().await.expect("the API server stays");
        }
    }

    /// Does it act on a ScaledObject?
    pub(super) fn operates(&self, object: &str) -> bool {
        self.operated.lock().contains_key(object)
    }

    /// What it saw and did of a ScaledObject, in order.
    pub(crate) fn events(&self, object: &str) -> Vec<Event> {
        let entries = self.keda.log.of(object).into_iter();
        entries.map(|entry| entry.event).collect()
    }

    /// The last things that it saw and did, for people.
    pub(super) fn tail(&self) -> Vec<String> {
        let entries = self.keda.log.entries();
        let last = entries.iter().skip(entries.len().saturating_sub(60));
        last.map(|entry| format!("{}: {:?}", entry.object, entry.event))
            .collect()
    }

    fn look_at(&self, object: &Value) {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let read = read(object);
        let mut is_reached = true;
        for Trigger { scaler_address, .. } in &read.triggers {
            let addresses = self.addresses(scaler_address);
            // Without an address there is nothing that could be begun.
            is_reached &= !addresses.is_empty();
            self.dns.set(scaler_address, addresses);
        }
        let mut operated = self.operated.lock();
        if is_paused(object) {
            if operated.remove(name).is_some() {
                self.keda.forget(name);
            }
        } else if is_reached && operated.get(name) != Some(&object["spec"]) {
            operated.insert(name.to_owned(), object["spec"].clone());
            self.keda.operate(read, self.workload(object));
        }
    }

    /// What a ScaledObject scales.
    fn workload(&self, object: &Value) -> Workload {
        let name = object.pointer("/spec/scaleTargetRef/name");
        let name = name.and_then(Value::as_str).expect("a target").to_owned();
        let mut workloads = self.workloads.lock();
        let known = workloads.entry(name.clone()).or_insert_with(|| {
            let deployment = self.api.get("Deployment", "default", &name);
            let replicas = deployment.map_or(0, |d| d["spec"]["replicas"].as_u64().unwrap_or(1));
            let workload = Workload::new(u32::try_from(replicas).expect("few"));
            let path = format!("/apis/apps/v1/namespaces/default/deployments/{name}/scale");
            let writing = write(self.api.addr(), path, workload.clone());
            tokio::spawn(writing);
            workload
        });
        known.clone()
    }

    /// What DNS has for `SERVICE.NAMESPACE:PORT`, a headless Service: who is
    /// ready.
    fn addresses(&self, name: &str) -> Vec<SocketAddr> {
        let (host, port) = name.rsplit_once(':').expect("host:port");
        let (service, namespace) = host.split_once('.').expect("SERVICE.NAMESPACE");
        ready(&self.api, namespace, service, port.parse().expect("a port"))
    }
}

async fn write(api: SocketAddr, path: String, workload: Workload) {
    let mut known = workload.replicas();
    loop {
        known = workload.other_than(known).await;
        scale::set(api, &path, known).await;
    }
}

fn is_paused(object: &Value) -> bool {
    let paused = &object["metadata"]["annotations"]["autoscaling.keda.sh/paused"];
    paused.as_str().is_some_and(|value| value != "false")
}

fn read(object: &Value) -> ScaledObject {
    let spec = &object["spec"];
    let number = |path: &str, or: u32| {
        let number = spec.pointer(path).and_then(Value::as_u64);
        number.map_or(or, |number| u32::try_from(number).expect("small"))
    };
    let seconds = |path, or| Duration::from_secs(number(path, or).into()) / FASTER;
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let triggers = spec["triggers"].as_array().expect("triggers").iter();
    ScaledObject {
        namespace: "default".to_owned(),
        name: text(&object["metadata"]["name"]),
        min_replicas: number("/minReplicaCount", 0),
        max_replicas: number("/maxReplicaCount", 100),
        polling_interval: seconds("/pollingInterval", 30),
        cooldown: seconds("/cooldownPeriod", 300),
        initial_cooldown: seconds("/initialCooldownPeriod", 0),
        down_stabilization: seconds(
            "/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown/stabilizationWindowSeconds",
            300,
        ),
        fallback: None,
        triggers: triggers
            .map(|trigger| {
                let metadata = trigger["metadata"].as_object().expect("metadata");
                let others = metadata.iter().filter(|(key, _)| *key != "scalerAddress");
                Trigger {
                    scaler_address: text(&metadata["scalerAddress"]),
                    push: trigger["type"] == "external-push",
                    metadata: others
                        .map(|(key, value)| (key.clone(), text(value)))
                        .collect(),
                }
            })
            .collect(),
    }
}
