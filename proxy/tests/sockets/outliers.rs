//! Endpoints that accept connections and then fail: out for a while, back by
//! time, and never all of them.

use crate::support::{Backend, ScriptedBackend, TestProxy, eventually};
use proxy::{EjectReason, Target, route::Timeouts};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

async fn answering(status: &'static str) -> Backend {
    Backend::answering(move |_| {
        format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n").into_bytes()
    })
    .await
}

fn ejections(target: &Target, reason: EjectReason) -> u64 {
    target.metrics().ejections.count(reason)
}

#[tokio::test]
async fn five_failures_in_a_row_eject_and_time_brings_it_back() {
    for (status, reason) in [
        ("503", EjectReason::GatewayErrors),
        ("500", EjectReason::ServerErrors),
    ] {
        let proxy = TestProxy::new().start();
        let (bad, good) = (answering(status).await, Backend::saying("hello").await);
        let [endpoint, _] = proxy.publish("web", [bad.addr(), good.addr()]);
        let web = proxy.web();
        let mut client = proxy.client().await;
        let is_out = || endpoint.is_ejected_for_answers(web.clock().now_us());
        while !is_out() {
            client.get("/").await;
            assert!(bad.received().len() <= 5);
        }
        assert_eq!(bad.received().len(), 5);
        assert_eq!(ejections(web, reason), 1);
        let mut answers = 0;
        while is_out() {
            let status = client.get("/").await.status();
            // Unless it came back just then.
            answers += usize::from(is_out());
            assert!(status == 200 || !is_out());
        }
        assert!(answers > 0);
        eventually("it gets requests again", || web.ready_endpoints() == 2).await;
        while bad.received().len() == 5 {
            client.get("/").await;
        }
        proxy.finish().await;
    }
}

/// Four failures, one good answer, and so on.
async fn uneven() -> Backend {
    let count = AtomicUsize::new(0);
    Backend::answering(move |_| {
        let nth = count.fetch_add(1, Ordering::SeqCst);
        let status = if nth % 5 == 4 { 404 } else { 502 };
        format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").into_bytes()
    })
    .await
}

#[tokio::test]
async fn a_good_answer_in_between_keeps_it_in() {
    let proxy = TestProxy::new().start();
    let (one, two) = (uneven().await, uneven().await);
    proxy.publish("web", [one.addr(), two.addr()]);
    let mut client = proxy.client().await;
    for _ in 0..50 {
        client.get("/").await;
    }
    for reason in EjectReason::ALL {
        assert_eq!(ejections(proxy.web(), reason), 0, "{reason:?}");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn the_only_endpoint_and_half_of_a_set_stay_in() {
    let proxy = TestProxy::new().start();
    let mut client = proxy.client().await;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(answering("500").await);
    }
    proxy.serve(all[0].addr());
    for _ in 0..30 {
        assert_eq!(client.get("/").await.status(), 500);
    }
    assert_eq!(ejections(proxy.web(), EjectReason::ServerErrors), 0);
    assert_eq!(proxy.web().ready_endpoints(), 1);
    let addrs = [all[0].addr(), all[1].addr(), all[2].addr(), all[3].addr()];
    let endpoints = proxy.publish("web", addrs);
    for _ in 0..100 {
        // The application has a bug; that is no reason to hold its requests.
        let answer = client.get("/").await;
        assert_eq!((answer.status(), answer.cold_start()), (500, Some("false")));
        let now_us = proxy.web().clock().now_us();
        let out = endpoints.iter().filter(|e| e.is_ejected(now_us)).count();
        assert!(out <= 2, "{out} of 4");
    }
    assert!(ejections(proxy.web(), EjectReason::ServerErrors) >= 2);
    proxy.finish().await;
}

#[tokio::test]
async fn connections_that_break_and_answers_that_do_not_come_eject_too() {
    let timeouts = Timeouts {
        response_header: Some(Duration::from_millis(20)),
        ..Timeouts::default()
    };
    let proxy = TestProxy::new()
        .timeouts(timeouts)
        .configure(|config| config.endpoints.outliers.broken = 3)
        .start();
    let good = Backend::saying("hello").await;
    let broken = Backend::answering(|_| Vec::new()).await;
    let [endpoint, _] = proxy.publish("web", [broken.addr(), good.addr()]);
    let mut client = proxy.client().await;
    let web = proxy.web();
    while ejections(web, EjectReason::Broken) == 0 {
        assert_eq!(client.get("/").await.status(), 200);
    }
    assert!(endpoint.is_ejected_for_answers(web.clock().now_us()) || broken.received().len() >= 3);

    let silent = ScriptedBackend::start().await;
    proxy.publish("web", [silent.addr(), good.addr()]);
    let mut late = 0;
    while ejections(web, EjectReason::Broken) == 1 {
        late += usize::from(client.get("/").await.status() == 504);
    }
    assert_eq!(late, 3);
    proxy.finish().await;
}
