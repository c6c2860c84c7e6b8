//! Two random choices, the less loaded one wins.
//!
//! Within a factor of the best possible spread at the price of two random
//! numbers and two loads, and without the herd that "always the least
//! loaded" sends to a fresh endpoint.

use super::Endpoint;
use std::sync::Arc;

/// The less loaded of two random endpoints that are not ejected.
pub(super) fn least_loaded_of_two(
    endpoints: &[Arc<Endpoint>],
    now_us: u64,
) -> Option<&Arc<Endpoint>> {
    let (a, b) = match endpoints.len() {
        0 => return None,
        1 => (0, 0),
        2 => (0, 1),
        n => {
            let a = fastrand::usize(..n);
            (a, (a + 1 + fastrand::usize(..n - 1)) % n)
        }
    };
    let (first, second) = (&endpoints[a], &endpoints[b]);
    match (first.is_ejected(now_us), second.is_ejected(now_us)) {
        (false, false) => Some(lighter(first, second)),
        (false, true) => Some(first),
        (true, false) => Some(second),
        // Rare: both choices are ejected. Look at all, from a random place
        // on, so that the survivors share the load.
        (true, true) => {
            let start = fastrand::usize(..endpoints.len());
            let around = endpoints.iter().cycle().skip(start).take(endpoints.len());
            around
                .into_iter()
                .find(|endpoint| !endpoint.is_ejected(now_us))
        }
    }
}

fn lighter<'a>(a: &'a Arc<Endpoint>, b: &'a Arc<Endpoint>) -> &'a Arc<Endpoint> {
    let (load_a, load_b) = (a.in_flight(), b.in_flight());
    // Equal loads: toss a coin, or the first of a pair would get all idle traffic.
    if load_a < load_b || (load_a == load_b && fastrand::bool()) {
        a
    } else {
        b
    }
}
