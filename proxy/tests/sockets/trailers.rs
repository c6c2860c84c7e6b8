//! Trailers (RFC 9110 section 6.5) between all versions, in both directions.

use crate::support::{
    H2Backend, H2Client, ScriptedBackend, TestProxy, Upload, Wire, h2_request, within,
};
use http::{HeaderMap, Response};
use http_body_util::BodyExt;

/// A request that asks for trailers as RFC 9110 section 10.1.4 wants it.
const ASK: &str = "GET / HTTP/1.1\r\nhost: a.test\r\nte: trailers\r\nconnection: te\r\n\r\n";

fn value(text: &str) -> http::HeaderValue {
    text.parse().expect("a value")
}

/// Everything after the last chunk.
async fn trailers(wire: &mut Wire) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.extend(wire.exactly(1).await.expect("more"));
    }
    String::from_utf8(text).expect("text")
}

async fn h2_trailers(answer: Response<hyper::body::Incoming>) -> (Vec<u8>, Option<HeaderMap>) {
    let all = within("all", answer.into_body().collect()).await;
    let all = all.expect("a complete answer");
    let trailers = all.trailers().cloned();
    (all.to_bytes().to_vec(), trailers)
}

#[tokio::test]
async fn an_http_1_1_client_that_asks_for_them_gets_announced_ones_of_an_http_2_endpoint() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = proxy.client().await;
    client.send(ASK).await;
    let call = backend.call().await;
    assert_eq!(call.header("te"), Some("trailers"));
    assert_eq!(call.header("connection"), None);
    let answer = Response::builder()
        .header("trailer", "x-sum, x-more")
        .header("content-length", "4")
        .body(
            Upload::full("body")
                .trailer("x-sum", "1")
                .trailer("x-unannounced", "2"),
        );
    call.answer(answer.expect("a valid answer"));
    let head = client.head().await;
    // A body of declared length has no room for them.
    assert_eq!(head.get("content-length"), None);
    assert_eq!(head.get("transfer-encoding"), Some("chunked"));
    assert_eq!(head.get("trailer"), Some("x-sum, x-more"));
    assert_eq!(client.chunk().await.expect("a chunk"), b"body");
    assert_eq!(trailers(&mut client).await, "0\r\nx-sum: 1\r\n\r\n");

    // Who does not ask gets the same body, and its length.
    client.send_get("/").await;
    let call = backend.call().await;
    assert_eq!(call.header("te"), None);
    let answer = Response::builder()
        .header("trailer", "x-sum")
        .header("content-length", "4")
        .body(Upload::full("body").trailer("x-sum", "1"));
    call.answer(answer.expect("a valid answer"));
    let answer = client.response().await;
    assert_eq!(answer.head.get("content-length"), Some("4"));
    assert_eq!(answer.text(), "body");

    // HEAD has no body, but the length that it would have.
    client.send(ASK.replace("GET", "HEAD")).await;
    let answer = Response::builder()
        .header("trailer", "x-sum")
        .header("content-length", "4")
        .body(Upload::none());
    backend.call().await.answer(answer.expect("a valid answer"));
    assert_eq!(client.head().await.get("content-length"), Some("4"));
    client.send_get("/").await;
    backend.call().await.say("next");
    assert_eq!(client.response().await.text(), "next");
    proxy.finish().await;
}

#[tokio::test]
async fn grpcs_trailers_reach_an_http_1_1_client_that_asks_for_them() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = proxy.client().await;
    client.send(ASK).await;
    let answer = Response::builder()
        .header("content-type", "application/grpc+proto")
        .body(Upload::full("message").trailer("grpc-status", "0"));
    backend.call().await.answer(answer.expect("a valid answer"));
    let head = client.head().await;
    assert_eq!(
        head.get("trailer"),
        Some("grpc-status, grpc-message, grpc-status-details-bin")
    );
    assert_eq!(client.chunk().await.expect("a chunk"), b"message");
    assert_eq!(trailers(&mut client).await, "0\r\ngrpc-status: 0\r\n\r\n");
    proxy.finish().await;
}

