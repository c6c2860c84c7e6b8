//! Waking a workload ourselves: its scale subresource from zero to one, beside
//! KEDA with `--wake=both`, in its place with `--wake=direct`.
//!
//! Called by the reconciler when somebody begins to wait. It only ever scales
//! up from zero, and only what a ScaledObject scales: everything else is KEDA's.
//! Bounded: a few calls at once, one for each workload, with growing pauses.

use super::{api::Api, failure::Failure, scaled::Workload};
use http::Method;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Semaphore, time::sleep};

/// Workloads that are woken at once.
const AT_ONCE: usize = 16;
/// After a failure, the first and the longest pause.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// In KEDA's place: how often it is looked whether somebody has scaled it to
/// zero again, such as a KEDA that was about to.
const LOOK_EACH: Duration = Duration::from_secs(5);

/// Wakes workloads. Share it in an `Arc`.
pub(super) struct Waker {
    api: Api,
    /// KEDA is not told at once.
    alone: bool,
    places: Semaphore,
    /// Those that are being woken: namespace and workload.
    waking: Mutex<HashSet<Place>>,
    /// Those of which the last try failed.
    failed: Mutex<HashSet<Place>>,
    /// Plurals of kinds, by apiVersion and kind.
    plurals: Mutex<HashMap<(String, String), String>>,
}

type Place = (Arc<str>, Workload);

/// A workload that is to be woken.
#[derive(Clone, Debug)]
pub(super) struct Sleeper {
    pub(super) namespace: Arc<str>,
    pub(super) workload: Workload,
    /// Replicas that it gets.
    pub(super) replicas: u32,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    kind: String,
}

#[derive(Deserialize)]
struct Scale {
    #[serde(default)]
    spec: ScaleSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ScaleSpec {
    replicas: u32,
}

impl Waker {
    pub(super) fn new(api: Api, alone: bool) -> Self {
        Self {
            api,
            alone,
            places: Semaphore::new(AT_ONCE),
            waking: Mutex::default(),
            failed: Mutex::default(),
            plurals: Mutex::default(),
        }
    }

    /// True if nobody wakes it already; then call [`Waker::wake`].
    pub(super) fn begins(&self, sleeper: &Sleeper) -> bool {
        let id = (sleeper.namespace.clone(), sleeper.workload.clone());
        self.waking.lock().insert(id)
    }

    /// Need KEDA not be told at once, because it is woken here?
    pub(super) fn replaces_keda(&self, namespace: &Arc<str>, workload: &Workload) -> bool {
        let place = (namespace.clone(), workload.clone());
        self.alone && !self.failed.lock().contains(&place)
    }

    /// Scales it up from zero; tries again while `is_awaited`. `replaces_keda` is
    /// told what [`Waker::replaces_keda`] says now.
    pub(super) async fn wake(
        self: Arc<Self>,
        sleeper: Sleeper,
        is_awaited: impl Fn() -> bool,
        replaces_keda: impl Fn(bool),
    ) {
        let place = (sleeper.namespace.clone(), sleeper.workload.clone());
        let mut pause = FIRST_PAUSE;
        let mut trouble = None;
        loop {
            match self.scale_up(&sleeper).await {
                Ok(()) => {
                    self.failed.lock().remove(&place);
                    if !self.alone {
                        break;
                    }
                    replaces_keda(true);
                    (pause, trouble) = (FIRST_PAUSE, None);
                    sleep(LOOK_EACH).await;
                }
                Err(failure) => {
                    let message = describe(&sleeper, &failure);
                    if trouble.as_ref() != Some(&message) {
                        tracing::warn!("{message}");
                        trouble = Some(message);
                    }
                    self.failed.lock().insert(place.clone());
                    replaces_keda(false);
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            if !is_awaited() {
                break;
            }
        }
        self.waking.lock().remove(&place);
    }

    async fn scale_up(&self, sleeper: &Sleeper) -> Result<(), Failure> {
        let _place = self.places.acquire().await.expect("it is never closed");
        let path = self.scale_path(sleeper).await?;
        match self.scale_up_at(&path, sleeper).await {
            // Somebody was faster, such as KEDA, which then has woken it.
            Err(Failure::Conflict(_)) => self.scale_up_at(&path, sleeper).await,
            scaled => scaled,
        }
    }

    async fn scale_up_at(&self, path: &str, sleeper: &Sleeper) -> Result<(), Failure> {
        let scale = self.api.read(path).await?;
        let version = scale["metadata"]["resourceVersion"].clone();
        let scale = Scale::deserialize(scale);
        let scale = scale.map_err(|error| Failure::Garbled(format!("a scale: {error}")))?;
        if scale.spec.replicas > 0 {
            return Ok(());
        }
        // Only from the zero that was seen.
        let patch = json!({
            "metadata": {"resourceVersion": version},
            "spec": {"replicas": sleeper.replicas},
        });
        let merge = "application/merge-patch+json";
        self.api.write(Method::PATCH, path, merge, &patch).await?;
        tracing::info!(
            workload = %sleeper.workload, namespace = %sleeper.namespace,
            replicas = sleeper.replicas, "woken: somebody waits for it"
        );
        Ok(())
    }

    async fn scale_path(&self, sleeper: &Sleeper) -> Result<String, Failure> {
        let Workload {
            api_version,
            kind,
            name,
        } = &sleeper.workload;
        let root = if api_version.contains('/') {
            format!("/apis/{api_version}")
        } else {
            format!("/api/{api_version}")
        };
        let id = (api_version.clone(), kind.clone());
        let known = self.plurals.lock().get(&id).cloned();
        let plural = match known {
            Some(plural) => plural,
            None => {
                let resources = Resources::deserialize(self.api.read(&root).await?);
                let resources = resources.map_err(|error| {
                    Failure::Garbled(format!("the resources at {root}: {error}"))
                })?;
                let is_it = |one: &Resource| one.kind == *kind && !one.name.contains('/');
                let found = resources.resources.into_iter().find(is_it);
                let plural = found.ok_or(Failure::Missing)?.name;
                self.plurals.lock().insert(id, plural.clone());
                plural
            }
        };
        let namespace = &sleeper.namespace;
        Ok(format!(
            "{root}/namespaces/{namespace}/{plural}/{name}/scale"
        ))
    }
}

fn describe(sleeper: &Sleeper, failure: &Failure) -> String {
    let Sleeper {
        namespace,
        workload,
        ..
    } = sleeper;
    match failure {
        Failure::Denied(said) => format!(
            "{workload} in namespace {namespace} cannot be woken: the permissions to get and \
             patch the subresource `scale` of its kind are missing, which --wake=direct and \
             --wake=both need ({said})"
        ),
        Failure::Missing => format!(
            "{workload} in namespace {namespace} cannot be woken: there is no such workload, or \
             it cannot be scaled"
        ),
        other => format!("{workload} in namespace {namespace} cannot be woken: {other}"),
    }
}
