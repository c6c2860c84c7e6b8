//! Bodies pass piece by piece, in both directions, at the pace of whoever is
//! slower.

use crate::support::{
    H2Backend, H2Client, ScriptedBackend, Setup, TestProxy, Upload, Wire, complete, eventually,
    h2_request, on_both_runtimes, within,
};
use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use std::{
    hash::{DefaultHasher, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
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

/// Pieces of a body that count how many of them were taken and are gone.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicUsize>);

struct Piece(Counted);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &[b'x'; PIECE]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counted {
    fn piece(&self) -> Bytes {
        Bytes::from_owner(Piece(self.clone()))
    }

    /// Bytes that are gone, once that has been the same for a while.
    async fn settled(&self) -> usize {
        loop {
            let before = self.0.load(Ordering::SeqCst);
            tokio::time::sleep(QUIET).await;
            if self.0.load(Ordering::SeqCst) == before {
                return before * PIECE;
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_read_slowly_gets_no_further_ahead_than_the_windows_hold() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    // HTTP/1.1 to HTTP/2.
    let answer = tokio::spawn(client.send(h2_request("GET", "/", Upload::none())));
    let mut upstream = backend.accept().await;
    upstream.head().await;
    let body = 1usize << 40;
    upstream
        .send(format!("HTTP/1.1 200 OK\r\ncontent-length: {body}\r\n\r\n"))
        .await;
    let unread = within("a head", answer).await.expect("no panic");
    let ahead = upstream.send_until_stuck(&[b'x'; PIECE], QUIET).await;
    assert!(ahead < AHEAD, "{ahead}");
    // HTTP/2 to HTTP/2, both ways: here nothing but windows hold anything.
    let mut modern = H2Backend::start().await;
    proxy.serve_h2c(modern.addr());
    let (up, down) = (Counted::default(), Counted::default());
    let (send_up, upload) = Upload::channel();
    let answer = client.send(h2_request("POST", "/", upload));
    let (send_down, body) = Upload::channel();
    let unread_too = modern.call().await.answer_early(Response::new(body));
    let answer = within("a head", answer).await.expect("a head");
    for _ in 0..1_000 {
        send_up.send(up.piece()).expect("somebody reads");
        send_down.send(down.piece()).expect("somebody reads");
    }
    let most = 4 * 1024 * 1024;
    let (up, down) = (up.settled().await, down.settled().await);
    assert!(up < most && down < most, "{up} up, {down} down");
    // Others are not concerned.
    let other = client.send(h2_request("GET", "/other", Upload::none()));
    modern.call().await.say("hello");
    let other = within("an answer", other).await.expect("an answer");
    assert_eq!(complete(other).await.2, "hello");
    client.cut();
    drop((unread, unread_too, answer, send_up, send_down, upstream));
    proxy.finish().await;
}

#[tokio::test]
async fn events_are_passed_on_as_they_come_whoever_speaks_what() {
    const EVENTS: [&str; 3] = ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"];
    let proxy = TestProxy::new().start();
    let mut modern = H2Backend::start().await;
    proxy.serve_h2c(modern.addr());
    let head = || Response::builder().header("content-type", "text/event-stream");
    // From HTTP/2 to HTTP/1.1.
    let mut client = proxy.client().await;
    client.send_get("/").await;
    let (send, body) = Upload::channel();
    modern
        .call()
        .await
        .answer(head().body(body).expect("valid"));
    client.head().await;
    for event in EVENTS {
        send.send(event.into()).expect("somebody reads");
        assert_eq!(client.chunk().await.expect("an event"), event.as_bytes());
    }
    drop(send);
    assert_eq!(client.chunk().await.expect("the end"), b"");
    // To HTTP/1.0, which knows no chunks.
    let mut old = proxy.client().await;
    old.send("GET / HTTP/1.0\r\nhost: a.test\r\nconnection: keep-alive\r\n\r\n")
        .await;
    let (send, body) = Upload::channel();
    modern
        .call()
        .await
        .answer(head().body(body).expect("valid"));
    let answer = old.head().await;
    assert_eq!(answer.first, "HTTP/1.0 200 OK");
    assert_eq!(answer.get("transfer-encoding"), None);
    for event in EVENTS {
        send.send(event.into()).expect("somebody reads");
        let heard = old.exactly(event.len()).await;
        assert_eq!(heard.expect("an event"), event.as_bytes());
    }
    drop(send);
    assert_eq!(old.rest().await, b"", "its end is the connection's");
    // From HTTP/1.1 to HTTP/2.
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let answer = tokio::spawn(client.send(h2_request("GET", "/", Upload::none())));
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream.send(CHUNKED).await;
    let mut answer = within("a head", answer)
        .await
        .expect("no panic")
        .expect("a head");
    for event in EVENTS {
        let length = event.len();
        upstream.send(format!("{length:x}\r\n{event}\r\n")).await;
        let piece = within("an event", answer.frame()).await.expect("an event");
        assert_eq!(piece.expect("data").into_data().expect("data"), event);
    }
    upstream.send("0\r\n\r\n").await;
    let rest = within("the end", answer.into_body().collect()).await;
    assert!(rest.expect("an end").to_bytes().is_empty());
    proxy.finish().await;
}

const MUCH: usize = 3 * 1024 * 1024;

#[tokio::test]
async fn a_large_stream_to_an_endpoint_that_answers_early_ends() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    for closes in [true, false] {
        let (send, upload) = Upload::channel();
        for _ in 0..MUCH / PIECE {
            send.send(vec![b'x'; PIECE].into()).expect("somebody reads");
        }
        let answer = tokio::spawn(client.send(h2_request("POST", "/", upload)));
        let mut upstream = backend.accept().await;
        upstream.head().await;
        upstream
            .send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno")
            .await;
        let answer = within("an answer", answer).await.expect("no panic");
        let answer = complete(answer.expect("an answer")).await;
        assert_eq!((answer.0, &answer.2[..]), (413, &b"no"[..]), "{closes}");
        if closes {
            drop(upstream);
            // The client learns that nobody wants the rest.
            within("the end of the upload", send.closed()).await;
        } else {
            drop(send);
            // Or somebody does.
            let mut taken = 0;
            while let Some(chunk) = upstream.chunk().await.filter(|chunk| !chunk.is_empty()) {
                taken += chunk.len();
            }
            assert_eq!(taken, MUCH);
        }
    }
    let mut modern = H2Backend::start().await;
    proxy.serve_h2c(modern.addr());
    let (send, upload) = Upload::channel();
    for _ in 0..MUCH / PIECE {
        send.send(vec![b'x'; PIECE].into()).expect("somebody reads");
    }
    let answer = client.send(h2_request("POST", "/", upload));
    drop(
        modern
            .call()
            .await
            .answer_early(Response::new(Upload::full("no"))),
    );
    let answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(complete(answer).await.2, "no");
    within("the end of the upload", send.closed()).await;
    // All connections are as good as before.
    let again = client.send(h2_request("GET", "/", Upload::none()));
    modern.call().await.say("hello");
    let again = within("an answer", again).await.expect("an answer");
    assert_eq!(complete(again).await.2, "hello");
    assert_eq!(modern.connections(), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_answers_early_and_reads_no_more_holds_up_nobody() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    let endpoint = proxy.serve(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let (send, upload) = Upload::channel();
    for _ in 0..64 * 1024 * 1024 / PIECE {
        send.send(vec![b'x'; PIECE].into()).expect("somebody reads");
    }
    let answer = tokio::spawn(client.send(h2_request("POST", "/", upload)));
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream.send(EMPTY).await;
    let answer = within("an answer", answer).await.expect("no panic");
    assert_eq!(complete(answer.expect("an answer")).await.0, 200);
    // It is over, whatever becomes of the rest.
    proxy.settled().await;
    eventually("no claim", || endpoint.in_flight() == 0).await;
    let answer = tokio::spawn(client.send(h2_request("GET", "/", Upload::none())));
    let mut second = backend.accept().await;
    second.head().await;
    second.send(EMPTY).await;
    let answer = within("an answer", answer).await.expect("no panic");
    assert_eq!(complete(answer.expect("an answer")).await.0, 200);
    // In the end the rest is given up on both sides, without a complaint.
    within("the end of the upload", send.closed()).await;
    upstream.rest().await;
    assert!(!client.is_closed());
    drop((client, second));
    proxy.finish().await;
}
