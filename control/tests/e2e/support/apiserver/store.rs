//! The objects of the cluster, and the history of their changes.

use super::{Asked, cuts::Cut};
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
    kind("Secret", "", "v1", "secrets"),
    kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices"),
    kind("Deployment", "apps", "v1", "deployments"),
    kind("Lease", "coordination.k8s.io", "v1", "leases"),
    kind("Event", "events.k8s.io", "v1", "events"),
];

/// In place of what happened to an object: its text is a line as it is.
pub(super) const SAID: &str = "SAID";

/// A change of an object.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) plural: &'static str,
    pub(super) what: &'static str,
    pub(super) object: Value,
}

type Place = (&'static str, String, String);

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) version: u64,
    objects: BTreeMap<Place, Value>,
    pub(super) history: Vec<Change>,
    /// Versions before this are forgotten.
    pub(super) oldest: u64,
    uids: u64,
    pub(super) denied: HashSet<(String, &'static str)>,
    pub(super) undefined: HashSet<&'static str>,
    /// Kinds whose roles are not read yet.
    pub(super) unread: HashSet<&'static str>,
    /// Verbs and plurals: somebody else is faster.
    pub(super) meddled: Vec<(&'static str, &'static str)>,
    /// So many requests are throttled, with that Retry-After.
    pub(super) throttled: (usize, u64),
    pub(super) asked: Vec<Asked>,
    pub(super) cuts: Vec<Ordered>,
    /// The `Authorization` that is known; `None`: nobody is asked for one.
    pub(super) token: Option<String>,
}

/// A cut of the answer to the next request of that verb and kind, in whose
/// query that stands.
#[derive(Clone)]
pub(super) struct Ordered {
    pub(super) verb: &'static str,
    pub(super) plural: &'static str,
    pub(super) query: &'static str,
    pub(super) cut: Cut,
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
        // Who writes an object without its status leaves that alone.
        if let Some(before) = &before
            && object.get("status").is_none()
            && let Some(status) = before.get("status")
        {
            object["status"] = status.clone();
        }
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
        self.objects.insert(place.clone(), object.clone());
        if !object["metadata"]["deletionTimestamp"].is_null() && !has_finalizers(&object) {
            self.remove(kind, &place);
        }
        object
    }

    /// Deletes an object, or marks it where it has finalizers.
    pub(super) fn delete(
        &mut self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
    ) -> Option<Value> {
        let place = place(kind, namespace, name);
        let mut object = self.objects.get(&place)?.clone();
        if has_finalizers(&object) {
            object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            return Some(self.put(kind, object));
        }
        self.remove(kind, &place)
    }

    /// Removes an object, and what it owns.
    fn remove(&mut self, kind: &'static Kind, place: &Place) -> Option<Value> {
        let mut object = self.objects.remove(place)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.history.push(Change {
            version: self.version,
            plural: kind.plural,
            what: "DELETED",
            object: object.clone(),
        });
        let uid = &object["metadata"]["uid"];
        let is_owned = |one: &Value| {
            let owners = one["metadata"]["ownerReferences"].as_array();
            owners
                .is_some_and(|owners| !owners.is_empty() && owners.iter().all(|o| o["uid"] == *uid))
        };
        let owned = self.objects.iter().filter(|(_, one)| is_owned(one));
        let owned: Vec<Place> = owned.map(|(place, _)| place.clone()).collect();
        for (plural, namespace, name) in owned {
            let kind = KINDS.iter().find(|kind| kind.plural == plural);
            self.delete(kind.expect("it is one of them"), &namespace, &name);
        }
        Some(object)
    }

    /// What becomes of an answer.
    pub(super) fn cut(&mut self, verb: &str, kind: &Kind, query: &str) -> Option<Cut> {
        let is_it = |one: &Ordered| {
            one.verb == verb && one.plural == kind.plural && query.contains(one.query)
        };
        let at = self.cuts.iter().position(is_it)?;
        Some(self.cuts.remove(at).cut)
    }

    /// Sends watches of a kind a line that is no event of it.
    pub(super) fn say(&mut self, kind: &'static Kind, line: &str) {
        self.version += 1;
        self.history.push(Change {
            version: self.version,
            plural: kind.plural,
            what: SAID,
            object: line.into(),
        });
    }

    /// Is as it was, and remembers no more than that.
    pub(super) fn restore(&mut self, backup: &Self) {
        self.version = backup.version;
        self.objects = backup.objects.clone();
        self.oldest = backup.version;
        self.history.clear();
    }

    pub(super) fn forget_history(&mut self) {
        self.version += 1;
        self.oldest = self.version;
        self.history.clear();
    }
}

fn has_finalizers(object: &Value) -> bool {
    let finalizers = object["metadata"]["finalizers"].as_array();
    finalizers.is_some_and(|finalizers| !finalizers.is_empty())
}

fn place(kind: &Kind, namespace: &str, name: &str) -> Place {
    (kind.plural, namespace.to_owned(), name.to_owned())
}

/// Is it an object with these fields? As of a real one, of few: its name.
pub(super) fn has_fields(object: &Value, selector: &str) -> bool {
    selector
        .split(',')
        .filter(|part| !part.is_empty())
        .all(|part| match part.split_once('=') {
            Some(("metadata.name", name)) => object["metadata"]["name"] == json!(name),
            _ => panic!("the double selects by no such field: {part}"),
        })
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