#[tokio::test]
async fn an_http_1_1_endpoint_gets_announced_ones_of_an_http_2_client() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let body = Upload::full("body").trailer("x-sum", "4");
    let mut request = h2_request("POST", "/", body);
    let headers = request.headers_mut();
    headers.insert("trailer", value("x-sum"));
    headers.insert("content-length", value("4"));
    headers.insert("te", value("trailers"));
    let answer = tokio::spawn(client.send(request));
    let mut endpoint = backend.accept().await;
    let head = endpoint.head().await;
    assert_eq!(head.get("te"), Some("trailers"));
    assert_eq!(head.get("connection"), Some("te"));
    assert_eq!(head.get("content-length"), None);
    assert_eq!(endpoint.chunk().await.expect("a chunk"), b"body");
    assert_eq!(trailers(&mut endpoint).await, "0\r\nx-sum: 4\r\n\r\n");
    // The way back needs no announcement.
    endpoint
        .send(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\
             x-end: 1\r\ncontent-length: 9\r\nconnection: close\r\n\r\n",
        )
        .await;
    let answer = within("an answer", answer).await.expect("no panic");
    let (body, trailers) = h2_trailers(answer.expect("an answer")).await;
    assert_eq!(body, b"yes");
    let trailers = trailers.expect("trailers");
    assert_eq!(trailers["x-end"], "1");
    assert_eq!(trailers.len(), 1, "no framing in trailers: {trailers:?}");
    proxy.finish().await;
}

#[tokio::test]
async fn a_well_formed_wish_for_trailers_reaches_an_http_1_1_endpoint() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send(ASK.replace("te: trailers", "te: gzip;q=0.5, trailers"))
        .await;
    let mut endpoint = backend.accept().await;
    let head = endpoint.head().await;
    assert_eq!(head.get("te"), Some("trailers"));
    assert_eq!(head.get("connection"), Some("te"));
    endpoint
        .send(
            "HTTP/1.1 200 OK\r\ntrailer: x-end, host\r\ntransfer-encoding: chunked\r\n\r\n\
             2\r\nab\r\n0\r\nx-end: 1\r\nhost: b.test\r\n\r\n",
        )
        .await;
    client.head().await;
    assert_eq!(client.chunk().await.expect("a chunk"), b"ab");
    assert_eq!(trailers(&mut client).await, "0\r\nx-end: 1\r\n\r\n");
    // The connections are good for another one, without the wish.
    client.send_get("/").await;
    let head = endpoint.head().await;
    assert_eq!((head.get("te"), head.get("connection")), (None, None));
    endpoint
        .send(
            "HTTP/1.1 200 OK\r\ntrailer: x-end\r\ntransfer-encoding: chunked\r\n\r\n\
             2\r\nab\r\n0\r\nx-end: 1\r\n\r\n",
        )
        .await;
    client.head().await;
    assert_eq!(client.chunk().await.expect("a chunk"), b"ab");
    assert_eq!(trailers(&mut client).await, "0\r\n\r\n");
    proxy.finish().await;
}

#[tokio::test]
async fn trailers_of_http_2_on_both_sides_pass_without_an_announcement_and_sifted() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let body = Upload::full("body")
        .trailer("x-sum", "4")
        .trailer("authorization", "Bearer x");
    let answer = client.send(h2_request("POST", "/", body));
    let mut call = backend.call().await;
    let (body, trailers) = call.rest().await;
    assert_eq!(body, "body");
    let trailers = trailers.expect("trailers");
    assert_eq!((trailers.len(), &trailers["x-sum"]), (1, &value("4")));
    call.answer(Response::new(
        Upload::full("yes")
            .trailer("x-end", "1")
            .trailer("set-cookie", "a=b"),
    ));
    let answer = within("an answer", answer).await.expect("an answer");
    let (_, trailers) = h2_trailers(answer).await;
    let trailers = trailers.expect("trailers");
    assert_eq!((trailers.len(), &trailers["x-end"]), (1, &value("1")));
    proxy.finish().await;
}
