//! Endpoints that speak HTTP/2 without TLS, by prior knowledge.

use crate::support::{
    Backend, H2Backend, H2Client, ScriptedBackend, Setup, TestProxy, Upload, complete,
    dead_address, eventually, h2_request, on_both_runtimes, within,
};
use http::Response;
use http_body_util::BodyExt;
use proxy::{
    EndpointSet,
    route::{Fallback, Route},
};
use std::{sync::Arc, time::Duration};

on_both_runtimes!(
    http1_clients_are_translated,
    http2_clients_are_passed_on,
    many_streams_share_one_connection,
    the_first_requests_to_a_sleeping_target_are_held_and_served,
    a_connection_that_goes_away_is_replaced_unseen,
    an_endpoint_that_dies_breaks_what_it_was_answering_and_nothing_else,
);

async fn http1_clients_are_translated(setup: Setup) {
    let proxy = setup.start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = proxy.client().await;
    client
        .send("GET /p?q=1 HTTP/1.1\r\nhost: a.test:81\r\nconnection: x-mine, upgrade\r\nx-mine: 1\r\nupgrade: h2c\r\nkeep-alive: 5\r\n\r\n")
        .await;
    let call = backend.call().await;
    assert_eq!(call.head.uri, "http://a.test:81/p?q=1");
    for gone in ["host", "connection", "x-mine", "upgrade", "keep-alive"] {
        assert_eq!(call.header(gone), None, "{gone}");
    }
    assert_eq!(call.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(call.header("x-forwarded-host"), Some("a.test:81"));
    assert_eq!(call.header("content-length"), None);
    call.say("hello");
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.text()), (200, "hello"));
    assert_eq!(answer.cold_start(), Some("false"));

    // On the same client connection: bodies, framed as HTTP/1.1 does.
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        .await;
    let mut call = backend.call().await;
    assert_eq!(call.header("transfer-encoding"), None);
    assert_eq!(call.piece().await, "one");
    client.send("3\r\ntwo\r\n0\r\nx-sum: 6\r\n\r\n").await;
    let (rest, trailers) = call.rest().await;
    assert_eq!(rest, "two");
    assert_eq!(trailers.expect("trailers")["x-sum"], "6");
    call.answer(
        Response::builder()
            .status(201)
            .header("content-length", 3)
            .body(Upload::full("yes"))
            .expect("a valid answer"),
    );
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.text()), (201, "yes"));
    assert_eq!(answer.head.get("content-length"), Some("3"));

    // What HTTP/1.1 can say and HTTP/2 says in another way.
    client.send("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let call = backend.call().await;
    assert_eq!(call.head.uri.path(), "*");
    call.say("");
    assert_eq!(client.response().await.status(), 200);
    client.send("GET / HTTP/1.1\r\nhost: a b\r\n\r\n").await;
    let answer = client.response().await;
    assert_eq!(answer.status(), 400);
    let mut old = proxy.client().await;
    old.send("GET / HTTP/1.0\r\n\r\n").await;
    let call = backend.call().await;
    let authority = call.head.uri.authority().expect("an authority");
    assert_eq!(authority.as_str(), backend.addr().to_string());
    call.say("old");
    assert_eq!(old.response().await.text(), "old");
    proxy.finish().await;
}

async fn http2_clients_are_passed_on(setup: Setup) {
    let proxy = setup.start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let mut post = h2_request("POST", "/p", Upload::full("body").trailer("x-sum", "4"));
    let te = "trailers".parse().expect("a value");
    post.headers_mut().insert("te", te);
    let answer = client.send(post);
    let mut call = backend.call().await;
    assert_eq!(call.head.uri, "http://a.test/p");
    assert_eq!(call.header("te"), Some("trailers"));
    assert_eq!(call.header("host"), None);
    let (body, trailers) = call.rest().await;
    assert_eq!(body, "body");
    assert_eq!(trailers.expect("trailers")["x-sum"], "4");
    let body = Upload::full("answer").trailer("grpc-status", "0");
    call.answer(Response::new(body));
    let answer = within("an answer", answer).await.expect("an answer");
    let answer = within("all", answer.into_body().collect()).await;
    let answer = answer.expect("a complete answer");
    let trailers = answer.trailers().cloned().expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(answer.to_bytes(), "answer");
    proxy.finish().await;
}

