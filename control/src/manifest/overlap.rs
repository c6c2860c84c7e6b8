//! Routes that claim the very same requests: only one of them can have them.
//!
//! Called by `cross`. Who wins is decided as the router decides it (the add-on's precedence): the
//! oldest `creationTimestamp`, then the higher namespace, then the higher name. Objects without a
//! timestamp, as in files, count as the oldest: that is where the add-on sorts a missing time.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::draft::Draft;
use super::host;
use super::interceptor_route::InterceptorRouteSpec;
use super::kind::Kind;
use super::problem::Problem;
use super::rule::{HeaderMatch, RoutingRule};

/// Pairs that are looked at over all routes. A check for a warning must not take longer than
/// everything else; what a person writes stays far below.
const MAX_PAIRS: usize = 200_000;

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

/// One warning for each route that loses requests to another one.
pub(super) fn find(routes: &[Route]) -> Vec<Problem> {
    let mut order: Vec<usize> = (0..routes.len()).collect();
    order.sort_by_key(|&index| precedence(&routes[index]));
    let mut winners: HashMap<Claim, Place> = HashMap::new();
    let mut warned: HashSet<(usize, usize)> = HashSet::new();
    let mut problems = Vec::new();
    let mut pairs = 0;
    for route in order {
        for (rule, routing) in routes[route].object.spec.rules.iter().enumerate() {
            for claim in claims(routing) {
                pairs += 1;
                if pairs > MAX_PAIRS {
                    return problems;
                }
                // In order of precedence, so whoever is there first wins.
                let winner = *winners
                    .entry(claim.clone())
                    .or_insert(Place { route, rule });
                if winner.route != route && warned.insert((route, winner.route)) {
                    let path = rule_path(&routes[route], rule);
                    let message = message(&claim, routes, winner);
                    problems.push(routes[route].warning(&path, message));
                }
            }
        }
    }
    problems
}

/// Where a rule stands; an HTTPScaledObject is one.
fn rule_path(route: &Route, rule: usize) -> String {
    match route.kind {
        Kind::HttpScaledObject => "spec".to_owned(),
        _ => format!("spec.rules[{rule}]"),
    }
}

/// Smaller goes first.
fn precedence(route: &Route) -> impl Ord + use<> {
    let meta = &route.object.meta;
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

fn message(claim: &Claim, routes: &[Route], winner: Place) -> String {
    let host = if claim.host.is_empty() {
        "any host"
    } else {
        claim.host.as_str()
    };
    let headers = if claim.headers.is_empty() {
        ""
    } else {
        " with the same headers"
    };
    let route = &routes[winner.route];
    format!(
        "{host} /{}{headers} is claimed by {} of {} ({}) too, which wins: the oldest \
         creationTimestamp goes first, then the higher namespace, then the higher name",
        claim.path,
        rule_path(route, winner.rule),
        route.label(),
        route.place()
    )
}
