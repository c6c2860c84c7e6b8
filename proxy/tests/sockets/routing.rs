//! Which request goes where, in every form that HTTP/1 gives a request.

use crate::support::{Backend, Setup, TestProxy, on_both_runtimes, rule};

on_both_runtimes!(
    host_path_and_headers_choose_the_backend,
    a_request_that_no_route_matches_gets_404,
    sequential_requests_share_one_connection_on_each_side,
);

async fn host_path_and_headers_choose_the_backend(proxy: Setup) {
    let proxy = proxy
        .route("host", rule(&["a.test"], &[], &[]))
        .route("path", rule(&["a.test"], &["/api"], &[]))
        .route(
            "header",
            rule(&["a.test"], &["/api"], &["x-tenant: b", "x-beta"]),
        )
        .start();
    let mut backends = Vec::new();
    for name in ["host", "path", "header"] {
        let backend = Backend::saying(name).await;
        proxy.publish(name, [backend.addr()]);
        backends.push(backend);
    }
    let mut client = proxy.client().await;
    for (path, extra, wanted) in [
        ("/", "", "host"),
        ("/apix", "", "host"),
        ("/api", "", "path"),
        ("/api/v1?x=/", "", "path"),
        ("/api", "x-tenant: c\r\nx-beta: 1\r\n", "path"),
        ("/api/", "X-Tenant: b\r\nX-Beta: 1\r\n", "header"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: A.test:8080\r\n{extra}\r\n");
        client.send(request).await;
        assert_eq!(client.response().await.text(), wanted, "{path} {extra}");
    }
    proxy.finish().await;
}

async fn a_request_that_no_route_matches_gets_404(proxy: Setup) {
    let proxy = proxy.route("web", rule(&["a.test"], &[], &[])).start();
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nhost: other.test\r\n\r\n")
        .await;
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.text()), (404, "Not Found\n"));
    let head = &answer.head;
    assert_eq!(head.get("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(head.get("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.cold_start(), None);
    assert_eq!(proxy.unrouted(404), 1);
    assert_eq!(proxy.edges("web"), 0);
    proxy.finish().await;
}

async fn sequential_requests_share_one_connection_on_each_side(proxy: Setup) {
    let proxy = proxy.start();
    let backend = Backend::saying("hello").await;
    let endpoint = proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for _ in 0..50 {
        let answer = client.get("/").await;
        assert_eq!((answer.status(), answer.text()), (200, "hello"));
        assert_eq!(answer.cold_start(), Some("false"));
    }
    assert_eq!(backend.received().len(), 50);
    assert_eq!(backend.connections(), 1);
    assert_eq!(proxy.proxy.connections(), 1);
    crate::support::eventually("the connection is idle", || {
        endpoint.idle_connections() == 1
    })
    .await;
    assert_eq!(proxy.counted("GET", 200), 50);
    proxy.finish().await;
}

#[tokio::test]
async fn a_connection_is_used_again_after_an_answer_of_every_framing() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|received| {
        let answer: &[u8] = match received.head.path() {
            "/chunked" => {
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
            }
            "/empty" => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "/204" => b"HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
            "/head" => b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab",
        };
        answer.to_vec()
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for path in ["/chunked", "/length", "/empty", "/204", "/304", "/head"] {
        let method = if path == "/head" { "HEAD" } else { "GET" };
        client
            .send(format!("{method} {path} HTTP/1.1\r\nhost: a.test\r\n\r\n"))
            .await;
        let head = client.head().await;
        if matches!(path, "/chunked" | "/length" | "/empty") {
            client.body(&head).await.expect("a complete body");
        }
    }
    client.post("/length", b"with a body").await;
    assert_eq!(client.get("/last").await.status(), 200);
    assert_eq!(backend.received().len(), 8);
    assert_eq!(backend.connections(), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn a_request_must_name_exactly_one_host() {
    let proxy = TestProxy::new().start();
    for (request, words) in [
        ("GET / HTTP/1.1\r\n\r\n", "bad request: no Host header\n"),
        (
            "GET / HTTP/1.1\r\nhost: a.test\r\nhost: a.test\r\n\r\n",
            "bad request: several Host headers\n",
        ),
        (
            "GET http://a.test/ HTTP/1.1\r\nhost: a.test\r\nhost: b.test\r\n\r\n",
            "bad request: several Host headers\n",
        ),
    ] {
        let mut client = proxy.client().await;
        client.send(request).await;
        let answer = client.response().await;
        assert_eq!((answer.status(), answer.text()), (400, words));
        assert_eq!(answer.head.get("connection"), Some("close"));
        assert_eq!(client.rest().await, b"");
    }
    assert_eq!(proxy.unrouted(400), 3);
    proxy.until_no_connections().await;
    proxy.finish().await;
}

#[tokio::test]
async fn connect_is_refused() {
    let proxy = TestProxy::new().start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send("CONNECT a.test:80 HTTP/1.1\r\nhost: a.test\r\n\r\n")
        .await;
    let answer = client.response().await;
    assert_eq!(answer.status(), 501);
    assert_eq!(answer.head.get("connection"), Some("close"));
    assert_eq!(client.rest().await, b"");
    assert_eq!(backend.connections(), 0);
    proxy.finish().await;
}

#[tokio::test]
async fn the_absolute_form_wins_over_the_host_header() {
    let proxy = TestProxy::new()
        .route("web", rule(&["a.test"], &[], &[]))
        .start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send("GET http://a.test:81/x?y=1 HTTP/1.1\r\nhost: other.test\r\n\r\n")
        .await;
    assert_eq!(client.response().await.text(), "hello");
    let received = backend.received().remove(0);
    assert_eq!(received.head.first, "GET /x?y=1 HTTP/1.1");
    assert_eq!(received.head.get("host"), Some("a.test:81"));
    proxy.finish().await;
}

#[tokio::test]
async fn http_1_0_clients_are_served_and_their_connections_closed() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec()
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send("GET /old HTTP/1.0\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(head.first, "HTTP/1.0 200 OK");
    assert_eq!(head.get("transfer-encoding"), None);
    assert_eq!(client.rest().await, b"hello");
    assert_eq!(backend.received()[0].head.first, "GET /old HTTP/1.1");
    proxy.finish().await;
}

#[tokio::test]
async fn http_1_0_clients_may_keep_their_connection() {
    let proxy = TestProxy::new().start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for _ in 0..2 {
        client
            .send("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
            .await;
        let answer = client.response().await;
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.head.get("connection"), Some("keep-alive"));
    }
    assert_eq!(backend.connections(), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|received| {
        let path = received.head.path();
        let length = path.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{path}").into_bytes()
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    let post = "POST /2 HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc";
    let get = |path| format!("GET {path} HTTP/1.1\r\nhost: a.test\r\n\r\n");
    client.send([&get("/1"), post, &get("/3")].concat()).await;
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.response().await.text(), path);
    }
    proxy.finish().await;
}

#[tokio::test]
async fn a_new_table_of_routes_holds_for_the_next_request() {
    let proxy = TestProxy::new().start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    assert_eq!(client.get("/").await.status(), 200);
    proxy
        .proxy
        .set_routes(proxy::route::RouteTable::build(Vec::new()));
    assert_eq!(client.get("/").await.status(), 404);
    proxy.finish().await;
}
