//! HTTPScaledObjects among the routes: which of them route, and which only lend their name to a
//! trigger.
//!
//! Called when a set of objects is applied. An InterceptorRoute wins over an HTTPScaledObject of its
//! name, as in the HTTP add-on.

use super::{target_entry, target_id};
use crate::manifest::{HttpScaledObjectSpec, InterceptorRouteSpec, Object};
use proxy::{Target, TargetId};
use scaler::{TargetEntry, http_scaled_object};
use std::{collections::HashSet, sync::Arc};

/// A route and the target that it makes.
pub type Routed = (TargetId, Object<InterceptorRouteSpec>);

/// HTTPScaledObjects whose name a route has.
#[derive(Debug, Default)]
pub struct Shadowed(Vec<Routed>);

/// All that routes: the InterceptorRoutes, and the HTTPScaledObjects that none of them shadows.
#[must_use]
pub fn with_http_scaled_objects(
    routes: Vec<Object<InterceptorRouteSpec>>,
    http_scaled_objects: &[Object<HttpScaledObjectSpec>],
) -> (Vec<Routed>, Shadowed) {
    let routes = routes.into_iter().map(|route| (target_id(&route), route));
    let mut routed: Vec<Routed> = routes.collect();
    let by_name: HashSet<TargetId> = routed.iter().map(|(id, _)| id.clone()).collect();
    let mut shadowed = Shadowed::default();
    for object in http_scaled_objects {
        let (namespace, name) = (&object.meta.namespace, &object.meta.name);
        let one = (
            http_scaled_object(namespace, name),
            object.interceptor_route(),
        );
        if by_name.contains(&TargetId::new(namespace, name)) {
            shadowed.0.push(one);
        } else {
            routed.push(one);
        }
    }
    (routed, shadowed)
}

impl Shadowed {
    /// Entries for the scaler's ledger: who asks for such an HTTPScaledObject is told what is asked
    /// of the route of its name, by its own metric. `target` finds that route's target.
    pub fn entries<'a>(
        &'a self,
        target: impl Fn(&TargetId) -> Option<Arc<Target>> + 'a,
    ) -> impl Iterator<Item = TargetEntry> + 'a {
        self.0.iter().filter_map(move |(id, route)| {
            let entry = target_entry(route, target(&target_id(route))?);
            Some(TargetEntry {
                id: id.clone(),
                ..entry
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse;
    use std::path::Path;

    #[test]
    fn a_route_shadows_the_http_scaled_object_of_its_name_alone() {
        let text = "\
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: web}
spec: {target: {service: web, port: 80}, scalingMetric: {concurrency: {targetValue: 1}}, rules: [{}]}
---
apiVersion: http.keda.sh/v1alpha1
kind: HTTPScaledObject
metadata: {name: web}
spec: {hosts: [a.test], scaleTargetRef: {name: web, service: web, port: 80}}
---
apiVersion: http.keda.sh/v1alpha1
kind: HTTPScaledObject
metadata: {name: other}
spec: {hosts: [b.test], scaleTargetRef: {service: web, port: 80}}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {name: web}
spec: {command: [web]}
";
        let manifests = parse("set.yaml", Path::new("/"), text);
        let http = manifests.http_scaled_objects;
        assert_eq!(http.len(), 2, "{:?}", manifests.problems);
        let (routed, shadowed) = with_http_scaled_objects(manifests.routes, &http);
        let ids: Vec<String> = routed.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(ids, ["default/web", "default/httpscaledobject/other"]);
        let ids: Vec<String> = shadowed.0.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(ids, ["default/httpscaledobject/web"]);
    }
}
