//! The parts of a cluster between a Deployment and its EndpointSlice, played:
//! the controllers that make Pods and list them, and the kubelet that runs
//! them.
//!
//! A Pod's address is published as not ready before anything listens there. On
//! the way out it is published as terminating, and told to stop at the same
//! moment, as in a cluster. Tests may hold up an image or the probes, and kill
//! a container behind the kubelet's back.

use super::{
    container::{Container, Image},
    network::Network,
};
use crate::{
    kubernetes::objects::{endpoint, slice},
    support::ApiServer,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::sync::{Notify, watch};

/// Where containers listen.
pub(super) const PORT: u16 = 28_080;

/// All nodes of a cluster.
pub(crate) struct Kubelet {
    api: Arc<ApiServer>,
    network: Arc<Network>,
    released: watch::Receiver<bool>,
    state: Mutex<State>,
    stirred: Arc<Notify>,
}

#[derive(Default)]
struct State {
    pods: Vec<Pod>,
    /// Pods so far, by Deployment.
    made: HashMap<String, usize>,
    /// Deployments whose image takes its time.
    pulling: HashSet<String>,
    /// Deployments whose Pods are not probed.
    unprobed: HashSet<String>,
    /// Slices as they were written.
    written: HashMap<String, Value>,
}

struct Pod {
    name: String,
    deployment: String,
    image: Image,
    ip: IpAddr,
    stage: Stage,
    container: Option<Container>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Has an address; nothing listens there.
    Pulling,
    /// Listens, which no probe has found yet.
    Running,
    Ready,
    /// Its container has died, and nobody has noticed.
    Dead,
    Leaving,
}

/// A Pod as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodNow {
    pub(crate) name: String,
    pub(crate) is_ready: bool,
    /// Requests that it has begun to answer.
    pub(crate) requests: usize,
}

impl Kubelet {
    pub(super) fn new(
        api: Arc<ApiServer>,
        network: Arc<Network>,
        released: watch::Receiver<bool>,
    ) -> Self {
        Self {
            api,
            network,
            released,
            state: Mutex::default(),
            stirred: Arc::default(),
        }
    }

    /// Follows Deployments for ever.
    pub(super) async fn run(self: Arc<Self>) {
        let mut changes = self.api.changes();
        loop {
            changes.borrow_and_update();
            self.reconcile();
            tokio::select! {
                changed = changes.changed() => changed.expect("the API server stays"),
                () = self.stirred.notified() => {}
            }
        }
    }

    /// The Pods of a Deployment that are not on their way out.
    pub(crate) fn pods(&self, deployment: &str) -> Vec<PodNow> {
        let state = self.state.lock();
        let of_it = state.pods.iter().filter(|pod| pod.deployment == deployment);
        of_it
            .filter(|pod| pod.stage != Stage::Leaving)
            .map(|pod| PodNow {
                name: pod.name.clone(),
                is_ready: pod.stage == Stage::Ready,
                requests: pod.container.as_ref().map_or(0, Container::requests),
            })
            .collect()
    }

    /// Pods of a Deployment, also those on their way out.
    pub(crate) fn count(&self, deployment: &str) -> usize {
        let state = self.state.lock();
        state
            .pods
            .iter()
            .filter(|pod| pod.deployment == deployment)
            .count()
    }

    /// Whether the image of a Deployment takes its time: its Pods have
    /// addresses, and nothing listens there.
    pub(crate) fn hold_image(&self, deployment: &str, is_held: bool) {
        hold(&mut self.state.lock().pulling, deployment, is_held);
        self.stirred.notify_one();
    }

    /// Whether the probes of a Deployment's Pods are late.
    pub(crate) fn hold_probes(&self, deployment: &str, is_held: bool) {
        hold(&mut self.state.lock().unprobed, deployment, is_held);
        self.stirred.notify_one();
    }

    /// Kills the container of a Pod; nobody notices.
    pub(crate) fn kill(&self, pod: &str) {
        let mut state = self.state.lock();
        let pod = state.pods.iter_mut().find(|one| one.name == pod);
        let pod = pod.expect("there is such a Pod");
        (pod.stage, pod.container) = (Stage::Dead, None);
    }

