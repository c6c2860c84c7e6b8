//! May Envoy send the requests of a route to endpoints itself?

use proxy::{EndpointSet, Protocol, route::Route};
use serde::Serialize;

/// What stands against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Indirect {
    /// A client stays with one endpoint by a cookie that only our proxy reads.
    Session,
    /// Most requests at once for each endpoint: that many over all proxies, and
    /// who finds no place waits. Envoy knows limits of its own, and refuses.
    ConcurrencyLimit,
    /// The route limits the time from the request to the head of the response.
    /// Envoy's limit of a try would count the hold, too.
    ResponseHeaderTimeout,
}

impl Indirect {
    /// What stands against it for `route`, if anything does.
    pub(crate) fn of(route: &Route) -> Option<Self> {
        let limit = route.timeouts.response_header;
        if route.session.is_some() {
            Some(Self::Session)
        } else if route.target.max_concurrency().is_some() {
            Some(Self::ConcurrencyLimit)
        } else if limit.is_some_and(|limit| !limit.is_zero()) {
            Some(Self::ResponseHeaderTimeout)
        } else {
            None
        }
    }
}

/// What the endpoints speak that Envoy may be sent to; `None`: none of them.
/// Those that speak TLS are not: their trust is ours to check.
pub(crate) fn protocol(endpoints: &EndpointSet) -> Option<Protocol> {
    endpoints
        .iter()
        .find_map(|endpoint| endpoint.clear_protocol())
}
