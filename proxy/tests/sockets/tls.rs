//! Clients over TLS: which certificate, version and protocol they get, who is
//! let in, what a change of the files does, and that all else is as without.

use crate::support::{
    Backend, Ca, H2Client, Pair, ScriptedBackend, Setup, TestProxy, Upload, Wire, eventually,
    h2_request, on_both_runtimes, serving, within,
};
use proxy::tls::{
    CertificateSource, ClientAuth, HandshakeFailure, Setting, Tls, TlsConfig, TlsVersion,
};
use std::{fs, os::unix::fs::symlink, path::Path, sync::atomic::Ordering, time::Duration};
use tempfile::TempDir;

on_both_runtimes!(
    alpn_chooses_the_protocol,
    a_held_request_is_served,
    a_client_that_leaves_while_held_is_never_forwarded,
    a_tunnel_passes_both_ways,
    bodies_pass_both_ways_at_once,
);

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A folder, an authority, and the settings of a listener for `a.test`.
fn listener() -> (TempDir, Ca, TlsConfig) {
    let dir = tempfile::tempdir().expect("a folder");
    let ca = Ca::new("test");
    let source = ca.issue(&["a.test"]).write(dir.path(), "a");
    let config = serving(vec![source]);
    (dir, ca, config)
}

fn failures(proxy: &TestProxy, reason: HandshakeFailure) -> u64 {
    let listeners = proxy.proxy.tls().listeners();
    listeners[0].metrics().failures(reason)
}

async fn until_failures(proxy: &TestProxy, reason: HandshakeFailure, count: u64) {
    let what = format!("{count} of {}", reason.as_str());
    eventually(&what, || failures(proxy, reason) == count).await;
}

async fn alpn_chooses_the_protocol(setup: Setup) {
    let (_dir, ca, config) = listener();
    let proxy = setup.tls(config).start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());

    let h2 = ca.client().alpn(&["h2", "http/1.1"]);
    let stream = h2.stream(proxy.tls_addr()).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = H2Client::over_tls(stream).await;
    assert_eq!(client.get("/h2").await.0, 200);

    let http1 = ca.client().alpn(&["http/1.1"]);
    let stream = http1.stream(proxy.tls_addr()).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut client = Wire::over_tls(stream.into());
    for path in ["/1", "/2"] {
        assert_eq!(client.get(path).await.text(), "hello");
    }
    // Nothing offered: HTTP/1.1.
    let mut client = ca.client().wire(proxy.tls_addr()).await;
    assert_eq!(client.get("/none").await.text(), "hello");
    // Nothing in common: RFC 7301 section 3.2.
    let other = ca.client().alpn(&["spdy/1"]);
    let refused = other.try_connect(proxy.tls_addr()).await;
    refused.expect_err("no protocol in common");
    until_failures(&proxy, HandshakeFailure::Incompatible, 1).await;

    // The clear listener is still there.
    assert_eq!(proxy.client().await.get("/clear").await.text(), "hello");
    for received in backend.received() {
        let expected = match received.head.path() {
            "/clear" => "http",
            _ => "https",
        };
        let proto = received.head.get("x-forwarded-proto");
        assert_eq!(proto, Some(expected), "{}", received.head.path());
        assert_eq!(received.head.get("x-forwarded-for"), Some("127.0.0.1"));
    }
    let listeners = proxy.proxy.tls().listeners();
    let metrics = listeners[0].metrics();
    assert_eq!(metrics.handshakes.load(Ordering::Relaxed), 3);
    proxy.finish().await;
}

