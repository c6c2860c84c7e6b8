//! The end of serving: idle connections close, running requests finish, held
//! ones wait for as long as they may.

use crate::support::{
    Backend, H2Client, ScriptedBackend, Setup, TestProxy, Upload, Wire, complete, eventually,
    h2_request, on_both_runtimes, within,
};
use std::{
    future::Future,
    io::{self, ErrorKind},
    net::SocketAddr,
    time::Duration,
};
use tokio::net::TcpStream;

on_both_runtimes!(
    who_asks_after_the_announcement_is_told_to_leave_with_the_answer,
    idle_connections_close_at_once,
    a_running_request_finishes_and_its_connection_closes,
    a_held_request_is_served_if_an_endpoint_comes_in_time,
    a_held_request_gets_503_at_the_deadline,
    nobody_is_accepted_any_more,
);

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(50);

/// Drains while `story` goes on, which starts when draining has begun.
async fn drain(proxy: &TestProxy, limit: Duration, story: impl Future<Output = ()>) -> bool {
    let before = proxy.proxy.connections();
    let mut witness = proxy.client().await;
    eventually("the witness is accepted", || {
        proxy.proxy.connections() > before
    })
    .await;
    let story = async {
        assert_eq!(witness.rest().await, b"", "idle, hence closed");
        story.await;
    };
    within("the drain", async {
        tokio::join!(proxy.proxy.drain(limit), story).0
    })
    .await
}

async fn refused(addr: SocketAddr) -> bool {
    let connected: io::Result<TcpStream> = TcpStream::connect(addr).await;
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

async fn who_asks_after_the_announcement_is_told_to_leave_with_the_answer(setup: Setup) {
    let proxy = setup.start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let (mut before, mut idle) = (proxy.client().await, proxy.client().await);
    for client in [&mut before, &mut idle] {
        assert_eq!(client.get("/").await.head.get("connection"), None);
    }
    let mut modern = H2Client::connect(proxy.addr()).await;
    assert_eq!(modern.get("/").await.0, 200);
    proxy.proxy.announce_drain();
    // Everybody is served, also who comes only now, and leaves then.
    let mut after = proxy.client().await;
    for client in [&mut before, &mut after] {
        let answer = client.get("/").await;
        assert_eq!((answer.status(), answer.text()), (200, "hello"));
        assert_eq!(answer.head.get("connection"), Some("close"));
        assert_eq!(client.rest().await, b"");
    }
    // HTTP/2 can be told in the middle, when draining begins.
    assert_eq!(modern.get("/").await.0, 200);
    let drained = drain(&proxy, LONG, async {
        assert_eq!(idle.rest().await, b"");
        modern.until_closed().await.expect("a polite end");
    });
    assert!(drained.await, "nothing was cut off");
    proxy.finish().await;
}

async fn idle_connections_close_at_once(setup: Setup) {
    let proxy = setup.start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut used = proxy.client().await;
    assert_eq!(used.get("/").await.status(), 200);
    let mut halfway = proxy.client().await;
    assert_eq!(halfway.get("/").await.status(), 200);
    halfway.send("GET / HTTP/1.1\r\nhost").await;
    let mut modern = H2Client::connect(proxy.addr()).await;
    assert_eq!(modern.get("/").await.0, 200);
    let drained = drain(&proxy, LONG, async {
        assert_eq!(used.rest().await, b"");
        modern.until_closed().await.expect("a polite end");
        halfway.rest().await;
    });
    assert!(drained.await, "nothing was cut off");
    assert_eq!(proxy.proxy.connections(), 0);
    proxy.finish().await;
}

async fn a_running_request_finishes_and_its_connection_closes(setup: Setup) {
    let proxy = setup.start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send_get("/unanswered").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    let mut streaming = proxy.client().await;
    streaming.send_get("/streaming").await;
    let mut stream = backend.accept().await;
    stream.head().await;
    stream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\none")
        .await;
    let streamed = streaming.head().await;
    let mut modern = H2Client::connect(proxy.addr()).await;
    let answer = tokio::spawn(modern.send(h2_request("GET", "/modern", Upload::none())));
    let mut third = backend.accept().await;
    third.head().await;
    let drained = drain(&proxy, LONG, async {
        upstream
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        let finished = client.response().await;
        assert_eq!((finished.status(), finished.text()), (200, "ok"));
        assert_eq!(finished.head.get("connection"), Some("close"));
        assert_eq!(client.rest().await, b"");
        stream.send("two").await;
        let body = streaming.body(&streamed).await.expect("all of it");
        assert_eq!(body, b"onetwo");
        third
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        let answer = within("an answer", answer).await.expect("no panic");
        assert_eq!(complete(answer.expect("an answer")).await.2, "ok");
        modern.until_closed().await.expect("GOAWAY, not a cut");
    });
    assert!(drained.await, "nothing was cut off");
    proxy.finish().await;
}

async fn a_held_request_is_served_if_an_endpoint_comes_in_time(setup: Setup) {
    let proxy = setup.start();
    let backend = Backend::saying("hello").await;
    let mut client = proxy.client().await;
    client.send_post("/", b"body").await;
    proxy.until_held(1).await;
    let mut modern = H2Client::connect(proxy.addr()).await;
    let answer = tokio::spawn(modern.send(h2_request("GET", "/modern", Upload::none())));
    proxy.until_held(2).await;
    let drained = drain(&proxy, LONG, async {
        assert_eq!(proxy.web().held(), 2);
        proxy.serve(backend.addr());
        let head = client.head().await;
        assert_eq!(
            (head.status(), head.get("connection")),
            (200, Some("close"))
        );
        assert_eq!(client.rest().await, b"hello");
        let answer = within("an answer", answer).await.expect("no panic");
        assert_eq!(complete(answer.expect("an answer")).await.0, 200);
        modern.until_closed().await.expect("a polite end");
    });
    assert!(drained.await, "nothing was cut off");
    proxy.finish().await;
}

async fn a_held_request_gets_503_at_the_deadline(setup: Setup) {
    let proxy = setup.start();
    let (mut get, mut post) = (proxy.client().await, proxy.client().await);
    get.send_get("/").await;
    proxy.until_held(1).await;
    post.send("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 9\r\n\r\nunread")
        .await;
    proxy.until_held(2).await;
    let mut modern = H2Client::connect(proxy.addr()).await;
    let answer = tokio::spawn(modern.send(h2_request("GET", "/modern", Upload::none())));
    proxy.until_held(3).await;
    let drained = drain(&proxy, SHORT, async {
        for client in [&mut get, &mut post] {
            let answer = client.response().await;
            assert_eq!(
                (answer.status(), answer.text()),
                (503, "Service Unavailable\n")
            );
            assert_eq!(answer.head.get("retry-after"), Some("5"));
            assert_eq!(answer.head.get("connection"), Some("close"));
            assert_eq!(client.rest().await, b"");
        }
        let answer = within("an answer", answer).await.expect("no panic");
        assert_eq!(complete(answer.expect("an answer")).await.0, 503);
    });
    assert!(!drained.await, "somebody had to be refused");
    assert_eq!(proxy.counted("GET", 503), 2);
    proxy.finish().await;
}

#[tokio::test]
async fn who_still_runs_at_the_deadline_is_cut_off() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send_get("/").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    let mut streaming = proxy.client().await;
    streaming.send_get("/").await;
    let mut stream = backend.accept().await;
    stream.head().await;
    stream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\none")
        .await;
    let streamed = streaming.head().await;
    let mut modern = H2Client::connect(proxy.addr()).await;
    let answer = tokio::spawn(modern.send(h2_request("GET", "/modern", Upload::none())));
    let mut third = backend.accept().await;
    third.head().await;
    let drained = drain(&proxy, SHORT, async {
        assert_eq!(client.rest().await, b"");
        assert_eq!(streaming.body(&streamed).await, None);
        answer.await.expect("no panic").expect_err("cut off");
        for mut upstream in [upstream, stream, third] {
            assert_eq!(upstream.rest().await, b"", "closed too");
        }
    });
    assert!(!drained.await, "they were cut off");
    assert_eq!(proxy.proxy.connections(), 0);
    proxy.finish().await;
}

