//! Clients that leave: their places are free at once, nobody works for them,
//! and they are counted as 499.

use crate::support::{Backend, H2Client, ScriptedBackend, TestProxy, Upload, Wire, h2_request};

/// One more request is served, and it is the only one the endpoint ever saw.
async fn nobody_but_the_next_is_served(proxy: &TestProxy) {
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    assert_eq!(proxy.client().await.get("/next").await.text(), "hello");
    assert_eq!(backend.paths(), ["/next"]);
}

async fn held(proxy: &TestProxy, request: &str) -> Wire {
    let mut client = proxy.client().await;
    client.send(request).await;
    proxy.until_held(1).await;
    client
}

#[tokio::test]
async fn a_client_that_leaves_while_held_is_never_forwarded() {
    let get = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let unread = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 99\r\n\r\n";
    let partly = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 99\r\n\r\nsome of it";
    let whole = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nall";
    let chunked = "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    let expecting =
        "POST / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    let pipelined = get.repeat(3);
    let behind = format!("{whole}{get}");
    for request in [
        get, unread, partly, whole, chunked, expecting, &pipelined, &behind,
    ] {
        let proxy = TestProxy::new().start();
        let client = held(&proxy, request).await;
        drop(client);
        proxy.until_held(0).await;
        proxy.settled().await;
        let method = request.split(' ').next().expect("a method");
        assert_eq!(proxy.counted(method, 499), 1, "{request}");
        let cancelled = &proxy.web().metrics().holds.cancelled;
        assert_eq!(cancelled.read().count(), 1, "{request}");
        proxy.until_no_connections().await;
        nobody_but_the_next_is_served(&proxy).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_client_that_resets_its_connection_while_held_is_never_forwarded() {
    let proxy = TestProxy::new().start();
    let request = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 99999\r\n\r\n";
    let mut client = held(&proxy, request).await;
    client.send(vec![b'x'; 50_000]).await;
    client.reset();
    proxy.until_held(0).await;
    nobody_but_the_next_is_served(&proxy).await;
    proxy.finish().await;
}

#[tokio::test]
async fn bytes_that_arrive_during_the_hold_do_not_hide_that_the_client_left() {
    let proxy = TestProxy::new().start();
    let request = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 9999\r\n\r\n";
    let mut client = held(&proxy, request).await;
    for _ in 0..20 {
        client.send(vec![b'x'; 100]).await;
        tokio::task::yield_now().await;
    }
    drop(client);
    proxy.until_held(0).await;
    nobody_but_the_next_is_served(&proxy).await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_stream_that_is_reset_while_held_frees_its_place_and_only_its() {
    let proxy = TestProxy::new().start();
    let mut client = H2Client::connect(proxy.addr()).await;
    let stays = tokio::spawn(client.send(h2_request("GET", "/stays", Upload::none())));
    proxy.until_held(1).await;
    let leaves = tokio::spawn(client.send(h2_request("GET", "/leaves", Upload::none())));
    proxy.until_held(2).await;
    let (body, upload) = Upload::channel();
    body.send("some of it".into()).expect("the request waits");
    let leaves_too = tokio::spawn(client.send(h2_request("POST", "/leaves-too", upload)));
    proxy.until_held(3).await;
    leaves.abort();
    proxy.until_held(2).await;
    leaves_too.abort();
    proxy.until_held(1).await;
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let answer = stays.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), 200);
    drop(answer);
    assert_eq!(backend.paths(), ["/stays"]);
    proxy.settled().await;
    assert_eq!(
        (proxy.counted("GET", 499), proxy.counted("POST", 499)),
        (1, 1)
    );
    proxy.finish().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_frees_the_places_of_all_its_streams() {
    let proxy = TestProxy::new().start();
    let mut client = H2Client::connect(proxy.addr()).await;
    let mut requests = Vec::new();
    for number in 1..=20 {
        let request = h2_request("GET", "/", Upload::none());
        requests.push(tokio::spawn(client.send(request)));
        proxy.until_held(number).await;
    }
    client.cut();
    proxy.until_held(0).await;
    proxy.settled().await;
    assert_eq!(proxy.counted("GET", 499), 20);
    proxy.until_no_connections().await;
    nobody_but_the_next_is_served(&proxy).await;
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_is_told_when_its_client_left_before_the_answer() {
    for request in [
        "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nall",
    ] {
        let proxy = TestProxy::new().start();
        let backend = ScriptedBackend::start().await;
        proxy.serve(backend.addr());
        let mut client = proxy.client().await;
        client.send(request).await;
        let mut upstream = backend.accept().await;
        let head = upstream.head().await;
        upstream.body(&head).await.expect("the whole request");
        drop(client);
        assert_eq!(upstream.rest().await, b"", "closed");
        proxy.settled().await;
        let method = request.split(' ').next().expect("a method");
        assert_eq!(proxy.counted(method, 499), 1);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_its_upload_is_no_failure_of_the_endpoint() {
    for start in [
        "content-length: 99\r\n\r\nabc",
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let proxy = TestProxy::new().start();
        let backend = ScriptedBackend::start().await;
        proxy.serve(backend.addr());
        let mut client = proxy.client().await;
        client
            .send(format!("POST / HTTP/1.1\r\nhost: a.test\r\n{start}"))
            .await;
        let mut upstream = backend.accept().await;
        upstream.head().await;
        drop(client);
        upstream.rest().await;
        proxy.settled().await;
        assert_eq!(proxy.counted("POST", 499), 1, "{start}");
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_in_the_middle_of_its_upload_counts_as_499() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let (body, upload) = Upload::channel();
    body.send("abc".into()).expect("the request waits");
    let request = tokio::spawn(client.send(h2_request("POST", "/", upload)));
    let mut upstream = backend.accept().await;
    upstream.head().await;
    assert_eq!(upstream.chunk().await.expect("a piece"), b"abc");
    request.abort();
    assert_eq!(
        upstream.rest().await,
        b"",
        "closed without an end of the body"
    );
    proxy.settled().await;
    assert_eq!(proxy.counted("POST", 499), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_is_told_when_its_client_left_during_the_answer() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    let endpoint = proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send_get("/").await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nfirst")
        .await;
    client.head().await;
    assert_eq!(endpoint.in_flight(), 1);
    drop(client);
    assert_eq!(upstream.rest().await, b"", "closed");
    proxy.settled().await;
    assert_eq!(proxy.counted("GET", 200), 1, "what the client saw");
    assert_eq!(endpoint.idle_connections(), 0);
    proxy.finish().await;
}
