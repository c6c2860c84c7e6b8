//! Client connections between requests: how their protocol is found out, how
//! long they may be silent, and that parking them shows to nobody.

use crate::support::{
    Backend, H2Client, ScriptedBackend, Setup, TestProxy, Upload, Wire, complete, eventually,
    h2_request, on_both_runtimes, within,
};
use std::time::Duration;

on_both_runtimes!(
    a_parked_connection_answers_again_and_again,
    a_parked_connection_is_closed_at_once_by_a_drain,
    idle_connections_are_closed_after_their_time,
);

const SOON: Duration = Duration::from_millis(20);
const NEVER: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(600);
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Nothing happens because of its age, unless said otherwise.
fn timeless() -> Setup {
    TestProxy::new().configure(|config| {
        config.connections.header_timeout = NEVER;
        config.connections.idle_timeout = NEVER;
        config.connections.park_after = NEVER;
    })
}

fn parking(setup: Setup) -> Setup {
    setup.configure(|config| config.connections.park_after = SOON)
}

async fn until_parked(proxy: &TestProxy, count: u64) {
    eventually(&format!("{count} parked"), || {
        proxy.proxy.connection_counts().parked == count
    })
    .await;
}

async fn until_woken(proxy: &TestProxy, count: u64) {
    eventually(&format!("{count} woken"), || {
        proxy.proxy.connection_counts().woken == count
    })
    .await;
}

/// The server ends it, and politely.
async fn until_goodbye(client: H2Client) {
    eventually("GOAWAY", || client.is_closed()).await;
    client.until_closed().await.expect("not a cut");
}

async fn a_parked_connection_answers_again_and_again(setup: Setup) {
    let proxy = parking(setup).start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for round in 1..=10 {
        assert_eq!(client.get("/").await.text(), "hello");
        assert_eq!(client.post("/", b"body").await.text(), "hello");
        until_parked(&proxy, 1).await;
        assert_eq!(proxy.proxy.connection_counts().woken, round - 1);
    }
    assert_eq!(proxy.proxy.connections(), 1, "the same all the time");
    drop(client);
    proxy.until_no_connections().await;
    assert_eq!(proxy.proxy.connection_counts().parked, 0);
    proxy.finish().await;
}

#[tokio::test]
async fn a_head_that_arrives_byte_by_byte_wakes_a_parked_connection() {
    let proxy = parking(timeless()).start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.get("/").await;
    until_parked(&proxy, 1).await;
    client.send(&GET[..1]).await;
    until_woken(&proxy, 1).await;
    for byte in &GET[1..] {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.response().await.text(), "hello");
    proxy.finish().await;
}