async fn many_streams_share_one_connection(setup: Setup) {
    let proxy = setup.start();
    let mut backend = H2Backend::start().await;
    let endpoint = proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let mut answers = Vec::new();
    for number in 0..80 {
        let request = h2_request("GET", &format!("/{number}"), Upload::none());
        answers.push(client.send(request));
    }
    let mut calls = Vec::new();
    for _ in 0..80 {
        calls.push(backend.call().await);
    }
    assert_eq!(endpoint.in_flight(), 80);
    assert_eq!(endpoint.idle_connections(), 0);
    assert_eq!(backend.connections(), 1);
    for call in calls {
        let path = call.head.uri.path().to_owned();
        call.answer(Response::new(Upload::full(path)));
    }
    for (number, answer) in answers.into_iter().enumerate() {
        let answer = within("an answer", answer).await.expect("an answer");
        assert_eq!(complete(answer).await.2, format!("/{number}"));
    }
    eventually("the connection is idle", || {
        endpoint.idle_connections() == 1
    })
    .await;
    endpoint.close_idle(Duration::from_secs(60));
    assert_eq!(endpoint.idle_connections(), 1);
    endpoint.close_idle(Duration::ZERO);
    assert_eq!(endpoint.idle_connections(), 0);
    proxy.finish().await;
}

async fn the_first_requests_to_a_sleeping_target_are_held_and_served(setup: Setup) {
    let proxy = setup.start();
    let mut backend = H2Backend::start().await;
    let mut client = H2Client::connect(proxy.addr()).await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        let request = h2_request("POST", "/", Upload::full("body"));
        answers.push(client.send(request));
    }
    proxy.until_held(20).await;
    assert_eq!(proxy.edges("web"), 1);
    proxy.serve_h2c(backend.addr());
    for _ in 0..20 {
        backend.call().await.say("awake");
    }
    for answer in answers {
        let answer = within("an answer", answer).await.expect("an answer");
        let (status, cold, body) = complete(answer).await;
        assert_eq!((status, cold.as_deref()), (200, Some("true")));
        assert_eq!(body, "awake");
    }
    assert_eq!(backend.connections(), 1);
    proxy.finish().await;
}

async fn a_connection_that_goes_away_is_replaced_unseen(setup: Setup) {
    let proxy = setup.start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let long = client.send(h2_request("GET", "/long", Upload::none()));
    let long_call = backend.call().await;
    assert_eq!(long_call.connection, 0);
    backend.go_away();
    // Until the GOAWAY is there, the old one is in use; none may fail.
    loop {
        let answer = client.send(h2_request("POST", "/", Upload::full("body")));
        let connection = async {
            let call = backend.call().await;
            let connection = call.connection;
            call.say("hello");
            connection
        };
        let answer = async {
            let answer = within("an answer", answer).await.expect("an answer");
            assert_eq!(
                complete(answer).await,
                (200, Some("false".into()), "hello".into())
            );
        };
        let (connection, ()) = tokio::join!(connection, answer);
        if connection == 1 {
            break;
        }
    }
    long_call.say("done");
    let long = within("an answer", long).await.expect("an answer");
    assert_eq!(complete(long).await.2, "done");
    assert_eq!(backend.connections(), 2);
    assert_eq!(proxy.counted("POST", 502), 0);
    proxy.finish().await;
}

async fn an_endpoint_that_dies_breaks_what_it_was_answering_and_nothing_else(setup: Setup) {
    let proxy = setup.start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let half = client.send(h2_request("GET", "/half", Upload::none()));
    let (send, body) = Upload::channel();
    backend.call().await.answer(Response::new(body));
    send.send("half".into()).expect("somebody reads");
    let mut half = within("a head", half).await.expect("a head");
    within("a piece", half.frame())
        .await
        .expect("a piece")
        .expect("data");
    let never = client.send(h2_request("POST", "/never", Upload::full("body")));
    let mut never_call = backend.call().await;
    never_call.rest().await;
    let again = client.send(h2_request("GET", "/again", Upload::none()));
    backend.call().await;
    let mut next = H2Backend::start().await;
    let next_addr = next.addr();
    backend.kill().await;
    half.frame().await.expect("an end").expect_err("no success");
    let never = within("an answer", never).await.expect("an answer");
    assert_eq!(complete(never).await.0, 502);
    // The dead endpoint refuses connections, so it is held.
    proxy.until_held(1).await;
    proxy.serve_h2c(next_addr);
    next.call().await.say("hello");
    let again = within("an answer", again).await.expect("an answer");
    assert_eq!(complete(again).await.2, "hello");
    proxy.finish().await;
}

