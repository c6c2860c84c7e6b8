//! A whole queue that is released onto a backend that can take little of it,
//! or all of it.

use crate::support::{BoundedBackend, Crowd, Setup, on_both_runtimes};
use std::{
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

on_both_runtimes!(
    a_backend_of_fixed_capacity_survives_a_thousand_held_requests,
    a_backend_of_any_capacity_is_not_held_up,
);

/// Serves 8 at a time, lets 8 wait, and closes the connections of the rest.
async fn a_backend_of_fixed_capacity_survives_a_thousand_held_requests(setup: Setup) {
    let proxy = setup.start();
    let backend = BoundedBackend::start(8, 8, Duration::from_millis(1)).await;
    let crowd = Crowd::of(1_000, proxy.addr()).await;
    proxy.until_held(1_000).await;
    proxy.serve(backend.addr());
    crowd.all_served("true").await;
    assert_eq!(backend.answered(), 1_000);
    let retries = &proxy.web().metrics().retries;
    let resent = retries.reset.load(Ordering::Relaxed);
    assert!(resent < 200, "{resent} were sent again");
    assert_eq!(retries.budget_exhausted.load(Ordering::Relaxed), 0);
    proxy.finish().await;
}

async fn a_backend_of_any_capacity_is_not_held_up(setup: Setup) {
    let proxy = setup.start();
    let backend = BoundedBackend::start(10_000, 0, Duration::from_millis(10)).await;
    let crowd = Crowd::of(1_000, proxy.addr()).await;
    proxy.until_held(1_000).await;
    let start = SystemTime::now();
    proxy.serve(backend.addr());
    crowd.all_served("true").await;
    let took = start.elapsed().expect("time goes on");
    eprintln!(
        "1,000 held requests answered in {took:?}, {} at once",
        backend.most()
    );
    assert_eq!((backend.answered(), backend.turned_away()), (1_000, 0));
    assert!(backend.most() > 32, "{}", backend.most());
    proxy.finish().await;
}
