//! WebSocket over HTTP/2: extended CONNECT (RFC 8441).

use crate::support::{
    Backend, H2Backend, H2Client, Head, ScriptedBackend, Setup, TestProxy, Upload, Wire, complete,
    eventually, h2_request, on_both_runtimes, within,
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::{body::Incoming, ext::Protocol, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use proxy::route::{ColdStart, Route, StaticResponse};
use sha1::{Digest, Sha1};
use std::{sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

on_both_runtimes!(
    bytes_pass_both_ways_and_the_request_lives_as_long,
    a_sleeping_target_is_woken_by_it,
    either_side_may_end_it,
    the_drains_deadline_cuts_it,
);

#[expect(clippy::disallowed_methods, reason = "hyper's way to say it")]
fn connect(protocol: &'static str) -> Request<Upload> {
    let mut request = h2_request("CONNECT", "/chat?room=1", Upload::none());
    let headers = request.headers_mut();
    let value = |text: &str| text.parse().expect("a value");
    headers.insert("sec-websocket-version", value("13"));
    headers.insert("sec-websocket-protocol", value("chat, superchat"));
    headers.insert("origin", value("http://a.test"));
    request
        .extensions_mut()
        .insert(Protocol::from_static(protocol));
    request
}

/// A client that knows that the proxy has extended CONNECT: it has had an
/// answer, so it has the settings.
async fn client(proxy: &TestProxy) -> H2Client {
    let mut client = H2Client::connect(proxy.addr()).await;
    let mut plain = h2_request("CONNECT", "/", Upload::none());
    *plain.uri_mut() = "a.test:80".parse().expect("an authority");
    let answer = within("an answer", client.send(plain)).await;
    let (status, _, body) = complete(answer.expect("an answer")).await;
    assert_eq!((status, &body[..]), (501, &b"CONNECT is not served\n"[..]));
    client
}

/// The endpoint's proper answer to this handshake.
fn switch(handshake: &Head) -> String {
    let key = handshake.get("sec-websocket-key").expect("a key");
    let proof = Sha1::new()
        .chain_update(key)
        .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let proof = BASE64.encode(proof.finalize());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {proof}\r\nsec-websocket-protocol: chat\r\n\r\n"
    )
}

async fn opened(
    answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
) -> (Response<Incoming>, TokioIo<Upgraded>) {
    let mut answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let stream = within("a stream", hyper::upgrade::on(&mut answer)).await;
    (answer, TokioIo::new(stream.expect("a stream")))
}

/// A tunnel through the proxy: the client, its end, and the endpoint's.
async fn tunnel(proxy: &TestProxy) -> (H2Client, TokioIo<Upgraded>, Wire) {
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = client(proxy).await;
    let answer = tokio::spawn(client.send(connect("websocket")));
    let mut endpoint = backend.accept().await;
    let head = endpoint.head().await;
    endpoint.send(switch(&head)).await;
    let answer = async { answer.await.expect("no panic") };
    let (_, stream) = opened(answer).await;
    (client, stream, endpoint)
}

async fn passes(stream: &mut TokioIo<Upgraded>, endpoint: &mut Wire, words: &[u8]) {
    stream.write_all(words).await.expect("open");
    let heard = endpoint.exactly(words.len()).await;
    assert_eq!(heard.as_deref(), Some(words));
    endpoint.send(words).await;
    let mut heard = vec![0; words.len()];
    within("the echo", stream.read_exact(&mut heard))
        .await
        .expect("open");
    assert_eq!(heard, words);
}

async fn end_of(stream: &mut TokioIo<Upgraded>) -> Vec<u8> {
    let mut rest = Vec::new();
    // It may end in an error, too.
    let _end = within("the end", stream.read_to_end(&mut rest)).await;
    rest
}

async fn bytes_pass_both_ways_and_the_request_lives_as_long(setup: Setup) {
    let proxy = setup.start();
    let (mut client, mut stream, mut endpoint) = tunnel(&proxy).await;
    for words in [&b"ping"[..], b"\0\r\n\r\n", &[7; 300_000]] {
        passes(&mut stream, &mut endpoint, words).await;
    }
    assert_eq!(proxy.web().totals().in_flight(), 1);
    // Other requests on the same connection are not concerned.
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    assert_eq!(client.get("/").await.2, "hello");
    passes(&mut stream, &mut endpoint, b"still there").await;
    drop((stream, endpoint));
    proxy.settled().await;
    assert_eq!(proxy.counted("CONNECT", 200), 1);
    proxy.finish().await;
}

async fn a_sleeping_target_is_woken_by_it(setup: Setup) {
    let proxy = setup.start();
    let mut client = client(&proxy).await;
    let answer = client.send(connect("websocket"));
    proxy.until_held(1).await;
    eventually("it is woken", || proxy.edges("web") == 1).await;
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut endpoint = backend.accept().await;
    let head = endpoint.head().await;
    endpoint.send(switch(&head) + "early").await;
    let (answer, mut stream) = opened(answer).await;
    assert_eq!(answer.headers()["x-keda-http-cold-start"], "true");
    let mut early = [0; 5];
    stream.read_exact(&mut early).await.expect("early bytes");
    assert_eq!(&early, b"early");
    drop((stream, endpoint));
    proxy.finish().await;
}

async fn either_side_may_end_it(setup: Setup) {
    let proxy = setup.start();
    // The client ends its side, then the endpoint.
    let (_client, mut stream, mut endpoint) = tunnel(&proxy).await;
    stream.write_all(b"last words").await.expect("open");
    stream.shutdown().await.expect("open");
    assert_eq!(endpoint.rest().await, b"last words");
    endpoint.send("answer").await;
    drop(endpoint);
    assert_eq!(end_of(&mut stream).await, b"answer");
    proxy.settled().await;
    // The endpoint breaks.
    let (_client, mut stream, endpoint) = tunnel(&proxy).await;
    endpoint.reset();
    assert_eq!(end_of(&mut stream).await, b"");
    drop(stream);
    proxy.settled().await;
    // The client's connection breaks.
    let (client, stream, mut endpoint) = tunnel(&proxy).await;
    client.cut();
    assert_eq!(endpoint.rest().await, b"");
    drop(stream);
    // Without a word from the endpoint, which is still there.
    proxy.settled().await;
    proxy.finish().await;
}

async fn the_drains_deadline_cuts_it(setup: Setup) {
    let proxy = setup.start();
    let (_client, mut stream, mut endpoint) = tunnel(&proxy).await;
    let drain = proxy.proxy.drain(Duration::from_millis(50));
    assert!(!within("the drain", drain).await, "it was cut off");
    assert_eq!(end_of(&mut stream).await, b"");
    assert_eq!(endpoint.rest().await, b"");
    proxy.finish().await;
}

#[tokio::test]
async fn a_drain_waits_for_its_end() {
    let proxy = TestProxy::new().start();
    let (client, mut stream, mut endpoint) = tunnel(&proxy).await;
    let mut idle = proxy.client().await;
    eventually("accepted", || proxy.proxy.connections() == 2).await;
    let drain = proxy.proxy.drain(Duration::from_secs(600));
    let story = async {
        assert_eq!(idle.rest().await, b"", "draining has begun");
        passes(&mut stream, &mut endpoint, b"ping").await;
        drop((stream, endpoint));
        client.until_closed().await.expect("a polite end");
    };
    let (drained, ()) = within("the drain", async { tokio::join!(drain, story) }).await;
    assert!(drained, "nothing was cut off");
    proxy.finish().await;
}

#[tokio::test]
async fn the_handshake_is_that_of_http_1_1_and_the_answer_that_of_http_2() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = client(&proxy).await;
    let answer = tokio::spawn(client.send(connect("websocket")));
    let mut endpoint = backend.accept().await;
    let mut head = endpoint.head().await;
    endpoint.send(switch(&head)).await;
    assert_eq!(head.first, "GET /chat?room=1 HTTP/1.1");
    let key = head.get("sec-websocket-key").expect("a key");
    assert_eq!(BASE64.decode(key).expect("Base64").len(), 16);
    head.fields
        .retain(|(name, _)| name != "sec-websocket-key" && !name.starts_with("x-forwarded"));
    head.fields.sort();
    let lines: Vec<String> = head
        .fields
        .iter()
        .map(|(n, v)| format!("{n}: {v}"))
        .collect();
    assert_eq!(
        lines,
        [
            "connection: upgrade",
            "host: a.test",
            "origin: http://a.test",
            "sec-websocket-protocol: chat, superchat",
            "sec-websocket-version: 13",
            "upgrade: websocket",
        ]
    );
    let (answer, stream) = opened(async { answer.await.expect("no panic") }).await;
    let mut names: Vec<&str> = answer.headers().keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["date", "sec-websocket-protocol", "x-keda-http-cold-start"]
    );
    drop((stream, endpoint));
    proxy.finish().await;
}