#[tokio::test]
async fn the_certificate_is_chosen_by_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let ca = Ca::new("test");
    // Clients verify the name, so each certificate has one more to be asked by.
    let first = ca.issue(&[
        "first.test",
        "127.0.0.1",
        "deep.er.a.test",
        "a.test",
        "b.test",
    ]);
    let wild = ca.issue(&["*.a.test"]);
    let exact = ca.issue(&["x.a.test"]);
    let in_dir = ca.issue(&["dir.test"]);
    let sources = vec![
        first.write(dir.path(), "first"),
        wild.write(dir.path(), "wild"),
        exact.write(dir.path(), "exact"),
        CertificateSource::Dir(dir.path().join("store")),
    ];
    fs::create_dir_all(dir.path().join("store/team")).expect("made");
    in_dir.write(&dir.path().join("store/team"), "tls");
    ca.write(&dir.path().join("store/team"), "ca.crt");
    let proxy = TestProxy::new().tls(serving(sources)).start();
    for (name, expected) in [
        ("first.test", &first),
        // Without SNI, and names that none has.
        ("127.0.0.1", &first),
        ("b.test", &first),
        // One label only, and not the parent itself.
        ("deep.er.a.test", &first),
        ("a.test", &first),
        ("y.a.test", &wild),
        ("x.a.test", &exact),
        ("X.A.TEST", &exact),
        ("dir.test", &in_dir),
    ] {
        let shown = ca.client().name(name).certificate(proxy.tls_addr()).await;
        assert_eq!(shown, expected.der(), "{name}");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn versions_have_bounds() {
    let (_dir, ca, config) = listener();
    for (min, max, v1_2, v1_3) in [
        (TlsVersion::V1_2, None, true, true),
        (TlsVersion::V1_3, None, false, true),
        (TlsVersion::V1_2, Some(TlsVersion::V1_2), true, false),
    ] {
        let mut config = config.clone();
        let server = config.server.as_mut().expect("a listener");
        (server.min_version, server.max_version) = (min, max);
        let proxy = TestProxy::new().tls(config).start();
        let mut refused = 0;
        for (version, wanted) in [
            (&rustls::version::TLS12, v1_2),
            (&rustls::version::TLS13, v1_3),
        ] {
            let client = ca.client().version(version);
            let shaken = client.try_connect(proxy.tls_addr()).await;
            assert_eq!(shaken.is_ok(), wanted, "{min:?} {max:?} {version:?}");
            refused += u64::from(!wanted);
        }
        until_failures(&proxy, HandshakeFailure::Incompatible, refused).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn cipher_suites_can_be_chosen() {
    let (_dir, ca, mut config) = listener();
    let server = config.server.as_mut().expect("a listener");
    server.cipher_suites = [
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ]
    .map(str::to_owned)
    .to_vec();
    let proxy = TestProxy::new().tls(config).start();
    for (version, wanted) in [
        (&rustls::version::TLS13, "TLS13_CHACHA20_POLY1305_SHA256"),
        (
            &rustls::version::TLS12,
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        ),
    ] {
        let stream = ca.client().version(version).stream(proxy.tls_addr()).await;
        let suite = stream.get_ref().1.negotiated_cipher_suite().expect("one");
        assert_eq!(suite.suite().as_str(), Some(wanted));
    }
    proxy.finish().await;
}

#[tokio::test]
async fn client_certificates_are_asked_for_as_set() {
    let (dir, ca, config) = listener();
    let clients = Ca::new("clients");
    let good = clients.issue(&["client.test"]);
    let bad = ca.issue(&["client.test"]);
    let backend = Backend::saying("hello").await;
    for (auth, none, with_bad) in [
        (ClientAuth::None, true, true),
        (ClientAuth::Optional, true, false),
        (ClientAuth::Required, false, false),
    ] {
        let mut config = config.clone();
        let server = config.server.as_mut().expect("a listener");
        server.client_auth = auth;
        if auth != ClientAuth::None {
            server.client_ca = Some(clients.write(dir.path(), "clients.crt"));
        }
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let proxy = TestProxy::new().tls(config.clone()).start();
            proxy.serve(backend.addr());
            let client = || ca.client().version(version);
            let mut refused = 0;
            for (client, wanted) in [
                (client().identity(&good), true),
                (client(), none),
                (client().identity(&bad), with_bad),
            ] {
                // In TLS 1.3, a client hears of a refusal only when it reads.
                let answered = match client.try_connect(proxy.tls_addr()).await {
                    Ok(stream) => {
                        let mut wire = Wire::over_tls(stream.into());
                        wire.send_get("/").await;
                        wire.try_head().await.is_some()
                    }
                    Err(_) => false,
                };
                assert_eq!(answered, wanted, "{auth:?} {version:?}");
                refused += u64::from(!wanted);
            }
            until_failures(&proxy, HandshakeFailure::ClientCertificate, refused).await;
            proxy.finish().await;
        }
    }
}

fn reloads(proxy: &TestProxy) -> u64 {
    let metrics = proxy.proxy.tls().metrics();
    metrics.reloads.load(Ordering::Relaxed)
}

async fn until_reload_failures(proxy: &TestProxy, count: u64) {
    let failures = &proxy.proxy.tls().metrics().reload_failures;
    let what = format!("{count} failures");
    eventually(&what, || failures.load(Ordering::Relaxed) == count).await;
}

async fn shown(proxy: &TestProxy, ca: &Ca) -> rustls::pki_types::CertificateDer<'static> {
    ca.client().certificate(proxy.tls_addr()).await
}

#[tokio::test]
async fn a_new_certificate_is_used_while_old_connections_stream_on() {
    let (dir, ca, config) = listener();
    let proxy = TestProxy::new().tls(config).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = ca.client().wire(proxy.tls_addr()).await;
    client.send_get("/stream").await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint
        .send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf")
        .await;
    let head = client.head().await;
    assert_eq!(client.exactly(4).await.as_deref(), Some(&b"half"[..]));

    let old = shown(&proxy, &ca).await;
    let renewed = ca.issue(&["a.test"]);
    renewed.write(dir.path(), "a");
    // Between the two files they do not fit: that may be seen, or not.
    eventually("a reload", || reloads(&proxy) == 1).await;
    let new = shown(&proxy, &ca).await;
    assert_ne!(new, old);
    assert_eq!(new, renewed.der());

    endpoint.send("done").await;
    assert_eq!(head.status(), 200);
    assert_eq!(client.exactly(4).await.as_deref(), Some(&b"done"[..]));
    // And it can be used again.
    client.send_get("/again").await;
    endpoint.head().await;
    endpoint.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
    proxy.finish().await;
}

#[tokio::test]
async fn what_is_broken_never_replaces_what_works() {
    let (dir, ca, config) = listener();
    let proxy = TestProxy::new().tls(config).start();
    let (cert, key) = (dir.path().join("a.crt"), dir.path().join("a.key"));
    let good = fs::read_to_string(&cert).expect("there");
    let old = shown(&proxy, &ca).await;
    let other = ca.issue(&["a.test"]);
    let replace = |content: &str| {
        let fresh = dir.path().join("fresh");
        fs::write(&fresh, content).expect("written");
        fs::rename(fresh, &cert).expect("swapped");
    };
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let breakings: [&dyn Fn(); 4] = [
        &|| replace("no certificate"),
        &|| replace(no_certificate),
        &|| replace(&other.cert),
        &|| fs::remove_file(&cert).expect("removed"),
    ];
    for (index, breaking) in breakings.into_iter().enumerate() {
        breaking();
        until_reload_failures(&proxy, index as u64 + 1).await;
        assert_eq!(shown(&proxy, &ca).await, old, "breaking {index}");
    }
    assert_eq!(reloads(&proxy), 0);
    // Back, and then something new.
    fs::write(&cert, good).expect("written");
    fs::write(&key, &other.key).expect("written");
    fs::write(&cert, &other.cert).expect("written");
    eventually("the new one", || {
        let certificates = proxy.proxy.tls().certificates();
        certificates.len() == 1 && reloads(&proxy) > 0
    })
    .await;
    while shown(&proxy, &ca).await != other.der() {
        tokio::task::yield_now().await;
    }
    proxy.finish().await;
}

#[tokio::test]
async fn directories_are_followed_as_kubernetes_changes_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let ca = Ca::new("test");
    let version = |number: u32| -> Pair {
        let pair = ca.issue(&["a.test"]);
        let folder = dir.path().join(format!("..v{number}"));
        fs::create_dir(&folder).expect("made");
        pair.write(&folder, "tls");
        pair
    };
    let swap = |number: u32| {
        let fresh = dir.path().join("..new");
        symlink(format!("..v{number}"), &fresh).expect("linked");
        fs::rename(fresh, dir.path().join("..data")).expect("swapped");
    };
    let first = version(1);
    swap(1);
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), dir.path().join(name)).expect("linked");
    }
    let config = serving(vec![CertificateSource::Dir(dir.path().to_owned())]);
    let proxy = TestProxy::new().tls(config).start();
    assert_eq!(shown(&proxy, &ca).await, first.der());
    let second = version(2);
    swap(2);
    eventually("the second version", || reloads(&proxy) == 1).await;
    assert_eq!(shown(&proxy, &ca).await, second.der());

    // One more pair, which comes whole; then it goes again.
    let more = ca.issue(&["more.test", "a.test"]);
    let folder = dir.path().join(".more");
    fs::create_dir(&folder).expect("made");
    more.write(&folder, "more");
    fs::rename(&folder, dir.path().join("more")).expect("moved");
    eventually("one more", || reloads(&proxy) == 2).await;
    let client = ca.client().name("more.test");
    assert_eq!(client.certificate(proxy.tls_addr()).await, more.der());
    fs::remove_dir_all(dir.path().join("more")).expect("removed");
    eventually("one less", || proxy.proxy.tls().certificates().len() == 1).await;
    client
        .try_connect(proxy.tls_addr())
        .await
        .expect_err("the default has another name");

    // The last one stays, whatever happens.
    for name in ["tls.crt", "tls.key"] {
        fs::remove_file(dir.path().join(name)).expect("removed");
    }
    let failures = &proxy.proxy.tls().metrics().reload_failures;
    eventually("it is noticed", || failures.load(Ordering::Relaxed) > 0).await;
    assert_eq!(shown(&proxy, &ca).await, second.der());
    proxy.finish().await;
}