#[tokio::test]
async fn requests_one_behind_the_other_wake_a_parked_connection() {
    let proxy = parking(timeless()).start();
    let backend = Backend::answering(|received| {
        let path = received.head.path();
        let length = path.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{path}").into_bytes()
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.get("/").await;
    until_parked(&proxy, 1).await;
    let mut requests = String::new();
    for number in 0..40 {
        requests += &format!("GET /{number} HTTP/1.1\r\nhost: a.test\r\n\r\n");
    }
    // The end of the last one comes later, from a connection that is idle
    // for hyper and has something in its buffer.
    let (most, rest) = requests.split_at(requests.len() - 5);
    client.send(most).await;
    for number in 0..39 {
        assert_eq!(client.response().await.text(), format!("/{number}"));
    }
    tokio::time::sleep(SOON * 5).await;
    client.send(rest).await;
    assert_eq!(client.response().await.text(), "/39");
    until_parked(&proxy, 1).await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_large_request_wakes_a_parked_connection() {
    let proxy = parking(timeless()).start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.get("/").await;
    until_parked(&proxy, 1).await;
    let body: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    assert_eq!(client.post("/", &body).await.text(), "hello");
    assert!(backend.received()[1].body == body, "unharmed");
    proxy.finish().await;
}

#[tokio::test]
async fn nothing_is_parked_while_a_request_is_in_progress() {
    let proxy = parking(timeless()).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    // A witness: when it is parked, the others could have been.
    let mut witness = proxy.client().await;
    witness
        .send("GET / HTTP/1.0\r\nhost: b.test\r\nconnection: keep-alive\r\n\r\n")
        .await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await;
    witness.head().await;

    let mut held_back = proxy.client().await;
    held_back.send(GET).await;
    let mut first = if upstream.try_head().await.is_some() {
        upstream
    } else {
        backend.accept().await
    };
    let mut streaming = proxy.client().await;
    streaming.send(GET).await;
    let mut second = backend.accept().await;
    second.head().await;
    second
        .send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\none")
        .await;
    let head = streaming.head().await;
    let mut uploading = proxy.client().await;
    uploading
        .send("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 6\r\n\r\none")
        .await;
    let mut third = backend.accept().await;
    let upload = third.head().await;
    let mut early = proxy.client().await;
    early
        .send("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 6\r\n\r\none")
        .await;
    let mut fourth = backend.accept().await;
    fourth.head().await;
    fourth
        .send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly")
        .await;
    assert_eq!(early.response().await.text(), "early");

    until_parked(&proxy, 1).await;
    tokio::time::sleep(SOON * 10).await;
    assert_eq!(
        proxy.proxy.connection_counts().parked,
        1,
        "the witness only"
    );
    first
        .send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
        .await;
    assert_eq!(held_back.response().await.text(), "late");
    second.send("two").await;
    assert_eq!(streaming.body(&head).await.expect("all of it"), b"onetwo");
    uploading.send("two").await;
    assert_eq!(third.body(&upload).await.expect("all of it"), b"onetwo");
    third
        .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await;
    assert_eq!(uploading.response().await.text(), "ok");
    until_parked(&proxy, 4).await;
    drop(early);
    proxy.finish().await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_not_parked_away() {
    let proxy = parking(timeless()).start();
    let body = "x".repeat(8 << 20);
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
    let backend = Backend::answering(move |_| answer.clone().into_bytes()).await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(GET).await;
    let head = client.head().await;
    tokio::time::sleep(SOON * 10).await;
    assert_eq!(proxy.proxy.connection_counts().parked, 0);
    let received = client.body(&head).await.expect("all of it");
    assert_eq!(received.len(), length);
    until_parked(&proxy, 1).await;
    proxy.finish().await;
}

async fn a_parked_connection_is_closed_at_once_by_a_drain(setup: Setup) {
    let proxy = parking(setup).start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = proxy.client().await;
        client.get("/").await;
        clients.push(client);
    }
    until_parked(&proxy, 20).await;
    assert!(within("the drain", proxy.proxy.drain(LONG)).await);
    for mut client in clients {
        assert_eq!(client.rest().await, b"");
    }
    assert_eq!(proxy.proxy.connection_counts().parked, 0);
    proxy.finish().await;
}

/// Also one that was never used for anything else.
#[tokio::test]
async fn a_half_sent_head_does_not_hold_up_a_drain() {
    let proxy = timeless().start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut clients = Vec::new();
    for beginning in [
        "P",
        "PRI * HT",
        "GET / HT",
        "POST / HTTP/1.1\r\nhost: a.test\r\n",
    ] {
        let mut client = proxy.client().await;
        client.send(beginning).await;
        clients.push(client);
    }
    let mut used = proxy.client().await;
    used.get("/").await;
    used.send("GET / HTTP/1.1\r\nho").await;
    clients.push(used);
    let begun = tokio::time::Instant::now();
    assert!(within("the drain", proxy.proxy.drain(LONG)).await);
    assert!(begun.elapsed() < Duration::from_secs(5), "a moment only");
    for mut client in clients {
        assert_eq!(client.rest().await, b"");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn a_head_that_is_on_its_way_when_the_drain_begins_is_served() {
    let proxy = timeless().start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut fresh = proxy.client().await;
    let mut used = proxy.client().await;
    used.get("/").await;
    let mut witness = proxy.client().await;
    witness.get("/").await;
    for client in [&mut fresh, &mut used] {
        client.send(&GET[..10]).await;
    }
    let drain = async { proxy.proxy.drain(LONG).await };
    let story = async {
        assert_eq!(witness.rest().await, b"");
        for client in [&mut fresh, &mut used] {
            client.send(&GET[10..]).await;
            let answer = client.response().await;
            assert_eq!(
                (answer.status(), answer.head.get("connection")),
                (200, Some("close"))
            );
            assert_eq!(client.rest().await, b"");
        }
    };
    assert!(within("the drain", async { tokio::join!(drain, story).0 }).await);
    proxy.finish().await;
}

async fn idle_connections_are_closed_after_their_time(setup: Setup) {
    for park_after in [NEVER, SOON] {
        let setup = setup.clone().configure(|config| {
            config.connections.idle_timeout = SOON * 5;
            config.connections.park_after = park_after;
        });
        let proxy = setup.start();
        let backend = Backend::saying("hello").await;
        proxy.serve(backend.addr());
        let mut client = proxy.client().await;
        client.get("/").await;
        let begun = tokio::time::Instant::now();
        let mut modern = H2Client::connect(proxy.addr()).await;
        assert_eq!(modern.get("/").await.0, 200);
        assert_eq!(client.rest().await, b"");
        assert!(begun.elapsed() >= SOON * 4, "not early");
        until_goodbye(modern).await;
        assert_eq!(proxy.proxy.connection_counts().idle_closed, 2);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_request_in_progress_is_not_idle() {
    let proxy = timeless()
        .configure(|config| config.connections.idle_timeout = SOON)
        .start();
    let mut client = proxy.client().await;
    client.send(GET).await;
    let mut modern = H2Client::connect(proxy.addr()).await;
    let answer = tokio::spawn(modern.send(h2_request("GET", "/", Upload::none())));
    proxy.until_held(2).await;
    tokio::time::sleep(SOON * 10).await;
    assert_eq!(proxy.web().held(), 2);
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    assert_eq!(client.response().await.text(), "hello");
    let answer = answer.await.expect("no panic").expect("an answer");
    assert_eq!(complete(answer).await.0, 200);
    until_goodbye(modern).await;
    assert_eq!(client.rest().await, b"");
    proxy.finish().await;
}

#[tokio::test]
async fn slow_heads_are_told_so_and_silent_clients_are_not() {
    let setup = timeless().configure(|config| config.connections.header_timeout = SOON * 5);
    let proxy = setup.start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut silent = proxy.client().await;
    let mut used = proxy.client().await;
    used.get("/").await;
    used.send("GET / HTTP/1.1\r\n").await;
    let mut fresh = proxy.client().await;
    fresh.send("G").await;
    let mut undecided = proxy.client().await;
    undecided.send("PR").await;
    let mut preface = proxy.client().await;
    preface.send("PRI * HTTP").await;
    for slow in [&mut used, &mut fresh, &mut undecided] {
        let answer = slow.response().await;
        assert_eq!((answer.status(), answer.text()), (408, "Request Timeout\n"));
        assert_eq!(answer.head.get("connection"), Some("close"));
        assert_eq!(slow.rest().await, b"");
    }
    assert_eq!(silent.rest().await, b"");
    assert_eq!(preface.rest().await, b"");
    assert_eq!(proxy.proxy.connection_counts().slow_closed, 5);
    proxy.finish().await;
}

#[tokio::test]
async fn a_slow_body_is_no_slow_head() {
    let setup = timeless().configure(|config| config.connections.header_timeout = SOON);
    let proxy = setup.start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 6\r\n\r\none")
        .await;
    let mut upstream = backend.accept().await;
    let head = upstream.head().await;
    tokio::time::sleep(SOON * 10).await;
    client.send("two").await;
    assert_eq!(upstream.body(&head).await.expect("all of it"), b"onetwo");
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn the_last_request_of_a_connection_says_so() {
    let proxy = timeless()
        .configure(|config| config.connections.max_requests = 3)
        .start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for last in [None, None, Some("close")] {
        let answer = client.get("/").await;
        assert_eq!(
            (answer.text(), answer.head.get("connection")),
            ("hello", last)
        );
    }
    assert_eq!(client.rest().await, b"");
    // Also an answer of our own.
    let mut lost = proxy.client().await;
    for last in [None, None, Some("close")] {
        lost.send("OPTIONS * HTTP/1.1\r\nhost: a.test\r\nx: y\r\n\r\n")
            .await;
        assert_eq!(lost.response().await.head.get("connection"), last);
    }
    assert_eq!(lost.rest().await, b"");
    let mut modern = H2Client::connect(proxy.addr()).await;
    for _ in 0..3 {
        assert_eq!(modern.get("/").await.0, 200);
    }
    until_goodbye(modern).await;
    proxy.finish().await;
}

#[tokio::test]
async fn the_preface_of_http2_may_arrive_byte_by_byte() {
    let proxy = timeless().start();
    let mut client = proxy.client().await;
    for byte in PREFACE.iter().chain(SETTINGS) {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    // Its own SETTINGS, and the acknowledgement of ours.
    let settings = client.exactly(9).await.expect("a frame");
    assert_eq!(settings[3], 4, "SETTINGS");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn requests_that_begin_like_the_preface_are_http1() {
    let proxy = timeless().start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    for method in ["PUT", "P", "PR", "PRI", "PRIO", "POST"] {
        let request = format!("{method} / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n");
        let mut client: Wire = proxy.client().await;
        for byte in request.bytes() {
            client.send([byte]).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.response().await.text(), "hello", "{method}");
    }
    assert_eq!(backend.received().len(), 6);
    proxy.finish().await;
}

/// All requests of many clients, while their connections are parked and woken
/// all the time.
#[tokio::test]
async fn many_wakes_lose_nothing() {
    let proxy = timeless()
        .workers(2)
        .configure(|config| config.connections.park_after = Duration::from_millis(1))
        .start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut clients = Vec::new();
    for number in 0..20_u64 {
        let mut client = proxy.client().await;
        clients.push(tokio::spawn(async move {
            for round in 0..30 {
                let pause = (number * 7 + round * 3) % 23;
                tokio::time::sleep(Duration::from_millis(pause)).await;
                assert_eq!(client.get("/").await.text(), "hello");
            }
        }));
    }
    for client in clients {
        within("a client", client).await.expect("no panic");
    }
    assert!(
        proxy.proxy.connection_counts().woken > 0,
        "some were parked"
    );
    assert_eq!(proxy.counted("GET", 200), 600);
    proxy.finish().await;
}
