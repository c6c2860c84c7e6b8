//! Clients that mean harm, or were never HTTP: whatever they send, the proxy
//! lets go of them and serves the next one.
//!
//! Here are floods and random bytes; `http1.rs` and `http2.rs` are tables of
//! single cases, each with the answer that the RFCs want.

mod http1;
mod http2;

use crate::support::{Backend, H2Client, ScriptedBackend, TestProxy, Upload, h2_request, within};

/// A proxy with an endpoint that answers.
async fn serving() -> (TestProxy, Backend) {
    let proxy = TestProxy::new().workers(2).start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    (proxy, backend)
}

/// Everybody hostile has left; nothing of them is left.
async fn still_well(proxy: TestProxy) {
    proxy.until_no_connections().await;
    let mut client = proxy.client().await;
    assert_eq!(client.get("/good").await.status(), 200);
    drop(client);
    proxy.until_no_connections().await;
    proxy.finish().await;
}

#[tokio::test]
async fn random_bytes() {
    const STARTS: [&[u8]; 6] = [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nhost: a.test\r\n",
        b"POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 999999\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    let (proxy, _backend) = serving().await;
    let mut random = fastrand::Rng::with_seed(0x5eed);
    for _ in 0..3_000 {
        let mut bytes = random.choice(STARTS).expect("not empty").to_vec();
        for _ in 0..random.usize(..400) {
            // Half of it looks like HTTP.
            let byte = if random.bool() {
                random.u8(..)
            } else {
                *random
                    .choice(b"\r\n :/0123456789abcdefHTP.,;")
                    .expect("not empty")
            };
            bytes.push(byte);
        }
        let mut client = proxy.client().await;
        client.send(&bytes).await;
        if random.bool() {
            client.end_sending().await;
            client.rest().await;
        }
    }
    still_well(proxy).await;
}

#[tokio::test]
async fn requests_that_end_at_every_byte() {
    let (proxy, backend) = serving().await;
    let whole = "POST /x?y=%20 HTTP/1.1\r\nHost: a.test\r\nX-A: b\r\n\
                 Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for end in 0..whole.len() {
        let part = whole.as_bytes().get(..end).expect("within");
        let mut client = proxy.client().await;
        client.send(part).await;
        client.end_sending().await;
        let answer = String::from_utf8_lossy(&client.rest().await).into_owned();
        assert!(!answer.contains(" 200 "), "{end}: {answer}");
        let mut client = proxy.client().await;
        client.send(part).await;
        client.reset();
    }
    assert_eq!(backend.received().len(), 0, "half a request is none");
    still_well(proxy).await;
}

#[tokio::test]
async fn floods_of_headers() {
    let (proxy, backend) = serving().await;
    let start = "GET / HTTP/1.1\r\nhost: a.test\r\n";
    let many: String = (0..300).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x-large: {}\r\n", "y".repeat(1024 * 1024));
    let names = format!("{}: y\r\n", "x".repeat(70_000));
    let path = format!("GET /{} HTTP/1.1\r\nhost: a.test\r\n", "p".repeat(100_000));
    for request in [
        format!("{start}{many}\r\n"),
        format!("{start}{large}\r\n"),
        format!("{start}{names}\r\n"),
        format!("{path}\r\n"),
    ] {
        let mut client = proxy.client().await;
        client.send(request).await;
        // Whoever still sends when the answer comes may miss it.
        if let Some(head) = client.try_head().await {
            assert!(matches!(head.status(), 400 | 414 | 431), "{head:?}");
        }
        client.rest().await;
    }
    assert_eq!(backend.received().len(), 0);
    still_well(proxy).await;
}

#[tokio::test]
async fn a_head_without_end_is_given_up_within_its_bound() {
    let (proxy, _backend) = serving().await;
    for start in [
        "",
        "GET /",
        "GET / HTTP/1.1\r\nx: ",
        "GET / HTTP/1.1\r\nhost: a.test\r\nx: y\r\nx",
    ] {
        let mut client = proxy.client().await;
        client.send(start).await;
        let most = 100 * 1024 - start.len();
        client.send(vec![b'A'; most]).await;
        // Nothing more is sent, so this ends only if so much was enough.
        if let Some(head) = client.try_head().await {
            assert!(matches!(head.status(), 400 | 414 | 431), "{head:?}");
        }
        client.rest().await;
    }
    still_well(proxy).await;
}