#[tokio::test]
async fn other_authorities_for_clients_are_taken_over() {
    let (dir, ca, mut config) = listener();
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let server = config.server.as_mut().expect("a listener");
    server.client_auth = ClientAuth::Required;
    server.client_ca = Some(old.write(dir.path(), "clients.crt"));
    let proxy = TestProxy::new().tls(config).start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let known = ca.client().identity(&old.issue(&["c.test"]));
    let mut open = known.wire(proxy.tls_addr()).await;
    assert_eq!(open.get("/").await.status(), 200);
    let fresh = dir.path().join("fresh");
    fs::write(&fresh, &new.pem).expect("written");
    fs::rename(fresh, dir.path().join("clients.crt")).expect("swapped");
    eventually("a reload", || reloads(&proxy) == 1).await;
    // Also nobody who would resume a session: that is forgotten.
    let mut late = known.wire(proxy.tls_addr()).await;
    late.send_get("/").await;
    assert_eq!(late.try_head().await, None);
    let client = ca.client().identity(&new.issue(&["c.test"]));
    let mut client = client.wire(proxy.tls_addr()).await;
    assert_eq!(client.get("/").await.status(), 200);
    assert_eq!(open.get("/").await.status(), 200);
    until_reload_failures(&proxy, 0).await;
    proxy.finish().await;
}