#[tokio::test]
async fn bodies_stream_in_both_directions_in_turns() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let (ask, upload) = Upload::channel();
    let answer = client.send(h2_request("POST", "/", upload));
    let call = backend.call().await;
    let (reply, body) = Upload::channel();
    // The head goes before the request's end.
    let mut requests = call.answer_early(Response::new(body.trailer("grpc-status", "0")));
    let mut answer = within("a head", answer).await.expect("a head");
    for round in 0..50 {
        let question = format!("question {round}");
        ask.send(question.clone().into()).expect("somebody reads");
        let piece = within("a question", requests.frame()).await;
        let piece = piece.expect("a piece").expect("data").into_data();
        assert_eq!(piece.expect("data"), question);
        reply.send(question.into()).expect("somebody reads");
        let piece = within("a reply", answer.frame()).await;
        let piece = piece.expect("a piece").expect("data").into_data();
        assert_eq!(piece.expect("data"), format!("question {round}"));
    }
    drop(ask);
    let end = within("the end", requests.collect()).await.expect("an end");
    assert!(end.to_bytes().is_empty());
    drop(reply);
    let end = within("the end", answer.frame()).await.expect("trailers");
    let end = end.expect("trailers").into_trailers().expect("trailers");
    assert_eq!(end["grpc-status"], "0");
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_resets_its_stream_only() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut stays = H2Client::connect(proxy.addr()).await;
    let answer = stays.send(h2_request("GET", "/stays", Upload::none()));
    let stays_call = backend.call().await;

    // Before the head, over HTTP/2 and HTTP/1.1.
    let mut leaves = H2Client::connect(proxy.addr()).await;
    let waiting = leaves.send(h2_request("GET", "/leaves", Upload::none()));
    let call = backend.call().await;
    drop(waiting);
    call.until_reset().await;
    let mut old = proxy.client().await;
    old.send("GET /leaves HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let call = backend.call().await;
    drop(old);
    call.until_reset().await;

    // In the middle of both bodies.
    let (upload, body) = Upload::channel();
    let streaming = leaves.send(h2_request("POST", "/leaves", body));
    let (download, body) = Upload::channel();
    let mut requests = backend.call().await.answer_early(Response::new(body));
    let streaming = within("a head", streaming).await.expect("a head");
    upload.send("one".into()).expect("somebody reads");
    let piece = within("a piece", requests.frame()).await.expect("a piece");
    assert_eq!(piece.expect("data").into_data().expect("data"), "one");
    leaves.cut();
    drop(streaming);
    let end = within("the end", requests.frame()).await.expect("an end");
    end.expect_err("a reset stream");
    within("the end", download.closed()).await;

    stays_call.say("here");
    let answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(complete(answer).await.2, "here");
    assert_eq!(backend.connections(), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn a_refused_stream_is_no_failure_of_a_request_that_can_be_sent_again() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    // Not idempotent, yet harmless: it was refused.
    let answer = client.send(h2_request("POST", "/", Upload::none()));
    backend.call().await.reset(h2::Reason::REFUSED_STREAM);
    backend.call().await.say("hello");
    let answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(complete(answer).await.2, "hello");
    // Whatever else ends it may have done something.
    let answer = client.send(h2_request("POST", "/", Upload::none()));
    backend.call().await.reset(h2::Reason::INTERNAL_ERROR);
    let answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(complete(answer).await.0, 502);
    let answer = client.send(h2_request("PUT", "/", Upload::none()));
    backend.call().await.reset(h2::Reason::INTERNAL_ERROR);
    backend.call().await.say("again");
    let answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(complete(answer).await.2, "again");
    assert_eq!(backend.connections(), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn another_connection_is_made_when_one_has_as_many_streams_as_allowed() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::limited(2).await;
    let endpoint = proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let first = client.send(h2_request("GET", "/", Upload::none()));
    backend.call().await.say("first");
    let first = within("an answer", first).await.expect("an answer");
    assert_eq!(complete(first).await.2, "first");
    eventually("the connection is idle", || {
        endpoint.idle_connections() == 1
    })
    .await;
    let mut answers = Vec::new();
    let mut calls = Vec::new();
    for _ in 0..4 {
        answers.push(client.send(h2_request("POST", "/", Upload::full("body"))));
        calls.push(backend.call().await);
    }
    let used: Vec<usize> = calls.iter().map(|call| call.connection).collect();
    assert_eq!(used, [0, 0, 1, 1]);
    for call in calls {
        call.say("hello");
    }
    for answer in answers {
        let answer = within("an answer", answer).await.expect("an answer");
        assert_eq!(complete(answer).await.2, "hello");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_bounded_and_stops_no_other() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut client = proxy.client().await;
        client.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let (send, body) = Upload::channel();
        backend.call().await.answer(Response::new(body));
        client.head().await;
        for _ in 0..200 {
            send.send(vec![0; 64 * 1024].into())
                .expect("somebody reads");
        }
        slow.push((client, send));
    }
    let mut client = proxy.client().await;
    client.send("GET /fast HTTP/1.1\r\nhost: a\r\n\r\n").await;
    backend.call().await.say("fast");
    assert_eq!(client.response().await.text(), "fast");
    assert_eq!(backend.connections(), 1);
    drop(slow);
    proxy.finish().await;
}

#[tokio::test]
async fn a_request_that_a_dead_endpoint_did_not_get_goes_to_one_that_speaks_http1() {
    let proxy = TestProxy::new().start();
    let dead = proxy.serve_h2c(dead_address().await);
    let mut client = proxy.client().await;
    let post = "POST /p HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(post).await;
    client.send("4\r\nbody\r\n0\r\n\r\n").await;
    proxy.until_held(1).await;
    let metrics = proxy.web().metrics();
    assert!(
        metrics
            .connect_failures
            .load(std::sync::atomic::Ordering::Relaxed)
            > 0
    );
    let backend = Backend::saying("hello").await;
    proxy.publish("web", [dead.addr(), backend.addr()]);
    assert_eq!(client.response().await.text(), "hello");
    let received = &backend.received()[0];
    assert_eq!(received.head.first, "POST /p HTTP/1.1");
    assert_eq!(received.head.get("host"), Some("a.test"));
    assert_eq!(received.body, b"body");
    proxy.finish().await;
}

#[tokio::test]
async fn a_fallback_may_speak_another_protocol() {
    let mut backend = H2Backend::start().await;
    let fallback = Arc::new(Fallback::new());
    let of_route = fallback.clone();
    let proxy = TestProxy::new()
        .shape(move |route| {
            let mut route = Route { ..route };
            route.cold_start.fallback = Some(of_route.clone());
            route.timeouts.readiness = Some(Duration::from_millis(1));
            route
        })
        .start();
    let endpoint = proxy
        .proxy
        .endpoint_speaking(proxy::Protocol::H2c, backend.addr(), "spare");
    fallback.set_endpoints(Arc::new(EndpointSet::new(vec![endpoint])));
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    backend.call().await.say("spare");
    assert_eq!(client.response().await.text(), "spare");
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_speaks_http1_after_all_is_a_bad_gateway() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = proxy.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut upstream = backend.accept().await;
    upstream.exactly(24).await.expect("the preface");
    upstream
        .send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status(), 502);
    proxy.finish().await;
}

#[tokio::test]
async fn draining_lets_streams_end() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let answer = client.send(h2_request("GET", "/", Upload::none()));
    let (send, body) = Upload::channel();
    backend.call().await.answer(Response::new(body));
    let answer = within("a head", answer).await.expect("a head");
    send.send("all ".into()).expect("somebody reads");
    let mut witness = proxy.client().await;
    eventually("the witness is accepted", || proxy.proxy.connections() == 2).await;
    let story = async {
        assert_eq!(witness.rest().await, b"", "draining has begun");
        send.send("of it".into()).expect("somebody reads");
        drop(send);
        assert_eq!(complete(answer).await.2, "all of it");
    };
    let (drained, ()) = tokio::join!(proxy.proxy.drain(Duration::from_secs(600)), story);
    assert!(drained);
    proxy.finish().await;
}

