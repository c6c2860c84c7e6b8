//! What the endpoint sees of a request, and the client of an answer: heads,
//! framing, and the answers that have no body.

use crate::support::{
    Backend, H2Backend, H2Client, ScriptedBackend, TestProxy, Upload, complete, h2_request, within,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

async fn echo_nothing() -> Backend {
    Backend::answering(|_| OK.to_vec()).await
}

#[tokio::test]
async fn hop_by_hop_headers_of_the_request_end_at_the_proxy() {
    let proxy = TestProxy::new().start();
    let backend = echo_nothing().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send(
            "GET /p?q=1 HTTP/1.1\r\nHost: a.test:80\r\nConnection: keep-alive, X-Mine\r\n\
             X-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\n\
             Upgrade: h2c\r\nX-Other: 2\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n",
        )
        .await;
    assert_eq!(client.response().await.status(), 200);
    let mut head = backend.received().remove(0).head;
    head.fields.sort();
    assert_eq!(head.first, "GET /p?q=1 HTTP/1.1");
    let fields: Vec<String> = head
        .fields
        .iter()
        .map(|(n, v)| format!("{n}: {v}"))
        .collect();
    assert_eq!(
        fields,
        [
            "host: a.test:80",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: a.test:80",
            "x-forwarded-proto: http",
            "x-other: 2",
        ]
    );
    proxy.finish().await;
}

#[tokio::test]
async fn hop_by_hop_headers_of_the_answer_end_at_the_proxy() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 201 Made\r\nconnection: x-mine\r\nx-mine: 1\r\nkeep-alive: timeout=9\r\n\
          proxy-connection: keep-alive\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
          x-keda-http-cold-start: forged\r\ncontent-length: 2\r\n\r\nok"
            .to_vec()
    })
    .await;
    proxy.serve(backend.addr());
    let answer = proxy.client().await.get("/").await;
    assert_eq!((answer.status(), answer.text()), (201, "ok"));
    for name in ["connection", "x-mine", "keep-alive", "proxy-connection"] {
        assert_eq!(answer.head.get(name), None, "{name}");
    }
    assert_eq!(answer.cold_start(), Some("false"));
    let fields = &answer.head.fields;
    let cookies: Vec<&str> = fields
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    proxy.finish().await;
}

