//! A cluster, played around real Reveilles: everything that stands between a
//! held request and the Pod that answers it.
//!
//! ```text
//!   clients ─► service_ip ─► fleet (N × `reveille kubernetes`) ─► container ◄─ kubelet
//!                             ▲ gRPC          │ watches                          ▲ │
//!                          operator           ▼                                  │ ▼
//!                       (KEDA, the HPA) ─► API server: scale ──► Deployment, EndpointSlice
//! ```
//!
//! The parts know of each other only what the API server tells them. They run
//! on a runtime of their own; the test is a plain thread that waits for states.

mod container;
mod fleet;
mod kubelet;
mod network;
mod operator;
mod rpc;
mod scale;
mod service_ip;
mod slices;
mod websocket;

pub(crate) use container::Image;
pub(crate) use fleet::Fleet;
pub(crate) use kubelet::PodNow;
pub(crate) use network::Network;

use super::objects::{route, scaled_object, service};
use crate::support::{ApiServer, keda::Event, wait_until};
use kubelet::Kubelet;
use operator::Operator;
use serde_json::json;
use service_ip::Ports;
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};

/// A running cluster.
pub(crate) struct Cluster {
    // First: its tasks have the rest.
    runtime: Runtime,
    api: Arc<ApiServer>,
    network: Arc<Network>,
    kubelet: Arc<Kubelet>,
    operator: Arc<Operator>,
    released: watch::Sender<bool>,
}

