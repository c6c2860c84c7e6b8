//! Endpoints that speak TLS: whom to trust, what to show, which protocol, and
//! what happens where the two sides do not agree.

use crate::support::{
    Backend, Ca, H2Backend, H2Client, ScriptedBackend, Setup, TestProxy, Upload, complete,
    eventually, h2_request, on_both_runtimes, trusting, watching, within,
};
use proxy::{
    route::Timeouts,
    tls::{TlsConfig, UpstreamTls},
};
use std::{fs, sync::atomic::Ordering, time::Duration};
use tempfile::TempDir;

on_both_runtimes!(
    http1_is_spoken_where_it_is_chosen,
    http2_is_spoken_where_it_is_chosen,
    the_first_requests_to_a_sleeping_target_share_one_handshake,
    the_first_requests_to_an_http1_endpoint_are_all_served,
    an_endpoint_that_is_not_trusted_is_refused_at_once,
    a_broken_handshake_harms_no_request,
);

/// What the service is called in certificates.
const NAME: &str = "web.default";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A folder, an authority, and settings that trust it.
fn trusted() -> (TempDir, Ca, UpstreamTls) {
    let dir = tempfile::tempdir().expect("a folder");
    let ca = Ca::new("test");
    let settings = trusting(ca.write(dir.path(), "ca.crt"));
    (dir, ca, settings)
}

fn connect_failures(proxy: &TestProxy) -> u64 {
    let metrics = proxy.web().metrics();
    metrics.connect_failures.load(Ordering::Relaxed)
}

async fn http1_is_spoken_where_it_is_chosen(setup: Setup) {
    let (_dir, ca, settings) = trusted();
    let proxy = setup.start();
    let backend = ScriptedBackend::start().await;
    let endpoint = proxy.serve_tls(backend.addr(), &settings);
    // One that chooses it, and one that does not know ALPN.
    for alpn in [&["http/1.1"][..], &[]] {
        let tls = ca.server(NAME, alpn);
        let mut client = proxy.client().await;
        client.send_post("/p", b"body").await;
        let mut connection = backend.accept_tls(&tls).await;
        let head = connection.head().await;
        assert_eq!(head.get("host"), Some("a.test"));
        assert_eq!(head.get("x-forwarded-proto"), Some("http"));
        assert_eq!(connection.body(&head).await.as_deref(), Some(&b"body"[..]));
        connection.send(OK).await;
        assert_eq!(client.response().await.text(), "ok");
        // It is used again.
        eventually("it is idle", || endpoint.idle_connections() == 1).await;
        client.send_get("/again").await;
        assert_eq!(connection.head().await.path(), "/again");
        connection
            .send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
            .await;
        assert_eq!(client.response().await.text(), "ok");
        connection.end_sending().await;
        assert_eq!(connection.rest().await, b"");
    }
    proxy.finish().await;
}

async fn http2_is_spoken_where_it_is_chosen(setup: Setup) {
    let (_dir, ca, settings) = trusted();
    let proxy = setup.start();
    let mut backend = H2Backend::over_tls(ca.server(NAME, &["h2", "http/1.1"])).await;
    proxy.serve_tls(backend.addr(), &settings);
    let mut client = proxy.client().await;
    client.send_post("/p?q=1", b"body").await;
    let mut call = backend.call().await;
    assert_eq!(call.head.uri, "https://a.test/p?q=1");
    assert_eq!(call.rest().await.0, "body");
    call.say("hello");
    assert_eq!(client.response().await.text(), "hello");
    let mut client = H2Client::connect(proxy.addr()).await;
    let post = h2_request("POST", "/", Upload::full("x").trailer("x-sum", "1"));
    let answer = client.send(post);
    let mut call = backend.call().await;
    let (body, trailers) = call.rest().await;
    assert_eq!(body, "x");
    assert_eq!(trailers.expect("trailers")["x-sum"], "1");
    call.say("done");
    let answer = within("an answer", answer).await.expect("an answer");
    assert_eq!(complete(answer).await.2, "done");
    proxy.finish().await;
}

