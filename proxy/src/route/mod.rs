//! Routes: which request goes to which target.
//!
//! [`RouteTable`] is immutable; control builds a new one on each change
//! (`build.rs`) and the hot path reads the present one from a snapshot.
//!
//! The order of precedence is the HTTP add-on's, so that a migration moves no
//! traffic: host tier (exact, wildcards from the longest suffix, any), then
//! the longest path prefix of that tier *alone*, then its entries in order of
//! their headers. Only requests that this leaves without a target get a
//! second look, at shorter prefixes.

mod build;
mod cold_start;
mod fixed;
mod header;
mod host;
mod outline;
mod path;
mod response;
mod session;

pub use cold_start::{ColdStart, Fallback, Overflow};
pub(crate) use cold_start::{FALLBACK_AFTER, Instead};
pub use fixed::{ResponseMode, StaticRoute};
pub use header::HeaderRule;
pub use outline::{Candidate, HostOutline, HostPattern, PrefixOutline};
pub use response::StaticResponse;
pub(crate) use session::SessionId;
pub use session::{Session, SessionKey};

use crate::target::Target;
use ::http::HeaderMap;
use host::HostTiers;
use path::Entry;
use std::{sync::Arc, time::Duration};

/// What one route says about its requests.
#[derive(Debug)]
pub struct Route {
    /// Where they go.
    pub target: Arc<Target>,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// What requests get that find nobody.
    pub cold_start: ColdStart,
    /// Requests that it answers itself; the first that matches wins.
    pub static_routes: Vec<StaticRoute>,
    /// Whether one client stays with one endpoint; `None`: it does not.
    pub session: Option<Session>,
}

impl Route {
    /// A route to `target` with nothing set: the proxy's default timeouts, and
    /// requests that find nobody wait.
    #[must_use]
    pub fn new(target: Arc<Target>) -> Self {
        Self {
            target,
            timeouts: Timeouts::default(),
            cold_start: ColdStart::default(),
            static_routes: Vec::new(),
            session: None,
        }
    }

    /// The static route that answers a request, if any. `authority` and
    /// `path` are as in [`RouteTable::lookup`].
    pub(crate) fn static_route(
        &self,
        authority: &str,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<&StaticRoute> {
        fixed::find(&self.static_routes, authority, path, headers)
    }
}

/// Limits of one route; `None` takes the proxy's default, zero means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// The whole request, the hold included.
    pub request: Option<Duration>,
    /// From "request sent" to "response head received".
    pub response_header: Option<Duration>,
    /// The hold.
    pub readiness: Option<Duration>,
}

/// A route as the table is built from it.
#[derive(Debug)]
pub struct RouteSpec {
    /// The route.
    pub route: Arc<Route>,
    /// Which requests; none of them, no traffic.
    pub rules: Vec<Rule>,
    /// Creation time in seconds; among equals the oldest wins. 0 = unknown =
    /// oldest.
    pub created: u64,
}

/// Hosts × paths, each with all of the headers. An empty list of hosts or of
/// paths means any.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Exact, `*.suffix`, `*` or empty.
    pub hosts: Vec<String>,
    /// Prefixes by whole segments.
    pub paths: Vec<String>,
    /// All must match.
    pub headers: Vec<HeaderRule>,
}

/// All routes, ready to be looked up.
#[derive(Debug, Default)]
pub struct RouteTable {
    hosts: HostTiers,
    routes: Vec<Arc<Route>>,
}

impl RouteTable {
    /// The route of a request. `authority` is the host as received, with or
    /// without a port; `path` as received, without the query.
    #[must_use]
    pub fn lookup<'t>(
        &'t self,
        authority: &str,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<&'t Arc<Route>> {
        let mut buffer = [0; host::LONGEST];
        let host = host::normalise(authority, &mut buffer);
        let path = path::normalise(path);
        let matching = |entries: &'t [Entry]| first_match(entries, headers);

        // Most requests end here.
        let exact = self.hosts.exact(host);
        let found = exact.and_then(|table| table.longest(&path));
        if let Some(route) = found.and_then(matching) {
            return Some(route);
        }
        for table in self.hosts.wider(host) {
            if let Some(route) = table.longest(&path).and_then(matching) {
                return Some(route);
            }
        }
        // Where the HTTP add-on answers 404: a longer prefix whose headers
        // did not match hid a shorter one.
        exact
            .into_iter()
            .chain(self.hosts.wider(host))
            .find_map(|table| table.shorter(&path).find_map(matching))
    }

    /// All routes, also those that no request can reach.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }
}

/// The first of these, in order of precedence, whose headers all match.
fn first_match<'t>(entries: &'t [Entry], headers: &HeaderMap) -> Option<&'t Arc<Route>> {
    let matches = |entry: &&Entry| entry.headers.iter().all(|rule| rule.matches(headers));
    entries.iter().find(matches).map(|entry| &entry.route)
}

#[cfg(test)]
mod tests;
