//! Bodies pass piece by piece, in both directions, at the pace of whoever is
//! slower.

use crate::support::{
    ScriptedBackend, Setup, TestProxy, Wire, eventually, on_both_runtimes, within,
};
use std::{
    hash::{DefaultHasher, Hasher},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

on_both_runtimes!(
    the_endpoint_sees_a_piece_before_the_client_sends_the_next,
    the_client_sees_a_piece_before_the_endpoint_sends_the_next,
    both_directions_flow_at_the_same_time,
    large_bodies_arrive_unchanged_in_both_directions,
);

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A proxy, a client with a request under way, and the endpoint's side of it.
async fn exchange(setup: Setup, request: &str) -> (TestProxy, Wire, ScriptedBackend, Wire) {
    let proxy = setup.start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(request).await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    (proxy, client, backend, upstream)
}

const UPLOAD: &str = "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";

async fn the_endpoint_sees_a_piece_before_the_client_sends_the_next(setup: Setup) {
    let (proxy, mut client, _backend, mut upstream) = exchange(setup, UPLOAD).await;
    for piece in ["one", "two", "six"] {
        client.send(format!("3\r\n{piece}\r\n")).await;
        assert_eq!(upstream.chunk().await.expect("a piece"), piece.as_bytes());
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(upstream.chunk().await.expect("the end"), b"");
    upstream.send(EMPTY).await;
    assert_eq!(client.response().await.status(), 200);
    proxy.finish().await;
}

async fn the_client_sees_a_piece_before_the_endpoint_sends_the_next(setup: Setup) {
    let get = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let (proxy, mut client, _backend, mut upstream) = exchange(setup, get).await;
    upstream.send(CHUNKED).await;
    assert_eq!(client.head().await.status(), 200);
    for piece in ["one", "two", "six"] {
        upstream.send(format!("3\r\n{piece}\r\n")).await;
        assert_eq!(client.chunk().await.expect("a piece"), piece.as_bytes());
    }
    assert_eq!(proxy.web().totals().in_flight(), 1, "until its last byte");
    upstream.send("0\r\n\r\n").await;
    assert_eq!(client.chunk().await.expect("the end"), b"");
    proxy.finish().await;
}

async fn both_directions_flow_at_the_same_time(setup: Setup) {
    let (proxy, mut client, _backend, mut upstream) = exchange(setup, UPLOAD).await;
    upstream.send(CHUNKED).await;
    assert_eq!(client.head().await.status(), 200);
    for piece in ["one", "two", "six"] {
        client.send(format!("3\r\n{piece}\r\n")).await;
        let heard = upstream.chunk().await.expect("a piece");
        upstream
            .send([b"3\r\n", &heard[..], b"\r\n"].concat())
            .await;
        assert_eq!(client.chunk().await.expect("its echo"), piece.as_bytes());
    }
    upstream.send("0\r\n\r\n").await;
    assert_eq!(client.chunk().await.expect("the end"), b"");
    client.send("0\r\n\r\n").await;
    assert_eq!(upstream.chunk().await.expect("the end"), b"");
    proxy.finish().await;
}

const LARGE: usize = 24 * 1024 * 1024;

/// Byte `at` of every large body.
fn pattern(from: usize, length: usize) -> Vec<u8> {
    let byte = |at: usize| u8::try_from((at ^ (at >> 8) ^ (at >> 16)) & 0xff).expect("one byte");
    (from..from + length).map(byte).collect()
}

fn checksum_of_pattern() -> u64 {
    let mut hasher = DefaultHasher::new();
    for from in (0..LARGE).step_by(PIECE) {
        hasher.write(&pattern(from, PIECE));
    }
    hasher.finish()
}

const PIECE: usize = 64 * 1024;

async fn send_pattern(to: &mut (impl tokio::io::AsyncWrite + Unpin)) {
    for from in (0..LARGE).step_by(PIECE) {
        to.write_all(&pattern(from, PIECE)).await.expect("sent");
    }
}

async fn receive_pattern(mut from: impl tokio::io::AsyncRead + Unpin) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut piece = vec![0; PIECE];
    for _ in 0..LARGE / PIECE {
        from.read_exact(&mut piece).await.expect("received");
        hasher.write(&piece);
    }
    hasher.finish()
}

async fn large_bodies_arrive_unchanged_in_both_directions(setup: Setup) {
    let upload = format!("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: {LARGE}\r\n\r\n");
    let (proxy, mut client, _backend, mut upstream) = exchange(setup, &upload).await;
    upstream
        .send(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n"
        ))
        .await;
    client.head().await;
    // Both senders stay open until all is received: half closed is left.
    let (client_read, mut client_write) = client.split();
    let (upstream_read, mut upstream_write) = upstream.split();
    let (_, _, up, down) = within("both bodies", async {
        tokio::join!(
            send_pattern(&mut client_write),
            send_pattern(&mut upstream_write),
            receive_pattern(upstream_read),
            receive_pattern(client_read),
        )
    })
    .await;
    let wanted = checksum_of_pattern();
    assert_eq!((up, down), (wanted, wanted));
    proxy.finish().await;
}

