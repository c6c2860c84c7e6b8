//! gRPC through the proxy: what it refuses, and the client's own deadline. The
//! rest of gRPC is HTTP/2 (`h2c.rs`).

use crate::support::{
    H2Backend, H2Client, ScriptedBackend, TestProxy, Upload, h2_request, rule, within,
};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use proxy::route::Timeouts;
use std::{sync::Arc, time::Duration};

fn call(path: &str, timeout: Option<&'static str>) -> Request<Upload> {
    let mut request = h2_request("POST", path, Upload::full("\0\0\0\0\0"));
    let headers = request.headers_mut();
    let value = |text: &str| text.parse().expect("a value");
    headers.insert("content-type", value("application/grpc+proto"));
    headers.insert("te", value("trailers"));
    if let Some(timeout) = timeout {
        headers.insert("grpc-timeout", value(timeout));
    }
    request
}

/// The headers of an answer that is nothing but trailers.
async fn trailers_only(
    answer: impl Future<Output = hyper::Result<Response<hyper::body::Incoming>>>,
) -> HeaderMap {
    let answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let headers = answer.headers().clone();
    assert_eq!(headers["content-type"], "application/grpc");
    let body = within("the end", answer.into_body().collect()).await;
    assert!(body.expect("an end").to_bytes().is_empty());
    headers
}

fn status(headers: &HeaderMap) -> (&str, &str) {
    let get = |name| headers.get(name).map_or("", |v| v.to_str().expect("ASCII"));
    (get("grpc-status"), get("grpc-message"))
}

#[tokio::test]
async fn calls_pass_with_their_trailers() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let answer = client.send(call("/pkg.Service/Method", Some("10S")));
    let asked = backend.call().await;
    assert_eq!(asked.header("te"), Some("trailers"));
    assert_eq!(asked.header("grpc-timeout"), Some("10S"));
    let body = Upload::full("\0\0\0\0\0").trailer("grpc-status", "0");
    asked.answer(Response::new(body));
    let answer = within("an answer", answer).await.expect("an answer");
    let all = within("all", answer.into_body().collect()).await;
    let all = all.expect("a complete answer");
    assert_eq!(all.trailers().expect("trailers")["grpc-status"], "0");
    // The endpoint's own trailers-only answer is its own.
    let answer = client.send(call("/pkg.Service/Method", None));
    let own = Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", "5");
    let own = own.body(Upload::none()).expect("a valid answer");
    backend.call().await.answer(own);
    let headers = trailers_only(answer).await;
    assert_eq!(status(&headers), ("5", ""));
    proxy.finish().await;
}

#[tokio::test]
async fn refusals_are_told_as_grpc_and_counted_as_http() {
    let proxy = TestProxy::new()
        .route("web", rule(&[], &["/web"], &[]))
        .configure(|config| config.max_held_per_target = 1)
        .start();
    let mut client = H2Client::connect(proxy.addr()).await;
    let headers = trailers_only(client.send(call("/nowhere", None))).await;
    assert_eq!(status(&headers), ("12", "Not Found"));
    assert_eq!(proxy.unrouted(404), 1);

    let held = client.send(call("/web", None));
    proxy.until_held(1).await;
    let headers = trailers_only(client.send(call("/web", None))).await;
    assert_eq!(status(&headers), ("14", "too many pending requests"));
    assert_eq!(headers["retry-after"], "1");

    // Who is held learns it as well.
    proxy.web().set_failing(Some(Arc::from("50 % of \u{fc}")));
    let headers = trailers_only(held).await;
    assert_eq!(status(&headers), ("14", "50 %25 of %C3%BC"));
    assert_eq!(headers["retry-after"], "5");
    proxy.web().set_failing(None);

    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let answer = client.send(call("/web", None));
    backend.call().await.reset(h2::Reason::INTERNAL_ERROR);
    assert_eq!(status(&trailers_only(answer).await), ("14", "Bad Gateway"));
    assert_eq!(proxy.counted("POST", 502), 1);
    assert_eq!(proxy.counted("POST", 503), 2);
    assert_eq!(proxy.counted("POST", 200), 0);

    // Whoever does not speak gRPC gets plain HTTP.
    let plain = h2_request("POST", "/nowhere", Upload::none());
    let answer = within("an answer", client.send(plain)).await;
    assert_eq!(answer.expect("an answer").status(), 404);
    proxy.finish().await;
}

