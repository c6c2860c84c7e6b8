//! `Expect: 100-continue` (RFC 9110 section 10.1.1): who is asked for a body,
//! and when.

use crate::support::{
    Backend, H2Backend, H2Client, ScriptedBackend, TestProxy, Upload, complete, h2_request, within,
};
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
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
