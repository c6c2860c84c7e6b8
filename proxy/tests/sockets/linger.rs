//! Clients that are answered before they have sent everything: they get to
//! read the answer, instead of a reset that may swallow it (RFC 9112 section
//! 9.6).

use crate::support::{Backend, ScriptedBackend, TestProxy, Wire, within};
use std::time::Duration;

/// More than all buffers between the two ends hold.
const LARGE: usize = 24 * 1024 * 1024;

fn head(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: a.test\r\ncontent-length: {LARGE}\r\n\r\n")
}

/// Sends all of a request before it reads a byte of the answer, as simple
/// clients do.
async fn send_all(client: &mut Wire, head: &str) {
    client.send(head).await;
    let piece = vec![b'x'; 256 * 1024];
    for _ in 0..LARGE / piece.len() {
        let patience = Duration::from_secs(20);
        assert!(client.try_send(&piece, patience).await, "reset");
    }
}

#[tokio::test]
async fn whoever_is_refused_in_the_middle_of_an_upload_can_read_why() {
    let proxy = TestProxy::new()
        .configure(|config| config.max_held = 0)
        .start();
    for (head, status) in [
        // By hyper, by us before a route is known, and by the target.
        ("POST / HTTP/9.9\r\n\r\n".to_owned(), 400),
        (head("/#fragment"), 400),
        (head("/"), 503),
    ] {
        let mut client = proxy.client().await;
        send_all(&mut client, &head).await;
        assert_eq!(client.response().await.status(), status, "{head}");
        assert_eq!(client.rest().await, b"");
    }
    proxy.until_no_connections().await;
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoints_early_answer_is_read_too() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(head("/")).await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream
        .send(
            "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 5\r\n\r\nlarge",
        )
        .await;
    upstream.end_sending().await;
    drop(upstream);
    let piece = vec![b'x'; 256 * 1024];
    for _ in 0..LARGE / piece.len() {
        assert!(
            client.try_send(&piece, Duration::from_secs(20)).await,
            "reset"
        );
    }
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.text()), (413, "large"));
    drop(client);
    proxy.until_no_connections().await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_never_closes_is_let_go_after_a_while() {
    let proxy = TestProxy::new()
        .configure(|config| config.clients.linger = Duration::from_millis(300))
        .start();
    let mut client = proxy.client().await;
    client.send(head("/#fragment")).await;
    assert_eq!(client.response().await.status(), 400);
    assert_eq!(client.rest().await, b"", "the proxy has ended its side");
    // The other side is open, and goes on sending for ever.
    let sent = async { while client.try_send(b"x", Duration::from_secs(5)).await {} };
    within("the end of the connection", sent).await;
    proxy.until_no_connections().await;
    proxy.finish().await;
}

#[tokio::test]
async fn without_lingering_the_connection_is_closed_at_once() {
    let proxy = TestProxy::new()
        .configure(|config| config.clients.linger = Duration::ZERO)
        .start();
    let mut client = proxy.client().await;
    client.send(head("/#fragment")).await;
    client.head().await;
    // Although the client has not closed.
    proxy.until_no_connections().await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_drain_waits_for_no_lingering_client_longer_than_its_limit() {
    let proxy = TestProxy::new().start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(head("/#fragment")).await;
    assert_eq!(client.response().await.status(), 400);
    assert!(!proxy.proxy.drain(Duration::from_millis(100)).await);
    proxy.until_no_connections().await;
    drop(client);
    proxy.finish().await;
}
