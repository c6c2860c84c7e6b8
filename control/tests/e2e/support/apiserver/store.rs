//! The objects of the cluster, and the history of their changes.

use super::Asked;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use tokio::sync::watch;

/// A kind of objects that the double knows.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
}

const fn kind(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    plural: &'static str,
) -> Kind {
    Kind {
        name,
        group,
        version,
        plural,
    }
}

pub(super) const KINDS: &[Kind] = &[
    kind(
        "InterceptorRoute",
        "http.keda.sh",
        "v1beta1",
        "interceptorroutes",
    ),
    kind(
        "HTTPScaledObject",
        "http.keda.sh",
        "v1alpha1",
        "httpscaledobjects",
    ),
    kind("ScaledObject", "keda.sh", "v1alpha1", "scaledobjects"),
    kind("Service", "", "v1", "services"),
    kind("ConfigMap", "", "v1", "configmaps"),
    kind("Pod", "", "v1", "pods"),
    kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
    kind("Deployment", "apps", "v1", "deployments"),
    kind("Lease", "coordination.k8s.io", "v1", "leases"),
    kind("Event", "events.k8s.io", "v1", "events"),
];

/// A change of an object.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) plural: &'static str,
    pub(super) what: &'static str,
    pub(super) object: Value,
}

type Place = (&'static str, String, String);

#[derive(Default)]
pub(super) struct State {
    pub(super) version: u64,
    objects: BTreeMap<Place, Value>,
    pub(super) history: Vec<Change>,
    /// Versions before this are forgotten.
    pub(super) oldest: u64,
    uids: u64,
    pub(super) denied: HashSet<(String, &'static str)>,
    pub(super) undefined: HashSet<&'static str>,
    /// So many requests are throttled, with that Retry-After.
    pub(super) throttled: (usize, u64),
    pub(super) asked: Vec<Asked>,
    /// The `Authorization` that is known; `None`: nobody is asked for one.
    pub(super) token: Option<String>,
}

/// What the double's tasks share.
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) version: watch::Sender<u64>,
    /// Counted up to break all watches.
    pub(super) cuts: watch::Sender<u64>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            version: watch::Sender::new(0),
            cuts: watch::Sender::new(0),
        }
    }
}

impl Shared {
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let done = change(&mut state);
        self.version.send_replace(state.version);
        done
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock())
    }

    pub(super) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl State {
    pub(super) fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&place(kind, namespace, name))
    }

    /// The objects of a kind in order, after the given continuation.
    pub(super) fn list<'a>(
        &'a self,
        kind: &'a Kind,
        namespace: Option<&'a str>,
        after: &'a str,
    ) -> impl Iterator<Item = &'a Value> {
        let all = self.objects.iter();
        all.filter(move |((plural, ns, name), _)| {
            *plural == kind.plural
                && namespace.is_none_or(|wanted| wanted == ns)
                && (after.is_empty() || format!("{ns}/{name}").as_str() > after)
        })
        .map(|(_, object)| object)
    }

    /// Creates or replaces an object, whatever its version.
    pub(super) fn put(&mut self, kind: &'static Kind, mut object: Value) -> Value {
        let meta = |field: &str| object["metadata"][field].as_str().map(str::to_owned);
        let namespace = meta("namespace").unwrap_or_else(|| "default".to_owned());
        let name = meta("name").expect("an object has a name");
        let place = place(kind, &namespace, &name);
        let before = self.objects.get(&place).cloned();
        self.version += 1;
        object["apiVersion"] = match kind.group {
            "" => kind.version.into(),
            group => format!("{group}/{}", kind.version).into(),
        };
        object["kind"] = kind.name.into();
        let generation = match &before {
            Some(before) => {
                let same = before["spec"] == object["spec"];
                before["metadata"]["generation"].as_i64().unwrap_or(1) + i64::from(!same)
            }
            None => 1,
        };
        let uid = before
            .as_ref()
            .map(|before| before["metadata"]["uid"].clone());
        let uid = uid.unwrap_or_else(|| {
            self.uids += 1;
            format!("00000000-0000-0000-0000-{:012}", self.uids).into()
        });
        let created = before
            .as_ref()
            .map(|before| before["metadata"]["creationTimestamp"].clone());
        let metadata = &mut object["metadata"];
        metadata["namespace"] = namespace.into();
        metadata["uid"] = uid;
        metadata["generation"] = generation.into();
        metadata["resourceVersion"] = self.version.to_string().into();
        match created {
            Some(created) => metadata["creationTimestamp"] = created,
            None if metadata["creationTimestamp"].is_null() => {
                metadata["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
            }
            None => {}
        }
        // A status is its own subresource's.
        if let Some(before) = &before
            && object["status"].is_null()
            && !before["status"].is_null()
        {
            object["status"] = before["status"].clone();
        }
        self.history.push(Change {
            version: self.version,
            plural: kind.plural,
            what: if before.is_some() {
                "MODIFIED"
            } else {
                "ADDED"
            },
            object: object.clone(),
        });
        self.objects.insert(place, object.clone());
        object
    }

    pub(super) fn delete(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
    ) -> Option<Value> {
        let mut object = self.objects.remove(&place(kind, namespace, name))?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.history.push(Change {
            version: self.version,
            plural: kind.plural,
            what: "DELETED",
            object: object.clone(),
        });
        Some(object)
    }

    pub(super) fn forget_history(&mut self) {
        self.version += 1;
        self.oldest = self.version;
        self.history.clear();
    }
}

fn place(kind: &Kind, namespace: &str, name: &str) -> Place {
    (kind.plural, namespace.to_owned(), name.to_owned())
}

/// Does an object have these labels?
pub(super) fn has_labels(object: &Value, selector: &str) -> bool {
    let labels = &object["metadata"]["labels"];
    selector
        .split(',')
        .filter(|part| !part.is_empty())
        .all(|part| match part.split_once('=') {
            Some((name, value)) => labels[name] == json!(value),
            None => !labels[part].is_null(),
        })
}