#[tokio::test]
async fn chunks_that_are_none() {
    let proxy = TestProxy::new().workers(2).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    for chunk in [
        "FFFFFFFFFFFFFFFFF\r\n",
        "FFFFFFFFFFFFFFFF0\r\n",
        "-1\r\n",
        "zz\r\n",
        "3\r\nabcX\r\n",
        "3\r\nabc\rX0\r\n\r\n",
        "3 4\r\nabc\r\n",
    ] {
        let mut client = proxy.client().await;
        client
            .send("POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        let mut upstream = backend.accept().await;
        upstream.head().await;
        client.send(chunk).await;
        let answer = client.response().await;
        assert_eq!(answer.status(), 400, "{chunk}");
        assert_eq!(answer.text(), "bad request: a malformed body\n");
        assert_eq!(client.rest().await, b"");
        let seen = upstream.rest().await;
        assert!(!seen.ends_with(b"0\r\n\r\n"), "an end that was never sent");
    }
    // The largest size there is: it just never comes.
    let mut client = proxy.client().await;
    client
        .send("POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    client.send("FFFFFFFFFFFFFFF\r\nabc").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    drop(client);
    upstream.rest().await;
    proxy.until_no_connections().await;
    proxy.settled().await;
    assert_eq!(
        (proxy.counted("POST", 400), proxy.counted("POST", 499)),
        (7, 1)
    );
    proxy.finish().await;
}

#[tokio::test]
async fn chunk_extensions_and_trailers_without_end() {
    let (proxy, backend) = serving().await;
    for start in ["3;x=", "3\r\nabc\r\n0\r\nx-trailer: "] {
        let mut client = proxy.client().await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n{start}"
            ))
            .await;
        client.send(vec![b'y'; 100 * 1024]).await;
        // Nothing more is sent, so this ends only if so much was enough.
        client.rest().await;
    }
    assert_eq!(backend.received().len(), 0);
    still_well(proxy).await;
}

#[tokio::test]
async fn garbage_behind_a_good_request() {
    let (proxy, backend) = serving().await;
    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "{\"a\": 1}\r\n\r\n",
    ] {
        let mut client = proxy.client().await;
        let good = "GET /first HTTP/1.1\r\nhost: a.test\r\n\r\n";
        client.send([good, garbage].concat()).await;
        assert_eq!(client.response().await.text(), "hello");
        let rest = String::from_utf8_lossy(&client.rest().await).into_owned();
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 400"),
            "{rest}"
        );
    }
    assert_eq!(backend.received().len(), 4);
    still_well(proxy).await;
}

#[tokio::test]
async fn http2_that_is_none() {
    let (proxy, backend) = serving().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // A frame of a length that was never allowed; headers on stream 0; data
    // on a stream that was never opened; a continuation of nothing.
    for frame in [
        &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1][..],
        &[0, 0, 1, 1, 4, 0, 0, 0, 0, 0x82],
        &[0, 0, 1, 0, 0, 0, 0, 0, 1, 0],
        &[0, 0, 1, 9, 4, 0, 0, 0, 1, 0x82],
        &[0, 0, 3, 1, 5, 0, 0, 0, 1, 0xff, 0xff, 0xff],
    ] {
        let mut client = proxy.client().await;
        client.send([preface, &settings[..], frame].concat()).await;
        client.rest().await; // closed by the proxy
    }
    // A header block that never ends.
    let mut client = proxy.client().await;
    client.send([&preface[..], &settings].concat()).await;
    let headers = [0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
    client.send(headers).await;
    let mut continuation = vec![0, 0x10, 0, 9, 0, 0, 0, 0, 1];
    continuation.extend([0x40, 0x01, b'x', 0x7f, 0x80, 0x10]);
    continuation.resize(9 + 0x1000, b'y');
    for _ in 0..2_000 {
        client.send(&continuation).await;
    }
    client.rest().await;
    assert_eq!(backend.received().len(), 0);
    still_well(proxy).await;
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_without_end() {
    let proxy = TestProxy::new().workers(2).start();
    let mut client = H2Client::connect(proxy.addr()).await;
    for round in 0..3_000 {
        if client.is_closed() {
            break;
        }
        let answer = tokio::spawn(client.send(h2_request("GET", "/", Upload::none())));
        if round % 8 == 0 {
            tokio::task::yield_now().await;
        }
        answer.abort();
    }
    drop(client);
    within("no stream is left", proxy.until_held(0)).await;
    proxy.until_no_connections().await;
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    assert_eq!(proxy.client().await.get("/good").await.status(), 200);
    assert_eq!(backend.paths(), ["/good"]);
    proxy.finish().await;
}
