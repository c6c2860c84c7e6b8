//! Static routes: requests of a route that are answered without its target,
//! always or while nobody serves it. They are no demand and wake nobody.

use super::{HeaderRule, Rule, StaticResponse, host, path};
use ::http::HeaderMap;
use std::sync::Arc;

/// When a static route answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseMode {
    /// Whether the target is awake or not.
    Always,
    /// Only while no endpoint is ready; otherwise the request goes there.
    WhenUnavailable,
}

/// Requests that a route answers itself.
#[derive(Debug)]
pub struct StaticRoute {
    conditions: Vec<Condition>,
    /// The answer.
    pub response: Arc<StaticResponse>,
    /// When it is given.
    pub mode: ResponseMode,
}

/// A rule in the form in which it is compared.
#[derive(Debug)]
struct Condition {
    hosts: Vec<Box<str>>,
    paths: Vec<Box<str>>,
    headers: Vec<HeaderRule>,
}

impl StaticRoute {
    /// Answers the requests that any of `rules` matches, by the same reading
    /// of hosts, paths and headers as the route table's.
    #[must_use]
    pub fn new(rules: &[Rule], response: Arc<StaticResponse>, mode: ResponseMode) -> Self {
        Self {
            conditions: rules.iter().map(Condition::new).collect(),
            response,
            mode,
        }
    }

    /// The path prefixes of the requests that it may answer, each without
    /// leading and trailing slashes; empty: all paths.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.conditions.iter().flat_map(|condition| {
            let all = condition.paths.is_empty().then_some("");
            condition.paths.iter().map(|path| &**path).chain(all)
        })
    }

    pub(super) fn matches(&self, host: Option<&str>, path: &str, headers: &HeaderMap) -> bool {
        self.conditions
            .iter()
            .any(|condition| condition.matches(host, path, headers))
    }
}

impl Condition {
    fn new(rule: &Rule) -> Self {
        let host = |written: &String| {
            let mut buffer = [0; host::LONGEST];
            host::normalise(written, &mut buffer)
                .unwrap_or(written)
                .into()
        };
        Self {
            hosts: rule.hosts.iter().map(host).collect(),
            paths: rule
                .paths
                .iter()
                .map(|path| path.trim_matches('/').into())
                .collect(),
            headers: rule.headers.clone(),
        }
    }

    fn matches(&self, host: Option<&str>, path: &str, headers: &HeaderMap) -> bool {
        let any = |all: &[Box<str>], one: &dyn Fn(&str) -> bool| {
            all.is_empty() || all.iter().any(|item| one(item))
        };
        any(&self.hosts, &|rule| host::rule_matches(rule, host))
            && any(&self.paths, &|prefix| {
                path::starts_with_segments(path, prefix)
            })
            && self.headers.iter().all(|rule| rule.matches(headers))
    }
}

/// The first static route that answers a request.
pub(super) fn find<'r>(
    routes: &'r [StaticRoute],
    authority: &str,
    path: &str,
    headers: &HeaderMap,
) -> Option<&'r StaticRoute> {
    if routes.is_empty() {
        return None;
    }
    let mut buffer = [0; host::LONGEST];
    let host = host::normalise(authority, &mut buffer);
    let path = path::normalise(path);
    routes
        .iter()
        .find(|route| route.matches(host, &path, headers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::StatusCode;

    fn route(hosts: &[&str], paths: &[&str], mode: ResponseMode) -> StaticRoute {
        let rule = Rule {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            paths: paths.iter().map(|&path| path.to_owned()).collect(),
            headers: vec![],
        };
        let response = StaticResponse {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            ..StaticResponse::default()
        };
        StaticRoute::new(&[rule], Arc::new(response), mode)
    }

    #[test]
    fn hosts_and_paths_are_read_as_in_the_route_table() {
        let all = |host: &str, path: &str, hosts: &[&str], paths: &[&str]| {
            let routes = [route(hosts, paths, ResponseMode::Always)];
            find(&routes, host, path, &HeaderMap::new()).is_some()
        };
        assert!(all("anything", "/x", &[], &[]));
        assert!(all("A.Test:80", "/healthz/", &["a.test"], &["/healthz"]));
        assert!(all(
            "a.test",
            "/healthz/live",
            &["a.test:8080"],
            &["healthz"]
        ));
        assert!(!all("a.test", "/healthzz", &[], &["/healthz"]));
        assert!(all("x.y.test", "/", &["*.test"], &["/"]));
        assert!(!all("test", "/", &["*.test"], &[]));
        assert!(all("b.test", "/", &["a.test", "*"], &[]));
        assert!(!all("b.test", "/", &["a.test"], &[]));
    }

    #[test]
    fn the_first_in_the_list_wins() {
        let routes = [
            route(&[], &["/a"], ResponseMode::WhenUnavailable),
            route(&[], &[], ResponseMode::Always),
        ];
        let mode = |path| find(&routes, "h", path, &HeaderMap::new()).map(|route| route.mode);
        assert_eq!(mode("/a/b"), Some(ResponseMode::WhenUnavailable));
        assert_eq!(mode("/b"), Some(ResponseMode::Always));
    }
}
