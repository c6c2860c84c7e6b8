//! Routing rules: which requests a route, or a static route inside it, is for.
//!
//! Decoded for `interceptor_route`, `response` and compared by `overlap`. It must never change what
//! was written: normalising is for the router.

use super::decode::Field;
use super::host;
use super::names;

/// Hosts times paths of all rules of one route. More would make one object weigh as much as the
/// ten thousand routes that Reveille is built for.
const MAX_PAIRS: usize = 10_000;

/// One alternative: some host and some path and all headers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoutingRule {
    /// Exact hosts, `*.suffix`, or `*` or empty for any; none: any host. As written.
    pub hosts: Vec<String>,
    /// Prefixes by whole path segments; none: any path. As written.
    pub paths: Vec<String>,
    /// Headers that must all match.
    pub headers: Vec<HeaderMatch>,
}

/// A header that a request must have.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderMatch {
    /// Name, compared without regard to case.
    pub name: String,
    /// Exact value, even the empty one; `None`: any value.
    pub value: Option<String>,
}

impl RoutingRule {
    /// Decodes a list of rules.
    pub fn decode_list(rules: &Field<'_>) -> Vec<Self> {
        let decoded = rules.list_of(|rule| Self::decode(&rule));
        let pairs: usize = decoded
            .iter()
            .map(|rule| rule.hosts.len().max(1) * rule.paths.len().max(1))
            .sum();
        if pairs > MAX_PAIRS {
            rules.error(format!(
                "has {pairs} combinations of host and path; at most {MAX_PAIRS} are allowed"
            ));
        }
        decoded
    }

    fn decode(rule: &Field<'_>) -> Option<Self> {
        let fields = rule.map()?;
        let hosts = fields
            .optional("hosts")
            .map(|field| hosts(&field))
            .unwrap_or_default();
        let paths = fields
            .optional("paths")
            .map(|field| field.list_of(|path| path_value(&path)))
            .unwrap_or_default();
        let headers = fields
            .optional("headers")
            .map(|field| headers(&field))
            .unwrap_or_default();
        fields.finish();
        Some(Self {
            hosts,
            paths,
            headers,
        })
    }
}

/// A set in the CRD: an API server refuses a host that is listed twice.
pub(super) fn hosts(list: &Field<'_>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    list.list_of(|field| {
        let host = field.parse(host::check)?;
        if !seen.insert(host.clone()) {
            field.error(format!("{host:?} is listed twice"));
        }
        Some(host)
    })
}

fn path_value(path: &Field<'_>) -> Option<String> {
    let fields = path.map()?;
    let value = fields.required("value").and_then(|field| field.non_empty());
    fields.finish();
    value.map(str::to_owned)
}

/// Headers by name, each once.
pub(super) fn headers(list: &Field<'_>) -> Vec<HeaderMatch> {
    let mut seen = std::collections::HashSet::new();
    list.list_of(|header| {
        let fields = header.map()?;
        let name_field = fields.required("name");
        let name = name_field
            .as_ref()
            .and_then(|field| field.parse(names::header_name));
        let value = fields
            .optional("value")
            .and_then(|field| field.string().map(str::to_owned));
        fields.finish();
        let (field, name) = (name_field?, name?);
        if !seen.insert(name.to_ascii_lowercase()) {
            field.error(format!(
                "{name:?} is listed twice: header names ignore case"
            ));
        }
        Some(HeaderMatch { name, value })
    })
}
