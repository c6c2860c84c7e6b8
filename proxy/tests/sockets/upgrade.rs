//! Switching protocols (RFC 9110 section 7.8): the request that asks for it,
//! the answer that does it, and the tunnel that follows.

use crate::support::{
    Backend, H2Client, Head, ScriptedBackend, Setup, TestProxy, Upload, Wire, complete,
    dead_address, eventually, h2_request, on_both_runtimes, within,
};
use proxy::route::Timeouts;
use std::time::Duration;

on_both_runtimes!(
    bytes_pass_both_ways_and_the_request_lives_as_long,
    a_sleeping_target_is_woken_by_it,
    early_bytes_of_both_sides_arrive,
    early_bytes_of_a_held_client_arrive,
    one_direction_may_end_before_the_other,
    a_client_that_leaves_ends_the_endpoints_side,
    an_endpoint_that_leaves_ends_the_clients_side,
    a_drain_waits_for_its_end,
    a_held_one_still_switches_while_draining,
    the_drains_deadline_cuts_it,
    much_data_passes_both_ways_at_once,
);

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: a.test\r\nconnection: Upgrade\r\n\
                   upgrade: websocket\r\nsec-websocket-key: k\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n\
                      upgrade: websocket\r\nsec-websocket-accept: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A tunnel through the proxy: the client's end and the endpoint's.
async fn tunnel(proxy: &TestProxy) -> (Wire, Wire) {
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(ASK).await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint.send(SWITCH).await;
    assert_eq!(client.head().await.status(), 101);
    (client, endpoint)
}

/// Whatever `from` says, `to` hears.
async fn passes(from: &mut Wire, to: &mut Wire, words: &[u8]) {
    from.send(words).await;
    assert_eq!(to.exactly(words.len()).await.as_deref(), Some(words));
}

fn sorted(head: &Head) -> Vec<String> {
    let fields = head.fields.iter();
    let mut lines: Vec<String> = fields.map(|(n, v)| format!("{n}: {v}")).collect();
    lines.sort();
    lines
}

async fn bytes_pass_both_ways_and_the_request_lives_as_long(setup: Setup) {
    let proxy = setup.start();
    let (mut client, mut endpoint) = tunnel(&proxy).await;
    for words in [&b"ping"[..], b"\0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"] {
        passes(&mut client, &mut endpoint, words).await;
        passes(&mut endpoint, &mut client, words).await;
    }
    assert_eq!(proxy.web().totals().in_flight(), 1);
    let claims: Vec<usize> = proxy
        .web()
        .endpoints()
        .iter()
        .map(|e| e.in_flight())
        .collect();
    assert_eq!(claims, [1]);
    assert_eq!(proxy.counted("GET", 101), 0, "not yet");
    client.end_sending().await;
    assert_eq!(endpoint.rest().await, b"");
    drop(endpoint);
    assert_eq!(client.rest().await, b"");
    proxy.settled().await;
    assert_eq!(proxy.counted("GET", 101), 1);
    proxy.until_no_connections().await;
    proxy.finish().await;
}

async fn a_sleeping_target_is_woken_by_it(setup: Setup) {
    let proxy = setup.start();
    let mut client = proxy.client().await;
    client.send(ASK).await;
    proxy.until_held(1).await;
    eventually("the wake-up call", || proxy.edges("web") == 1).await;
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut endpoint = backend.accept().await;
    assert_eq!(endpoint.head().await.get("upgrade"), Some("websocket"));
    endpoint.send(SWITCH).await;
    let head = client.head().await;
    assert_eq!(head.status(), 101);
    assert_eq!(head.get("x-keda-http-cold-start"), Some("true"));
    passes(&mut client, &mut endpoint, b"ping").await;
    passes(&mut endpoint, &mut client, b"pong").await;
    drop((client, endpoint));
    proxy.finish().await;
}

async fn early_bytes_of_both_sides_arrive(setup: Setup) {
    let proxy = setup.start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(format!("{ASK}early client")).await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint.send(format!("{SWITCH}early endpoint")).await;
    assert_eq!(endpoint.exactly(12).await.expect("all"), b"early client");
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(client.exactly(14).await.expect("all"), b"early endpoint");
    passes(&mut client, &mut endpoint, b"later").await;
    drop((client, endpoint));
    proxy.finish().await;
}

async fn early_bytes_of_a_held_client_arrive(setup: Setup) {
    let proxy = setup.start();
    let mut client = proxy.client().await;
    client.send(ASK).await;
    proxy.until_held(1).await;
    // More than any buffer on the way; unread while it is held.
    let words = vec![b'x'; 100_000];
    client.send(&words).await;
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint.send(SWITCH).await;
    assert_eq!(endpoint.exactly(words.len()).await, Some(words));
    drop((client, endpoint));
    proxy.finish().await;
}

