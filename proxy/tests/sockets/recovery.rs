//! Endpoints that are gone: requests go back to waiting, nothing that was not
//! sent is lost, and whoever comes back is found.

use crate::support::{
    Backend, ScriptedBackend, Setup, TestProxy, dead_address, eventually, on_both_runtimes,
};
use proxy::route::Timeouts;
use std::{sync::atomic::Ordering, time::Duration};

on_both_runtimes!(
    a_dead_endpoint_leads_back_to_waiting_until_a_live_one_is_published,
    an_endpoint_that_comes_back_on_its_port_is_found_without_a_publication,
    a_live_endpoint_serves_while_another_is_dead,
);

async fn a_dead_endpoint_leads_back_to_waiting_until_a_live_one_is_published(setup: Setup) {
    let proxy = setup.start();
    let dead = dead_address().await;
    proxy.serve(dead);
    let (mut get, mut post) = (proxy.client().await, proxy.client().await);
    get.send_get("/get").await;
    proxy.until_held(1).await;
    let body = vec![b'x'; 100_000];
    let (backend, ()) = tokio::join!(Backend::saying("hello"), async {
        post.send_post("/post", b"short").await;
        proxy.until_held(2).await;
    });
    assert_eq!(proxy.edges("web"), 1, "told that somebody waits again");
    assert_eq!(proxy.web().ready_endpoints(), 0);
    let mut large = proxy.client().await;
    let sending = async {
        large.send_post("/large", &body).await;
    };
    let serving = async {
        proxy.until_held(3).await;
        proxy.publish("web", [dead, backend.addr()]);
    };
    tokio::join!(sending, serving);
    for client in [&mut get, &mut post, &mut large] {
        let answer = client.response().await;
        assert_eq!(
            (answer.text(), answer.cold_start()),
            ("hello", Some("true"))
        );
    }
    let mut received = backend.received();
    received.sort_by_key(|received| received.body.len());
    let bodies: Vec<_> = received.into_iter().map(|received| received.body).collect();
    assert_eq!(bodies, [b"".to_vec(), b"short".to_vec(), body]);
    let failures = &proxy.web().metrics().connect_failures;
    assert!(failures.load(Ordering::Relaxed) >= 1);
    proxy.finish().await;
}

async fn an_endpoint_that_comes_back_on_its_port_is_found_without_a_publication(setup: Setup) {
    let proxy = setup.start();
    let mut backend = Backend::saying("hello").await;
    let endpoint = proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    assert_eq!(client.get("/before").await.cold_start(), Some("false"));
    backend.kill().await;
    client.send_post("/during", b"body").await;
    proxy.until_held(1).await;
    let held: Vec<_> = {
        let mut others = Vec::new();
        for number in 2..20 {
            let mut other = proxy.client().await;
            other.send_get("/during").await;
            proxy.until_held(number).await;
            others.push(other);
        }
        others
    };
    backend.restart().await;
    let answer = client.response().await;
    assert_eq!(
        (answer.text(), answer.cold_start()),
        ("hello", Some("true"))
    );
    for mut other in held {
        assert_eq!(other.response().await.status(), 200);
    }
    let mut received = backend.received().into_iter();
    let post = received.find(|received| received.head.first.starts_with("POST"));
    assert_eq!(post.expect("the POST").body, b"body");
    eventually("it is in the rotation", || {
        proxy.web().ready_endpoints() == 1
    })
    .await;
    assert_eq!(client.get("/after").await.cold_start(), Some("false"));
    assert_eq!(endpoint.in_flight(), 0);
    proxy.finish().await;
}

async fn a_live_endpoint_serves_while_another_is_dead(setup: Setup) {
    let proxy = setup.start();
    let backend = Backend::saying("hello").await;
    let dead = dead_address().await;
    proxy.publish("web", [dead, backend.addr()]);
    let mut client = proxy.client().await;
    for number in 0..40 {
        let answer = client.post("/", b"body").await;
        assert_eq!(
            (answer.status(), answer.cold_start()),
            (200, Some("false")),
            "{number}"
        );
    }
    assert_eq!(backend.received().len(), 40);
    assert_eq!(proxy.edges("web"), 0, "nobody had to wait");
    proxy.finish().await;
}

#[tokio::test]
async fn the_hold_after_a_dead_endpoint_has_the_same_time_limit() {
    let proxy = TestProxy::new()
        .timeouts(Timeouts {
            readiness: Some(Duration::from_millis(50)),
            ..Timeouts::default()
        })
        .start();
    proxy.serve(dead_address().await);
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status(), answer.cold_start()), (504, None));
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_may_leave_while_all_endpoints_are_dead() {
    let proxy = TestProxy::new().start();
    proxy.serve(dead_address().await);
    let mut client = proxy.client().await;
    client.send_post("/", b"body").await;
    proxy.until_held(1).await;
    drop(client);
    proxy.until_held(0).await;
    proxy.settled().await;
    assert_eq!(proxy.counted("POST", 499), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn requests_on_a_removed_endpoint_end_there() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send_get("/").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    proxy.publish("web", []);
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.response().await.text(), "ok");
    client.send_get("/held").await;
    proxy.until_held(1).await;
    drop(client);
    proxy.until_held(0).await;
    proxy.finish().await;
}
