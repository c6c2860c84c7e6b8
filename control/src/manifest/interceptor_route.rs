//! `InterceptorRoute` (http.keda.sh/v1beta1): which requests go to which service, on what its
//! scaling is measured, and what happens while it sleeps.
//!
//! Decoded from files and from API objects alike. The messages of the CRD's own rules are kept
//! letter by letter: users and their tools know them. It must never refuse what the CRD accepts and
//! the add-on serves.

use std::time::Duration;

use super::decode::Field;
use super::names;
use super::response::{StaticResponse, StaticRoute};
use super::rule::RoutingRule;
use super::scaling_metric::ScalingMetric;

const ONE_PORT: &str = "exactly one of 'port' or 'portName' must be set";
const ONE_COLD_START: &str =
    "at least one of 'fallback', 'placeholder' or 'maxPendingRequests' must be set";
const OVERFLOW_PLACEHOLDER: &str = "'placeholder' must be set when 'overflow' is 'Placeholder'";

/// What an InterceptorRoute asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct InterceptorRouteSpec {
    /// Where its requests go: a Service, or locally a Process or Backend.
    pub target: ServicePort,
    /// Which requests; none: no traffic.
    pub rules: Vec<RoutingRule>,
    /// What its demand is measured by.
    pub scaling_metric: ScalingMetric,
    /// What happens to requests while the target is not ready; `None`: they are held.
    pub cold_start: Option<ColdStart>,
    /// Its own time limits.
    pub timeouts: Timeouts,
    /// Requests answered without the target; the first that matches wins.
    pub static_routes: Vec<StaticRoute>,
    /// Whether one client stays with one endpoint; `None`: it does not.
    pub session_persistence: Option<SessionPersistence>,
}

/// A service of the route's namespace and its port.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePort {
    /// Name of the service (`target.service`, and `name` inside a fallback).
    pub service: String,
    /// Its port. A local Process gives every replica its own, so there it has no meaning.
    pub port: PortRef,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortRef {
    /// By number, 1 to 65535.
    Number(u16),
    /// By name.
    Name(String),
}

/// What happens while the target has no ready endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct ColdStart {
    /// Serves requests whose wait ran out.
    pub fallback: Option<ServicePort>,
    /// Answers at once instead of holding.
    pub placeholder: Option<StaticResponse>,
    /// Held requests per route and replica of Reveille, at least 1; `None`: the global limit.
    pub max_pending_requests: Option<u32>,
    /// What a request over that limit gets.
    pub overflow: Overflow,
}

/// What a request over `maxPendingRequests` gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// 503 at once.
    Reject,
    /// The placeholder.
    Placeholder,
}

/// Time limits. `None`: the global setting; zero: none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeouts {
    /// The whole request, with the hold.
    pub request: Option<Duration>,
    /// From the request sent to the response's head, without the hold.
    pub response_header: Option<Duration>,
    /// The hold.
    pub readiness: Option<Duration>,
}

/// One client stays with one endpoint, by a cookie.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionPersistence {
    /// Greatest age of a session, at least 1 second; `None`: no limit.
    pub absolute_timeout: Option<Duration>,
    /// Name of the cookie; `None`: derived from the route.
    pub cookie_name: Option<String>,
}

impl InterceptorRouteSpec {
    /// Decodes `spec`. `None` only after an error was noted.
    pub fn decode(spec: &Field<'_>) -> Option<Self> {
        let fields = spec.map()?;
        let target = fields
            .required("target")
            .and_then(|field| ServicePort::decode(&field, "service"));
        let rules = match fields.optional("rules") {
            Some(field) => {
                let rules = RoutingRule::decode_list(&field);
                if field.list_is_empty() {
                    field.warning("no rules: this route receives no traffic");
                }
                rules
            }
            None => {
                fields.absent("rules", "no rules: this route receives no traffic");
                Vec::new()
            }
        };
        let scaling_metric = fields
            .required("scalingMetric")
            .and_then(|field| ScalingMetric::decode(&field));
        let cold_start = fields
            .optional("coldStart")
            .and_then(|field| ColdStart::decode(&field));
        let timeouts = fields
            .optional("timeouts")
            .and_then(|field| Timeouts::decode(&field))
            .unwrap_or_default();
        let static_routes = fields
            .optional("staticRoutes")
            .map(|field| field.list_of(|route| StaticRoute::decode(&route)))
            .unwrap_or_default();
        let session_persistence = fields
            .optional("sessionPersistence")
            .and_then(|field| SessionPersistence::decode(&field));
        fields.finish();
        Some(Self {
            target: target?,
            rules,
            scaling_metric: scaling_metric?,
            cold_start,
            timeouts,
            static_routes,
            session_persistence,
        })
    }
}

