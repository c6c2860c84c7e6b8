//! Endpoints that fail: what is tried again, what is not, and what the client
//! is told.

use crate::support::{
    Backend, ScriptedBackend, Setup, TestProxy, Wire, eventually, on_both_runtimes,
};
use proxy::route::Timeouts;
use std::time::Duration;

on_both_runtimes!(
    idle_connections_that_the_endpoint_closed_cost_no_request,
    requests_without_an_answer_are_sent_again_where_that_is_safe,
);

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn idle_connections_that_the_endpoint_closed_cost_no_request(setup: Setup) {
    let proxy = setup.start();
    let mut backend = Backend::saying("hello").await;
    let endpoint = proxy.serve(backend.addr());
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(proxy.client().await);
    }
    for round in 1..=5 {
        for client in &mut clients {
            client.send_post("/", b"body").await;
        }
        for client in &mut clients {
            assert_eq!(client.response().await.status(), 200, "{round}");
        }
        eventually("all is quiet", || endpoint.in_flight() == 0).await;
        backend.kill().await;
        backend.restart().await;
    }
    assert_eq!(backend.received().len(), 30);
    assert_eq!(proxy.edges("web"), 0);
    proxy.finish().await;
}

async fn requests_without_an_answer_are_sent_again_where_that_is_safe(setup: Setup) {
    for (request, wanted) in [
        ("GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", 200),
        ("DELETE / HTTP/1.1\r\nhost: a.test\r\n\r\n", 200),
        ("POST / HTTP/1.1\r\nhost: a.test\r\n\r\n", 502),
        (
            "PUT / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 1\r\n\r\nx",
            502,
        ),
    ] {
        let proxy = setup.clone().start();
        let backend = ScriptedBackend::start().await;
        proxy.serve(backend.addr());
        let mut client = proxy.client().await;
        client.send(request).await;
        let mut upstream = backend.accept().await;
        let head = upstream.head().await;
        upstream.body(&head).await.expect("the whole request");
        upstream.reset();
        if wanted == 200 {
            let mut second = backend.accept().await;
            assert_eq!(second.head().await, head, "the same again");
            second.send(OK).await;
        }
        let answer = client.response().await;
        assert_eq!(answer.status(), wanted, "{request}");
        if wanted == 502 {
            assert_eq!(answer.text(), "Bad Gateway\n");
            assert_eq!(answer.cold_start(), Some("false"));
        }
        let retries = proxy.web().metrics().retries.resent();
        assert_eq!(retries, u64::from(wanted == 200));
        proxy.finish().await;
    }
}

