//! Answers that a route gives itself, and what it wants for cold starts: from
//! how they are written to how the proxy gives them.

use super::rule;
use crate::manifest;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use proxy::route::{
    ColdStart, Fallback, Overflow, ResponseMode, Rule, StaticResponse, StaticRoute,
};
use std::sync::Arc;

pub(super) fn cold_start(
    wanted: Option<&manifest::ColdStart>,
    fallback: Option<Arc<Fallback>>,
) -> ColdStart {
    let Some(wanted) = wanted else {
        return ColdStart::default();
    };
    ColdStart {
        fallback,
        placeholder: wanted.placeholder.as_ref().map(response),
        max_pending: wanted.max_pending_requests.map(u64::from),
        overflow: match wanted.overflow {
            manifest::Overflow::Reject => Overflow::Reject,
            manifest::Overflow::Placeholder => Overflow::Placeholder,
        },
    }
}

pub(super) fn static_routes(wanted: &[manifest::StaticRoute]) -> Vec<StaticRoute> {
    let one = |wanted: &manifest::StaticRoute| {
        let rules: Vec<Rule> = wanted.rules.iter().map(rule).collect();
        let mode = match wanted.mode {
            manifest::ResponseMode::Always => ResponseMode::Always,
            manifest::ResponseMode::WhenUnavailable => ResponseMode::WhenUnavailable,
        };
        StaticRoute::new(&rules, response(&wanted.response), mode)
    };
    wanted.iter().map(one).collect()
}

/// A body from a ConfigMap that is not there gives 500, as in the HTTP
/// add-on; there are no ConfigMaps here yet.
fn response(wanted: &manifest::StaticResponse) -> Arc<StaticResponse> {
    if wanted.body_from_config_map.is_some() {
        return Arc::new(missing_body());
    }
    let headers: HeaderMap = wanted
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        })
        .collect();
    Arc::new(StaticResponse {
        status: StatusCode::from_u16(wanted.status_code)
            .expect("status codes are checked when a route is read"),
        headers,
        body: wanted.body.clone().unwrap_or_default().into(),
    })
}

fn missing_body() -> StaticResponse {
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    StaticResponse {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, text)]),
        body: "Internal Server Error\n".into(),
    }
}
