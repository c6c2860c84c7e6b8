//! Requests that find nobody: held, bounded, released in order, or refused in
//! time.

use crate::support::{
    Backend, ScriptedBackend, Setup, TestProxy, eventually, on_both_runtimes, rule,
};
use proxy::route::Timeouts;
use std::{sync::atomic::Ordering, time::Duration};

on_both_runtimes!(
    the_first_request_waits_for_an_endpoint_and_the_next_does_not,
    three_hundred_first_requests_all_succeed,
    who_asks_to_be_told_is_told_of_the_next_request_alone,
);

async fn the_first_request_waits_for_an_endpoint_and_the_next_does_not(setup: Setup) {
    let proxy = setup.start();
    let backend = Backend::saying("hello").await;
    let (mut first, mut second) = (proxy.client().await, proxy.client().await);
    first.send_get("/1").await;
    proxy.until_held(1).await;
    second.send_post("/2", b"body").await;
    proxy.until_held(2).await;
    assert_eq!(proxy.edges("web"), 1, "told once, not per request");
    assert_eq!(proxy.web().totals().in_flight(), 2, "held is demand");

    proxy.serve(backend.addr());
    for client in [&mut first, &mut second] {
        let answer = client.response().await;
        assert_eq!(
            (answer.text(), answer.cold_start()),
            ("hello", Some("true"))
        );
    }
    assert_eq!(first.get("/3").await.cold_start(), Some("false"));
    assert_eq!(proxy.edges("web"), 1);
    let holds = &proxy.web().metrics().holds;
    assert_eq!(holds.ready.read().count(), 2);

    // The next episode is told again.
    proxy.publish("web", []);
    first.send_get("/4").await;
    proxy.until_held(1).await;
    // In the queue first, then told.
    eventually("the second edge", || proxy.edges("web") == 2).await;
    proxy.serve(backend.addr());
    assert_eq!(first.response().await.cold_start(), Some("true"));
    proxy.finish().await;
}

async fn who_asks_to_be_told_is_told_of_the_next_request_alone(setup: Setup) {
    let proxy = setup.start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for asked in 1..=3 {
        assert_eq!(proxy.stirs("web"), asked - 1);
        for _ in 0..3 {
            assert_eq!(client.get("/").await.text(), "hello");
            assert_eq!(proxy.stirs("web"), asked);
        }
        proxy.web().tell_of_next();
    }
    proxy.finish().await;
}

async fn three_hundred_first_requests_all_succeed(setup: Setup) {
    let proxy = setup.start();
    let backend = Backend::saying("hello").await;
    let mut clients = Vec::new();
    for number in 0..300 {
        let mut client = proxy.client().await;
        client.send_get(&format!("/{number}")).await;
        clients.push(client);
    }
    proxy.until_held(300).await;
    assert_eq!(proxy.edges("web"), 1);
    proxy.serve(backend.addr());
    for client in &mut clients {
        assert_eq!(client.response().await.text(), "hello");
    }
    assert_eq!(backend.received().len(), 300);
    proxy.finish().await;
}

#[tokio::test]
async fn held_requests_reach_the_endpoint_in_order_of_arrival() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    let mut clients = Vec::new();
    let mut sent = Vec::new();
    for number in 0..300 {
        let mut client = proxy.client().await;
        sent.push(format!("/{number}"));
        client.send_get(&sent[number]).await;
        proxy.until_held(number + 1).await;
        clients.push(client);
    }
    proxy.serve(backend.addr());
    // One connection each, so that their order is the order of release.
    let mut received = Vec::new();
    for _ in 0..300 {
        let mut upstream = backend.accept().await;
        received.push(upstream.head().await.path().to_owned());
        upstream
            .send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .await;
    }
    assert_eq!(received, sent);
    for mut client in clients {
        assert_eq!(client.response().await.cold_start(), Some("true"));
    }
    proxy.finish().await;
}

#[tokio::test]
async fn who_finds_the_queue_of_the_target_full_is_refused_at_once() {
    let proxy = TestProxy::new()
        .configure(|config| config.max_held_per_target = 2)
        .start();
    let mut held = Vec::new();
    for number in 1..=2 {
        let mut client = proxy.client().await;
        client.send_get("/held").await;
        proxy.until_held(number).await;
        held.push(client);
    }
    let mut late = proxy.client().await;
    for answer in [late.get("/late").await, late.get("/later").await] {
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.text(), "too many pending requests\n");
        assert_eq!(answer.head.get("retry-after"), Some("1"));
        assert_eq!(answer.cold_start(), None);
    }
    let holds = &proxy.web().metrics().holds;
    assert_eq!(holds.rejected.load(Ordering::Relaxed), 2);

    // A place that is given up is free for the next one.
    drop(held.pop());
    proxy.until_held(1).await;
    late.send_get("/in-time").await;
    proxy.until_held(2).await;
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    assert_eq!(late.response().await.text(), "hello");
    assert_eq!(held[0].response().await.text(), "hello");
    assert_eq!(backend.paths(), ["/held", "/in-time"]);
    proxy.finish().await;
}

#[tokio::test]
async fn all_targets_together_have_a_bound_too() {
    let proxy = TestProxy::new()
        .configure(|config| config.max_held = 1)
        .route("web", rule(&[], &[], &[]))
        .route("other", rule(&[], &["/other"], &[]))
        .start();
    let (mut first, mut second) = (proxy.client().await, proxy.client().await);
    first.send_get("/").await;
    proxy.until_held(1).await;
    let answer = second.get("/other").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.text(), "too many pending requests\n");
    let backend = Backend::saying("hello").await;
    proxy.publish("web", [backend.addr()]);
    assert_eq!(first.response().await.text(), "hello");
    proxy.publish("other", [backend.addr()]);
    assert_eq!(second.get("/other").await.status(), 200);
    proxy.finish().await;
}

