//! All objects that route, as they were last seen: InterceptorRoutes, and
//! HTTPScaledObjects, of which those are served that no InterceptorRoute of
//! their name shadows.

use crate::{
    kubernetes::{
        host_policy::HostPolicy,
        kind::{HTTP_SCALED_OBJECT, INTERCEPTOR_ROUTE, Kind},
        legacy::LegacyObject,
        route::{RouteObject, is_legacy, key_of, legacy_target_of, target_of},
        store::{Change, Key, Store},
    },
    manifest::{InterceptorRouteSpec, Object},
};
use proxy::TargetId;

/// All objects that route.
pub(super) struct Routes {
    policy: HostPolicy,
    interceptor_routes: Store<Box<RouteObject>>,
    http_scaled_objects: Store<Box<LegacyObject>>,
}

/// One of them.
pub(super) struct Seen<'a> {
    pub(super) id: TargetId,
    pub(super) key: &'a Key,
    pub(super) kind: &'static Kind,
    pub(super) route: &'a RouteObject,
    /// `None`: it is an InterceptorRoute.
    pub(super) legacy: Option<&'a LegacyObject>,
    pub(super) is_shadowed: bool,
}

impl Routes {
    /// None yet; `policy` says which namespace may have which hosts.
    pub(super) fn new(policy: HostPolicy) -> Self {
        Self {
            policy,
            interceptor_routes: Store::default(),
            http_scaled_objects: Store::default(),
        }
    }

    /// Takes in what has changed of InterceptorRoutes; the targets that may be
    /// served otherwise now.
    pub(super) fn take(&mut self, change: Change<Box<RouteObject>>) -> Vec<TargetId> {
        let mut dirty = Vec::new();
        for (key, before) in self.interceptor_routes.apply(change) {
            let was_served = before.as_ref().and_then(|before| before.served.clone());
            let now = self.interceptor_routes.get_mut(&key);
            let served = now.and_then(|now| {
                settle(&self.policy, &key, now, before.map(|before| *before));
                now.served.as_ref()
            });
            // Its status changes more often than itself.
            if served == was_served.as_ref() {
                continue;
            }
            dirty.push(target_of(&key));
            if self.http_scaled_objects.get(&key).is_some() {
                dirty.push(legacy_target_of(&key));
            }
        }
        dirty
    }

    /// Likewise of HTTPScaledObjects.
    pub(super) fn take_http_scaled_objects(
        &mut self,
        change: Change<Box<LegacyObject>>,
    ) -> Vec<TargetId> {
        let mut dirty = Vec::new();
        for (key, before) in self.http_scaled_objects.apply(change) {
            let before = before.map(|before| before.route);
            let was_served = before.as_ref().and_then(|before| before.served.clone());
            let now = self.http_scaled_objects.get_mut(&key);
            let served = now.and_then(|now| {
                settle(&self.policy, &key, &mut now.route, before);
                now.route.served.as_ref()
            });
            if served != was_served.as_ref() {
                dirty.push(legacy_target_of(&key));
            }
        }
        dirty
    }

    /// What is served under that name.
    pub(super) fn served(&self, id: &TargetId) -> Option<&Object<InterceptorRouteSpec>> {
        let key = key_of(id);
        if !is_legacy(id) {
            return self.interceptor_routes.get(&key)?.served.as_ref();
        }
        let object = self.http_scaled_objects.get(&key)?;
        let served = object.route.served.as_ref();
        served.filter(|_| !self.is_shadowed(&key))
    }

    /// HTTPScaledObjects in whose place an InterceptorRoute is served: the
    /// names of both targets, and the route that it stands for.
    pub(super) fn shadowed(
        &self,
    ) -> impl Iterator<Item = (TargetId, TargetId, &Object<InterceptorRouteSpec>)> {
        let all = self.http_scaled_objects.iter();
        let shadowed = all.filter(|(key, _)| self.is_shadowed(key));
        shadowed.filter_map(|(key, object)| {
            let served = object.route.served.as_ref()?;
            Some((legacy_target_of(key), target_of(key), served))
        })
    }

    fn is_shadowed(&self, key: &Key) -> bool {
        let route = self.interceptor_routes.get(key);
        route.is_some_and(|route| route.served.is_some())
    }

    /// Is there an HTTPScaledObject?
    pub(super) fn has_legacy(&self) -> bool {
        self.http_scaled_objects.iter().next().is_some()
    }

    /// Those of a namespace that are served.
    pub(super) fn served_in(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = (TargetId, &Object<InterceptorRouteSpec>)> {
        let all = self
            .all()
            .filter(move |seen| &*seen.key.namespace == namespace);
        all.filter_map(|seen| Some((seen.id, seen.route.served.as_ref()?)))
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Seen<'_>> {
        let routes = self.interceptor_routes.iter().map(|(key, route)| Seen {
            id: target_of(key),
            key,
            kind: &INTERCEPTOR_ROUTE,
            route,
            legacy: None,
            is_shadowed: false,
        });
        let legacy = self.http_scaled_objects.iter().map(|(key, legacy)| Seen {
            id: legacy_target_of(key),
            key,
            kind: &HTTP_SCALED_OBJECT,
            route: &legacy.route,
            legacy: Some(legacy),
            is_shadowed: self.is_shadowed(key),
        });
        routes.chain(legacy)
    }
}

/// What an object is, by what it was: within the policy, told of if it is
/// newly broken, and then served as before.
fn settle(policy: &HostPolicy, key: &Key, now: &mut RouteObject, before: Option<RouteObject>) {
    let known = before.as_ref();
    let is_known = known.is_some_and(|one| one.problems == now.problems);
    if let Some(served) = &mut now.served {
        now.refused = policy.restrict(&key.namespace, &mut served.spec.rules);
    }
    now.take_over(before);
    if !is_known && now.is_broken() {
        for problem in &now.problems {
            tracing::warn!("{problem}");
        }
    }
}
