//! Routes: what an InterceptorRoute means to the proxy and to the scaler.
//!
//! The same translation serves files and, later, API objects. It only
//! translates: whatever could be wrong was refused when the object was read.

mod bodies;
mod legacy;
mod responses;

pub use bodies::ConfigMaps;
pub use legacy::{Routed, Shadowed, with_http_scaled_objects};

use crate::manifest::{InterceptorRouteSpec, Object, RoutingRule};
use responses::Responses;

use http::{HeaderName, HeaderValue};
use proxy::{
    Target, TargetId,
    route::{Fallback, HeaderRule, Route, RouteSpec, Rule, Session, SessionKey, Timeouts},
};
use scaler::{DemandSource, RateTarget, TargetEntry, TargetScaling};
use std::sync::Arc;

/// The target of an InterceptorRoute.
#[must_use]
pub fn target_id(object: &Object<InterceptorRouteSpec>) -> TargetId {
    TargetId::new(&object.meta.namespace, &object.meta.name)
}

/// The entry for the proxy's route table. `fallback` is what the route's
/// fallback service was resolved to, `key` what its session cookies are made
/// with, `config_maps` where bodies may be.
#[must_use]
pub fn route_spec(
    object: &Object<InterceptorRouteSpec>,
    target: Arc<Target>,
    fallback: Option<Arc<Fallback>>,
    key: SessionKey,
    config_maps: &ConfigMaps,
) -> RouteSpec {
    let session = object.spec.session_persistence.as_ref().map(|wanted| {
        let cookie = wanted.cookie_name.as_deref();
        Session::new(target.id(), cookie, key, wanted.absolute_timeout)
    });
    let timeouts = &object.spec.timeouts;
    let timeouts = Timeouts {
        request: timeouts.request,
        response_header: timeouts.response_header,
        readiness: timeouts.readiness,
    };
    let responses = Responses {
        config_maps,
        namespace: &object.meta.namespace,
    };
    let route = Route {
        target,
        timeouts,
        cold_start: responses.cold_start(object.spec.cold_start.as_ref(), fallback),
        static_routes: responses.static_routes(&object.spec.static_routes),
        session,
    };
    RouteSpec {
        route: Arc::new(route),
        rules: object.spec.rules.iter().map(rule).collect(),
        created: object.meta.created.unwrap_or(0),
    }
}

fn rule(rule: &RoutingRule) -> Rule {
    let header = |wanted: &crate::manifest::HeaderMatch| HeaderRule {
        name: HeaderName::from_bytes(wanted.name.as_bytes())
            .expect("header names are checked when a route is read"),
        // A value that no request can carry matches no request.
        value: wanted
            .value
            .as_ref()
            .map(|value| HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("\t"))),
    };
    Rule {
        hosts: rule.hosts.clone(),
        paths: rule.paths.clone(),
        headers: rule.headers.iter().map(header).collect(),
    }
}

/// The entry for the scaler's ledger, under the name of `target`.
#[must_use]
pub fn target_entry(object: &Object<InterceptorRouteSpec>, target: Arc<Target>) -> TargetEntry {
    let metric = &object.spec.scaling_metric;
    let scaling = TargetScaling {
        concurrency: metric.concurrency,
        request_rate: metric.request_rate.as_ref().map(|rate| RateTarget {
            target_value: rate.target_value,
            window: rate.window,
            granularity: rate.granularity,
        }),
    };
    TargetEntry {
        id: target.id().clone(),
        source: Arc::new(TargetDemand(target)),
        scaling,
    }
}

/// A proxy target as the scaler reads it.
struct TargetDemand(Arc<Target>);

impl DemandSource for TargetDemand {
    fn totals(&self) -> proxy::Totals {
        self.0.totals()
    }

    fn held(&self) -> u64 {
        self.0.held() as u64
    }

    fn ready_endpoints(&self) -> usize {
        self.0.ready_endpoints()
    }

    fn target(&self) -> Option<&TargetId> {
        Some(self.0.id())
    }

    fn tell_of_next(&self) -> bool {
        self.0.tell_of_next();
        true
    }
}
