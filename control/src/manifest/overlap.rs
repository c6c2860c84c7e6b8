//! Routes that claim the very same requests: only one of them can have them.
//!
//! Called by `cross`, and by Kubernetes mode for the status of routes. Who wins is decided as the
//! router decides it (the add-on's precedence): the oldest `creationTimestamp`, then the higher namespace, then the higher name. Objects without a
//! timestamp, as in files, count as the oldest: that is where the add-on sorts a missing time.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::fmt;

use super::draft::Draft;
use super::host;
use super::interceptor_route::InterceptorRouteSpec;
use super::kind::Kind;
use super::meta::{Object, ObjectMeta};
use super::problem::Problem;
use super::rule::{HeaderMatch, RoutingRule};

/// Pairs that are looked at over all routes. A check for a warning must not take longer than
/// everything else; what a person writes stays far below.
const MAX_PAIRS: usize = 200_000;

/// Who wins, for people.
pub const WHO_WINS: &str =
    "the oldest creationTimestamp goes first, then the higher namespace, then the higher name";

type Route = Draft<InterceptorRouteSpec>;

/// Host, path and headers, normalised: two equal claims are for the same requests.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Claim {
    host: String,
    path: String,
    headers: Vec<(String, Option<String>)>,
}

/// Where a claim stands.
#[derive(Clone, Copy)]
struct Place {
    route: usize,
    rule: usize,
}

/// Requests that a route claims and does not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The route, by its place among those that were given.
    pub route: usize,
    /// Which of its rules claims them first.
    pub rule: usize,
    /// The route that gets them.
    pub winner: usize,
    /// The rule of it that does.
    pub winner_rule: usize,
    /// Host, path, and whether it is about headers.
    pub requests: String,
}

/// One entry for each route and each other one that takes requests from it.
#[must_use]
pub fn lost(routes: &[&Object<InterceptorRouteSpec>]) -> Vec<Lost> {
    let mut order: Vec<usize> = (0..routes.len()).collect();
    order.sort_by_cached_key(|&index| precedence(&routes[index].meta));
    let mut winners: HashMap<Claim, Place> = HashMap::new();
    let mut told: HashSet<(usize, usize)> = HashSet::new();
    let mut all = Vec::new();
    let mut pairs = 0;
    for route in order {
        for (rule, routing) in routes[route].spec.rules.iter().enumerate() {
            for claim in claims(routing) {
                pairs += 1;
                if pairs > MAX_PAIRS {
                    return all;
                }
                // In order of precedence, so whoever is there first wins.
                let winner = *winners
                    .entry(claim.clone())
                    .or_insert(Place { route, rule });
                if winner.route != route && told.insert((route, winner.route)) {
                    all.push(Lost {
                        route,
                        rule,
                        winner: winner.route,
                        winner_rule: winner.rule,
                        requests: claim.to_string(),
                    });
                }
            }
        }
    }
    all
}

/// One warning for each route that loses requests to another one.
pub(super) fn find(routes: &[Route]) -> Vec<Problem> {
    let objects: Vec<_> = routes.iter().map(|route| &route.object).collect();
    let warning = |lost: Lost| {
        let (route, winner) = (&routes[lost.route], &routes[lost.winner]);
        let message = format!(
            "{} is claimed by {} of {} ({}) too, which wins: {WHO_WINS}",
            lost.requests,
            rule_path(winner, lost.winner_rule),
            winner.label(),
            winner.place()
        );
        route.warning(&rule_path(route, lost.rule), message)
    };
    lost(&objects).into_iter().map(warning).collect()
}

/// Where a rule stands; an HTTPScaledObject is one.
fn rule_path(route: &Route, rule: usize) -> String {
    match route.kind {
        Kind::HttpScaledObject => "spec".to_owned(),
        _ => format!("spec.rules[{rule}]"),
    }
}

/// Smaller goes first.
fn precedence(meta: &ObjectMeta) -> impl Ord + use<> {
    (
        meta.created.unwrap_or(0),
        Reverse((meta.namespace.clone(), meta.name.clone())),
    )
}

fn claims(rule: &RoutingRule) -> impl Iterator<Item = Claim> {
    let any = [String::new()];
    let or_any = |list: &[String]| {
        if list.is_empty() {
            any.to_vec()
        } else {
            list.to_vec()
        }
    };
    let paths: Vec<String> = or_any(&rule.paths)
        .iter()
        .map(|path| path.trim_matches('/').to_owned())
        .collect();
    let headers = headers(&rule.headers);
    or_any(&rule.hosts).into_iter().flat_map(move |host| {
        let host = host::normalize(&host);
        let headers = headers.clone();
        let claim = move |path| Claim {
            host: host.clone(),
            path,
            headers: headers.clone(),
        };
        paths.clone().into_iter().map(claim)
    })
}

fn headers(headers: &[HeaderMatch]) -> Vec<(String, Option<String>)> {
    let mut headers: Vec<_> = headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), header.value.clone()))
        .collect();
    headers.sort();
    headers
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match self.host.as_str() {
            "" => "any host",
            host => host,
        };
        let headers = if self.headers.is_empty() {
            ""
        } else {
            " with the same headers"
        };
        write!(f, "{host} /{}{headers}", self.path)
    }
}