async fn one_direction_may_end_before_the_other(setup: Setup) {
    let proxy = setup.start();
    let (mut client, mut endpoint) = tunnel(&proxy).await;
    client.send(b"a question").await;
    client.end_sending().await;
    assert_eq!(endpoint.rest().await, b"a question");
    assert_eq!(proxy.web().totals().in_flight(), 1);
    passes(&mut endpoint, &mut client, b"a long ").await;
    endpoint.send(b"answer").await;
    endpoint.end_sending().await;
    assert_eq!(client.rest().await, b"answer");
    proxy.settled().await;

    let (mut client, mut endpoint) = tunnel(&proxy).await;
    endpoint.end_sending().await;
    assert_eq!(client.rest().await, b"");
    passes(&mut client, &mut endpoint, b"more").await;
    client.end_sending().await;
    assert_eq!(endpoint.rest().await, b"");
    proxy.finish().await;
}

async fn a_client_that_leaves_ends_the_endpoints_side(setup: Setup) {
    let proxy = setup.start();
    let (mut client, mut endpoint) = tunnel(&proxy).await;
    client.send(b"last words").await;
    drop(client);
    assert_eq!(endpoint.rest().await, b"last words");
    drop(endpoint);
    proxy.settled().await;
    let (client, mut endpoint) = tunnel(&proxy).await;
    client.reset();
    assert_eq!(endpoint.rest().await, b"");
    // Without a word from the endpoint, which is still there.
    proxy.settled().await;
    assert_eq!(proxy.counted("GET", 101), 2);
    proxy.finish().await;
}

async fn an_endpoint_that_leaves_ends_the_clients_side(setup: Setup) {
    let proxy = setup.start();
    let (mut client, mut endpoint) = tunnel(&proxy).await;
    endpoint.send(b"last words").await;
    drop(endpoint);
    assert_eq!(client.rest().await, b"last words");
    drop(client);
    proxy.settled().await;
    let (mut client, endpoint) = tunnel(&proxy).await;
    endpoint.reset();
    assert_eq!(client.rest().await, b"");
    proxy.settled().await;
    assert_eq!(proxy.counted("GET", 101), 2);
    proxy.finish().await;
}

/// Resolves when draining has begun: an idle connection is closed.
async fn draining(mut idle: Wire) {
    assert_eq!(idle.rest().await, b"");
}

async fn a_drain_waits_for_its_end(setup: Setup) {
    let proxy = setup.start();
    let (mut client, mut endpoint) = tunnel(&proxy).await;
    let idle = proxy.client().await;
    eventually("accepted", || proxy.proxy.connections() == 2).await;
    let drain = proxy.proxy.drain(Duration::from_secs(600));
    let story = async {
        draining(idle).await;
        passes(&mut client, &mut endpoint, b"ping").await;
        passes(&mut endpoint, &mut client, b"pong").await;
        eventually("only it is left", || proxy.proxy.connections() == 1).await;
        drop((client, endpoint));
    };
    let (drained, ()) = within("the drain", async { tokio::join!(drain, story) }).await;
    assert!(drained, "nothing was cut off");
    proxy.finish().await;
}

async fn a_held_one_still_switches_while_draining(setup: Setup) {
    let proxy = setup.start();
    let backend = ScriptedBackend::start().await;
    let mut client = proxy.client().await;
    client.send(ASK).await;
    proxy.until_held(1).await;
    let idle = proxy.client().await;
    eventually("accepted", || proxy.proxy.connections() == 2).await;
    let drain = proxy.proxy.drain(Duration::from_secs(600));
    let story = async {
        draining(idle).await;
        proxy.serve(backend.addr());
        let mut endpoint = backend.accept().await;
        endpoint.head().await;
        endpoint.send(SWITCH).await;
        let head = client.head().await;
        assert_eq!(head.status(), 101);
        // Both are true, and a client looks for the first.
        assert_eq!(head.get("connection"), Some("upgrade, close"));
        passes(&mut client, &mut endpoint, b"ping").await;
        passes(&mut endpoint, &mut client, b"pong").await;
        drop((client, endpoint));
    };
    let (drained, ()) = within("the drain", async { tokio::join!(drain, story) }).await;
    assert!(drained, "nothing was cut off");
    proxy.finish().await;
}

async fn the_drains_deadline_cuts_it(setup: Setup) {
    let proxy = setup.start();
    let (mut client, mut endpoint) = tunnel(&proxy).await;
    let drain = proxy.proxy.drain(Duration::from_millis(50));
    assert!(!within("the drain", drain).await, "it was cut off");
    assert_eq!(proxy.proxy.connections(), 0);
    assert_eq!(client.rest().await, b"");
    assert_eq!(endpoint.rest().await, b"");
    proxy.finish().await;
}