#[tokio::test]
async fn timeouts_are_deadline_exceeded() {
    let proxy = TestProxy::new()
        .timeouts(Timeouts {
            readiness: Some(Duration::from_millis(20)),
            response_header: Some(Duration::from_millis(20)),
            ..Timeouts::default()
        })
        .start();
    let mut client = H2Client::connect(proxy.addr()).await;
    let headers = trailers_only(client.send(call("/", None))).await;
    assert_eq!(status(&headers), ("4", "Gateway Timeout"));
    assert_eq!(headers["retry-after"], "1");
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let answer = client.send(call("/", None));
    let asked = backend.call().await;
    assert_eq!(status(&trailers_only(answer).await).0, "4");
    asked.until_reset().await;
    assert_eq!(proxy.counted("POST", 504), 2);
    proxy.finish().await;
}

#[tokio::test]
async fn the_clients_deadline_covers_the_hold_the_answer_and_its_body() {
    let proxy = TestProxy::new().start();
    let mut client = H2Client::connect(proxy.addr()).await;
    let headers = trailers_only(client.send(call("/", Some("20m")))).await;
    assert_eq!(status(&headers).0, "4");
    let headers = trailers_only(client.send(call("/", Some("0n")))).await;
    assert_eq!(status(&headers).0, "4");

    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let answer = client.send(call("/", Some("200000u")));
    let asked = backend.call().await;
    assert_eq!(status(&trailers_only(answer).await).0, "4");
    asked.until_reset().await;

    let answer = client.send(call("/", Some("1S")));
    let (send, body) = Upload::channel();
    backend.call().await.answer(Response::new(body));
    // In the middle of the answer the end is in order: the status says why.
    send.send("half".into()).expect("somebody reads");
    let answer = within("a head", answer).await.expect("a head");
    let all = within("the end", answer.into_body().collect()).await;
    let all = all.expect("no reset stream");
    assert_eq!(status(all.trailers().expect("trailers")).0, "4");
    assert_eq!(all.to_bytes(), "half");
    within("the endpoint learns it", send.closed()).await;

    // What is no timeout is none.
    let answer = client.send(call("/", Some("1s")));
    backend.call().await.say("fine");
    let answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    drop(answer);
    proxy.finish().await;
}

#[tokio::test]
async fn the_smaller_of_the_clients_and_the_routes_deadline_counts() {
    let proxy = TestProxy::new()
        .timeouts(Timeouts {
            request: Some(Duration::from_millis(20)),
            ..Timeouts::default()
        })
        .start();
    let mut client = H2Client::connect(proxy.addr()).await;
    let headers = trailers_only(client.send(call("/", Some("1H")))).await;
    assert_eq!(status(&headers).0, "4");
    proxy.finish().await;
}

#[tokio::test]
async fn the_routes_deadline_in_the_middle_of_an_answer_is_told_to_grpc_clients_only() {
    let proxy = TestProxy::new()
        .timeouts(Timeouts {
            request: Some(Duration::from_millis(100)),
            ..Timeouts::default()
        })
        .start();
    // Whatever the endpoint speaks.
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    for is_call in [true, false] {
        let request = match is_call {
            true => call("/", None),
            false => h2_request("POST", "/", Upload::none()),
        };
        let answer = tokio::spawn(client.send(request));
        let mut endpoint = backend.accept().await;
        endpoint.head().await;
        endpoint
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            .await;
        let answer = within("a head", answer).await.expect("no panic");
        let body = answer.expect("a head").into_body();
        match within("the end", body.collect()).await {
            Ok(all) => {
                assert!(is_call);
                assert_eq!(status(all.trailers().expect("trailers")).0, "4");
            }
            Err(error) => assert!(!is_call, "{error}"),
        }
        endpoint.rest().await;
    }
    proxy.finish().await;
}

