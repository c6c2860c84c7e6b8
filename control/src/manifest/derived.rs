//! What HTTPScaledObjects add to a set of manifests: the route and the ScaledObject that each of
//! them stands for.
//!
//! Called by `cross` before its checks, so that they look at these objects as at any other. An
//! object that the user wrote out always wins over one that is made here.

use std::collections::HashMap;

use super::draft::{Draft, Drafts};
use super::kind::Kind;
use super::scaled_object::ScaledObjectSpec;

/// In local mode nobody dials it.
const SCALER_ADDRESS: &str = "reveille-scaler.keda:9090";

/// Adds what the HTTPScaledObjects of `drafts` stand for, and notes what does not come to be.
pub(super) fn add(drafts: &mut Drafts) {
    let routes: HashMap<(&str, &str), String> = drafts
        .routes
        .iter()
        .map(|route| (route.id(), route.place()))
        .collect();
    let named: HashMap<(&str, &str), &Draft<ScaledObjectSpec>> = drafts
        .scaled_objects
        .iter()
        .map(|draft| (draft.id(), draft))
        .collect();
    let scaling: HashMap<(&str, &str), &Draft<ScaledObjectSpec>> = drafts
        .scaled_objects
        .iter()
        .map(|draft| {
            let workload = draft.object.spec.scale_target_ref.name.as_str();
            ((draft.namespace(), workload), draft)
        })
        .collect();
    let (mut new_routes, mut new_scaled, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for draft in &drafts.http_scaled_objects {
        problems.push(draft.warning(
            "kind",
            "HTTPScaledObject is deprecated and goes with the HTTP add-on's v1: `reveille check` \
             prints what to write instead"
                .to_owned(),
        ));
        if let Some(place) = routes.get(&draft.id()) {
            let message = format!(
                "the InterceptorRoute of the same name ({place}) wins: this one routes nothing"
            );
            problems.push(draft.warning("metadata.name", message));
        } else {
            new_routes.push(Draft {
                kind: Kind::HttpScaledObject,
                object: draft.object.interceptor_route(),
                root: draft.root.clone(),
            });
        }
        let Some(made) = draft.object.scaled_object(SCALER_ADDRESS) else {
            if draft.object.spec.workload.is_none() {
                let message = "is not there: nothing is scaled".to_owned();
                problems.push(draft.warning("spec.scaleTargetRef.name", message));
            }
            continue;
        };
        let workload = (draft.namespace(), made.spec.scale_target_ref.name.as_str());
        let other = named.get(&draft.id()).or_else(|| scaling.get(&workload));
        if let Some(other) = other {
            let message = format!(
                "{} ({}) is used, none is made of this object",
                other.label(),
                other.place()
            );
            problems.push(draft.warning("", message));
        } else {
            new_scaled.push(Draft {
                kind: Kind::HttpScaledObject,
                object: made,
                root: draft.root.clone(),
            });
        }
    }
    drafts.routes.extend(new_routes);
    drafts.scaled_objects.extend(new_scaled);
    drafts.problems.extend(problems);
}