#[tokio::test]
async fn a_refused_body_is_sent_again_from_its_start_unless_it_is_long() {
    let proxy = TestProxy::new().start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let (send, body) = Upload::channel();
    let answer = client.send(h2_request("POST", "/", body.trailer("x-sum", "9")));
    backend.call().await.reset(h2::Reason::REFUSED_STREAM);
    let mut call = backend.call().await;
    send.send("one".into()).expect("somebody reads");
    assert_eq!(call.piece().await, "one");
    send.send("two".into()).expect("somebody reads");
    assert_eq!(call.piece().await, "two");
    call.reset(h2::Reason::REFUSED_STREAM);
    let mut call = backend.call().await;
    assert_eq!(call.piece().await, "one");
    assert_eq!(call.piece().await, "two");
    send.send("end".into()).expect("somebody reads");
    drop(send);
    let (rest, trailers) = call.rest().await;
    assert_eq!(
        (rest, trailers.expect("trailers")["x-sum"].as_bytes()),
        ("end".into(), &b"9"[..])
    );
    call.say("hello");
    let answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(complete(answer).await.2, "hello");

    // Of known length, and at its end.
    let mut known = h2_request("POST", "/", Upload::full("body"));
    let length = "4".parse().expect("a value");
    known.headers_mut().insert("content-length", length);
    let answer = client.send(known);
    for _ in 0..2 {
        let mut call = backend.call().await;
        assert_eq!(call.header("content-length"), Some("4"));
        assert_eq!(call.rest().await.0, "body");
        call.reset(h2::Reason::REFUSED_STREAM);
    }
    let mut call = backend.call().await;
    assert_eq!(call.rest().await.0, "body");
    call.say("hello");
    let answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(complete(answer).await.2, "hello");

    let (send, body) = Upload::channel();
    let answer = client.send(h2_request("POST", "/", body));
    let mut call = backend.call().await;
    for _ in 0..17 {
        send.send("piece".into()).expect("somebody reads");
        assert_eq!(call.piece().await, "piece");
    }
    call.reset(h2::Reason::REFUSED_STREAM);
    let answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(complete(answer).await.0, 502);
    proxy.finish().await;
}
