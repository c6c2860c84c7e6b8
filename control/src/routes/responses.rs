//! Answers that a route gives itself, and what it wants for cold starts: from
//! how they are written to how the proxy gives them.

use super::{
    bodies::{ConfigMaps, content_type},
    rule,
};
use crate::manifest;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use proxy::route::{
    ColdStart, Fallback, Overflow, ResponseMode, Rule, StaticResponse, StaticRoute,
};
use std::sync::Arc;

/// Translates the answers of one route.
pub(super) struct Responses<'a> {
    /// Where bodies may be.
    pub(super) config_maps: &'a ConfigMaps,
    /// The route's.
    pub(super) namespace: &'a str,
}

impl Responses<'_> {
    pub(super) fn cold_start(
        &self,
        wanted: Option<&manifest::ColdStart>,
        fallback: Option<Arc<Fallback>>,
    ) -> ColdStart {
        let Some(wanted) = wanted else {
            return ColdStart::default();
        };
        let placeholder = wanted.placeholder.as_ref();
        ColdStart {
            fallback,
            placeholder: placeholder.map(|response| self.response(response)),
            max_pending: wanted.max_pending_requests.map(u64::from),
            overflow: match wanted.overflow {
                manifest::Overflow::Reject => Overflow::Reject,
                manifest::Overflow::Placeholder => Overflow::Placeholder,
            },
        }
    }

    pub(super) fn static_routes(&self, wanted: &[manifest::StaticRoute]) -> Vec<StaticRoute> {
        let one = |wanted: &manifest::StaticRoute| {
            let rules: Vec<Rule> = wanted.rules.iter().map(rule).collect();
            let mode = match wanted.mode {
                manifest::ResponseMode::Always => ResponseMode::Always,
                manifest::ResponseMode::WhenUnavailable => ResponseMode::WhenUnavailable,
            };
            StaticRoute::new(&rules, self.response(&wanted.response), mode)
        };
        wanted.iter().map(one).collect()
    }

    fn response(&self, wanted: &manifest::StaticResponse) -> Arc<StaticResponse> {
        let response = if let Some(reference) = &wanted.body_from_config_map {
            self.config_map(wanted, reference)
        } else if let Some(file) = &wanted.body_from_file {
            let body = file.body.as_ref();
            body.map(|body| with_body(wanted, &file.path, body.clone()))
        } else {
            let body = wanted.body.clone().unwrap_or_default();
            Some(with_body(wanted, "", body))
        };
        Arc::new(response.unwrap_or_else(missing_body))
    }

    /// With a key, that body. Without, the body whose key is the request's
    /// path, or none. Nothing if the ConfigMap or the key is not there.
    fn config_map(
        &self,
        wanted: &manifest::StaticResponse,
        reference: &manifest::ConfigMapRef,
    ) -> Option<StaticResponse> {
        let map = self.config_maps.get(self.namespace, &reference.name)?;
        if let Some(key) = &reference.key {
            let body = map.bodies.get(key)?;
            return Some(with_body(wanted, key, body.clone()));
        }
        let page = |(key, body): (&String, &Vec<u8>)| {
            let page = with_body(wanted, key, body.clone());
            (key.clone(), Arc::new(page))
        };
        Some(StaticResponse {
            by_path: map.bodies.iter().map(page).collect(),
            ..with_body(wanted, "", Bytes::new())
        })
    }
}

/// The answer with this body; the extension of `name` says what it is, unless
/// the answer's own headers do.
fn with_body(
    wanted: &manifest::StaticResponse,
    name: &str,
    body: impl Into<Bytes>,
) -> StaticResponse {
    let mut headers: HeaderMap = wanted
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        })
        .collect();
    if !headers.contains_key(header::CONTENT_TYPE)
        && let Some(known) = content_type(name)
    {
        headers.insert(header::CONTENT_TYPE, known);
    }
    StaticResponse {
        status: StatusCode::from_u16(wanted.status_code)
            .expect("status codes are checked when a route is read"),
        headers,
        body: body.into(),
        ..StaticResponse::default()
    }
}

/// A body that is not there gives 500, as in the HTTP add-on.
fn missing_body() -> StaticResponse {
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    StaticResponse {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, text)]),
        body: "Internal Server Error\n".into(),
        ..StaticResponse::default()
    }
}
