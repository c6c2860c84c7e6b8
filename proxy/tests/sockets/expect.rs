//! `Expect: 100-continue` (RFC 9110 section 10.1.1): who is asked for a body,
//! and when.

use crate::support::{
    Backend, FrameClient, H2Backend, H2Client, ScriptedBackend, TestProxy, Upload, Wire, complete,
    h2_request, within,
};
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const EXPECTS: [(&str, &str); 2] = [("expect", "100-continue"), ("content-length", "4")];
const EXPECTING: &str =
    "POST / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";

/// One whose endpoints have all the time of the world to ask for a body.
fn patient() -> TestProxy {
    let forever = |config: &mut proxy::ProxyConfig| {
        config.continue_timeout = Duration::from_secs(3600);
    };
    TestProxy::new().configure(forever).start()
}

/// Nothing comes in a while.
async fn is_quiet(wire: &mut Wire) {
    let early = tokio::time::timeout(Duration::from_millis(50), wire.fill()).await;
    early.expect_err("nothing is said yet");
}

#[tokio::test]
async fn a_body_is_asked_for_when_the_endpoint_asks_and_not_before() {
    let proxy = patient();
    let mut client = proxy.client().await;
    client.send(EXPECTING).await;
    proxy.until_held(1).await;
    is_quiet(&mut client).await;
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut endpoint = backend.accept().await;
    let head = endpoint.head().await;
    assert_eq!(head.get("expect"), Some("100-continue"));
    is_quiet(&mut client).await;
    endpoint.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await.first, "HTTP/1.1 100 Continue");
    client.send("bo").await;
    // A second one is not passed on.
    endpoint.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("dy").await;
    assert_eq!(endpoint.body(&head).await.expect("the body"), b"body");
    endpoint.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    // The connections of both sides serve the next one.
    client.send(EXPECTING).await;
    let head = endpoint.head().await;
    endpoint.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 100);
    client.send("more").await;
    assert_eq!(endpoint.body(&head).await.expect("the body"), b"more");
    endpoint.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn an_http2_client_is_asked_when_the_endpoint_asks() {
    let proxy = patient();
    let mut client = FrameClient::connect(proxy.addr()).await;
    let mut asked = client.ask("POST", &EXPECTS, false).await;
    proxy.until_held(1).await;
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut endpoint = backend.accept().await;
    let head = endpoint.head().await;
    assert_eq!(head.get("expect"), Some("100-continue"));
    let early = tokio::time::timeout(Duration::from_millis(50), asked.interim()).await;
    early.expect_err("nothing is said yet");
    endpoint.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    let asking = asked.interim().await.expect("it is asked");
    assert_eq!((asking.status().as_u16(), asking.headers().len()), (100, 0));
    asked.body.send_data("body".into(), true).expect("open");
    assert_eq!(endpoint.body(&head).await.expect("the body"), b"body");
    endpoint.send(OK).await;
    assert_eq!(asked.answer().await.1, "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_know_expectations_gets_the_body() {
    let soon = |config: &mut proxy::ProxyConfig| {
        config.continue_timeout = Duration::from_millis(10);
    };
    let proxy = TestProxy::new().configure(soon).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(EXPECTING).await;
    let mut endpoint = backend.accept().await;
    let head = endpoint.head().await;
    assert_eq!(client.head().await.first, "HTTP/1.1 100 Continue");
    client.send("body").await;
    assert_eq!(endpoint.body(&head).await.expect("the body"), b"body");
    endpoint.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");

    let mut modern = FrameClient::connect(proxy.addr()).await;
    let mut asked = modern.ask("POST", &EXPECTS, false).await;
    let head = endpoint.head().await;
    assert_eq!(asked.interim().await.expect("it is asked").status(), 100);
    asked.body.send_data("body".into(), true).expect("open");
    assert_eq!(endpoint.body(&head).await.expect("the body"), b"body");
    endpoint.send(OK).await;
    assert_eq!(asked.answer().await.1, "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_want_the_body_never_gets_it() {
    let proxy = patient();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    for body in [
        "content-length: 4\r\n\r\nlong",
        "transfer-encoding: chunked\r\n\r\n4\r\nlong\r\n0\r\n\r\n",
    ] {
        let mut client = proxy.client().await;
        client.send(EXPECTING).await;
        let mut endpoint = backend.accept().await;
        endpoint.head().await;
        endpoint
            .send(format!("HTTP/1.1 413 Content Too Large\r\n{body}"))
            .await;
        // The first thing that comes is the answer.
        let answer = client.response().await;
        assert_eq!((answer.status(), answer.text()), (413, "long"));
        assert_eq!(
            endpoint.rest().await,
            b"",
            "it got no body, and no other request"
        );
        assert_eq!(client.rest().await, b"", "what follows could be a body");
    }
    let mut modern = FrameClient::connect(proxy.addr()).await;
    let asked = modern.ask("POST", &EXPECTS, false).await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint
        .send("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(asked.answer().await.0.status(), 417);
    assert_eq!(endpoint.rest().await, b"");
    proxy.finish().await;
}

#[tokio::test]
async fn a_request_whose_body_was_not_asked_for_is_sent_again() {
    let proxy = patient();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(EXPECTING.replace("POST", "PUT")).await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    drop(endpoint);
    let mut endpoint = backend.accept().await;
    let head = endpoint.head().await;
    assert_eq!(head.get("expect"), Some("100-continue"));
    endpoint.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 100);
    client.send("body").await;
    assert_eq!(endpoint.body(&head).await.expect("the body"), b"body");
    endpoint.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn http_1_0_knows_no_expectations() {
    let proxy = patient();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send("POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\nbody")
        .await;
    let mut endpoint = backend.accept().await;
    let head = endpoint.head().await;
    assert_eq!(head.get("expect"), None);
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
    let proxy = patient();
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

    let mut modern = FrameClient::connect(proxy.addr()).await;
    let mut asked = modern.ask("POST", &EXPECTS, false).await;
    assert_eq!(asked.interim().await.expect("it is asked").status(), 100);
    let mut call = backend.call().await;
    asked.body.send_data("body".into(), true).expect("open");
    assert_eq!(call.rest().await.0, "body");
    call.say("ok");
    assert_eq!(asked.answer().await.1, "ok");
    proxy.finish().await;
}
