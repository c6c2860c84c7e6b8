//! Interim answers (1xx) of endpoints on their way to clients, whatever either
//! speaks (RFC 9110 section 15.2, RFC 9113 section 8.1).

use crate::support::{
    Backend, FrameBackend, FrameClient, H2Client, ScriptedBackend, Setup, TestProxy, Wire,
    h2_frames::{finish, say},
    on_both_runtimes,
};

on_both_runtimes!(
    hints_arrive_before_the_answer,
    hints_that_come_with_the_answer_arrive_before_it,
    http2_clients_get_the_hints_of_http1_endpoints,
    http1_clients_get_the_hints_of_http2_endpoints,
    http2_clients_get_the_hints_of_http2_endpoints,
);

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A client with a GET under way, and the endpoint's side of it.
async fn asked(proxy: &TestProxy, version: &str) -> (Wire, ScriptedBackend, Wire) {
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send(format!("GET / {version}\r\nhost: a.test\r\n\r\n"))
        .await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    (client, backend, endpoint)
}

async fn hints_arrive_before_the_answer(setup: Setup) {
    let proxy = setup.start();
    let (mut client, _backend, mut endpoint) = asked(&proxy, "HTTP/1.1").await;
    for round in 0..3 {
        endpoint.send(HINTS).await;
        let hints = client.head().await;
        assert_eq!(hints.first, "HTTP/1.1 103 Early Hints", "{round}");
        assert_eq!(hints.get("link"), Some("</style.css>; rel=preload"));
        assert_eq!(hints.fields.len(), 1);
        endpoint
            .send("HTTP/1.1 102 Processing\r\nConnection: x-mine\r\nX-Mine: 1\r\n\r\n")
            .await;
        let processing = client.head().await;
        assert_eq!(processing.first, "HTTP/1.1 102 Processing");
        assert!(processing.fields.is_empty(), "of one hop: {processing:?}");
        endpoint.send(OK).await;
        assert_eq!(client.response().await.text(), "ok");
        // The next one on the same connections.
        client.send_get("/").await;
        endpoint.head().await;
    }
    endpoint.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

async fn hints_that_come_with_the_answer_arrive_before_it(setup: Setup) {
    let proxy = setup.start();
    let both = format!("{HINTS}HTTP/1.1 100 Continue\r\n\r\n{HINTS}{OK}");
    let backend = Backend::answering(move |_| both.clone().into_bytes()).await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for _ in 0..20 {
        client.send_get("/").await;
        // What the proxy has not asked for is not passed on: 100.
        assert_eq!(client.head().await.status(), 103);
        assert_eq!(client.head().await.status(), 103);
        assert_eq!(client.response().await.text(), "ok");
    }
    proxy.finish().await;
}

async fn http2_clients_get_the_hints_of_http1_endpoints(setup: Setup) {
    let proxy = setup.start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = FrameClient::connect(proxy.addr()).await;
    let mut asked = client.ask("GET", &[], true).await;
    let mut endpoint = backend.accept().await;
    for _ in 0..3 {
        endpoint.head().await;
        endpoint.send(HINTS).await;
        let hints = asked.interim().await.expect("hints");
        assert_eq!(hints.status(), 103);
        assert_eq!(hints.headers()["link"], "</style.css>; rel=preload");
        assert_eq!(hints.headers().len(), 1);
        // Behind another one, with what no HTTP/2 head may have, and with the
        // answer.
        let processing = "HTTP/1.1 102 Processing\r\nConnection: x-mine\r\nX-Mine: 1\r\n\
            Keep-Alive: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        endpoint
            .send(format!(
                "{processing}HTTP/1.1 100 Continue\r\n\r\n{HINTS}{OK}"
            ))
            .await;
        let processing = asked.interim().await.expect("another");
        assert_eq!(
            (processing.status().as_u16(), processing.headers().len()),
            (102, 0)
        );
        assert_eq!(asked.interim().await.expect("hints").status(), 103);
        let (head, body, _) = asked.answer().await;
        assert_eq!((head.status().as_u16(), &body[..]), (200, &b"ok"[..]));
        asked = client.ask("GET", &[], true).await;
    }
    endpoint.head().await;
    endpoint.send(OK).await;
    assert_eq!(asked.answer().await.1, "ok");
    proxy.finish().await;
}

async fn http1_clients_get_the_hints_of_http2_endpoints(setup: Setup) {
    let proxy = setup.start();
    let mut backend = FrameBackend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = proxy.client().await;
    for _ in 0..3 {
        client.send_get("/").await;
        let (_request, mut answer) = backend.call().await;
        say(&mut answer, 103, &[("link", "</style.css>; rel=preload")]);
        let hints = client.head().await;
        assert_eq!(hints.first, "HTTP/1.1 103 Early Hints");
        assert_eq!(hints.get("link"), Some("</style.css>; rel=preload"));
        assert_eq!(hints.fields.len(), 1);
        // What nobody asked for is not passed on: 100.
        say(&mut answer, 100, &[]);
        say(&mut answer, 102, &[]);
        finish(&mut answer, "ok");
        let processing = client.head().await;
        assert_eq!(processing.first, "HTTP/1.1 102 Processing");
        assert!(processing.fields.is_empty(), "{processing:?}");
        assert_eq!(client.response().await.text(), "ok");
    }
    let mut old = proxy.client().await;
    old.send("GET / HTTP/1.0\r\nhost: a.test\r\n\r\n").await;
    let (_request, mut answer) = backend.call().await;
    say(&mut answer, 103, &[]);
    finish(&mut answer, "old");
    assert_eq!(old.response().await.text(), "old");
    proxy.finish().await;
}

async fn http2_clients_get_the_hints_of_http2_endpoints(setup: Setup) {
    let proxy = setup.start();
    let mut backend = FrameBackend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = FrameClient::connect(proxy.addr()).await;
    for _ in 0..3 {
        let mut asked = client.ask("GET", &[], true).await;
        let (_request, mut answer) = backend.call().await;
        say(&mut answer, 103, &[("link", "</a>")]);
        assert_eq!(
            asked.interim().await.expect("hints").headers()["link"],
            "</a>"
        );
        say(&mut answer, 103, &[("link", "</b>")]);
        assert_eq!(
            asked.interim().await.expect("hints").headers()["link"],
            "</b>"
        );
        finish(&mut answer, "ok");
        assert_eq!(asked.answer().await.1, "ok");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn hints_without_end_are_cut_off_and_the_answer_is_not() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|_| {
        let mut all = HINTS.repeat(4_000);
        all.push_str(OK);
        all.into_bytes()
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = FrameClient::connect(proxy.addr()).await;
    let mut asked = client.ask("GET", &[], true).await;
    let mut hints = 0;
    while asked.interim().await.is_some() {
        hints += 1;
    }
    assert!((1..=1_000).contains(&hints), "{hints}");
    assert_eq!(asked.answer().await.1, "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn hints_arrive_however_they_are_cut() {
    let proxy = TestProxy::new().start();
    let (mut client, _backend, mut endpoint) = asked(&proxy, "HTTP/1.1").await;
    for byte in HINTS.bytes() {
        endpoint.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.head().await.status(), 103);
    endpoint.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn a_body_that_looks_like_hints_is_a_body() {
    let proxy = TestProxy::new().start();
    let (mut client, _backend, mut endpoint) = asked(&proxy, "HTTP/1.1").await;
    let length = 2 * HINTS.len();
    endpoint
        .send(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{HINTS}"
        ))
        .await;
    assert_eq!(client.head().await.status(), 200);
    let first = client.exactly(HINTS.len()).await.expect("half");
    assert_eq!(first, HINTS.as_bytes());
    // As a piece of its own, too.
    endpoint.send(HINTS).await;
    let second = client.exactly(HINTS.len()).await.expect("half");
    assert_eq!(second, HINTS.as_bytes());
    client.send_get("/").await;
    endpoint.head().await;
    endpoint.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn what_an_endpoint_says_unasked_reaches_nobody() {
    let proxy = TestProxy::new().start();
    let (mut client, backend, mut endpoint) = asked(&proxy, "HTTP/1.1").await;
    // Behind the end of the answer.
    endpoint.send(format!("{OK}{HINTS}")).await;
    assert_eq!(client.response().await.text(), "ok");
    client.send_get("/").await;
    let mut second = backend.accept().await;
    second.head().await;
    second.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn who_cannot_understand_hints_gets_none() {
    let proxy = TestProxy::new().start();
    // RFC 9110 section 15.2.
    let (mut client, _backend, mut endpoint) = asked(&proxy, "HTTP/1.0").await;
    endpoint.send(format!("{HINTS}{OK}")).await;
    assert_eq!(client.response().await.text(), "ok");
    // Over HTTP/2 they do not disturb who does not look at them.
    let backend = Backend::answering(|_| format!("{HINTS}{OK}").into_bytes()).await;
    proxy.serve(backend.addr());
    let mut modern = H2Client::connect(proxy.addr()).await;
    for _ in 0..2 {
        assert_eq!(modern.get("/").await.2, "ok");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn hints_come_before_a_switch_of_protocols() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
        .await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint
        .send(format!(
            "{HINTS}HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n{HINTS}"
        ))
        .await;
    assert_eq!(client.head().await.status(), 103);
    assert_eq!(client.head().await.status(), 101);
    let tunnelled = client.exactly(HINTS.len()).await.expect("bytes");
    assert_eq!(tunnelled, HINTS.as_bytes());
    drop((client, endpoint));
    proxy.finish().await;
}

#[tokio::test]
async fn hints_are_no_answer_when_the_connection_breaks_after_them() {
    let proxy = TestProxy::new().start();
    let (mut client, backend, mut endpoint) = asked(&proxy, "HTTP/1.1").await;
    endpoint.send(HINTS).await;
    assert_eq!(client.head().await.status(), 103);
    drop(endpoint);
    // A GET is sent again, and its hints are passed on as well.
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint.send(format!("{HINTS}{OK}")).await;
    assert_eq!(client.head().await.status(), 103);
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}