#[tokio::test]
async fn handshakes_that_fail_are_counted_by_reason() {
    let (_dir, ca, mut config) = listener();
    config.handshake_timeout = Duration::from_millis(50);
    let proxy = TestProxy::new().tls(config).start();
    let mut plain = Wire::connect(proxy.tls_addr()).await;
    plain.send_get("/").await;
    plain.rest().await;
    until_failures(&proxy, HandshakeFailure::NotTls, 1).await;
    let mut silent = Wire::connect(proxy.tls_addr()).await;
    assert_eq!(silent.rest().await, b"");
    until_failures(&proxy, HandshakeFailure::Timeout, 1).await;
    drop(Wire::connect(proxy.tls_addr()).await);
    until_failures(&proxy, HandshakeFailure::Closed, 1).await;
    let stranger = Ca::new("stranger").client();
    let refused = stranger.try_connect(proxy.tls_addr()).await;
    refused.expect_err("an unknown authority");
    until_failures(&proxy, HandshakeFailure::RefusedByClient, 1).await;
    proxy.until_no_connections().await;
    // None of them is in anybody's way.
    ca.client().stream(proxy.tls_addr()).await;
    proxy.finish().await;
}

async fn a_held_request_is_served(setup: Setup) {
    let (_dir, ca, config) = listener();
    let proxy = setup.tls(config).start();
    let mut client = ca.client().wire(proxy.tls_addr()).await;
    client.send_post("/", b"body").await;
    proxy.until_held(1).await;
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let answer = client.response().await;
    assert_eq!(
        (answer.text(), answer.cold_start()),
        ("hello", Some("true"))
    );
    assert_eq!(backend.received()[0].body, b"body");
    proxy.finish().await;
}

