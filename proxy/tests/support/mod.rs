//! Doubles for tests through real sockets: a proxy with its targets
//! (`proxy.rs`), backends (`backend.rs`, `bounded.rs`, `h2_backend.rs`), and clients that see
//! exact bytes (`wire.rs`), speak HTTP/2 (`h2.rs`, and `h2_frames.rs` for what comes before an answer), also over TLS (`tls.rs`), or are many
//! (`crowd.rs`).
//!
//! Nothing here sleeps. Whatever waits has a deadline that only a broken test
//! reaches.

mod backend;
mod bounded;
mod crowd;
mod h2;
mod h2_backend;
pub(crate) mod h2_frames;
mod proxy;
mod tls;
mod wire;

pub(crate) use backend::{Backend, ScriptedBackend, dead_address};
pub(crate) use bounded::BoundedBackend;
pub(crate) use crowd::Crowd;
pub(crate) use h2::{H2Client, Upload, complete, request as h2_request};
pub(crate) use h2_backend::H2Backend;
pub(crate) use h2_frames::{FrameBackend, FrameClient};
pub(crate) use proxy::{Setup, TestProxy, rule};
pub(crate) use tls::{Ca, Pair, serving, trusting, watching};
pub(crate) use wire::{Head, Wire};

use std::{
    future::Future,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// How long anything may take before the test is considered stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `future`; panics if it is stuck.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_elapsed) => panic!("stuck: {what}"),
    }
}

/// Waits until `condition` holds; panics if it never does.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::task::yield_now().await;
        // The condition is up to another thread.
        std::thread::yield_now();
    }
}

/// Runs each `async fn(Setup)` named here on both kinds of runtime, with
/// several workers.
macro_rules! on_both_runtimes {
    ($($test:ident),+ $(,)?) => {
        mod per_core {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::support::TestProxy::new().workers(3)).await;
            })+
        }
        mod shared {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::support::TestProxy::new().workers(3).shared()).await;
            })+
        }
    };
}
pub(crate) use on_both_runtimes;

static WORKER_PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics on the proxies' threads, where tokio would swallow them.
fn count_panics() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            if thread.name().is_some_and(|name| name.starts_with("worker")) {
                WORKER_PANICS.fetch_add(1, Ordering::SeqCst);
            }
            report(panic);
        }));
    });
}

fn worker_panics() -> usize {
    WORKER_PANICS.load(Ordering::SeqCst)
}