impl ServicePort {
    /// `name_field` is what the service's name is called: `service` in a target, `name` in a
    /// fallback.
    fn decode(service: &Field<'_>, name_field: &'static str) -> Option<Self> {
        let fields = service.map()?;
        let name = fields
            .required(name_field)
            .and_then(|field| field.non_empty());
        let number = fields.optional("port");
        let named = fields.optional("portName");
        fields.finish();
        let port = match (number, named) {
            (Some(number), None) => number.int(1..=65_535).map(PortRef::Number),
            (None, Some(named)) => named.non_empty().map(|name| PortRef::Name(name.to_owned())),
            _ => {
                service.error(ONE_PORT);
                None
            }
        };
        Some(Self {
            service: name?.to_owned(),
            port: port?,
        })
    }
}

impl ColdStart {
    fn decode(cold_start: &Field<'_>) -> Option<Self> {
        let fields = cold_start.map()?;
        let fallback_field = fields.optional("fallback");
        let placeholder_field = fields.optional("placeholder");
        let max_pending_field = fields.optional("maxPendingRequests");
        if fallback_field.is_none() && placeholder_field.is_none() && max_pending_field.is_none() {
            cold_start.error(ONE_COLD_START);
        }
        let overflow = match fields.optional("overflow") {
            Some(field) => field.choice(&[
                ("Reject", Overflow::Reject),
                ("Placeholder", Overflow::Placeholder),
            ]),
            None => Some(Overflow::Reject),
        };
        if overflow == Some(Overflow::Placeholder) && placeholder_field.is_none() {
            cold_start.error(OVERFLOW_PLACEHOLDER);
        }
        let fallback = fallback_field.and_then(|field| {
            let fields = field.map()?;
            let service = fields
                .required("service")
                .and_then(|field| ServicePort::decode(&field, "name"));
            fields.finish();
            service
        });
        let placeholder = placeholder_field.and_then(|field| {
            let fields = field.map()?;
            let response = fields
                .required("response")
                .and_then(|field| StaticResponse::decode(&field, 503));
            fields.finish();
            response
        });
        let max_pending_requests =
            max_pending_field.and_then(|field| field.int(1..=i64::from(i32::MAX)));
        fields.finish();
        Some(Self {
            fallback,
            placeholder,
            max_pending_requests,
            overflow: overflow?,
        })
    }
}

impl Timeouts {
    fn decode(timeouts: &Field<'_>) -> Option<Self> {
        let fields = timeouts.map()?;
        let limit = |name| fields.optional(name).and_then(|field| field.duration());
        let timeouts = Self {
            request: limit("request"),
            response_header: limit("responseHeader"),
            readiness: limit("readiness"),
        };
        fields.finish();
        Some(timeouts)
    }
}

impl SessionPersistence {
    fn decode(persistence: &Field<'_>) -> Option<Self> {
        let fields = persistence.map()?;
        if let Some(kind) = fields.required("type") {
            kind.choice(&[("Cookie", ())]);
        }
        let absolute_timeout = fields.optional("absoluteTimeout").and_then(|field| {
            let timeout = field.duration()?;
            if timeout < Duration::from_secs(1) {
                field.error("must be at least 1s");
            } else if timeout.subsec_nanos() > 0 {
                let seconds = timeout.as_secs();
                field.warning(format!("sessions count whole seconds: {seconds}s is used"));
            }
            Some(timeout)
        });
        let cookie_name = fields.optional("cookie").and_then(|field| {
            let fields = field.map()?;
            let name = fields
                .required("name")
                .and_then(|field| field.parse(names::cookie_name));
            fields.finish();
            name
        });
        fields.finish();
        Some(Self {
            absolute_timeout,
            cookie_name,
        })
    }
}
