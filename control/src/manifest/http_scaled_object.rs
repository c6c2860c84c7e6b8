//! `HTTPScaledObject` (http.keda.sh/v1alpha1): the HTTP add-on's former object, route and scaling in
//! one. Deprecated there; still understood, so that nobody has to rewrite manifests to migrate.
//!
//! Decoded for files and for API objects. `convert.rs` says what it stands for, purely;
//! `equivalent.rs` writes that down, with the scaler of `scaler.rs`. It must never accept what the add-on's operator refuses.

mod convert;
mod equivalent;
mod scaler;

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::decode::{Field, Fields};
use super::duration;
use super::interceptor_route::{PortRef, ServicePort};
use super::rule::{self, RoutingRule};
use super::scaling_metric::ScalingMetric;

pub use scaler::{AuthenticationRef, ScalerRef};

/// These fields are int32 in the add-on's CRD.
const INT32: i64 = i32::MAX as i64;

/// How long a request waits before it goes to the failover, where nothing is said.
const FAILOVER_AFTER: Duration = Duration::from_secs(30);

/// The add-on's own message (CEL).
const SOME_PORT: &str = "must define either the 'portName' or the 'port'";

/// Of an HTTPScaledObject: no ScaledObject is made of it.
const SKIP_SCALED_OBJECT: &str = "httpscaledobject.keda.sh/skip-scaledobject-creation";

/// What an HTTPScaledObject asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpScaledObjectSpec {
    /// Its hosts times its path prefixes, with its headers.
    pub rule: RoutingRule,
    /// What is scaled; `None`: it names nothing, and nothing can be scaled.
    pub workload: Option<String>,
    /// API version of the workload; KEDA assumes `apps/v1`.
    pub workload_api_version: Option<String>,
    /// Kind of the workload; KEDA assumes `Deployment`.
    pub workload_kind: Option<String>,
    /// Where its requests go.
    pub service: ServicePort,
    /// Who serves requests whose wait ran out, and how long they wait.
    pub failover: Option<(ServicePort, Duration)>,
    /// Fewest replicas; `None`: KEDA's default, 0.
    pub min_replicas: Option<u32>,
    /// Most replicas; `None`: KEDA's default, 100.
    pub max_replicas: Option<u32>,
    /// Quiet time before scaling to zero; `None`: KEDA's default, 300 s.
    pub scaledown_period: Option<Duration>,
    /// Time after creation in which nothing is scaled to zero; `None`: KEDA's default, 0.
    pub initial_cooldown_period: Option<Duration>,
    /// One metric: what is set, or concurrency with `targetPendingRequests`, or that with 100.
    pub scaling_metric: ScalingMetric,
    /// Limit of the hold; `None`: the global setting.
    pub condition_wait: Option<Duration>,
    /// Limit from the request sent to the response's head; `None`: the global setting.
    pub response_header: Option<Duration>,
}

impl HttpScaledObjectSpec {
    /// Decodes `spec`. `None` only after an error was noted.
    pub fn decode(spec: &Field<'_>) -> Option<Self> {
        let fields = spec.map()?;
        let rule = RoutingRule {
            hosts: list(&fields, "hosts", rule::hosts),
            paths: list(&fields, "pathPrefixes", |field| {
                field.list_of(|path| path.string().map(str::to_owned))
            }),
            headers: list(&fields, "headers", rule::headers),
        };
        let target = fields
            .required("scaleTargetRef")
            .and_then(|field| Target::decode(&field));
        let failover = fields
            .optional("coldStartTimeoutFailoverRef")
            .and_then(|field| failover(&field));
        let (min_replicas, max_replicas) = fields
            .optional("replicas")
            .map_or((None, None), |field| replicas(&field));
        let seconds = |name| {
            let field: Field<'_> = fields.optional(name)?;
            field.seconds(0..=INT32)
        };
        let scaledown_period = seconds("scaledownPeriod");
        let initial_cooldown_period = seconds("initialCooldownPeriod");
        let pending = fields
            .optional("targetPendingRequests")
            .and_then(|field| field.int(1..=INT32));
        let scaling_metric = match fields.optional("scalingMetric") {
            Some(field) => ScalingMetric::decode_http_scaled_object(&field, pending),
            None => Some(ScalingMetric::of_pending_requests(pending)),
        };
        let (condition_wait, response_header) = fields
            .optional("timeouts")
            .map_or((None, None), |field| timeouts(&field));
        fields.finish();
        let target = target?;
        Some(Self {
            rule,
            workload: target.name,
            workload_api_version: target.api_version,
            workload_kind: target.kind,
            service: target.service,
            failover,
            min_replicas,
            max_replicas,
            scaledown_period,
            initial_cooldown_period,
            scaling_metric: scaling_metric?,
            condition_wait,
            response_header,
        })
    }
}