async fn the_first_requests_to_a_sleeping_target_share_one_handshake(setup: Setup) {
    let (_dir, ca, settings) = trusted();
    let proxy = setup.workers(1).start();
    let mut client = H2Client::connect(proxy.addr()).await;
    let mut answers = Vec::new();
    for number in 0..30 {
        let request = h2_request("GET", &format!("/{number}"), Upload::none());
        answers.push(tokio::spawn(client.send(request)));
    }
    proxy.until_held(30).await;
    let mut backend = H2Backend::over_tls(ca.server(NAME, &["h2"])).await;
    proxy.serve_tls(backend.addr(), &settings);
    for _ in 0..30 {
        backend.call().await.say("hello");
    }
    for answer in answers {
        let answer = within("an answer", answer).await.expect("no panic");
        let (status, cold, body) = complete(answer.expect("an answer")).await;
        assert_eq!(
            (status, cold.as_deref(), &body[..]),
            (200, Some("true"), &b"hello"[..])
        );
    }
    assert_eq!(connect_failures(&proxy), 0);
    // Until an endpoint has said how many streams it takes, one is the limit.
    assert!(backend.connections() <= 30, "{}", backend.connections());
    let before = backend.connections();
    let mut more = Vec::new();
    for _ in 0..10 {
        more.push(tokio::spawn(client.send(h2_request(
            "GET",
            "/",
            Upload::none(),
        ))));
    }
    for _ in 0..10 {
        backend.call().await.say("more");
    }
    for answer in more {
        within("an answer", answer)
            .await
            .expect("no panic")
            .expect("an answer");
    }
    assert_eq!(backend.connections(), before, "known ones are shared");
    proxy.finish().await;
}

async fn the_first_requests_to_an_http1_endpoint_are_all_served(setup: Setup) {
    let (_dir, ca, settings) = trusted();
    let proxy = setup.workers(1).start();
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = proxy.client().await;
        client.send_get("/").await;
        clients.push(client);
    }
    proxy.until_held(10).await;
    let backend = ScriptedBackend::start().await;
    let tls = ca.server(NAME, &["http/1.1"]);
    proxy.serve_tls(backend.addr(), &settings);
    let mut open = Vec::new();
    for _ in 0..10 {
        // Each has a connection of its own, and all are open at once.
        let mut connection = backend.accept_tls(&tls).await;
        connection.head().await;
        open.push(connection);
    }
    for connection in &mut open {
        connection.send(OK).await;
    }
    for client in &mut clients {
        assert_eq!(client.response().await.text(), "ok");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn an_upgrade_goes_where_http2_was_not_offered() {
    let (_dir, ca, settings) = trusted();
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    let tls = ca.server(NAME, &["h2", "http/1.1"]);
    proxy.serve_tls(backend.addr(), &settings);
    let mut client = proxy.client().await;
    client
        .send("GET / HTTP/1.1\r\nhost: a.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n")
        .await;
    let mut endpoint = backend.accept_tls(&tls).await;
    assert_eq!(endpoint.head().await.get("upgrade"), Some("websocket"));
    endpoint
        .send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
        )
        .await;
    assert_eq!(client.head().await.status(), 101);
    for words in [&b"ping"[..], &[7; 100_000]] {
        client.send(words).await;
        assert_eq!(endpoint.exactly(words.len()).await.as_deref(), Some(words));
        endpoint.send(words).await;
        assert_eq!(client.exactly(words.len()).await.as_deref(), Some(words));
    }
    client.end_sending().await;
    assert_eq!(endpoint.rest().await, b"");
    endpoint.end_sending().await;
    assert_eq!(client.rest().await, b"");
    proxy.finish().await;
}

#[tokio::test]
async fn a_service_for_web_sockets_is_offered_http1_only() {
    let (_dir, ca, settings) = trusted();
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    let tls = ca.server(NAME, &["h2", "http/1.1"]);
    proxy.add_tls(backend.addr(), &settings, true);
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send_get("/").await;
    let mut endpoint = backend.accept_tls(&tls).await;
    assert_eq!(endpoint.head().await.path(), "/");
    endpoint.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

async fn an_endpoint_that_is_not_trusted_is_refused_at_once(setup: Setup) {
    let (_dir, ca, settings) = trusted();
    let proxy = setup.start();
    let stranger = Ca::new("stranger");
    let backend = ScriptedBackend::start().await;
    proxy.serve_tls(backend.addr(), &settings);
    let of_a_stranger = stranger.server(NAME, &["h2", "http/1.1"]);
    let of_another_name = ca.server("other.default", &["h2", "http/1.1"]);
    let mut client = proxy.client().await;
    for (number, tls) in [of_a_stranger, of_another_name].iter().enumerate() {
        client.send_post("/", b"secret").await;
        backend.refuse_tls(tls).await;
        let answer = client.response().await;
        assert_eq!((answer.status(), answer.text()), (502, "Bad Gateway\n"));
        assert_eq!(connect_failures(&proxy), number as u64 + 1);
    }
    // It was not ejected: as soon as it is better, it serves.
    client.send_get("/").await;
    let mut good = backend.accept_tls(&ca.server(NAME, &[])).await;
    good.head().await;
    good.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_speak_tls_is_refused_at_once() {
    let (_dir, _ca, settings) = trusted();
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|_| b"never".to_vec()).await;
    let silent = ScriptedBackend::start().await;
    proxy.serve_tls(silent.addr(), &settings);
    let mut client = proxy.client().await;
    client.send_get("/").await;
    let mut plain = silent.accept().await;
    plain.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 502);
    drop((backend, plain));
    proxy.finish().await;
}