impl Cluster {
    /// One without a Deployment and without a Reveille.
    pub(crate) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("cluster")
            .enable_all()
            .build()
            .expect("a runtime");
        let (api, network) = (Arc::new(ApiServer::start()), Arc::new(Network::new()));
        let released = watch::Sender::new(false);
        let kubelet = Kubelet::new(api.clone(), network.clone(), released.subscribe());
        let kubelet = Arc::new(kubelet);
        let entered = runtime.enter();
        let operator = Arc::new(Operator::new(api.clone()));
        drop(entered);
        runtime.spawn(kubelet.clone().run());
        runtime.spawn(operator.clone().run());
        Self {
            runtime,
            api,
            network,
            kubelet,
            operator,
            released,
        }
    }

    pub(crate) fn api(&self) -> &ApiServer {
        &self.api
    }

    pub(crate) fn kubelet(&self) -> &Kubelet {
        &self.kubelet
    }

    /// A Deployment at zero, its Service, its route and its ScaledObject, all
    /// of one name. `spec` is added to the ScaledObject's, whose times are as
    /// short as KEDA's own tests have them.
    fn deploy(&self, name: &str, image: Image, spec: &serde_json::Value) {
        let mut service = service(name);
        if image == Image::Grpc {
            service["spec"]["ports"][0]["appProtocol"] = "kubernetes.io/h2c".into();
        }
        let mut scaled = scaled_object(name);
        let defaults = json!({"pollingInterval": 5, "cooldownPeriod": 10});
        for more in [&defaults, spec] {
            for (field, value) in more.as_object().expect("an object") {
                scaled["spec"][field] = value.clone();
            }
        }
        scaled["spec"]["triggers"][0]["metadata"]["scalerAddress"] = fleet::SCALER_ADDRESS.into();
        let container = json!({"name": "app", "image": image.name()});
        let deployment = json!({"kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": 0, "template": {"spec": {"containers": [container]}}}});
        self.api.put_all([deployment, service, route(name), scaled]);
    }

    /// The address of the proxy Service.
    pub(crate) fn proxy_service(&self) -> SocketAddr {
        let addr = SocketAddr::new(self.network.address(), fleet::PROXY_PORT);
        let listener = self.runtime.block_on(TcpListener::bind(addr));
        let ports = Ports {
            namespace: fleet::NAMESPACE,
            service: fleet::PROXY_SERVICE,
            target_port: fleet::PROXY_PORT,
        };
        let listener = listener.expect("the address is the cluster's");
        let running = service_ip::run(self.api.clone(), ports, listener);
        self.runtime.spawn(running);
        addr
    }

    /// Lets all requests for `/hold` go, or holds those that come.
    pub(crate) fn release(&self, is_released: bool) {
        self.released.send_replace(is_released);
    }

    /// What a Deployment's spec asks for.
    pub(crate) fn replicas(&self, deployment: &str) -> u64 {
        let deployment = self.api.get("Deployment", "default", deployment);
        let replicas = deployment.expect("there")["spec"]["replicas"].as_u64();
        replicas.expect("a number")
    }

    /// Waits until it asks for so many.
    pub(crate) fn until_replicas(&self, deployment: &str, wanted: u64) {
        wait_until(&format!("{deployment} is scaled to {wanted}"), || {
            self.replicas(deployment) == wanted
        });
    }

    /// Waits until it has so many Pods and all are ready.
    pub(crate) fn until_pods(&self, deployment: &str, wanted: usize) -> Vec<PodNow> {
        wait_until(&format!("{deployment} has {wanted} ready Pods"), || {
            let pods = self.kubelet.pods(deployment);
            pods.len() == wanted && pods.iter().all(|pod| pod.is_ready)
        });
        self.kubelet.pods(deployment)
    }

    /// Waits until it asks for nothing and no Pod is left.
    pub(crate) fn until_zero(&self, deployment: &str) {
        self.until_replicas(deployment, 0);
        wait_until(&format!("{deployment} has no Pod"), || {
            self.kubelet.count(deployment) == 0
        });
    }

    /// What the EndpointSlice says of each Pod: is it ready?
    pub(crate) fn listed(&self, deployment: &str) -> Vec<bool> {
        let slice = self
            .api
            .get("EndpointSlice", "default", &format!("{deployment}-0"));
        let slice = slice.expect("there");
        let endpoints = slice["endpoints"].as_array().expect("a list");
        let ready = |endpoint: &serde_json::Value| endpoint["conditions"]["ready"] == true;
        endpoints.iter().map(ready).collect()
    }

    /// Waits until KEDA acts on a ScaledObject, or does not.
    pub(crate) fn until_operated(&self, object: &str, is_operated: bool) {
        wait_until("KEDA has seen it", || {
            self.operator.operates(object) == is_operated
        });
    }

    /// Was a Pod ever listed as ready?
    pub(crate) fn was_ready(&self, pod: &str) -> bool {
        let slices = self.api.history("EndpointSlice").into_iter();
        let mut endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().cloned());
        endpoints.any(|endpoints| {
            let mut of_pod = endpoints
                .iter()
                .filter(|one| one["targetRef"]["name"] == pod);
            of_pod.any(|one| one["conditions"]["ready"] == true)
        })
    }

    /// What KEDA saw and did of a ScaledObject.
    pub(crate) fn events(&self, object: &str) -> Vec<Event> {
        self.operator.events(object)
    }

    /// Waits until KEDA has seen or done so much more of it.
    pub(crate) fn until_more(&self, object: &str, more: usize, is_so: impl Fn(&Event) -> bool) {
        let count = || {
            self.events(object)
                .iter()
                .filter(|event| is_so(event))
                .count()
        };
        let before = count();
        wait_until(
            &format!("KEDA sees {more} more of that of {object}"),
            || count() >= before + more,
        );
    }

    /// Replicas that KEDA has written, and why.
    pub(crate) fn scalings(&self, object: &str) -> Vec<(u32, u32, &'static str)> {
        let scaled = self
            .events(object)
            .into_iter()
            .filter_map(|event| match event {
                // A second `true` may come before its cache shows the first one's
                // effect, and changes nothing.
                Event::Scaled { from, to, why } if from != to => Some((from, to, why)),
                _ => None,
            });
        scaled.collect()
    }

    /// How often KEDA was told that nothing is asked of it, or acted so.
    pub(crate) fn denials(&self, object: &str) -> usize {
        let is_denial = |event: &Event| {
            matches!(
                event,
                Event::Answered { active: false, .. }
                    | Event::Said(false)
                    | Event::Scaled { to: 0, .. }
            )
        };
        self.events(object).iter().filter(|e| is_denial(e)).count()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let tail = self.operator.tail().join("\n");
            eprintln!("--- what KEDA saw and did ends with\n{tail}\n---");
        }
    }
}
