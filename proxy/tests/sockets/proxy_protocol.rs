//! The PROXY protocol in front of HTTP/1.1 and HTTP/2. All forms of the header
//! are tested beside the parser.

use crate::support::{Backend, Setup, TestProxy, Wire, eventually};
use proxy::{ProxyProtocolMode, ProxyProtocolRefused as Refused, TrustedProxies, parse_network};
use std::time::Duration;

const V1: &[u8] = b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\xcb\x00\x71\x09\x0a\x00\x00\x01\x12\x67\x00\x50\x04\x00\x00";
const V2_TCP6: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24\
    \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x67\x00\x50";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

fn setup(mode: ProxyProtocolMode, networks: &[&str]) -> Setup {
    let networks = networks.iter().map(|text| parse_network(text).expect(text));
    let trusted = TrustedProxies::new(networks);
    TestProxy::new().configure(|config| {
        config.client_address.trusted_proxies = trusted;
        config.client_address.proxy_protocol = mode;
    })
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";

#[tokio::test]
async fn the_header_names_the_client_for_every_request_of_the_connection() {
    let proxy = setup(ProxyProtocolMode::Required, &["127.0.0.1"]).start();
    let backend = Backend::saying("ok").await;
    proxy.serve(backend.addr());
    let headers: [(&[u8], &str); 5] = [
        (V1, "203.0.113.9"),
        (V2, "203.0.113.9"),
        (V2_TCP6, "2001:db8::7"),
        (V2_LOCAL, "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    ];
    for (header, ip) in headers {
        let mut client = proxy.client().await;
        client.send([header, GET].concat()).await;
        assert_eq!(client.response().await.text(), "ok");
        assert_eq!(client.get("/2").await.text(), "ok");
        for received in backend.received().iter().rev().take(2) {
            assert_eq!(received.head.get("x-forwarded-for"), Some(ip));
        }
    }
    let counters = proxy.proxy.proxy_protocol();
    assert_eq!(counters.accepted(), 5);
    assert!(Refused::ALL.iter().all(|&why| counters.refused(why) == 0));
    proxy.finish().await;
}

#[tokio::test]
async fn a_balancer_that_is_trusted_does_not_make_its_clients_trusted() {
    let claim = b"GET / HTTP/1.1\r\nhost: a.test\r\nx-forwarded-for: 6.6.6.6\r\n\r\n";
    for (networks, expected) in [
        (vec!["127.0.0.1"], "203.0.113.9"),
        (vec!["127.0.0.1", "203.0.113.0/24"], "6.6.6.6, 203.0.113.9"),
    ] {
        let proxy = setup(ProxyProtocolMode::Optional, &networks).start();
        let backend = Backend::saying("ok").await;
        proxy.serve(backend.addr());
        let mut client = proxy.client().await;
        client.send([V1, claim].concat()).await;
        assert_eq!(client.response().await.text(), "ok");
        let head = backend.received().remove(0).head;
        assert_eq!(head.get("x-forwarded-for"), Some(expected));
        proxy.finish().await;
    }
}

#[tokio::test]
async fn http2_comes_after_the_header_as_well() {
    for header in [V1, V2] {
        let proxy = setup(ProxyProtocolMode::Required, &["127.0.0.1"]).start();
        let backend = Backend::saying("ok").await;
        proxy.serve(backend.addr());
        let mut client = proxy.client().await;
        client.send(header).await;
        // Preface, empty SETTINGS, and a HEADERS frame of stream 1 that ends
        // it: GET / http a.test, from the static table of HPACK.
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        client.send(b"\0\0\0\x04\0\0\0\0\0").await;
        client
            .send(b"\0\0\x0b\x01\x05\0\0\0\x01\x82\x86\x84\x41\x06a.test")
            .await;
        eventually("the backend is asked", || backend.received().len() == 1).await;
        let head = backend.received().remove(0).head;
        assert_eq!(head.get("x-forwarded-for"), Some("203.0.113.9"));
        assert_eq!(head.get("host"), Some("a.test"));
        drop(client);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn optional_serves_with_and_without_a_header() {
    let proxy = setup(ProxyProtocolMode::Optional, &["127.0.0.1"]).start();
    let backend = Backend::saying("ok").await;
    proxy.serve(backend.addr());
    for (bytes, ip) in [(V1, "203.0.113.9"), (b"".as_slice(), "127.0.0.1")] {
        let mut client = proxy.client().await;
        client.send([bytes, GET].concat()).await;
        assert_eq!(client.response().await.text(), "ok");
        let last = backend.received().pop().expect("one");
        assert_eq!(last.head.get("x-forwarded-for"), Some(ip));
    }
    proxy.finish().await;
}

#[tokio::test]
async fn what_is_refused_is_closed_without_a_word_and_counted() {
    for (networks, bytes, reason) in [
        (["127.0.0.1"], GET, Refused::Missing),
        (
            ["127.0.0.1"],
            b"PROXY TCP4 nobody 10.0.0.1 1 2\r\n".as_slice(),
            Refused::Malformed,
        ),
        (
            ["127.0.0.1"],
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x00",
            Refused::Malformed,
        ),
        (["10.0.0.0/8"], V1, Refused::Untrusted),
    ] {
        let proxy = setup(ProxyProtocolMode::Required, &networks).start();
        let mut client = proxy.client().await;
        client.send(bytes).await;
        assert_eq!(client.rest().await, b"", "{reason:?}");
        let counters = proxy.proxy.proxy_protocol();
        assert_eq!(counters.refused(reason), 1, "{reason:?}");
        proxy.until_no_connections().await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn from_anybody_else_a_header_is_bad_http() {
    for setup in [
        TestProxy::new(),
        setup(ProxyProtocolMode::Optional, &["10.0.0.0/8"]),
    ] {
        let proxy = setup.start();
        let mut client = proxy.client().await;
        client.send([V1, GET].concat()).await;
        assert_eq!(client.head().await.status(), 400);
        assert_eq!(proxy.proxy.proxy_protocol().accepted(), 0);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_closed_in_time() {
    let proxy = setup(ProxyProtocolMode::Required, &["127.0.0.1"])
        .configure(|config| {
            config.client_address.proxy_protocol_timeout = Duration::from_millis(20);
        })
        .start();
    let mut clients: [Wire; 2] = [proxy.client().await, proxy.client().await];
    clients[1].send(&V2[..14]).await;
    for client in &mut clients {
        assert_eq!(client.rest().await, b"");
    }
    assert_eq!(proxy.proxy.proxy_protocol().refused(Refused::Timeout), 2);
    proxy.finish().await;
}