#[tokio::test]
async fn another_endpoint_serves_what_an_untrusted_one_may_not() {
    let (_dir, ca, settings) = trusted();
    let proxy = TestProxy::new().start();
    let bad = H2Backend::over_tls(Ca::new("stranger").server(NAME, &["h2"])).await;
    let mut good = H2Backend::over_tls(ca.server(NAME, &["h2"])).await;
    for addr in [bad.addr(), good.addr()] {
        proxy.add_tls(addr, &settings, false);
    }
    proxy.publish("web", [bad.addr(), good.addr()]);
    let mut client = proxy.client().await;
    for _ in 0..20 {
        client.send_post("/", b"body").await;
        good.call().await.say("hello");
        assert_eq!(client.response().await.text(), "hello");
    }
    assert!(bad.connections() <= 20);
    proxy.finish().await;
}

#[tokio::test]
async fn a_held_request_is_refused_when_the_woken_endpoint_is_not_trusted() {
    let (_dir, _ca, settings) = trusted();
    let proxy = TestProxy::new().start();
    let mut client = proxy.client().await;
    client.send_get("/").await;
    proxy.until_held(1).await;
    let backend = ScriptedBackend::start().await;
    proxy.serve_tls(backend.addr(), &settings);
    backend
        .refuse_tls(&Ca::new("stranger").server(NAME, &[]))
        .await;
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.cold_start()), (502, Some("true")));
    proxy.finish().await;
}