#[tokio::test]
async fn a_backend_that_asks_to_close_costs_no_client_its_connection() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok".to_vec()
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for _ in 0..3 {
        let answer = client.get("/").await;
        assert_eq!(answer.text(), "ok");
        assert_eq!(answer.head.get("connection"), None);
    }
    assert_eq!(backend.connections(), 3);
    proxy.finish().await;
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_passed_on() {
    let proxy = TestProxy::new().start();
    let backend =
        Backend::answering(|_| b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it".to_vec())
            .await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for _ in 0..2 {
        let answer = client.get("/").await;
        assert_eq!(answer.text(), "all of it");
        assert_eq!(answer.head.get("transfer-encoding"), Some("chunked"));
    }
    proxy.finish().await;
}

#[tokio::test]
async fn bodies_keep_their_framing_on_the_way_to_the_endpoint() {
    let proxy = TestProxy::new().start();
    let backend = echo_nothing().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    assert_eq!(client.post("/length", b"0123456789").await.status(), 200);
    assert_eq!(client.post("/empty", b"").await.status(), 200);
    for method in ["POST", "PUT", "DELETE", "GET"] {
        client
            .send(format!(
                "{method} /chunked HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n\
                 5;ext=1\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"
            ))
            .await;
        assert_eq!(client.response().await.status(), 200);
    }
    let received = backend.received();
    let framing = received.iter().map(|received| {
        let head = &received.head;
        let (length, encoding) = (head.get("content-length"), head.get("transfer-encoding"));
        (length, encoding, received.body.as_slice())
    });
    let digits: &[u8] = b"0123456789";
    let chunked = (None, Some("chunked"), digits);
    let framing: Vec<_> = framing.collect();
    assert_eq!(
        framing[..2],
        [(Some("10"), None, digits), (Some("0"), None, b"")]
    );
    assert_eq!(framing[2..], [chunked; 4]);
    assert_eq!(backend.connections(), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send(
            "POST / HTTP/1.1\r\nhost: a.test\r\nte: trailers\r\ntrailer: x-sum\r\n\
             transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n",
        )
        .await;
    let mut upstream = backend.accept().await;
    let head = upstream.head().await;
    assert_eq!(head.get("te"), Some("trailers"));
    assert_eq!(upstream.chunk().await.expect("a chunk"), b"ab");
    let rest = upstream.exactly(3 + 8 + 4).await.expect("the trailers");
    assert_eq!(rest, b"0\r\nx-sum: 1\r\n\r\n");
    upstream
        .send(
            "HTTP/1.1 200 OK\r\ntrailer: x-end\r\ntransfer-encoding: chunked\r\n\r\n\
             2\r\ncd\r\n0\r\nx-end: 2\r\n\r\n",
        )
        .await;
    client.head().await;
    assert_eq!(client.chunk().await.expect("a chunk"), b"cd");
    let rest = client.exactly(3 + 8 + 4).await.expect("the trailers");
    assert_eq!(rest, b"0\r\nx-end: 2\r\n\r\n");
    // The connection is good for another one.
    client.send_get("/next").await;
    assert_eq!(upstream.head().await.path(), "/next");
    upstream.send(OK).await;
    assert_eq!(client.response().await.status(), 200);
    proxy.finish().await;
}

#[tokio::test]
async fn answers_without_a_body_keep_their_head() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|received| {
        let answer: &[u8] = match received.head.path() {
            "/204" => b"HTTP/1.1 204 No Content\r\nx-seen: 1\r\n\r\n",
            "/304" => b"HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\ncontent-length: 1234567\r\n\r\n",
        };
        answer.to_vec()
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send("HEAD / HTTP/1.1\r\nhost: a.test\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!(
        (head.status(), head.get("content-length")),
        (200, Some("1234567"))
    );
    let answer = client.get("/204").await;
    assert_eq!(
        (answer.status(), answer.head.get("x-seen")),
        (204, Some("1"))
    );
    let answer = client.get("/304").await;
    assert_eq!(
        (answer.status(), answer.head.get("etag")),
        (304, Some("\"1\""))
    );
    assert_eq!(backend.connections(), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_switches_protocols_unasked_gives_502() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|_| {
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n".to_vec()
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    assert_eq!(client.get("/").await.status(), 502);
    proxy.finish().await;
}

#[tokio::test]
async fn options_of_the_server_and_head_pass_whoever_speaks_what() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|received| {
        let first = &received.head.first;
        let head = "HTTP/1.1 200 OK\r\nallow: GET\r\ncontent-length: 7\r\n\r\n";
        match first.as_str() {
            "OPTIONS * HTTP/1.1" => format!("{head}options").into_bytes(),
            "HEAD /x HTTP/1.1" => head.into(),
            _ => format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx-got: {first}\r\n\r\n")
                .into_bytes(),
        }
    })
    .await;
    let mut modern = H2Backend::start().await;
    let mut client = proxy.client().await;
    let mut h2_client = H2Client::connect(proxy.addr()).await;
    let star = || {
        let mut request = h2_request("OPTIONS", "/", Upload::none());
        let mut uri = request.uri().clone().into_parts();
        uri.path_and_query = Some(http::uri::PathAndQuery::from_static("*"));
        *request.uri_mut() = http::Uri::from_parts(uri).expect("a target");
        request
    };
    for to_h2 in [false, true] {
        if to_h2 {
            proxy.serve_h2c(modern.addr());
        } else {
            proxy.serve(backend.addr());
        }
        let endpoint = async {
            if !to_h2 {
                return;
            }
            for method in ["OPTIONS", "HEAD", "OPTIONS", "HEAD"] {
                let call = modern.call().await;
                assert_eq!(call.head.method, method);
                let path = if method == "HEAD" { "/x" } else { "*" };
                assert_eq!(call.head.uri.path(), path);
                let answer = http::Response::builder()
                    .header("allow", "GET")
                    .header("content-length", "7");
                let body = match method {
                    "HEAD" => Upload::none(),
                    _ => Upload::full("options"),
                };
                call.answer(answer.body(body).expect("valid"));
            }
        };
        let story = async {
            client
                .send("OPTIONS * HTTP/1.1\r\nhost: a.test\r\n\r\n")
                .await;
            let answer = client.response().await;
            assert_eq!(
                (answer.status(), answer.text()),
                (200, "options"),
                "{answer:?}"
            );
            client
                .send("HEAD /x HTTP/1.1\r\nhost: a.test\r\n\r\n")
                .await;
            let head = client.head().await;
            assert_eq!(
                (head.status(), head.get("content-length")),
                (200, Some("7"))
            );
            for request in [star(), h2_request("HEAD", "/x", Upload::none())] {
                let answer = within("an answer", h2_client.send(request)).await;
                let answer = answer.expect("an answer");
                assert_eq!(answer.headers()["allow"], "GET", "{answer:?}");
                assert_eq!(answer.headers()["content-length"], "7");
                drop(complete(answer).await);
            }
        };
        tokio::join!(endpoint, story);
    }
    proxy.finish().await;
}