async fn nobody_is_accepted_any_more(setup: Setup) {
    let proxy = setup.start();
    let mut client = proxy.client().await;
    client.send_get("/").await;
    proxy.until_held(1).await;
    let backend = Backend::saying("hello").await;
    let addr = proxy.addr();
    let drained = drain(&proxy, LONG, async {
        while !refused(addr).await {
            tokio::task::yield_now().await;
        }
        proxy.serve(backend.addr());
        assert_eq!(client.response().await.status(), 200);
    });
    assert!(drained.await);
    proxy.finish().await;
}

#[tokio::test]
async fn a_proxy_that_is_drained_refuses_connections_from_then_on() {
    for _ in 0..20 {
        let proxy = TestProxy::new().workers(2).start();
        let mut client = proxy.client().await;
        assert!(proxy.proxy.drain(LONG).await);
        assert!(refused(proxy.addr()).await);
        assert_eq!(client.rest().await, b"");
        assert!(proxy.proxy.drain(SHORT).await, "again is fine");
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_request_right_behind_a_finishing_one_is_not_started() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client: Wire = proxy.client().await;
    client.send_get("/first").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    let drained = drain(&proxy, LONG, async {
        client.send_get("/second").await;
        upstream
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        assert_eq!(client.response().await.text(), "ok");
        assert_eq!(client.rest().await, b"");
    });
    assert!(drained.await);
    assert_eq!(proxy.counted("GET", 200), 1);
    proxy.finish().await;
}
