//! Beside a real Envoy: cold requests come to us and are held, warm ones go
//! straight to endpoints, and we know of both.
//!
//! Envoy comes from `.ci/tools`. Whether an answer came through our proxy shows
//! in its `X-KEDA-HTTP-Cold-Start`.

mod admission;
mod decisions;
mod demand;
mod failures;
mod listener;
mod paths;
mod poison;
mod restarts;
mod streams;
mod tls;

use crate::support::{Answer, Client, Envoy, Reveille, Starter, wait_for};
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the clients of a test, also of one that fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reveille with an xDS port that gives Envoys a listener.
fn with_envoy(manifest: impl Into<String>) -> Starter {
    Reveille::of(manifest)
        .arg("--xds-addr", "127.0.0.1:0")
        .arg("--xds-listener", "127.0.0.1:0")
        .arg("--xds-load-interval", "100ms")
        .arg("--xds-load-grace", "1s")
}

/// Asks until the answer comes straight from an endpoint.
fn until_direct(client: &Client) -> Answer {
    wait_for("Envoy goes straight to the endpoint", || {
        let answer = client.get("/");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.cold_start().is_none().then_some(answer)
    })
}

/// Requests that our proxy has seen for the target `web`.
fn seen_by_us(reveille: &Reveille) -> f64 {
    let page = reveille.ask("/metrics").body;
    let lines = page.lines().filter(|line| {
        line.starts_with("interceptor_request_count_total{") && line.contains("\"web\"")
    });
    let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    values.sum()
}

/// An Envoy in each variant of the protocol.
fn both(reveille: &Reveille) -> [Envoy; 2] {
    let xds = reveille.xds();
    [Envoy::of_fleet(xds), Envoy::of_fleet_with_whole_states(xds)]
}
