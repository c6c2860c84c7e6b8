//! What clients may take, and what happens beyond: a clear answer, a count,
//! and nothing for anybody else.

use crate::support::{
    Backend, H2Client, ScriptedBackend, TestProxy, Upload, Wire, eventually, h2_request, within,
};
use proxy::RefusedFor;
use std::time::Duration;

const GOOD: &str = "GET / HTTP/1.1\r\nhost: a.test\r\n";

#[tokio::test]
async fn a_head_may_be_as_large_as_the_limit_and_no_larger() {
    let proxy = TestProxy::new()
        .configure(|config| config.clients.header_bytes = 16 * 1024)
        .start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let value = |size: usize| "y".repeat(size);
    let mut client = proxy.client().await;
    client
        .send(format!("{GOOD}x: {}\r\n\r\n", value(15 * 1024)))
        .await;
    assert_eq!(client.response().await.status(), 200);
    client
        .send(format!("{GOOD}x: {}\r\n\r\n", value(17 * 1024)))
        .await;
    assert_eq!(client.response().await.status(), 431);
    assert_eq!(client.rest().await, b"");
    proxy.until_refused(RefusedFor::HeadTooLarge, 1).await;

    // HTTP/2 counts 32 bytes more for each field (RFC 9113 section 6.5.2).
    let mut client = H2Client::connect(proxy.addr()).await;
    for (size, status) in [(15 * 1024, 200), (17 * 1024, 431)] {
        let mut request = h2_request("GET", "/", Upload::none());
        let value = value(size).parse().expect("a value");
        request.headers_mut().insert("x", value);
        let answer = within("an answer", client.send(request)).await;
        assert_eq!(answer.expect("an answer").status(), status);
    }
    assert_eq!(backend.received().len(), 2);
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn a_head_may_have_as_many_headers_as_the_limit_and_no_more() {
    for limit in [100, 10, 200] {
        let proxy = TestProxy::new()
            .configure(|config| config.clients.headers = limit)
            .start();
        let backend = Backend::saying("hello").await;
        proxy.serve(backend.addr());
        let mut client = proxy.client().await;
        // Host is one of them.
        for (more, status) in [(limit - 1, 200), (limit, 431)] {
            let lines = "x: y\r\n".repeat(more);
            client.send(format!("{GOOD}{lines}\r\n")).await;
            assert_eq!(client.response().await.status(), status, "{limit}");
        }
        assert_eq!(client.rest().await, b"");
        proxy.until_refused(RefusedFor::HeadTooLarge, 1).await;
        assert_eq!(backend.received().len(), 1);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_closed() {
    let proxy = TestProxy::new()
        .workers(2)
        .configure(|config| config.clients.connections = 3)
        .start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut served = Vec::new();
    for _ in 0..3 {
        let mut client = proxy.client().await;
        assert_eq!(client.get("/").await.status(), 200);
        served.push(client);
    }
    for count in 1..=10 {
        // It gets to read the answer, also if it sends much more than a head.
        let mut client = proxy.client().await;
        client.send_post("/", &vec![b'x'; 32 * 1024]).await;
        let refused = client.response().await;
        assert_eq!(refused.status(), 503);
        assert_eq!(refused.text(), "too many connections\n");
        assert_eq!(refused.head.get("retry-after"), Some("1"));
        assert_eq!(refused.head.get("connection"), Some("close"));
        assert_eq!(client.rest().await, b"");
        proxy.until_refused(RefusedFor::Connections, count).await;
    }
    // Those that are served go on, and one that leaves makes room.
    for client in &mut served {
        assert_eq!(client.get("/").await.status(), 200);
    }
    served.pop();
    proxy.until_connections(2).await;
    assert_eq!(proxy.client().await.get("/").await.status(), 200);
    drop(served);
    proxy.finish().await;
}

/// More than are told at the same time: the rest is just closed.
#[tokio::test]
async fn a_storm_of_connections_beyond_the_limit_takes_no_more_than_a_few_sockets() {
    let proxy = TestProxy::new()
        .configure(|config| config.clients.connections = 1)
        .start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut served = proxy.client().await;
    assert_eq!(served.get("/").await.status(), 200);
    let mut storm: Vec<Wire> = Vec::new();
    for _ in 0..400 {
        storm.push(proxy.client().await);
    }
    proxy.until_refused(RefusedFor::Connections, 400).await;
    let mut told = 0;
    for mut client in storm {
        told += usize::from(client.rest().await.starts_with(b"HTTP/1.1 503 "));
    }
    assert!((128..400).contains(&told), "{told}");
    assert_eq!(served.get("/").await.status(), 200);
    drop(served);
    proxy.finish().await;
}

const ASK: &str =
    "GET /chat HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n";

#[tokio::test]
async fn an_upgrade_too_many_is_refused_until_a_tunnel_ends() {
    let proxy = TestProxy::new()
        .configure(|config| config.clients.upgrades = 2)
        .start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut tunnels = Vec::new();
    for _ in 0..2 {
        let mut client = proxy.client().await;
        client.send(ASK).await;
        let mut upstream = backend.accept().await;
        upstream.head().await;
        upstream.send(SWITCH).await;
        assert_eq!(client.head().await.status(), 101);
        tunnels.push((client, upstream));
    }
    let mut client = proxy.client().await;
    client.send(ASK).await;
    let refused = client.response().await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.text(), "too many upgraded connections\n");
    assert_eq!(refused.head.get("retry-after"), Some("1"));
    assert_eq!(proxy.refused(RefusedFor::Upgrades), 1);
    // The connection goes on, and others than upgrades are served.
    client.send_get("/plain").await;
    let mut upstream = backend.accept().await;
    assert_eq!(upstream.head().await.path(), "/plain");
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status(), 200);

    drop(tunnels.pop());
    proxy.until_in_flight(1).await;
    client.send(ASK).await;
    // On the connection that the plain request left.
    assert_eq!(upstream.head().await.path(), "/chat");
    upstream.send(SWITCH).await;
    assert_eq!(client.head().await.status(), 101);
    drop((client, upstream, tunnels));
    proxy.finish().await;
}

#[tokio::test]
async fn one_that_is_not_switched_gives_its_place_back() {
    let proxy = TestProxy::new()
        .configure(|config| config.clients.upgrades = 1)
        .start();
    let backend = Backend::saying("no").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for _ in 0..3 {
        client.send(ASK).await;
        assert_eq!(client.response().await.status(), 200);
    }
    assert_eq!(proxy.refused(RefusedFor::Upgrades), 0);
    drop(client);
    proxy.finish().await;
}

/// What is malformed is counted, whoever found it out: hyper, or we.
#[tokio::test]
async fn what_is_malformed_is_counted() {
    let proxy = TestProxy::new().start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    for (count, request) in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /#a HTTP/1.1\r\nhost: a.test\r\n\r\n",
        "CONNECT a.test:1 HTTP/1.1\r\nhost: a.test\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = proxy.client().await;
        client.send(request).await;
        client.rest().await;
        let what = format!("{request} is counted");
        eventually(&what, || {
            proxy.refused(RefusedFor::Malformed) == 1 + count as u64
        })
        .await;
    }
    let mut client = proxy.client().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.send([0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
    client.send([0, 0, 0, 1, 5, 0, 0, 0, 0]).await;
    client.rest().await;
    proxy.until_refused(RefusedFor::Protocol, 1).await;
    // Who leaves, or says nothing, is not.
    drop(proxy.client().await);
    let mut client = proxy.client().await;
    client.send("GET / HT").await;
    client.reset();
    proxy.until_no_connections().await;
    assert_eq!(proxy.refused(RefusedFor::Malformed), 6);
    proxy.finish().await;
}

/// Many uploads that nobody reads: what the proxy holds of them is bounded.
#[tokio::test]
async fn what_is_buffered_of_an_upload_that_nobody_reads_is_bounded() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: {}\r\n\r\n",
            1_u64 << 40
        ))
        .await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    // What the sockets' own buffers hold is most of it.
    let quiet = Duration::from_millis(200);
    let sent = client.send_until_stuck(&[0; 64 * 1024], quiet).await;
    assert!(sent < 32 * 1024 * 1024, "{sent}");
    drop((client, upstream));
    proxy.finish().await;
}
