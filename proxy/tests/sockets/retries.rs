//! Requests that are sent once more: where to, and how many of them.

use crate::support::{Backend, TestProxy};
use std::sync::atomic::Ordering;

/// Closes each connection instead of answering.
async fn broken() -> Backend {
    Backend::answering(|_| Vec::new()).await
}

#[tokio::test]
async fn a_retry_goes_to_another_endpoint() {
    let proxy = TestProxy::new()
        .configure(|config| config.endpoints.outliers.broken = 0)
        .start();
    let (bad, good) = (broken().await, Backend::saying("hello").await);
    proxy.publish("web", [bad.addr(), good.addr()]);
    let mut client = proxy.client().await;
    for _ in 0..40 {
        assert_eq!(client.get("/").await.text(), "hello");
    }
    let met = bad.received().len();
    assert!(met > 5, "{met}");
    let retries = &proxy.web().metrics().retries;
    // Once each: the second attempt was never with the same.
    assert_eq!(retries.reset.load(Ordering::Relaxed), met as u64);
    assert_eq!(good.received().len(), 40);
    proxy.finish().await;
}

#[tokio::test]
async fn a_spent_budget_means_no_retry() {
    let proxy = TestProxy::new()
        .configure(|config| {
            config.endpoints.outliers.broken = 0;
            config.endpoints.retries.budget_percent = 0;
            config.endpoints.retries.min_per_second = 1;
        })
        .start();
    let backend = broken().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.status(), 502);
    }
    // 20 first attempts, and ten more: one per second, for ten seconds.
    assert_eq!(backend.received().len(), 30);
    let retries = &proxy.web().metrics().retries;
    assert_eq!(retries.reset.load(Ordering::Relaxed), 10);
    let exhausted = retries.budget_exhausted.load(Ordering::Relaxed);
    assert!(exhausted >= 15, "{exhausted}");
    proxy.finish().await;
}

#[tokio::test]
async fn connections_that_cannot_be_made_need_no_budget() {
    let proxy = TestProxy::new()
        .configure(|config| {
            config.endpoints.retries.budget_percent = 0;
            config.endpoints.retries.min_per_second = 0;
        })
        .start();
    let good = Backend::saying("hello").await;
    let dead = crate::support::dead_address().await;
    proxy.publish("web", [dead, good.addr()]);
    let mut client = proxy.client().await;
    for _ in 0..20 {
        assert_eq!(client.post("/", b"body").await.text(), "hello");
    }
    let retries = &proxy.web().metrics().retries;
    assert!(retries.connect.load(Ordering::Relaxed) > 0);
    assert_eq!(retries.budget_exhausted.load(Ordering::Relaxed), 0);
    proxy.finish().await;
}