#[tokio::test]
async fn a_hold_ends_with_504_when_its_time_is_up() {
    let proxy = TestProxy::new()
        .timeouts(Timeouts {
            readiness: Some(Duration::from_millis(20)),
            ..Timeouts::default()
        })
        .start();
    let mut client = proxy.client().await;
    for answer in [client.get("/").await, client.post("/", b"body").await] {
        assert_eq!((answer.status(), answer.text()), (504, "Gateway Timeout\n"));
        assert_eq!(answer.head.get("retry-after"), Some("1"));
        assert_eq!(answer.cold_start(), None);
    }
    assert_eq!(proxy.web().metrics().holds.refused.read().count(), 2);
    assert_eq!(proxy.counted("GET", 504), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn the_request_timeout_covers_the_hold() {
    let proxy = TestProxy::new()
        .configure(|config| config.request_timeout = Duration::from_millis(20))
        .start();
    let answer = proxy.client().await.get("/").await;
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.head.get("retry-after"), None);
    proxy.finish().await;
}

#[tokio::test]
async fn a_target_that_is_given_up_answers_at_once() {
    let proxy = TestProxy::new().start();
    let mut client = proxy.client().await;
    client.send_get("/held").await;
    proxy.until_held(1).await;
    proxy.web().set_failing(Some("starts keep failing".into()));
    for answer in [client.response().await, client.get("/new").await] {
        assert_eq!(
            (answer.status(), answer.text()),
            (503, "starts keep failing\n")
        );
        assert_eq!(answer.head.get("retry-after"), Some("5"));
    }
    proxy.web().set_failing(None);
    client.send_get("/held").await;
    proxy.until_held(1).await;
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    assert_eq!(client.response().await.text(), "hello");
    proxy.finish().await;
}

#[tokio::test]
async fn bodies_survive_the_hold_also_when_they_came_with_the_head_or_after_it() {
    let proxy = TestProxy::new().start();
    let backend = Backend::saying("hello").await;
    let large = vec![b'x'; 1024 * 1024];
    let mut early = proxy.client().await;
    early.send_post("/early", b"came with the head").await;
    proxy.until_held(1).await;
    let mut late = proxy.client().await;
    late.send("POST /late HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n\r\n01234")
        .await;
    proxy.until_held(2).await;
    late.send("56").await;
    let mut huge = proxy.client().await;
    huge.send("POST /huge HTTP/1.1\r\nhost: a.test\r\ncontent-length: 1048576\r\n\r\n")
        .await;
    proxy.until_held(3).await;
    let serve = async {
        late.send("7").await;
        proxy.serve(backend.addr());
        late.send("89").await;
    };
    tokio::join!(serve, huge.send(&large));
    for client in [&mut early, &mut late, &mut huge] {
        assert_eq!(client.response().await.cold_start(), Some("true"));
    }
    let mut received = backend.received();
    received.sort_by_key(|received| received.head.path().len() + received.body.len());
    let bodies: Vec<_> = received.into_iter().map(|received| received.body).collect();
    assert_eq!(
        bodies,
        [
            b"0123456789".to_vec(),
            b"came with the head".to_vec(),
            large
        ]
    );
    proxy.finish().await;
}

#[tokio::test]
async fn requests_behind_a_held_post_are_not_lost() {
    let proxy = TestProxy::new().start();
    let mut client = proxy.client().await;
    let post = "POST /1 HTTP/1.1\r\nhost: a.test\r\ncontent-length: 4\r\n\r\nbo";
    client.send(post).await;
    proxy.until_held(1).await;
    client
        .send("dyGET /2 HTTP/1.1\r\nhost: a.test\r\n\r\n")
        .await;
    client.send("GET /3 HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut cold = Vec::new();
    for _ in 1..=3 {
        cold.push(client.response().await.cold_start().map(str::to_owned));
    }
    let cold: Vec<_> = cold.iter().flatten().collect();
    assert_eq!(cold, ["true", "false", "false"]);
    assert_eq!(backend.paths(), ["/1", "/2", "/3"]);
    assert_eq!(backend.received()[0].body, b"body");
    proxy.finish().await;
}

#[tokio::test]
async fn cold_start_headers_can_be_switched_off() {
    let proxy = TestProxy::new()
        .configure(|config| config.cold_start_header = false)
        .start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    assert_eq!(proxy.client().await.get("/").await.cold_start(), None);
    proxy.finish().await;
}

#[tokio::test]
async fn when_a_target_is_retired_who_waits_gets_404_and_who_is_served_is_served() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut served = proxy.client().await;
    served.send_get("/served").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    proxy.publish("web", []);
    let (mut first, mut second) = (proxy.client().await, proxy.client().await);
    first.send_get("/1").await;
    proxy.until_held(1).await;
    second.send_post("/2", b"body").await;
    proxy.until_held(2).await;

    proxy.web().retire();
    for client in [&mut first, &mut second] {
        let answer = client.response().await;
        assert_eq!((answer.status(), answer.text()), (404, "Not Found\n"));
        assert_eq!(answer.cold_start(), None);
    }
    // Who found the route just before has no place to wait either.
    assert_eq!(first.get("/3").await.status(), 404);
    assert_eq!(proxy.web().held(), 0);
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await;
    assert_eq!(served.response().await.text(), "ok");
    proxy.finish().await;
}
