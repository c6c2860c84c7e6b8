//! Responses that are written in a manifest, and the static routes that give them.
//!
//! Decoded for `interceptor_route`: a placeholder while nothing is ready, and `staticRoutes`.

use std::collections::BTreeMap;

use super::body_file::FileBody;
use super::decode::Field;
use super::names;
use super::rule::RoutingRule;

/// Longest body in characters, as in the CRD.
const MAX_BODY: usize = 32_768;

/// A response that needs no backend.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticResponse {
    /// Status code, 100 to 599. Left out: 503 for a placeholder, 200 for a static route.
    pub status_code: u16,
    /// The body itself.
    pub body: Option<String>,
    /// Or where the body is.
    pub body_from_config_map: Option<ConfigMapRef>,
    /// Or, in local mode, the file that it is in.
    pub body_from_file: Option<FileBody>,
    /// Headers to send with it; names as written.
    pub headers: BTreeMap<String, String>,
}

/// A key of a ConfigMap in the route's namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigMapRef {
    /// The ConfigMap.
    pub name: String,
    /// The key; `None`: derived from the request's path.
    pub key: Option<String>,
}

/// Requests that are answered without a backend.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticRoute {
    /// Which requests; one rule must match.
    pub rules: Vec<RoutingRule>,
    /// The answer.
    pub response: StaticResponse,
    /// When it is given.
    pub mode: ResponseMode,
}

/// When a static route answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseMode {
    /// Whether or not the target is up.
    Always,
    /// Only while the target has no ready endpoint.
    WhenUnavailable,
}

impl StaticResponse {
    /// Decodes a response; `default_status` is its status code where it names none.
    pub fn decode(response: &Field<'_>, default_status: u16) -> Option<Self> {
        let fields = response.map()?;
        let status_code = match fields.optional("statusCode") {
            Some(field) => field.int(100..=599),
            None => Some(default_status),
        };
        let body_field = fields.optional("body");
        let config_map_field = fields.optional("bodyFromConfigMap");
        if body_field.is_some() && config_map_field.is_some() {
            response.error("at most one of 'body' or 'bodyFromConfigMap' may be set");
        }
        let file_field = fields.optional("bodyFromFile");
        if file_field.is_some() && (body_field.is_some() || config_map_field.is_some()) {
            response
                .error("at most one of 'body', 'bodyFromConfigMap' or 'bodyFromFile' may be set");
        }
        let body = body_field.and_then(|field| body(&field));
        let body_from_config_map = config_map_field.and_then(|field| config_map(&field));
        let body_from_file = file_field.and_then(|field| FileBody::decode(&field));
        let headers = fields
            .optional("headers")
            .map(|field| headers(&field))
            .unwrap_or_default();
        fields.finish();
        Some(Self {
            status_code: status_code?,
            body,
            body_from_config_map,
            body_from_file,
            headers,
        })
    }
}

impl StaticRoute {
    /// Decodes one item of `staticRoutes`.
    pub fn decode(route: &Field<'_>) -> Option<Self> {
        let fields = route.map()?;
        let rules = fields.required("rules").map(|field| {
            let rules = RoutingRule::decode_list(&field);
            if field.list_is_empty() {
                field.error("must have at least one rule ({} matches all requests)");
            }
            rules
        });
        let response = fields
            .required("response")
            .and_then(|field| StaticResponse::decode(&field, 200));
        let mode = match fields.optional("responseMode") {
            Some(field) => field.choice(&[
                ("Always", ResponseMode::Always),
                ("WhenUnavailable", ResponseMode::WhenUnavailable),
            ]),
            None => Some(ResponseMode::WhenUnavailable),
        };
        fields.finish();
        Some(Self {
            rules: rules?,
            response: response?,
            mode: mode?,
        })
    }
}

fn body(field: &Field<'_>) -> Option<String> {
    let body = field.string()?;
    let length = body.chars().count();
    if length > MAX_BODY {
        field.error(format!(
            "must be at most {MAX_BODY} characters long, not {length}"
        ));
    }
    Some(body.to_owned())
}

fn config_map(reference: &Field<'_>) -> Option<ConfigMapRef> {
    let fields = reference.map()?;
    let name = fields.required("name").and_then(|field| field.non_empty());
    let key = fields
        .optional("key")
        .and_then(|field| field.string().map(str::to_owned));
    fields.finish();
    Some(ConfigMapRef {
        name: name?.to_owned(),
        key,
    })
}

fn headers(map: &Field<'_>) -> BTreeMap<String, String> {
    let mut seen = std::collections::HashSet::new();
    let mut headers = BTreeMap::new();
    for (name, field) in map.entries().unwrap_or_default() {
        if let Err(message) = names::header_name(name) {
            field.error(message);
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            field.error(format!("{name:?} is set twice: header names ignore case"));
        }
        if let Some(value) = field.parse(names::header_value) {
            headers.insert(name.to_owned(), value);
        }
    }
    headers
}
