//! Interim answers (1xx): those of endpoints on their way to HTTP/1.1 clients,
//! and the one that asks for a body (`Expect: 100-continue`).

use crate::support::{
    Backend, H2Backend, H2Client, ScriptedBackend, Setup, TestProxy, Upload, Wire, complete,
    h2_request, on_both_runtimes, within,
};
use std::time::Duration;

on_both_runtimes!(
    hints_arrive_before_the_answer,
    hints_that_come_with_the_answer_arrive_before_it,
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
    // There is no way through the HTTP/2 library.
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

const EXPECTING: &str =
    "POST / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";

#[tokio::test]
async fn a_body_is_asked_for_when_the_request_goes_on_and_not_before() {
    let proxy = TestProxy::new().start();
    let mut client = proxy.client().await;
    client.send(EXPECTING).await;
    proxy.until_held(1).await;
    let early = tokio::time::timeout(Duration::from_millis(50), client.fill()).await;
    early.expect_err("nothing is asked for while it is held");
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    assert_eq!(client.head().await.first, "HTTP/1.1 100 Continue");
    let mut endpoint = backend.accept().await;
    let head = endpoint.head().await;
    assert_eq!(head.get("expect"), Some("100-continue"));
    // The endpoint's own 100 is not a second one for the client.
    endpoint.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("body").await;
    assert_eq!(endpoint.body(&head).await.expect("the body"), b"body");
    endpoint.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn a_refused_request_is_not_asked_for_its_body() {
    let proxy = TestProxy::new()
        .route("web", crate::support::rule(&[], &["/web"], &[]))
        .configure(|config| config.max_held_per_target = 1)
        .start();
    let mut holder = proxy.client().await;
    holder.send(EXPECTING.replace(" / ", " /web ")).await;
    proxy.until_held(1).await;
    for (path, status) in [("/nowhere", 404), ("/web", 503)] {
        let mut client = proxy.client().await;
        client
            .send(EXPECTING.replace(" / ", &format!(" {path} ")))
            .await;
        // The first thing that comes is the answer.
        assert_eq!(client.response().await.status(), status, "{path}");
        assert_eq!(client.rest().await, b"", "what follows could be a body");
    }
    holder.reset();
    proxy.finish().await;
}

#[tokio::test]
async fn other_expectations_cannot_be_met() {
    let proxy = TestProxy::new().start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    for expect in ["200-ok", "100-continue, x", "100-continue\r\nexpect: y", ""] {
        let mut client = proxy.client().await;
        client
            .send(format!(
                "POST / HTTP/1.1\r\nhost: a.test\r\nexpect: {expect}\r\ncontent-length: 4\r\n\r\nbody"
            ))
            .await;
        let answer = client.response().await;
        assert_eq!(answer.status(), 417, "{expect}");
        assert_eq!(
            answer.text(),
            "an expectation other than 100-continue\n",
            "{expect}"
        );
    }
    let mut modern = H2Client::connect(proxy.addr()).await;
    let mut request = h2_request("POST", "/", Upload::full("body"));
    let headers = request.headers_mut();
    headers.insert("expect", "x".parse().expect("a value"));
    let answer = within("an answer", modern.send(request)).await;
    assert_eq!(complete(answer.expect("an answer")).await.0, 417);
    assert!(backend.received().is_empty());
    // HTTP/1.0 has no expectations; without a body there is nothing to ask for.
    let mut old = proxy.client().await;
    old.send("POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\nbody")
        .await;
    assert_eq!(old.response().await.text(), "hello");
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-CONTINUE\r\n\r\n")
        .await;
    assert_eq!(client.response().await.text(), "hello");
    proxy.finish().await;
}

#[tokio::test]
async fn an_http_2_endpoint_gets_the_body_of_a_client_that_waits_to_be_asked() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = proxy.client().await;
    client.send(EXPECTING).await;
    assert_eq!(client.head().await.first, "HTTP/1.1 100 Continue");
    let mut call = backend.call().await;
    client.send("body").await;
    assert_eq!(call.rest().await.0, "body");
    call.say("ok");
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}