async fn a_client_that_leaves_while_held_is_never_forwarded(setup: Setup) {
    let (_dir, ca, config) = listener();
    let proxy = setup.tls(config).start();
    let get = "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let unread = "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 99\r\n\r\nsome of it";
    let behind = get.repeat(3);
    let mut gone = 0;
    for request in [get, unread, &behind] {
        for is_polite in [true, false] {
            let mut client = ca.client().wire(proxy.tls_addr()).await;
            client.send(request).await;
            proxy.until_held(1).await;
            if is_polite {
                // Says so in TLS, and closes.
                client.end_sending().await;
            }
            drop(client);
            proxy.until_held(0).await;
            gone += 1;
        }
    }
    let h2 = ca.client().alpn(&["h2"]).stream(proxy.tls_addr()).await;
    let mut h2 = H2Client::over_tls(h2).await;
    let request = tokio::spawn(h2.send(h2_request("GET", "/", Upload::none())));
    proxy.until_held(1).await;
    request.abort();
    proxy.until_held(0).await;
    gone += 1;
    proxy.settled().await;
    assert_eq!(proxy.counted("GET", 499) + proxy.counted("POST", 499), gone);
    drop(h2);
    proxy.until_no_connections().await;

    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut next = ca.client().wire(proxy.tls_addr()).await;
    assert_eq!(next.get("/next").await.text(), "hello");
    assert_eq!(backend.paths(), ["/next"]);
    proxy.finish().await;
}

async fn a_tunnel_passes_both_ways(setup: Setup) {
    let (_dir, ca, config) = listener();
    let proxy = setup.tls(config).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = ca.client().wire(proxy.tls_addr()).await;
    client
        .send(
            "GET /chat HTTP/1.1\r\nhost: a.test\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\n\r\nearly",
        )
        .await;
    let mut endpoint = backend.accept().await;
    assert_eq!(endpoint.head().await.get("upgrade"), Some("websocket"));
    endpoint
        .send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n",
        )
        .await;
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(endpoint.exactly(5).await.as_deref(), Some(&b"early"[..]));
    for words in [&b"ping"[..], &[7; 100_000]] {
        client.send(words).await;
        assert_eq!(endpoint.exactly(words.len()).await.as_deref(), Some(words));
        endpoint.send(words).await;
        assert_eq!(client.exactly(words.len()).await.as_deref(), Some(words));
    }
    // One side ends, and the other still speaks.
    client.end_sending().await;
    assert_eq!(endpoint.rest().await, b"");
    endpoint.send("good bye").await;
    drop(endpoint);
    assert_eq!(client.rest().await, b"good bye");
    proxy.finish().await;
}

async fn bodies_pass_both_ways_at_once(setup: Setup) {
    let (_dir, ca, config) = listener();
    let proxy = setup.tls(config).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = ca.client().wire(proxy.tls_addr()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        .await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    assert_eq!(endpoint.chunk().await.as_deref(), Some(&b"one"[..]));
    endpoint
        .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nyes\r\n")
        .await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.chunk().await.as_deref(), Some(&b"yes"[..]));
    // Larger than any buffer on the way.
    let large = vec![b'x'; 3_000_000];
    let chunk = [b"2dc6c0\r\n", &large[..], b"\r\n0\r\n\r\n"].concat();
    let receive = async {
        let mut received = Vec::new();
        loop {
            let chunk = endpoint.chunk().await.expect("a chunk");
            if chunk.is_empty() {
                return received;
            }
            received.extend(chunk);
        }
    };
    let (received, ()) = tokio::join!(receive, client.send(chunk));
    assert!(received == large);
    endpoint.send("2\r\nok\r\n0\r\n\r\n").await;
    assert_eq!(client.chunk().await.as_deref(), Some(&b"ok"[..]));
    assert_eq!(client.chunk().await.as_deref(), Some(&b""[..]));
    proxy.finish().await;
}