#[tokio::test]
async fn other_protocols_are_not_served() {
    let proxy = TestProxy::new().start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = client(&proxy).await;
    for protocol in ["connect-udp", "webtransport", ""] {
        let answer = client.send(connect(protocol));
        let answer = within("an answer", answer).await.expect("an answer");
        let (status, _, body) = complete(answer).await;
        assert_eq!(status, 501, "{protocol}");
        assert_eq!(body, "no protocol but websocket is served over CONNECT\n");
    }
    assert_eq!(client.get("/").await.2, "hello");
    assert_eq!(backend.received().len(), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_open_it_is_heard_or_a_bad_gateway() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|received| {
        let answer: &[u8] = match received.head.path() {
            "/403" => b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno",
            // Over HTTP/2 this would open it.
            "/200" => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno",
            "/no-proof" => b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            "/wrong-proof" => b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            _ => b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n",
        };
        answer.to_vec()
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = client(&proxy).await;
    for (path, status, body) in [
        ("/403", 403, "no"),
        ("/200", 502, "the endpoint did not open the WebSocket\n"),
        (
            "/no-proof",
            502,
            "the endpoint did not open the WebSocket\n",
        ),
        (
            "/wrong-proof",
            502,
            "the endpoint did not open the WebSocket\n",
        ),
        ("/chat", 502, "the endpoint did not open the WebSocket\n"),
    ] {
        let mut request = connect("websocket");
        *request.uri_mut() = format!("http://a.test{path}").parse().expect("a URI");
        let answer = within("an answer", client.send(request)).await;
        let answer = complete(answer.expect("an answer")).await;
        assert_eq!((answer.0, answer.2), (status, Bytes::from(body)), "{path}");
    }
    assert_eq!(proxy.counted("CONNECT", 502), 4);
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_speaks_http_2_gets_none() {
    let proxy = TestProxy::new().start();
    let backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = client(&proxy).await;
    let answer = within("an answer", client.send(connect("websocket"))).await;
    let (status, _, body) = complete(answer.expect("an answer")).await;
    assert_eq!(status, 501);
    assert_eq!(body, "no WebSocket here: the endpoint speaks HTTP/2\n");
    proxy.finish().await;
}

#[tokio::test]
async fn a_page_in_place_of_the_endpoint_opens_nothing() {
    let page = Arc::new(StaticResponse {
        by_path: Default::default(),
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"starting"),
    });
    let proxy = TestProxy::new()
        .shape(move |route| Route {
            cold_start: ColdStart {
                placeholder: Some(page.clone()),
                ..ColdStart::default()
            },
            ..route
        })
        .start();
    let mut client = client(&proxy).await;
    let answer = within("an answer", client.send(connect("websocket"))).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
    // It is demand like any.
    assert_eq!(proxy.edges("web"), 1);
    assert_eq!(proxy.counted("CONNECT", 503), 1);
    proxy.finish().await;
}
