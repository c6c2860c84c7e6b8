//! What a route wants to happen to requests that find nobody.

use super::StaticResponse;
use crate::endpoint::{Endpoint, EndpointSet, Lease, PlaceLimit};
use arc_swap::ArcSwap;
use std::{sync::Arc, time::Duration};

/// The limit of the wait of a route that has a fallback and no limit of its
/// own, as in the HTTP add-on: without one the fallback would never serve.
pub(crate) const FALLBACK_AFTER: Duration = Duration::from_secs(30);

/// A route's `coldStart`.
#[derive(Debug, Default)]
pub struct ColdStart {
    /// Serves requests whose wait ran out.
    pub fallback: Option<Arc<Fallback>>,
    /// Answered at once instead of holding; the target is woken all the same.
    pub placeholder: Option<Arc<StaticResponse>>,
    /// While nobody serves the target, at most this many requests at once.
    pub max_pending: Option<u64>,
    /// What a request over that gets.
    pub overflow: Overflow,
}

/// What a request over `max_pending` gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// 503 at once.
    #[default]
    Reject,
    /// The placeholder; requests up to the limit are held.
    Placeholder,
}

/// What a request gets instead of a place in the queue.
#[derive(Debug)]
pub(crate) enum Instead {
    /// The placeholder, as the route wants it for all.
    Placeholder(Arc<StaticResponse>),
    /// The placeholder, because the limit is reached.
    Overflow(Arc<StaticResponse>),
    /// A refusal, because the limit is reached.
    Reject,
}

impl ColdStart {
    /// What a request gets instead of waiting; `None`: it waits. `in_flight`
    /// is the route's whole concurrency, this request included.
    pub(crate) fn instead_of_waiting(&self, in_flight: u64) -> Option<Instead> {
        let over = self.max_pending.is_some_and(|limit| in_flight > limit);
        match (&self.placeholder, self.max_pending, self.overflow) {
            (Some(page), Some(_), Overflow::Placeholder) => {
                over.then(|| Instead::Overflow(page.clone()))
            }
            (Some(page), ..) => Some(Instead::Placeholder(page.clone())),
            (None, ..) => over.then_some(Instead::Reject),
        }
    }
}

/// Another service that stands in for a target.
#[derive(Debug)]
pub struct Fallback {
    endpoints: ArcSwap<EndpointSet>,
}

impl Fallback {
    /// A fallback without endpoints yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            endpoints: ArcSwap::from_pointee(EndpointSet::empty()),
        }
    }

    /// Replaces its endpoints.
    pub fn set_endpoints(&self, endpoints: Arc<EndpointSet>) {
        self.endpoints.store(endpoints);
    }

    pub(crate) fn pick(&self, now_us: u64) -> Option<Lease> {
        self.endpoints.load().pick(now_us, PlaceLimit::NONE)
    }

    /// Could somebody else be picked at `now_us`?
    pub(crate) fn has_other_than(&self, endpoint: &Endpoint, now_us: u64) -> bool {
        self.endpoints.load().has_other_than(endpoint, now_us)
    }
}

impl Default for Fallback {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::{HeaderMap, StatusCode};

    #[test]
    fn who_waits_who_gets_the_placeholder_and_who_is_refused() {
        let page = || {
            let headers = HeaderMap::new();
            let body = bytes::Bytes::new();
            Some(Arc::new(StaticResponse {
                status: StatusCode::OK,
                headers,
                body,
                ..StaticResponse::default()
            }))
        };
        let case = |placeholder: bool, max_pending, overflow, in_flight| {
            let placeholder = if placeholder { page() } else { None };
            let policy = ColdStart {
                fallback: None,
                placeholder,
                max_pending,
                overflow,
            };
            match policy.instead_of_waiting(in_flight) {
                None => "waits",
                Some(Instead::Placeholder(_)) => "placeholder",
                Some(Instead::Overflow(_)) => "overflow",
                Some(Instead::Reject) => "refused",
            }
        };
        use Overflow::{Placeholder, Reject};
        assert_eq!(case(false, None, Reject, 1_000), "waits");
        assert_eq!(case(false, Some(2), Reject, 2), "waits");
        assert_eq!(case(false, Some(2), Reject, 3), "refused");
        assert_eq!(case(true, None, Reject, 1), "placeholder");
        assert_eq!(case(true, Some(2), Reject, 1), "placeholder");
        assert_eq!(case(true, Some(2), Placeholder, 2), "waits");
        assert_eq!(case(true, Some(2), Placeholder, 3), "overflow");
    }
}