#[tokio::test]
async fn a_drain_waits_for_requests_and_for_nobody_else() {
    let (_dir, ca, config) = listener();
    let proxy = TestProxy::new().tls(config).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut busy = ca.client().wire(proxy.tls_addr()).await;
    busy.send("POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 8\r\n\r\nhalf")
        .await;
    let mut endpoint = backend.accept().await;
    let head = endpoint.head().await;
    let mut idle = ca.client().wire(proxy.tls_addr()).await;
    idle.send_get("/").await;
    let mut second = backend.accept().await;
    second.head().await;
    second.send(OK).await;
    assert_eq!(idle.response().await.text(), "ok");
    // One that never shakes hands.
    let mut slow = Wire::connect(proxy.tls_addr()).await;
    eventually("three connections", || proxy.proxy.connections() == 3).await;
    let draining = proxy.proxy.drain(Duration::from_secs(30));
    let serving = async {
        assert_eq!(idle.rest().await, b"");
        assert_eq!(slow.rest().await, b"");
        busy.send("done").await;
        assert_eq!(
            endpoint.body(&head).await.as_deref(),
            Some(&b"halfdone"[..])
        );
        endpoint.send(OK).await;
        let answer = busy.response().await;
        assert_eq!(answer.text(), "ok");
        assert_eq!(answer.head.get("connection"), Some("close"));
        assert_eq!(busy.rest().await, b"");
    };
    let (drained, ()) = within("the drain", async { tokio::join!(draining, serving) }).await;
    assert!(drained, "nothing had to be cut off");
    proxy.finish().await;
}

#[tokio::test]
async fn the_drains_deadline_ends_handshakes_and_held_requests() {
    let (_dir, ca, config) = listener();
    let proxy = TestProxy::new().tls(config).start();
    let mut slow = Wire::connect(proxy.tls_addr()).await;
    let mut held = ca.client().wire(proxy.tls_addr()).await;
    held.send_get("/").await;
    proxy.until_held(1).await;
    let draining = proxy.proxy.drain(Duration::from_millis(50));
    let (drained, (), answer) = tokio::join!(
        draining,
        async { assert_eq!(slow.rest().await, b"") },
        held.response()
    );
    assert!(!drained);
    assert_eq!(answer.status(), 503);
    proxy.finish().await;
}

/// The problems of these settings, as setting and message.
fn problems(config: TlsConfig) -> Vec<(Setting, String)> {
    let (_tls, problems) = Tls::load(config);
    let problems = problems.into_iter();
    problems
        .map(|problem| (problem.setting, problem.message))
        .collect()
}

