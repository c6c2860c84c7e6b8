//! All resources at one moment.
//!
//! Made by [`super::follow`], read by every stream. What did not change is the
//! same object in the next one, and what did is noted, so that neither side
//! looks at ten thousand resources because of one.

use super::{Kind, Resource, resource::Version};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// So many changes of a kind are noted. Who missed more looks at everything.
const NOTED: usize = 1024;

/// The resources of one kind by their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Resources {
    by_name: BTreeMap<Arc<str>, Arc<Resource>>,
    version: Version,
    /// The last changes, each with the version before it.
    changes: VecDeque<(Version, Arc<str>)>,
}

impl Resources {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        self.by_name.get(name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// All of them, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_name.values()
    }

    /// Tells states of the kind apart. Of equal content: equal.
    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// The names of what was changed or removed since the state of that
    /// version; `None`: it is not known any more.
    pub(super) fn changed_since(
        &self,
        version: Version,
    ) -> Option<impl Iterator<Item = &Arc<str>>> {
        let last = self.changes.len();
        let from = if version == self.version {
            last
        } else {
            let mut before = self.changes.iter().map(|(before, _)| *before);
            before.rposition(|before| before == version)?
        };
        Some(self.changes.range(from..last).map(|(_, name)| name))
    }

    fn put(&mut self, resource: Arc<Resource>) {
        let name = resource.name().clone();
        self.note(&name);
        self.version = self.version.with(&resource);
        if let Some(before) = self.by_name.insert(name, resource) {
            self.version = self.version.without(&before);
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some((name, before)) = self.by_name.remove_entry(name) {
            self.note(&name);
            self.version = self.version.without(&before);
        }
    }

    fn note(&mut self, name: &Arc<str>) {
        if self.changes.len() == NOTED {
            self.changes.pop_front();
        }
        self.changes.push_back((self.version, name.clone()));
    }
}

/// All resources.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    clusters: Arc<Resources>,
    secrets: Arc<Resources>,
    endpoints: Arc<Resources>,
    listeners: Arc<Resources>,
    routes: Arc<Resources>,
}

impl Snapshot {
    /// Those of one kind.
    pub(super) fn of(&self, kind: Kind) -> &Arc<Resources> {
        match kind {
            Kind::Cluster => &self.clusters,
            Kind::Secret => &self.secrets,
            Kind::Endpoints => &self.endpoints,
            Kind::Listener => &self.listeners,
            Kind::Routes => &self.routes,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Arc<Resources> {
        match kind {
            Kind::Cluster => &mut self.clusters,
            Kind::Secret => &mut self.secrets,
            Kind::Endpoints => &mut self.endpoints,
            Kind::Listener => &mut self.listeners,
            Kind::Routes => &mut self.routes,
        }
    }

    /// The same with another state of one route configuration.
    pub(super) fn with_routes(&self, routes: &Arc<Resource>) -> Self {
        let mut own = self.clone();
        own.put(routes.clone());
        own
    }

    /// The same with this one. Says whether it is not as it was.
    pub(super) fn put(&mut self, resource: Arc<Resource>) -> bool {
        let own = self.of_mut(resource.kind());
        let known = own.get(resource.name());
        let is_new = known.is_none_or(|known| known.version() != resource.version());
        if is_new {
            // Copied only while somebody looks at it.
            Arc::make_mut(own).put(resource);
        }
        is_new
    }

    /// The same without this one. Says whether it was there.
    pub(super) fn remove(&mut self, kind: Kind, name: &str) -> bool {
        let own = self.of_mut(kind);
        let is_known = own.has(name);
        if is_known {
            Arc::make_mut(own).remove(name);
        }
        is_known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, state: &str) -> Arc<Resource> {
        Resource::new(Kind::Cluster, name, &state.to_owned())
    }

    fn snapshot(clusters: &[(&str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (name, state) in clusters {
            snapshot.put(cluster(name, state));
        }
        snapshot
    }

    #[test]
    fn what_did_not_change_stays_the_same_object() {
        let mut snapshot = snapshot(&[("a", "1"), ("b", "1")]);
        let before = snapshot.clone();
        assert!(!snapshot.put(cluster("b", "1")));
        let of = |snapshot: &Snapshot| snapshot.of(Kind::Cluster).clone();
        assert!(Arc::ptr_eq(&of(&snapshot), &of(&before)));
        assert!(snapshot.put(cluster("a", "2")));
        let (now, before) = (of(&snapshot), of(&before));
        assert!(Arc::ptr_eq(now.get("b").unwrap(), before.get("b").unwrap()));
        assert_ne!(
            now.get("a").unwrap().version(),
            before.get("a").unwrap().version()
        );
        assert!(snapshot.remove(Kind::Cluster, "a"));
        assert!(!snapshot.remove(Kind::Cluster, "a"));
        assert!(!of(&snapshot).has("a"));
        assert!(before.has("a"), "who has the one before keeps it");
    }

    #[test]
    fn versions_are_made_of_content_whatever_the_way_to_it() {
        let version = |snapshot: &Snapshot| snapshot.of(Kind::Cluster).version();
        let straight = snapshot(&[("a", "1"), ("b", "2")]);
        let mut around = snapshot(&[("c", "1"), ("b", "1"), ("a", "1")]);
        assert_ne!(version(&around), version(&straight));
        around.put(cluster("b", "2"));
        around.remove(Kind::Cluster, "c");
        assert_eq!(version(&around), version(&straight));
        let swapped = snapshot(&[("a", "2"), ("b", "1")]);
        assert_ne!(version(&swapped), version(&straight));
    }

    #[test]
    fn what_changed_since_a_state_is_known_for_a_while() {
        let mut snapshot = snapshot(&[("a", "1"), ("b", "1")]);
        let seen = snapshot.of(Kind::Cluster).version();
        let changed = |snapshot: &Snapshot| -> Option<Vec<String>> {
            let own = snapshot.of(Kind::Cluster);
            let names = own.changed_since(seen)?;
            Some(names.map(|name| name.to_string()).collect())
        };
        assert_eq!(changed(&snapshot), Some(vec![]));
        snapshot.put(cluster("b", "2"));
        snapshot.remove(Kind::Cluster, "a");
        let both = ["b", "a"].map(str::to_owned).to_vec();
        assert_eq!(changed(&snapshot), Some(both));
        for state in 0..NOTED {
            snapshot.put(cluster("c", &state.to_string()));
        }
        assert_eq!(changed(&snapshot), None);
    }
}