/// `scaleTargetRef`: what is scaled, and the service in front of it.
struct Target {
    name: Option<String>,
    api_version: Option<String>,
    kind: Option<String>,
    service: ServicePort,
}

impl Target {
    fn decode(target: &Field<'_>) -> Option<Self> {
        let fields = target.map()?;
        let text = |name| {
            let field: Field<'_> = fields.optional(name)?;
            field.string().filter(|text| !text.is_empty())
        };
        let (name, api_version, kind) = (text("name"), text("apiVersion"), text("kind"));
        let service = service(target, &fields);
        fields.finish();
        Some(Self {
            name: name.map(str::to_owned),
            api_version: api_version.map(str::to_owned),
            kind: kind.map(str::to_owned),
            service: service?,
        })
    }
}

/// `service` with `port` or `portName`.
fn service(owner: &Field<'_>, fields: &Fields<'_>) -> Option<ServicePort> {
    let service = fields
        .required("service")
        .and_then(|field| field.non_empty());
    let port = match (fields.optional("port"), fields.optional("portName")) {
        (Some(number), None) => number.int(1..=65_535).map(PortRef::Number),
        (None, Some(name)) => name.non_empty().map(|name| PortRef::Name(name.to_owned())),
        _ => {
            owner.error(SOME_PORT);
            None
        }
    };
    Some(ServicePort {
        service: service?.to_owned(),
        port: port?,
    })
}

fn failover(failover: &Field<'_>) -> Option<(ServicePort, Duration)> {
    let fields = failover.map()?;
    let after = match fields.optional("timeoutSeconds") {
        Some(field) => field.seconds(0..=INT32)?,
        None => FAILOVER_AFTER,
    };
    let service = service(failover, &fields);
    fields.finish();
    Some((service?, after))
}

fn replicas(replicas: &Field<'_>) -> (Option<u32>, Option<u32>) {
    let Some(fields) = replicas.map() else {
        return (None, None);
    };
    let count = |name, least| {
        let field: Field<'_> = fields.optional(name)?;
        field.int(least..=INT32)
    };
    let (min, max): (Option<u32>, Option<u32>) = (count("min", 0), count("max", 1));
    if let (Some(least), Some(most)) = (min, max)
        && least > most
    {
        replicas.error(format!(
            "min must not be more than max ({most}), but is {least}"
        ));
    }
    fields.finish();
    (min, max)
}

/// Zero is the global setting, as if nothing was said.
fn timeouts(timeouts: &Field<'_>) -> (Option<Duration>, Option<Duration>) {
    let Some(fields) = timeouts.map() else {
        return (None, None);
    };
    let limit = |name| {
        let field: Field<'_> = fields.optional(name)?;
        field.duration().filter(|limit| !limit.is_zero())
    };
    let limits = (limit("conditionWait"), limit("responseHeader"));
    fields.finish();
    limits
}

fn list<T>(
    fields: &Fields<'_>,
    name: &'static str,
    decode: impl FnOnce(&Field<'_>) -> Vec<T>,
) -> Vec<T> {
    let field = fields.optional(name);
    field.map(|field| decode(&field)).unwrap_or_default()
}