#[test]
fn all_problems_are_told_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let ca = Ca::new("test");
    let (one, two) = (ca.issue(&["a.test"]), ca.issue(&["b.test"]));
    let path = |name: &str| dir.path().join(name);
    let file = |name: &str, content: &str| {
        fs::write(path(name), content).expect("written");
        path(name)
    };
    let pair = |cert: &Path, key: &Path| CertificateSource::Pair {
        cert: cert.to_owned(),
        key: key.to_owned(),
    };
    let good = file("good.crt", &one.cert);
    let other_key = file("other.key", &two.key);
    let text = file("text.crt", "hello");
    let locked = file(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    fs::create_dir(path("empty")).expect("made");
    fs::create_dir(path("store")).expect("made");
    file("store/lonely.crt", &one.cert);
    let mut config = serving(vec![
        pair(&path("none.crt"), &path("none.key")),
        pair(&good, &other_key),
        pair(&text, &other_key),
        pair(&good, &good),
        pair(&good, &locked),
        CertificateSource::Dir(path("nowhere")),
        CertificateSource::Dir(path("empty")),
        CertificateSource::Dir(path("store")),
    ]);
    let server = config.server.as_mut().expect("a listener");
    server.client_auth = ClientAuth::Required;
    server.client_ca = Some(path("store"));
    server.min_version = TlsVersion::V1_3;
    server.max_version = Some(TlsVersion::V1_2);
    server.cipher_suites = vec!["RC4".to_owned()];
    config.upstream.ca = Some(text.clone());
    config.upstream.client_cert = Some(good.clone());
    let found = problems(config);
    let at = |path: &Path, message: &str| format!("{}: {message}", path.display());
    let expected = [
        (
            Setting::MaxVersion,
            "is older than the oldest version that is to be spoken".to_owned(),
        ),
        (
            Setting::CipherSuites,
            "\"RC4\" is not one of TLS_AES_256_GCM_SHA384".to_owned(),
        ),
        (
            Setting::Certificate,
            at(&path("none.crt"), "No such file or directory"),
        ),
        (
            Setting::Certificate,
            at(
                &other_key,
                &format!("is not the key of the certificate in {}", good.display()),
            ),
        ),
        (
            Setting::Certificate,
            at(&text, "holds no certificate in PEM form"),
        ),
        (
            Setting::Certificate,
            at(&good, "holds no private key in PEM form"),
        ),
        (
            Setting::Certificate,
            at(&locked, "is encrypted: only a private key without"),
        ),
        (
            Setting::CertificateDir,
            at(&path("nowhere"), "No such file or directory"),
        ),
        (
            Setting::CertificateDir,
            at(&path("empty"), "holds no certificate with its key"),
        ),
        (
            Setting::CertificateDir,
            at(&path("store/lonely.crt"), "has no key: there is no"),
        ),
        (Setting::ClientCa, at(&path("store"), "is not a file")),
        (
            Setting::UpstreamCa,
            at(&text, "holds no certificate in PEM form"),
        ),
        (
            Setting::UpstreamClientCertificate,
            at(&good, "needs the file of its key as well"),
        ),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((setting, message), (wanted, beginning)) in found.iter().zip(&expected) {
        assert_eq!(setting, wanted, "{message}");
        assert!(message.starts_with(beginning), "{message}\n{beginning}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let ca = Ca::new("test");
    let source = ca.issue(&["a.test"]).write(dir.path(), "a");
    let with = |change: &dyn Fn(&mut proxy::tls::ServerTls)| {
        let mut config = serving(vec![source.clone()]);
        change(config.server.as_mut().expect("a listener"));
        let found = problems(config).into_iter();
        found.map(|(setting, _)| setting).collect::<Vec<_>>()
    };
    let clients = ca.write(dir.path(), "ca.crt");
    assert_eq!(with(&|_| ()), []);
    assert_eq!(
        with(&|server| server.client_auth = ClientAuth::Optional),
        [Setting::ClientAuth]
    );
    let no_effect = with(&|server| server.client_ca = Some(clients.clone()));
    assert_eq!(no_effect, [Setting::ClientCa]);
    let unusable = with(&|server| {
        server.cipher_suites = vec!["TLS_AES_128_GCM_SHA256".to_owned()];
    });
    assert_eq!(unusable, [Setting::CipherSuites]);
    assert_eq!(
        with(&|server| server.certificates.clear()),
        [Setting::Certificate]
    );
}

#[tokio::test]
async fn the_certificates_in_use_are_known() {
    let (dir, _ca, mut config) = listener();
    let clients = Ca::new("clients");
    let server = config.server.as_mut().expect("a listener");
    server.client_auth = ClientAuth::Optional;
    server.client_ca = Some(clients.write(dir.path(), "clients.crt"));
    let proxy = TestProxy::new().tls(config).start();
    let known = proxy.proxy.tls().certificates();
    let known: Vec<(&str, &str, i64)> = known
        .iter()
        .map(|known| (known.role.as_str(), known.subject.as_str(), known.not_after))
        .collect();
    let year_2100 = 4_102_444_800;
    let expected = [
        ("server", "CN=a.test", year_2100),
        ("ca", "CN=clients", year_2100),
    ];
    assert_eq!(known, expected);
    proxy.finish().await;
}
