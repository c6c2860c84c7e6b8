//! The route configuration: a virtual host per host pattern of the table, and
//! in it routes that Envoy tries from the first to the last.
//!
//! ```text
//! prefixes that no longer one begins with     ─► candidates in their order
//! paths that Envoy cannot decide (path.rs)    ─► our proxy
//! the other prefixes, from long to short      ─► candidates in their order
//! ```

use super::{
    direct::Indirect,
    header::{self, Matchers},
    path,
    route::to,
};
use crate::xds::{Host, Resource, names};
use envoy_types::pb::envoy::config::route::v3::{
    Route as WireRoute, RouteConfiguration, VirtualHost,
};
use proxy::{
    TargetId,
    route::{Candidate, HostOutline, HostPattern, PrefixOutline, ResponseMode, Route, RouteTable},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// What routes do not say themselves.
#[derive(Clone, Copy, Debug)]
pub(in crate::xds) struct Given<'a> {
    /// For those that set none.
    pub(in crate::xds) request_timeout: Duration,
    /// Targets whose connections our proxy alone can switch to another protocol.
    pub(in crate::xds) keep_upgrades: &'a BTreeSet<TargetId>,
}

/// All routes of `table`.
pub(in crate::xds) fn routes(table: &RouteTable, given: Given<'_>) -> Arc<Resource> {
    let hosts = table.outline();
    let hosts = hosts.filter_map(|host| virtual_host(&host, given));
    let rest = RouteConfiguration {
        name: names::ROUTES.to_owned(),
        ignore_port_in_host_matching: true,
        ..RouteConfiguration::default()
    };
    Resource::of_hosts(&rest, hosts.map(Host::new).collect())
}

/// In the place of a host that an Envoy refuses: all of its requests come to
/// our proxy, which decides.
pub(in crate::xds) fn detour(host: &Host) -> Arc<Host> {
    Host::new(VirtualHost {
        name: host.name().to_string(),
        domains: host.domains().to_vec(),
        routes: vec![to_us(path::below(""))],
        ..VirtualHost::default()
    })
}

fn virtual_host(host: &HostOutline<'_>, given: Given<'_>) -> Option<VirtualHost> {
    let domains = domains(host.host)?;
    let known = Known::of(&host.prefixes);
    let (last, inner): (Vec<_>, Vec<_>) = host
        .prefixes
        .iter()
        .filter(|one| path::is_plain(one.prefix))
        .partition(|one| known.is_last(one.prefix));
    let mut routes = Vec::new();
    for prefix in last {
        push(prefix, given, &mut routes);
    }
    if known.segments > 0 {
        routes.push(to_us(path::undecided(known.segments)));
    }
    for prefix in inner {
        push(prefix, given, &mut routes);
    }
    Some(VirtualHost {
        name: domains.first()?.clone(),
        domains,
        routes,
        ..VirtualHost::default()
    })
}

/// What Envoy calls these hosts: also with the dot that a name may end with.
/// `None`: it has no word for them, and no client can ask for them.
fn domains(host: HostPattern<'_>) -> Option<Vec<String>> {
    let (name, wildcard) = match host {
        HostPattern::Any => return Some(vec!["*".to_owned()]),
        HostPattern::Exact(name) => (name, ""),
        HostPattern::Below(name) => (name, "*."),
    };
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'*';
    // Of a name with two dots at its end the first is another's second domain.
    if name.is_empty() || name.ends_with('.') || !name.bytes().all(is_plain) {
        return None;
    }
    Some(if name.contains(':') {
        // An IPv6 address.
        vec![format!("{wildcard}[{name}]")]
    } else {
        vec![format!("{wildcard}{name}"), format!("{wildcard}{name}.")]
    })
}

/// The prefixes by which requests of one host are told apart: those of routes,
/// and those of what routes answer themselves.
struct Known<'t> {
    /// Each is followed by what is below it.
    prefixes: Vec<&'t str>,
    /// Of the longest of them.
    segments: usize,
}

impl<'t> Known<'t> {
    fn of(outlined: &'t [PrefixOutline<'t>]) -> Self {
        let mut prefixes = Vec::new();
        for one in outlined {
            prefixes.push(one.prefix);
            for candidate in &one.candidates {
                prefixes.extend(answered(candidate.route));
            }
        }
        prefixes.sort_unstable_by(|a, b| a.split('/').cmp(b.split('/')));
        prefixes.dedup();
        let segments = |prefix: &&str| match *prefix {
            "" => 0,
            some => some.split('/').count(),
        };
        Self {
            segments: prefixes.iter().map(segments).max().unwrap_or(0),
            prefixes,
        }
    }

    /// Is `prefix` no prefix of another one?
    fn is_last(&self, prefix: &str) -> bool {
        let by_segments = |known: &&str| known.split('/').cmp(prefix.split('/'));
        let Ok(at) = self.prefixes.binary_search_by(by_segments) else {
            return false;
        };
        let next = self.prefixes.get(at + 1);
        next.is_none_or(|next| !is_below(next, prefix))
    }
}

/// Is `path` `prefix` or below it, by whole segments?
fn is_below(path: &str, prefix: &str) -> bool {
    let rest = path.strip_prefix(prefix);
    prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Prefixes of the requests that `route` may answer itself though its target
/// is awake.
fn answered(route: &Route) -> impl Iterator<Item = &str> {
    let fixed = route.static_routes.iter();
    fixed
        .filter(|one| one.mode == ResponseMode::Always)
        .flat_map(|one| one.prefixes())
}

/// The candidates of one prefix, in their order.
fn push(outline: &PrefixOutline<'_>, given: Given<'_>, routes: &mut Vec<WireRoute>) {
    for candidate in &outline.candidates {
        push_candidate(outline.prefix, candidate, given, routes);
    }
}

fn push_candidate(
    prefix: &str,
    candidate: &Candidate<'_>,
    given: Given<'_>,
    routes: &mut Vec<WireRoute>,
) {
    let with = |prefix: &str, headers: &[_]| {
        let mut matches = path::below(prefix);
        matches.headers.extend_from_slice(headers);
        matches
    };
    let route = candidate.route;
    let Matchers { certain, unsure } = Matchers::of(candidate.headers);
    if let Some(headers) = &certain {
        // Our proxy looks closer whether it is one that is answered.
        for fixed in answered(route).filter(|fixed| path::is_plain(fixed)) {
            let longer = if is_below(fixed, prefix) {
                fixed
            } else {
                prefix
            };
            if is_below(longer, fixed) {
                routes.push(to_us(with(longer, headers)));
            }
        }
        if Indirect::of(route).is_some() {
            routes.push(to_us(with(prefix, headers)));
        } else {
            if given.keep_upgrades.contains(route.target.id()) {
                let mut switches = with(prefix, headers);
                switches.headers.push(header::upgrade());
                routes.push(to_us(switches));
            }
            let cluster = names::cluster(route.target.id());
            let timeout = route.timeouts.request.unwrap_or(given.request_timeout);
            let mut again = with(prefix, headers);
            again.headers.push(header::idempotent(true));
            routes.push(to(&cluster, again, timeout, true));
            routes.push(to(&cluster, with(prefix, headers), timeout, false));
        }
    }
    if let Some(headers) = &unsure {
        routes.push(to_us(with(prefix, headers)));
    }
}

/// Our proxy decides, holds, and keeps the limits of time.
fn to_us(matches: envoy_types::pb::envoy::config::route::v3::RouteMatch) -> WireRoute {
    to(names::PROXY, matches, Duration::ZERO, false)
}