/// More than the sockets between the two ends hold, less than a body.
const AHEAD: usize = 32 * 1024 * 1024;
const QUIET: Duration = Duration::from_millis(100);

#[tokio::test]
async fn an_endpoint_gets_no_further_ahead_of_a_slow_reader_than_the_sockets_hold() {
    let get = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let (proxy, client, _backend, mut upstream) = exchange(TestProxy::new(), get).await;
    let body = 1usize << 40;
    upstream
        .send(format!("HTTP/1.1 200 OK\r\ncontent-length: {body}\r\n\r\n"))
        .await;
    let ahead = upstream.send_until_stuck(&[b'x'; PIECE], QUIET).await;
    assert!(ahead < AHEAD, "{ahead}");
    drop(client);
    proxy.settled().await;
    assert_eq!(upstream.rest().await, b"", "its connection is closed");
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_gets_no_further_ahead_of_a_slow_endpoint_than_the_sockets_hold() {
    let body = 1usize << 40;
    let upload = format!("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: {body}\r\n\r\n");
    let (proxy, mut client, _backend, upstream) = exchange(TestProxy::new(), &upload).await;
    let ahead = client.send_until_stuck(&[b'x'; PIECE], QUIET).await;
    assert!(ahead < AHEAD, "{ahead}");
    drop(upstream);
    assert_eq!(client.response().await.status(), 502);
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn nothing_of_a_held_body_is_read() {
    let proxy = TestProxy::new().start();
    let body = 1usize << 40;
    let mut client = proxy.client().await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: {body}\r\n\r\n"
        ))
        .await;
    proxy.until_held(1).await;
    let ahead = client.send_until_stuck(&[b'x'; PIECE], QUIET).await;
    assert!(ahead < AHEAD / 2, "{ahead}");
    client.reset();
    proxy.until_held(0).await;
    proxy.finish().await;
}

#[tokio::test]
async fn an_early_answer_does_not_cut_the_upload_off() {
    let (proxy, mut client, backend, mut upstream) = exchange(TestProxy::new(), UPLOAD).await;
    upstream.send(EMPTY).await;
    assert_eq!(client.response().await.status(), 200);
    // Nobody else gets a connection whose upload is unfinished,
    let mut other = proxy.client().await;
    other.send_get("/other").await;
    let mut second = backend.accept().await;
    assert_eq!(second.head().await.path(), "/other");
    second
        .send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(other.response().await.status(), 200);
    client.send("3\r\none\r\n0\r\n\r\n").await;
    assert_eq!(upstream.chunk().await.expect("a piece"), b"one");
    assert_eq!(upstream.chunk().await.expect("the end"), b"");
    // and everybody as soon as it is finished.
    let endpoints = proxy.web().endpoints();
    let endpoint = endpoints.iter().next().expect("one endpoint");
    eventually("the upload is through", || endpoint.idle_connections() == 1).await;
    client.send_get("/next").await;
    assert_eq!(upstream.head().await.path(), "/next");
    upstream.send(EMPTY).await;
    assert_eq!(client.response().await.status(), 200);
    proxy.finish().await;
}