#[tokio::test]
async fn the_endpoint_is_told_what_the_hold_has_left_of_the_deadline() {
    let proxy = TestProxy::new().start();
    let mut client = H2Client::connect(proxy.addr()).await;
    let answer = client.send(call("/", Some("20S")));
    let forever = client.send(call("/", None));
    proxy.until_held(2).await;
    let held = Duration::from_millis(30);
    let limit = tokio::time::timeout(held, std::future::pending::<()>());
    limit.await.expect_err("time passes");
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    for _ in 0..2 {
        let asked = backend.call().await;
        if let Some(left) = asked.header("grpc-timeout") {
            let micros: u64 = left
                .strip_suffix('u')
                .expect("microseconds")
                .parse()
                .expect("a number");
            assert!(micros <= 19_970_000, "{left}");
            // Unless this machine stood still.
            assert!(micros > 1_000_000, "{left}");
        }
        asked.say("");
    }
    for answer in [
        within("an answer", answer).await,
        within("an answer", forever).await,
    ] {
        drop(answer.expect("an answer"));
    }
    // Nobody waits any more: as the client wrote it.
    let answer = client.send(call("/", Some("20S")));
    let asked = backend.call().await;
    assert_eq!(asked.header("grpc-timeout"), Some("20S"));
    asked.say("");
    drop(within("an answer", answer).await);
    proxy.finish().await;
}

#[tokio::test]
async fn client_streaming_server_streaming_and_both() {
    let proxy = TestProxy::new().start();
    let mut client = H2Client::connect(proxy.addr()).await;
    let streaming = |upload: Upload| call("/", None).map(|_one| upload);
    // Many messages and one answer; the call is what wakes the target.
    let (send, upload) = Upload::channel();
    let answer = client.send(streaming(upload));
    proxy.until_held(1).await;
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut asked = backend.call().await;
    for message in ["one", "two", "three"] {
        send.send(message.into()).expect("somebody reads");
        assert_eq!(asked.piece().await, message);
    }
    drop(send);
    assert!(asked.rest().await.0.is_empty());
    let body = Upload::full("sum").trailer("grpc-status", "0");
    asked.answer(Response::new(body));
    let answer = within("an answer", answer).await.expect("an answer");
    let all = within("all", answer.into_body().collect()).await;
    let all = all.expect("a complete answer");
    assert_eq!(all.trailers().expect("trailers")["grpc-status"], "0");
    assert_eq!(all.to_bytes(), "sum");

    // One message and many answers, each as it comes.
    let answer = client.send(call("/", None));
    let (send, body) = Upload::channel();
    let body = body.trailer("grpc-status", "0");
    backend.call().await.answer(Response::new(body));
    let mut answer = within("a head", answer).await.expect("a head");
    for message in ["one", "two", "three"] {
        send.send(message.into()).expect("somebody reads");
        let piece = within("a message", answer.frame()).await;
        let piece = piece.expect("a message").expect("data").into_data();
        assert_eq!(piece.expect("data"), message);
    }
    drop(send);
    let end = within("the end", answer.frame()).await.expect("trailers");
    let end = end.expect("trailers").into_trailers().expect("trailers");
    assert_eq!(end["grpc-status"], "0");

    // Both at once, and the server ends it while the client still could speak.
    let (ask, upload) = Upload::channel();
    let answer = client.send(streaming(upload));
    let (reply, body) = Upload::channel();
    let body = body.trailer("grpc-status", "8");
    let mut asked = backend.call().await.answer_early(Response::new(body));
    let mut answer = within("a head", answer).await.expect("a head");
    for message in ["one", "two"] {
        ask.send(message.into()).expect("somebody reads");
        let piece = within("a message", asked.frame()).await;
        let piece = piece.expect("a message").expect("data").into_data();
        reply.send(piece.expect("data")).expect("somebody reads");
        let piece = within("a reply", answer.frame()).await;
        let piece = piece.expect("a reply").expect("data").into_data();
        assert_eq!(piece.expect("data"), message);
    }
    drop(reply);
    let end = within("the end", answer.frame()).await.expect("trailers");
    let end = end.expect("trailers").into_trailers().expect("trailers");
    assert_eq!(end["grpc-status"], "8");
    drop((asked, ask, answer));
    proxy.finish().await;
}

#[tokio::test]
async fn who_is_held_at_the_drain_deadline_is_told_to_try_elsewhere() {
    let proxy = TestProxy::new().start();
    let mut client = H2Client::connect(proxy.addr()).await;
    let held = client.send(call("/", None));
    proxy.until_held(1).await;
    let drain = proxy.proxy.drain(Duration::from_millis(20));
    let (drained, headers) = tokio::join!(drain, trailers_only(held));
    assert!(!drained);
    assert_eq!(status(&headers), ("14", "Service Unavailable"));
    assert_eq!(headers["retry-after"], "5");
    proxy.finish().await;
}