/// Nothing was sent, so any request may go again.
async fn a_broken_handshake_harms_no_request(setup: Setup) {
    let (_dir, ca, settings) = trusted();
    let proxy = setup.start();
    let backend = ScriptedBackend::start().await;
    proxy.serve_tls(backend.addr(), &settings);
    let mut client = proxy.client().await;
    client.send_post("/", b"body").await;
    drop(backend.accept().await);
    // Ejected; back after a moment.
    let mut connection = backend.accept_tls(&ca.server(NAME, &["http/1.1"])).await;
    let head = connection.head().await;
    assert_eq!(connection.body(&head).await.as_deref(), Some(&b"body"[..]));
    connection.send(OK).await;
    let answer = client.response().await;
    assert_eq!((answer.text(), answer.cold_start()), ("ok", Some("true")));
    assert_eq!(connect_failures(&proxy), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_a_failed_connection() {
    let (_dir, _ca, settings) = trusted();
    let tls = TlsConfig {
        handshake_timeout: Duration::from_millis(50),
        ..TlsConfig::default()
    };
    let timeouts = Timeouts {
        readiness: Some(Duration::from_millis(500)),
        ..Timeouts::default()
    };
    let proxy = TestProxy::new().tls(tls).timeouts(timeouts).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve_tls(backend.addr(), &settings);
    assert_eq!(proxy.client().await.get("/").await.status(), 504);
    assert!(connect_failures(&proxy) > 0);
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_those_who_ask() {
    let (dir, ca, mut settings) = trusted();
    let clients = Ca::new("clients");
    let tls = ca.server_for(NAME, &["http/1.1"], &clients);
    let backend = ScriptedBackend::start().await;

    let proxy = TestProxy::new().start();
    proxy.serve_tls(backend.addr(), &settings);
    let mut client = proxy.client().await;
    client.send_post("/", b"body").await;
    // In TLS 1.3 the refusal comes after the handshake, from our side.
    backend.refuse_tls(&tls).await;
    assert_eq!(client.response().await.status(), 502);
    proxy.finish().await;

    clients.issue(&["reveille"]).write(dir.path(), "client");
    settings.client_cert = Some(dir.path().join("client.crt"));
    settings.client_key = Some(dir.path().join("client.key"));
    let proxy = TestProxy::new().start();
    proxy.serve_tls(backend.addr(), &settings);
    let mut client = proxy.client().await;
    client.send_post("/", b"body").await;
    let mut connection = backend.accept_tls(&tls).await;
    connection.head().await;
    connection.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    let known = proxy.proxy.tls().certificates();
    let known: Vec<&str> = known.iter().map(|known| known.role.as_str()).collect();
    assert_eq!(known, ["client", "ca"]);
    proxy.finish().await;
}

#[tokio::test]
async fn the_name_can_be_set_and_verification_be_left_out() {
    let (_dir, ca, settings) = trusted();
    let backend = ScriptedBackend::start().await;
    let other_name = UpstreamTls {
        server_name: Some("other.test".to_owned()),
        ..settings
    };
    let anybody = UpstreamTls {
        insecure_skip_verify: true,
        ..UpstreamTls::default()
    };
    let stranger = Ca::new("stranger");
    for (settings, tls) in [
        (other_name, ca.server("other.test", &[])),
        (anybody, stranger.server("whatever.test", &[])),
    ] {
        let proxy = TestProxy::new().start();
        proxy.serve_tls(backend.addr(), &settings);
        let mut client = proxy.client().await;
        client.send_get("/").await;
        let mut connection = backend.accept_tls(&tls).await;
        connection.head().await;
        connection.send(OK).await;
        assert_eq!(client.response().await.text(), "ok");
        proxy.finish().await;
    }
}

#[tokio::test]
async fn global_settings_hold_where_a_service_says_nothing() {
    let (dir, ca, settings) = trusted();
    let tls = TlsConfig {
        upstream: settings,
        ..TlsConfig::default()
    };
    let proxy = TestProxy::new().tls(tls).start();
    let (plain, own) = (
        ScriptedBackend::start().await,
        ScriptedBackend::start().await,
    );
    proxy.add_tls(plain.addr(), &UpstreamTls::default(), false);
    let another = Ca::new("another");
    let own_settings = trusting(another.write(dir.path(), "another.crt"));
    proxy.add_tls(own.addr(), &own_settings, false);
    for (backend, ca) in [(&plain, &ca), (&own, &another)] {
        proxy.serve(backend.addr());
        let mut client = proxy.client().await;
        client.send_get("/").await;
        let mut connection = backend.accept_tls(&ca.server(NAME, &[])).await;
        connection.head().await;
        connection.send(OK).await;
        assert_eq!(client.response().await.text(), "ok");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn other_authorities_are_taken_over_and_broken_ones_are_not() {
    let (dir, ca, settings) = trusted();
    let proxy = TestProxy::new().tls(watching()).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve_tls(backend.addr(), &settings);
    let metrics = proxy.proxy.tls().metrics();
    let path = dir.path().join("ca.crt");
    let replace = |content: &str| {
        let fresh = dir.path().join("fresh");
        fs::write(&fresh, content).expect("written");
        fs::rename(fresh, &path).expect("swapped");
    };
    replace("nonsense");
    let failed = || metrics.reload_failures.load(Ordering::Relaxed) == 1;
    eventually("it is noticed", failed).await;
    let mut client = proxy.client().await;
    client.send_get("/").await;
    let mut open = backend.accept_tls(&ca.server(NAME, &[])).await;
    open.head().await;
    open.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
        .await;
    client.head().await;

    let renewed = Ca::new("renewed");
    replace(&renewed.pem);
    let reloaded = || metrics.reloads.load(Ordering::Relaxed) == 1;
    eventually("a reload", reloaded).await;
    let mut late = proxy.client().await;
    late.send_get("/").await;
    backend.refuse_tls(&ca.server(NAME, &[])).await;
    assert_eq!(late.response().await.status(), 502);
    late.send_get("/").await;
    let mut fresh = backend.accept_tls(&renewed.server(NAME, &[])).await;
    fresh.head().await;
    fresh.send(OK).await;
    assert_eq!(late.response().await.text(), "ok");
    // What was open goes on.
    open.send("done").await;
    assert_eq!(client.exactly(8).await.as_deref(), Some(&b"halfdone"[..]));
    proxy.finish().await;
}