async fn much_data_passes_both_ways_at_once(setup: Setup) {
    let proxy = setup.start();
    let (client, endpoint) = tunnel(&proxy).await;
    let one_side = |wire: Wire, fill: u8| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut read, mut write) = wire.split();
        let send = async move {
            let piece = vec![fill; 10_000];
            for _ in 0..200 {
                write.write_all(&piece).await.expect("open");
            }
            write.shutdown().await.expect("open");
            write
        };
        let mut bytes = Vec::new();
        let (_write, received) = tokio::join!(send, read.read_to_end(&mut bytes));
        received.expect("an end");
        bytes
    };
    let both = async { tokio::join!(one_side(client, b'c'), one_side(endpoint, b'e')) };
    let (client, endpoint) = within("both directions", both).await;
    assert!(client.len() == 2_000_000 && client.iter().all(|b| *b == b'e'));
    assert!(endpoint.len() == 2_000_000 && endpoint.iter().all(|b| *b == b'c'));
    proxy.finish().await;
}

#[tokio::test]
async fn of_the_hop_by_hop_headers_only_the_upgrade_passes() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send(
            "GET /chat HTTP/1.1\r\nhost: a.test\r\nconnection: keep-alive, Upgrade, X-Mine\r\n\
             x-mine: 1\r\nkeep-alive: timeout=5\r\nupgrade: websocket\r\n\
             sec-websocket-key: k\r\nsec-websocket-protocol: chat\r\n\r\n",
        )
        .await;
    let mut endpoint = backend.accept().await;
    assert_eq!(
        sorted(&endpoint.head().await),
        [
            "connection: upgrade",
            "host: a.test",
            "sec-websocket-key: k",
            "sec-websocket-protocol: chat",
            "upgrade: websocket",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: a.test",
            "x-forwarded-proto: http",
        ]
    );
    endpoint
        .send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: X-Mine, Upgrade\r\nx-mine: 1\r\n\
             keep-alive: timeout=5\r\ncontent-length: 0\r\nupgrade: websocket\r\n\
             sec-websocket-accept: a\r\nsec-websocket-protocol: chat\r\n\r\n",
        )
        .await;
    let mut head = client.head().await;
    assert_eq!(head.first, "HTTP/1.1 101 Switching Protocols");
    head.fields.retain(|(name, _)| name != "date");
    assert_eq!(
        sorted(&head),
        [
            "connection: upgrade",
            "sec-websocket-accept: a",
            "sec-websocket-protocol: chat",
            "upgrade: websocket",
            "x-keda-http-cold-start: false",
        ]
    );
    drop((client, endpoint));
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_does_not_switch_answers_as_usual() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|received| {
        let status = received.head.path().trim_start_matches('/').to_owned();
        format!(
            "HTTP/1.1 {status} Whatever\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             content-length: 2\r\n\r\nno"
        )
        .into_bytes()
    })
    .await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for status in [200, 400, 403, 426, 200] {
        client.send(ASK.replace("chat", &status.to_string())).await;
        let answer = client.response().await;
        assert_eq!((answer.status(), answer.text()), (status, "no"));
        // Only this one has to say what it wants.
        let wanted = (status == 426).then_some("websocket");
        assert_eq!(answer.head.get("upgrade"), wanted);
    }
    // A plain request on the same connections, both here and there.
    assert_eq!(client.get("/426").await.status(), 426);
    assert_eq!(client.get("/200").await.status(), 200);
    assert_eq!(backend.connections(), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn its_connection_to_the_endpoint_is_used_for_nothing_else() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    // On a connection that has served already.
    client.send_get("/").await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    client.send(ASK).await;
    endpoint.head().await;
    endpoint.send(SWITCH).await;
    assert_eq!(client.head().await.status(), 101);
    let mut other = proxy.client().await;
    other.send_get("/").await;
    let mut second = backend.accept().await;
    second.head().await;
    second.send(OK).await;
    assert_eq!(other.response().await.text(), "ok");
    passes(&mut client, &mut endpoint, b"still a tunnel").await;
    drop((client, endpoint));
    proxy.finish().await;
}

