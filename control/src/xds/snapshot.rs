//! All resources at one moment.
//!
//! Made by [`super::follow`], read by every stream. Immutable: what did not
//! change is the same object in the next one.

use super::{Kind, Resource, resource::Version};
use std::{collections::BTreeMap, sync::Arc};

/// The resources of one kind by their names.
pub(super) type Resources = BTreeMap<Arc<str>, Arc<Resource>>;

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

    /// The same with others of one kind. Those that are as before stay what
    /// they are; says whether any is not.
    pub(super) fn replace(
        &mut self,
        kind: Kind,
        fresh: impl IntoIterator<Item = Arc<Resource>>,
    ) -> bool {
        let before = self.of(kind);
        let mut changed = false;
        let mut next = Resources::new();
        for resource in fresh {
            let known = before.get(resource.name());
            let same = known.filter(|known| known.version() == resource.version());
            changed |= same.is_none();
            let kept = same.cloned().unwrap_or(resource);
            next.insert(kept.name().clone(), kept);
        }
        changed |= next.len() != before.len();
        if changed {
            let next = Arc::new(next);
            match kind {
                Kind::Cluster => self.clusters = next,
                Kind::Secret => self.secrets = next,
                Kind::Endpoints => self.endpoints = next,
                Kind::Listener => self.listeners = next,
                Kind::Routes => self.routes = next,
            }
        }
        changed
    }

    /// The same with another state of one route configuration.
    pub(super) fn with_routes(&self, routes: &Arc<Resource>) -> Self {
        let mut all = (*self.routes).clone();
        all.insert(routes.name().clone(), routes.clone());
        Self {
            routes: Arc::new(all),
            ..self.clone()
        }
    }

    /// Tells states of a kind apart.
    pub(super) fn version(&self, kind: Kind) -> Version {
        let versions: Vec<(&str, Version)> = self
            .of(kind)
            .values()
            .map(|resource| (&**resource.name(), resource.version()))
            .collect();
        Version::of(&versions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, state: &str) -> Arc<Resource> {
        Resource::new(Kind::Cluster, name, &state.to_owned())
    }

    #[test]
    fn what_did_not_change_stays_the_same_object() {
        let mut snapshot = Snapshot::default();
        assert!(snapshot.replace(Kind::Cluster, [cluster("a", "1"), cluster("b", "1")]));
        let before = snapshot.clone();
        assert!(!snapshot.replace(Kind::Cluster, [cluster("b", "1"), cluster("a", "1")]));
        assert!(Arc::ptr_eq(
            snapshot.of(Kind::Cluster),
            before.of(Kind::Cluster)
        ));
        assert!(snapshot.replace(Kind::Cluster, [cluster("a", "2"), cluster("b", "1")]));
        let of = |snapshot: &Snapshot, name: &str| snapshot.of(Kind::Cluster)[name].clone();
        assert!(Arc::ptr_eq(&of(&snapshot, "b"), &of(&before, "b")));
        assert_ne!(of(&snapshot, "a").version(), of(&before, "a").version());
        assert_ne!(
            snapshot.version(Kind::Cluster),
            before.version(Kind::Cluster)
        );
        assert!(snapshot.replace(Kind::Cluster, [cluster("b", "1")]));
        assert!(!snapshot.of(Kind::Cluster).contains_key("a"));
    }

    #[test]
    fn versions_are_made_of_content() {
        let make = || {
            let mut snapshot = Snapshot::default();
            snapshot.replace(Kind::Cluster, [cluster("a", "1")]);
            snapshot.version(Kind::Cluster)
        };
        assert_eq!(make(), make());
    }
}
