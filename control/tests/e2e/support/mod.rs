//! What the tests stand on: a running `reveille`, a client, the admin API, and
//! the certainty that no process is left behind.

mod admin;
mod apiserver;
mod envoy;
mod http;
mod manifest;
mod named;
mod pod;
mod processes;
mod reveille;
mod sidecar;

/// KEDA as its scaler meets it.
#[path = "../../../../scaler/tests/support/keda/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "scenarios of the scaler use the rest"
)]
pub(crate) mod keda;

pub(crate) use self::http::{Answer, Client, Connection, read_head};
pub(crate) use admin::{ManifestsNow, TargetNow};
pub(crate) use apiserver::{ApiServer, Cut};
pub(crate) use envoy::{Bootstrap, Envoy};
pub(crate) use manifest::Target;
pub(crate) use named::{backend_manifest, named_backend};
pub(crate) use pod::Pod;
pub(crate) use processes::Marker;
pub(crate) use reveille::{Ended, Reveille, Starter, command};
pub(crate) use sidecar::Sidecar;

use std::time::Duration;
use tokio::time::Instant;

/// How long a test waits for any state before it fails. Never reached when all
/// is well, so it is long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How often a state is looked at.
const LOOK_EACH: Duration = Duration::from_millis(5);

/// Looks until there is something to see.
///
/// # Panics
/// When there is nothing within [`PATIENCE`].
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(LOOK_EACH);
    }
}

/// The same for a condition.
pub(crate) fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    wait_for(what, || look().then_some(()));
}