#[tokio::test]
async fn nothing_is_sent_again_without_end() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|_| Vec::new()).await;
    proxy.serve(backend.addr());
    let answer = proxy.client().await.get("/").await;
    assert_eq!(answer.status(), 502);
    assert_eq!(backend.received().len(), 3);
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_killed_in_the_middle_of_traffic_costs_no_get() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let (mut clients, mut upstreams) = (Vec::new(), Vec::new());
    for number in 0..10 {
        let mut client = proxy.client().await;
        client.send_get(&format!("/{number}")).await;
        let mut upstream = backend.accept().await;
        upstream.head().await;
        clients.push(client);
        upstreams.push(upstream);
    }
    let mut post = proxy.client().await;
    post.send_post("/post", b"body").await;
    let mut upstream = backend.accept().await;
    let head = upstream.head().await;
    upstream.body(&head).await.expect("the whole request");
    let addr = backend.kill();
    upstream.reset();
    upstreams.into_iter().for_each(Wire::reset);
    assert_eq!(post.response().await.status(), 502);
    proxy.until_held(10).await;
    let backend = Backend::answering_at(addr, |_| OK.into()).await;
    for mut client in clients {
        assert_eq!(client.response().await.cold_start(), Some("true"));
    }
    assert_eq!(backend.received().len(), 10);
    proxy.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_502() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|received| {
        let answer: &[u8] = match received.head.path() {
            "/garbage" => b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            "/status" => b"HTTP/1.1 42 What\r\n\r\n",
            "/length" => b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        };
        answer.to_vec()
    })
    .await;
    let endpoint = proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for path in ["/garbage", "/status", "/length", "/header"] {
        let answer = client.get(path).await;
        assert_eq!(
            (answer.status(), answer.text()),
            (502, "Bad Gateway\n"),
            "{path}"
        );
    }
    assert_eq!(backend.received().len(), 4, "none of them was sent again");
    assert_eq!(endpoint.idle_connections(), 0);
    proxy.finish().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_success() {
    for (head, part) in [
        ("content-length: 10", "01234"),
        ("transfer-encoding: chunked", "5\r\n01234\r\n"),
        ("transfer-encoding: chunked", "5\r\n01"),
        ("transfer-encoding: chunked", "zz\r\n"),
    ] {
        let proxy = TestProxy::new().start();
        let backend = ScriptedBackend::start().await;
        let endpoint = proxy.serve(backend.addr());
        let mut client = proxy.client().await;
        client.send_get("/").await;
        let mut upstream = backend.accept().await;
        upstream.head().await;
        upstream
            .send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{part}"))
            .await;
        drop(upstream);
        // However soon the end is seen, the head comes before it.
        let head = client.try_head().await.expect("what was answered");
        assert_eq!(head.status(), 200);
        assert_eq!(client.body(&head).await, None, "closed in the middle");
        proxy.settled().await;
        assert_eq!(proxy.web().metrics().retries.resent(), 0);
        assert_eq!(endpoint.idle_connections(), 0);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_in_time_is_504() {
    let proxy = TestProxy::new()
        .timeouts(Timeouts {
            response_header: Some(Duration::from_millis(20)),
            ..Timeouts::default()
        })
        .start();
    let backend = ScriptedBackend::start().await;
    let endpoint = proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for answer in [client.get("/").await, client.post("/", b"body").await] {
        assert_eq!((answer.status(), answer.text()), (504, "Gateway Timeout\n"));
        assert_eq!(answer.cold_start(), Some("false"));
        let mut upstream = backend.accept().await;
        upstream.head().await;
        upstream.rest().await; // closed
    }
    assert_eq!(endpoint.idle_connections(), 0);
    proxy.finish().await;
}

#[tokio::test]
async fn the_time_for_an_answer_starts_when_the_request_is_sent() {
    let proxy = TestProxy::new()
        .timeouts(Timeouts {
            response_header: Some(Duration::from_millis(50)),
            ..Timeouts::default()
        })
        .start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut slow = proxy.client().await;
    slow.send("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 6\r\n\r\nabc")
        .await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    // Somebody who came later has waited for long enough: so has this one.
    assert_eq!(proxy.client().await.get("/silent").await.status(), 504);
    slow.send("def").await;
    assert_eq!(upstream.exactly(6).await.expect("the body"), b"abcdef");
    upstream.send(OK).await;
    assert_eq!(slow.response().await.text(), "ok");

    // Sent, but not answered.
    slow.send_post("/", b"again").await;
    assert_eq!(slow.response().await.status(), 504);
    proxy.finish().await;
}

#[tokio::test]
async fn the_request_timeout_before_the_answer_is_504_and_in_the_middle_of_it_a_broken_body() {
    let proxy = TestProxy::new()
        .timeouts(Timeouts {
            request: Some(Duration::from_millis(100)),
            ..Timeouts::default()
        })
        .start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    assert_eq!(client.get("/").await.status(), 504);
    let _silent = backend.accept().await;
    client.send_get("/").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234")
        .await;
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    assert_eq!(client.body(&head).await, None, "closed in the middle");
    assert_eq!(upstream.rest().await, b"", "closed too");
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_closes_each_connection_at_once_is_not_asked_without_end() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send_post("/", b"body").await;
    backend.accept().await.reset();
    // Whether a byte of it was sent is a race, so both are right: an error,
    // or waiting until the endpoint serves.
    let answered = async {
        let mut upstream = loop {
            let mut upstream = backend.accept().await;
            if upstream.try_head().await.is_some() {
                break upstream;
            }
        };
        upstream.send(OK).await;
        std::future::pending::<()>().await;
    };
    let answer = tokio::select! {
        answer = client.response() => answer,
        () = answered => unreachable!("it waits for the answer to arrive"),
    };
    assert!(matches!(answer.status(), 200 | 502), "{answer:?}");
    proxy.finish().await;
}

#[tokio::test]
async fn a_refused_upload_is_answered_although_nobody_reads_it() {
    let proxy = TestProxy::new()
        .configure(|config| config.max_held_per_target = 0)
        .start();
    let mut client = proxy.client().await;
    let body = vec![b'x'; 2 * 1024 * 1024];
    client.send_post("/", &body).await;
    let answer = client.response().await;
    assert_eq!(
        (answer.status(), answer.text()),
        (503, "too many pending requests\n")
    );
    proxy.until_no_connections().await;
    proxy.finish().await;
}
