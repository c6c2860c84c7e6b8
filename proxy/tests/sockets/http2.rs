//! Clients that speak HTTP/2 without TLS, to endpoints that speak HTTP/1.1.

use crate::support::{
    Backend, FrameClient, H2Client, ScriptedBackend, Setup, TestProxy, Upload, complete,
    h2_request, on_both_runtimes, within,
};
use http_body_util::BodyExt;

on_both_runtimes!(
    get_and_post_are_translated,
    many_streams_are_held_and_served_at_the_same_time,
);

async fn get_and_post_are_translated(setup: Setup) {
    let proxy = setup.start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let (status, cold, body) = client.get("/p?q=1").await;
    assert_eq!(
        (status, cold.as_deref(), &body[..]),
        (200, Some("false"), &b"hello"[..])
    );
    let mut post = h2_request("POST", "/post", Upload::full("unknown length"));
    let headers = post.headers_mut();
    headers.append("cookie", "a=1".parse().expect("a value"));
    headers.append("cookie", "b=2".parse().expect("a value"));
    let answer = within("an answer", client.send(post)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.headers().get("connection"), None);
    assert_eq!(complete(answer).await.0, 200);
    let mut known = h2_request("PUT", "/put", Upload::full("0123456789"));
    let length = "10".parse().expect("a value");
    known.headers_mut().insert("content-length", length);
    let answer = within("an answer", client.send(known)).await;
    assert_eq!(complete(answer.expect("an answer")).await.0, 200);
    let odd = h2_request("GET", "/get-with-body", Upload::full("odd but legal"));
    let answer = within("an answer", client.send(odd)).await;
    assert_eq!(complete(answer.expect("an answer")).await.0, 200);

    let received = backend.received();
    let get = &received[0].head;
    assert_eq!(get.first, "GET /p?q=1 HTTP/1.1");
    assert_eq!(get.get("host"), Some("a.test"));
    assert_eq!(get.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(get.get("transfer-encoding"), None);
    assert_eq!(received[1].head.get("cookie"), Some("a=1; b=2"));
    assert_eq!(received[1].body, b"unknown length");
    assert_eq!(received[2].head.get("content-length"), Some("10"));
    assert_eq!(received[2].body, b"0123456789");
    assert_eq!(received[3].body, b"odd but legal");
    let used: Vec<_> = received
        .iter()
        .map(|received| received.connection)
        .collect();
    assert_eq!(used, [0; 4]);
    proxy.finish().await;
}

async fn many_streams_are_held_and_served_at_the_same_time(setup: Setup) {
    let proxy = setup.start();
    let backend = Backend::answering(|received| {
        let path = received.head.path();
        let length = path.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{path}").into_bytes()
    })
    .await;
    let mut client = H2Client::connect(proxy.addr()).await;
    let mut requests = Vec::new();
    for number in 0..200 {
        let request = if number % 2 == 0 {
            h2_request("GET", &format!("/{number}"), Upload::none())
        } else {
            h2_request("POST", &format!("/{number}"), Upload::full("body"))
        };
        requests.push(tokio::spawn(client.send(request)));
    }
    proxy.until_held(200).await;
    assert_eq!(proxy.edges("web"), 1);
    proxy.serve(backend.addr());
    for (number, request) in requests.into_iter().enumerate() {
        let answer = within("an answer", request).await.expect("no panic");
        let (status, cold, body) = complete(answer.expect("an answer")).await;
        assert_eq!((status, cold.as_deref()), (200, Some("true")));
        assert_eq!(body, format!("/{number}"));
    }
    assert_eq!(backend.received().len(), 200);
    proxy.finish().await;
}

#[tokio::test]
async fn bodies_stream_in_both_directions() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let (body, upload) = Upload::channel();
    body.send("one".into()).expect("the request waits");
    let answer = client.send(h2_request("POST", "/", upload));
    let answer = tokio::spawn(answer);
    let mut upstream = backend.accept().await;
    upstream.head().await;
    assert_eq!(upstream.chunk().await.expect("a piece"), b"one");
    upstream
        .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nuno\r\n")
        .await;
    let mut answer = answer.await.expect("no panic").expect("an answer");
    let first = within("a piece", answer.frame()).await.expect("a piece");
    let first = first.expect("data").into_data().expect("data");
    assert_eq!(first, "uno");
    body.send("two".into()).expect("the request waits");
    assert_eq!(upstream.chunk().await.expect("a piece"), b"two");
    upstream.send("3\r\ndue\r\n0\r\n\r\n").await;
    let rest = within("the rest", answer.collect()).await.expect("all");
    assert_eq!(rest.to_bytes(), "due");
    drop(body);
    assert_eq!(upstream.chunk().await.expect("the end"), b"");
    proxy.finish().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_reset_stream_and_harms_no_other() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let broken = tokio::spawn(client.send(h2_request("GET", "/broken", Upload::none())));
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234")
        .await;
    let answer = broken.await.expect("no panic").expect("a head");
    drop(upstream);
    let body = within("the end of the body", answer.into_body().collect()).await;
    body.expect_err("half a body is no success");
    let next = tokio::spawn(client.send(h2_request("GET", "/next", Upload::none())));
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await;
    let answer = next.await.expect("no panic").expect("an answer");
    assert_eq!(complete(answer).await.0, 200);
    proxy.finish().await;
}

