//! HTTP/1.1 to endpoints (RFC 9112): how answers may come in, and when their
//! connection serves the next request.

use crate::support::{Backend, ScriptedBackend, Setup, TestProxy, eventually, on_both_runtimes};

on_both_runtimes!(
    answers_arrive_whole_however_they_come_in,
    requests_and_answers_flow_at_the_same_time_and_end_in_any_order,
);

const GET: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn answers_arrive_whole_however_they_come_in(setup: Setup) {
    let proxy = setup.start();
    let backend = ScriptedBackend::start().await;
    let endpoint = proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    for (answer, reads) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 1),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            1,
        ),
        (
            "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 5\r\n\r\nhello",
            7,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            5,
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
             HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            11,
        ),
    ] {
        let size = answer.len().div_ceil(reads);
        for piece in answer.as_bytes().chunks(size) {
            upstream.send(piece).await;
            // So that it is read on its own; if it is not, less is tested.
            tokio::task::yield_now().await;
        }
        let mut head = client.head().await;
        if head.status() == 103 {
            head = client.head().await;
        }
        assert_eq!(head.status(), 200);
        assert_eq!(client.body(&head).await.as_deref(), Some(&b"hello"[..]));
        eventually("it is free", || endpoint.idle_connections() == 1).await;
        // The same connection again.
        client.send(GET).await;
        upstream.head().await;
    }
    upstream.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

async fn requests_and_answers_flow_at_the_same_time_and_end_in_any_order(setup: Setup) {
    let proxy = setup.start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    for answer_ends_first in [true, false] {
        let mut client = proxy.client().await;
        client
            .send("POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        let mut upstream = backend.accept().await;
        upstream.head().await;
        upstream
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        assert_eq!(client.head().await.status(), 200);
        for piece in ["one", "two"] {
            client.send(format!("3\r\n{piece}\r\n")).await;
            assert_eq!(upstream.chunk().await.expect("a piece"), piece.as_bytes());
            upstream.send(format!("3\r\n{piece}\r\n")).await;
            assert_eq!(client.chunk().await.expect("a piece"), piece.as_bytes());
        }
        if answer_ends_first {
            upstream.send("0\r\n\r\n").await;
            assert_eq!(client.chunk().await.expect("the end"), b"");
            client.send("5\r\nafter\r\n0\r\n\r\n").await;
            assert_eq!(upstream.chunk().await.expect("a piece"), b"after");
            assert_eq!(upstream.chunk().await.expect("the end"), b"");
        } else {
            client.send("0\r\n\r\n").await;
            assert_eq!(upstream.chunk().await.expect("the end"), b"");
            upstream.send("5\r\nafter\r\n0\r\n\r\n").await;
            assert_eq!(client.chunk().await.expect("a piece"), b"after");
            assert_eq!(client.chunk().await.expect("the end"), b"");
        }
    }
    proxy.finish().await;
}

#[tokio::test]
async fn a_connection_that_says_more_than_its_answer_serves_nobody_else() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    let endpoint = proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for answer in [
        format!("{OK}{OK}"),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nmore".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\n\r\n"
            .to_owned(),
    ] {
        client.send(GET).await;
        let mut upstream = backend.accept().await;
        upstream.head().await;
        upstream.send(&answer).await;
        assert_eq!(client.response().await.text(), "ok", "{answer}");
        assert_eq!(endpoint.idle_connections(), 0, "{answer}");
        assert_eq!(upstream.rest().await, b"", "closed: {answer}");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn what_an_idle_connection_says_unasked_is_no_answer() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    let endpoint = proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut first = backend.accept().await;
    first.head().await;
    first.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    assert_eq!(endpoint.idle_connections(), 1);
    first
        .send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")
        .await;
    eventually("it is out", || endpoint.idle_connections() == 0).await;
    client.send(GET).await;
    let mut second = backend.accept().await;
    second.head().await;
    second.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_and_keeps_its_length() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|received| match received.head.path() {
        "/head" => b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n".to_vec(),
        "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        _ => OK.into(),
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send("HEAD /head HTTP/1.1\r\nhost: a.test\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(
        (head.status(), head.get("content-length")),
        (200, Some("1000"))
    );
    for (path, status) in [("/304", 304), ("/204", 204)] {
        client.send_get(path).await;
        assert_eq!(client.head().await.status(), status);
    }
    assert_eq!(client.get("/").await.text(), "ok");
    assert_eq!(backend.connections(), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn a_head_of_any_usual_size_passes_and_one_without_end_does_not() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|received| {
        let size = match received.head.path() {
            "/large" => 30_000,
            _ => 100_000,
        };
        let value = "x".repeat(size);
        format!("HTTP/1.1 200 OK\r\nx-large: {value}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    let answer = client.get("/large").await;
    assert_eq!(answer.head.get("x-large").map(str::len), Some(30_000));
    assert_eq!(client.get("/without-end").await.status(), 502);
    proxy.finish().await;
}

#[tokio::test]
async fn the_endpoints_reason_phrase_is_passed_on() {
    let proxy = TestProxy::new().start();
    let backend =
        Backend::answering(|_| b"HTTP/1.1 200 Fine By Me\r\ncontent-length: 0\r\n\r\n".to_vec())
            .await;
    proxy.serve(backend.addr());
    let answer = proxy.client().await.get("/").await;
    assert_eq!(answer.head.first, "HTTP/1.1 200 Fine By Me");
    proxy.finish().await;
}