    /// Notices who is dead: such Pods are replaced.
    pub(crate) fn notice(&self) {
        let mut state = self.state.lock();
        state.pods.retain(|pod| pod.stage != Stage::Dead);
        self.stirred.notify_one();
    }

    fn reconcile(&self) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let deployments = self.api.all("Deployment");
        for deployment in &deployments {
            self.scale(state, deployment);
        }
        self.publish(state, &deployments);
        for pod in &mut state.pods {
            self.run_container(pod, &state.pulling);
            let is_probed = !state.unprobed.contains(&pod.deployment);
            if pod.stage == Stage::Running && is_probed {
                pod.stage = Stage::Ready;
            }
        }
        let is_over = |pod: &Pod| {
            let container = pod.container.as_ref();
            pod.stage == Stage::Leaving && container.is_none_or(Container::is_over)
        };
        state.pods.retain(|pod| !is_over(pod));
        self.publish(state, &deployments);
    }

    /// Makes Pods, or tells the youngest to go.
    fn scale(&self, state: &mut State, deployment: &Value) {
        let name = deployment["metadata"]["name"].as_str().expect("a name");
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        // Deployments of other tests' kind have no image.
        let Some(image) = image.as_str().map(Image::of_name) else {
            return;
        };
        let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
        let wanted = usize::try_from(wanted).expect("few");
        let stay = |pod: &&mut Pod| pod.deployment == name && pod.stage != Stage::Leaving;
        let living = state.pods.iter_mut().filter(stay).count();
        for pod in state.pods.iter_mut().filter(stay).skip(wanted) {
            pod.stage = Stage::Leaving;
        }
        let made = state.made.entry(name.to_owned()).or_default();
        for _ in living..wanted {
            *made += 1;
            state.pods.push(Pod {
                name: format!("{name}-{made}"),
                deployment: name.to_owned(),
                image,
                ip: self.network.address(),
                stage: Stage::Pulling,
                container: None,
            });
        }
    }

    fn run_container(&self, pod: &mut Pod, pulling: &HashSet<String>) {
        match pod.stage {
            Stage::Pulling if !pulling.contains(&pod.deployment) => {
                let addr = SocketAddr::new(pod.ip, PORT);
                let (released, over) = (self.released.clone(), self.stirred.clone());
                let container = Container::start(&pod.name, pod.image, addr, released, over);
                pod.container = Some(container);
                pod.stage = Stage::Running;
            }
            Stage::Leaving => {
                if let Some(container) = &pod.container {
                    container.stop();
                }
            }
            _ => {}
        }
    }

    /// Writes the slices that say something else than before.
    fn publish(&self, state: &mut State, deployments: &[Value]) {
        for deployment in deployments {
            let name = deployment["metadata"]["name"].as_str().expect("a name");
            let of_it = state.pods.iter().filter(|pod| pod.deployment == name);
            let endpoints: Vec<Value> = of_it
                .map(|pod| {
                    let addr = SocketAddr::new(pod.ip, PORT);
                    endpoint(&pod.name, addr, &conditions(pod.stage))
                })
                .collect();
            let slice = slice(name, 0, PORT, &endpoints);
            if state.written.get(name) != Some(&slice) {
                state.written.insert(name.to_owned(), slice.clone());
                self.api.put(slice);
            }
        }
    }
}

fn hold(held: &mut HashSet<String>, deployment: &str, is_held: bool) {
    if is_held {
        held.insert(deployment.to_owned());
    } else {
        held.remove(deployment);
    }
}

fn conditions(stage: Stage) -> Value {
    match stage {
        Stage::Pulling | Stage::Running => {
            json!({"ready": false, "serving": false, "terminating": false})
        }
        Stage::Ready | Stage::Dead => json!({"ready": true, "serving": true, "terminating": false}),
        Stage::Leaving => json!({"ready": false, "serving": true, "terminating": true}),
    }
}
