//! `X-Forwarded-*`: whom the proxy believes, and what endpoints are told.

use crate::support::{Backend, H2Client, Setup, TestProxy, Upload, complete, h2_request, within};
use proxy::{TrustedProxies, parse_network};

const CLAIMS: &str = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.1\r\n\
                      X-Forwarded-Host: outside.test\r\nX-Forwarded-Proto: https\r\n\
                      X-Forwarded-Port: 8443\r\nForwarded: for=203.0.113.9;proto=https\r\n";

fn trusting(networks: &[&str]) -> Setup {
    let networks = networks.iter().map(|text| parse_network(text).expect(text));
    let trusted = TrustedProxies::new(networks);
    TestProxy::new().configure(|config| config.client_address.trusted_proxies = trusted)
}

/// What the endpoint is told about the client, by fields that are about it.
async fn told(setup: Setup) -> Vec<String> {
    let proxy = setup.start();
    let backend = Backend::saying("ok").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{CLAIMS}\r\n"))
        .await;
    assert_eq!(client.response().await.status(), 200);
    let mut fields = backend.received().remove(0).head.fields;
    fields.retain(|(name, _)| name.contains("forwarded"));
    fields.sort();
    proxy.finish().await;
    fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

#[tokio::test]
async fn claims_of_a_peer_that_is_not_trusted_are_replaced() {
    for setup in [
        TestProxy::new(),
        trusting(&["10.0.0.0/8", "127.0.0.2", "::1"]),
    ] {
        assert_eq!(
            told(setup).await,
            [
                "forwarded: for=203.0.113.9;proto=https",
                "x-forwarded-for: 127.0.0.1",
                "x-forwarded-host: a.test",
                "x-forwarded-proto: http",
            ]
        );
    }
}

#[tokio::test]
async fn claims_of_a_trusted_peer_are_kept_and_it_is_appended() {
    for networks in [["127.0.0.0/8"], ["127.0.0.1"], ["::ffff:127.0.0.0/104"]] {
        assert_eq!(
            told(trusting(&networks)).await,
            [
                "forwarded: for=203.0.113.9;proto=https",
                "x-forwarded-for: 203.0.113.9, 198.51.100.1, 127.0.0.1",
                "x-forwarded-host: outside.test",
                "x-forwarded-port: 8443",
                "x-forwarded-proto: https",
            ]
        );
    }
}

#[tokio::test]
async fn http2_peers_are_believed_by_the_same_rule() {
    for (setup, expected) in [
        (TestProxy::new(), "127.0.0.1"),
        (trusting(&["127.0.0.0/8"]), "203.0.113.9, 127.0.0.1"),
    ] {
        let proxy = setup.start();
        let backend = Backend::saying("ok").await;
        proxy.serve(backend.addr());
        let mut client = H2Client::connect(proxy.addr()).await;
        let mut request = h2_request("GET", "/", Upload::none());
        let claim = "203.0.113.9".parse().expect("a value");
        request.headers_mut().insert("x-forwarded-for", claim);
        let answer = within("an answer", client.send(request)).await;
        assert_eq!(complete(answer.expect("an answer")).await.0, 200);
        let head = backend.received().remove(0).head;
        assert_eq!(head.get("x-forwarded-for"), Some(expected));
        drop(client);
        proxy.finish().await;
    }
}