#[tokio::test]
async fn whoever_may_not_switch_is_not_offered_to() {
    let proxy = TestProxy::new().start();
    let backend = Backend::answering(|_| OK.as_bytes().to_vec()).await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    for (old, new) in [
        ("connection: Upgrade", "connection: keep-alive"),
        ("websocket\r\n", "h2c\r\n"),
        ("websocket\r\n", "websocket, h2c\r\n"),
        ("HTTP/1.1", "HTTP/1.0"),
    ] {
        client.send(ASK.replace(old, new)).await;
        assert_eq!(client.response().await.status(), 200, "{new}");
    }
    let mut modern = H2Client::connect(proxy.addr()).await;
    let mut request = h2_request("GET", "/", Upload::none());
    let headers = request.headers_mut();
    headers.insert("upgrade", "websocket".parse().expect("valid"));
    let answer = within("an answer", modern.send(request)).await;
    assert_eq!(complete(answer.expect("an answer")).await.0, 200);
    for received in backend.received() {
        assert_eq!(received.head.get("upgrade"), None, "{received:?}");
        assert_eq!(received.head.get("connection"), None, "{received:?}");
    }
    assert_eq!(backend.received().len(), 5);
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_switches_unasked_gives_502_and_loses_its_connection() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(ASK.replace("Upgrade\r\n", "close\r\n")).await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint.send(SWITCH).await;
    assert_eq!(client.response().await.status(), 502);
    assert_eq!(endpoint.rest().await, b"");
    let mut modern = H2Client::connect(proxy.addr()).await;
    let answer = tokio::spawn(modern.send(h2_request("GET", "/", Upload::none())));
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint.send(SWITCH).await;
    let answer = within("an answer", answer).await.expect("no panic");
    assert_eq!(complete(answer.expect("an answer")).await.0, 502);
    assert_eq!(endpoint.rest().await, b"");
    proxy.finish().await;
}

#[tokio::test]
async fn the_request_timeout_ends_it() {
    let timeouts = Timeouts {
        request: Some(Duration::from_millis(200)),
        ..Timeouts::default()
    };
    let proxy = TestProxy::new().timeouts(timeouts).start();
    let (mut client, mut endpoint) = tunnel(&proxy).await;
    assert_eq!(client.rest().await, b"");
    assert_eq!(endpoint.rest().await, b"");
    proxy.settled().await;
    assert_eq!(proxy.counted("GET", 101), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn the_timeouts_of_waiting_do_not_concern_it() {
    let timeouts = Timeouts {
        readiness: Some(Duration::from_millis(50)),
        response_header: Some(Duration::from_millis(100)),
        ..Timeouts::default()
    };
    let proxy = TestProxy::new().timeouts(timeouts).start();
    let (mut client, mut endpoint) = tunnel(&proxy).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(200), client.fill())
            .await
            .is_err(),
        "it stays open"
    );
    passes(&mut client, &mut endpoint, b"ping").await;
    drop((client, endpoint));
    proxy.finish().await;
}

#[tokio::test]
async fn it_is_tried_again_like_any_request() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    let dead = dead_address().await;
    proxy.publish("web", [dead, backend.addr()]);
    // One that cannot be connected to is ejected, whichever is asked first.
    for _ in 0..4 {
        let mut client = proxy.client().await;
        client.send(ASK).await;
        // Breaks without an answer, and is sent once more.
        let mut endpoint = backend.accept().await;
        assert_eq!(endpoint.head().await.get("upgrade"), Some("websocket"));
        drop(endpoint);
        let mut endpoint = backend.accept().await;
        let head = endpoint.head().await;
        assert_eq!(head.get("upgrade"), Some("websocket"));
        assert_eq!(head.get("connection"), Some("upgrade"));
        endpoint.send(SWITCH).await;
        assert_eq!(client.head().await.status(), 101);
        passes(&mut client, &mut endpoint, b"ping").await;
        drop((client, endpoint));
    }
    proxy.finish().await;
}

#[tokio::test]
async fn a_request_with_a_body_switches_after_it() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    let ask = ASK.replace("GET", "POST");
    let ask = ask.replace("sec-", "content-length: 8\r\nsec-");
    client.send(format!("{ask}body")).await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    assert_eq!(endpoint.exactly(4).await.expect("all"), b"body");
    // The 101 comes before the rest of the body.
    endpoint.send(format!("{SWITCH}hello")).await;
    assert_eq!(client.head().await.status(), 101);
    client.send(b"rest").await;
    assert_eq!(endpoint.exactly(4).await.expect("all"), b"rest");
    assert_eq!(client.exactly(5).await.expect("all"), b"hello");
    passes(&mut client, &mut endpoint, b"and then anything").await;
    drop((client, endpoint));
    proxy.settled().await;
    assert_eq!(proxy.counted("POST", 101), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_promises_and_breaks_leaves_nothing_behind() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send(ASK).await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint.send(SWITCH).await;
    endpoint.reset();
    // With or without a 101, it ends.
    while client.fill().await {}
    proxy.finish().await;
}