#[tokio::test]
async fn refusals_are_answers_of_one_stream_only() {
    let proxy = TestProxy::new()
        .configure(|config| config.max_held_per_target = 1)
        .start();
    let mut client = H2Client::connect(proxy.addr()).await;
    let held = tokio::spawn(client.send(h2_request("GET", "/held", Upload::none())));
    proxy.until_held(1).await;
    let (status, cold, body) = client.get("/late").await;
    assert_eq!((status, cold), (503, None));
    assert_eq!(body, "too many pending requests\n");
    let connect = http::Request::builder()
        .method("CONNECT")
        .uri("a.test:80")
        .body(Upload::none())
        .expect("a valid request");
    let answer = within("an answer", client.send(connect)).await;
    assert_eq!(answer.expect("an answer").status(), 501);
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let answer = held.await.expect("no panic").expect("an answer");
    assert_eq!(complete(answer).await.0, 200);
    proxy.finish().await;
}

#[tokio::test]
async fn what_has_no_body_ends_with_its_head() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = FrameClient::connect(proxy.addr()).await;
    let mut endpoint = None;
    for (method, answer, length) in [
        ("HEAD", "200 OK\r\ncontent-length: 5", Some("5")),
        ("GET", "304 Not Modified\r\ncontent-length: 5", Some("5")),
        ("GET", "204 No Content", None),
        ("GET", "200 OK\r\ncontent-length: 0", Some("0")),
    ] {
        let asked = client.ask(method, &[], true).await;
        let endpoint = match &mut endpoint {
            Some(endpoint) => endpoint,
            none => none.insert(backend.accept().await),
        };
        endpoint.head().await;
        endpoint.send(format!("HTTP/1.1 {answer}\r\n\r\n")).await;
        let (head, body, trailers) = asked.answer().await;
        let declared = head.headers().get("content-length");
        let declared = declared.map(|length| length.to_str().expect("ASCII"));
        assert_eq!((declared, body.len()), (length, 0), "{answer}");
        assert!(trailers.is_none());
        let date = head.headers()["date"].to_str().expect("ASCII");
        assert!(date.ends_with(" GMT"), "{date}");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn our_own_words_to_head_are_a_head_alone() {
    let proxy = TestProxy::new()
        .route("web", crate::support::rule(&[], &["/web"], &[]))
        .start();
    let mut client = FrameClient::connect(proxy.addr()).await;
    let (head, body, _) = client.ask("HEAD", &[], true).await.answer().await;
    assert_eq!((head.status().as_u16(), body.len()), (404, 0));
    let length = head.headers()["content-length"].to_str().expect("ASCII");
    assert_ne!(length, "0", "what GET would get");
    proxy.finish().await;
}
