//! Endpoints that speak TLS: Envoy goes to them on the terms of our own proxy.

use super::{both, seen_by_us, until_direct, with_envoy};
use crate::{
    support::{Envoy, Reveille, Starter, Target, wait_until},
    tls::{authority, authority_named, issue},
};
use std::{fs, net::SocketAddr, thread};

/// The target `web`, whose server has a certificate of `ca.crt`.
fn secured(target: Target) -> Target {
    target
        .process("appProtocol: https")
        .process("tls: {caFile: ca.crt}")
}

fn over_tls(target: impl Into<String>) -> Starter {
    let starter = with_envoy(target)
        .file("tls.py", include_str!("../python/tls.py"))
        .arg("--tls-reload-interval", "20ms");
    authority(starter.path());
    issue(starter.path(), "web", "DNS:web.default");
    starter
}

fn python() -> Target {
    Target::new("web", "[python3, -B, tls.py]")
}

#[test]
fn a_cold_request_is_held_by_us_and_warm_ones_go_straight_over_tls() {
    let reveille = over_tls(secured(python())).start();
    for envoy in both(&reveille) {
        let client = envoy.client("web");
        // While they come in, Envoy learns that there is TLS, and whom to trust.
        let ask = |method: &str| {
            let mut connection = client.connect();
            let asked = (0..50).map(|nth| {
                connection.request(method, "/");
                let answer = connection.answer();
                assert_eq!(answer.status, 200, "{method} {nth}: {answer:?}");
                answer.cold_start() == Some("true")
            });
            asked.fold(false, |any, held| any | held)
        };
        thread::scope(|scope| {
            let methods = ["GET", "POST"].repeat(4).into_iter();
            let clients: Vec<_> = methods
                .map(|method| {
                    let ask = &ask;
                    scope.spawn(move || ask(method))
                })
                .collect();
            let held = clients.into_iter().map(|one| one.join().expect("answered"));
            assert!(held.fold(false, |any, held| any | held), "some were held");
        });
        until_direct(&client);
        let before = seen_by_us(&reveille);
        for _ in 0..10 {
            let answer = client.get("/");
            assert_eq!((answer.status, answer.cold_start()), (200, None));
        }
        assert_eq!(seen_by_us(&reveille), before);
        assert!(envoy.stat("cluster.reveille/default/web.ssl.handshake") > 0);
        let dump = envoy.ask("/config_dump").body;
        assert!(!dump.contains("PRIVATE KEY"), "{dump}");
        reveille.until_asleep("web");
        envoy.until_members("web", 1);
    }
    // Our proxy is spoken to in the clear all along.
    assert_eq!(
        reveille.metric("reveille_xds_refused_total{kind=\"cluster\"}"),
        Some(0.0)
    );
}

#[test]
fn other_authorities_reach_envoy_and_whom_they_do_not_know_gets_no_request() {
    let target = secured(python()).scaled("minReplicaCount: 1");
    let reveille = over_tls(target).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let client = envoy.client("web");
    until_direct(&client);
    let folder = reveille.path("");
    let trust = |name: &str| {
        let renewed = || {
            let name = "client_ssl_socket_factory.ssl_context_update_by_sds";
            envoy.stat(&format!("cluster.reveille/default/web.{name}"))
        };
        let before = renewed();
        fs::copy(folder.join(name), folder.join("fresh")).expect("copied");
        fs::rename(folder.join("fresh"), folder.join("ca.crt")).expect("swapped");
        wait_until("Envoy has the authorities", || renewed() > before);
    };
    fs::copy(folder.join("ca.crt"), folder.join("first.crt")).expect("copied");
    authority_named(&folder, "other");
    trust("other.crt");

    // Connections that are open stay so, here as there.
    let heard = reveille.lines("requests").len();
    let workloads = reveille.workloads();
    workloads.iter().for_each(|victim| reveille.kill(victim));
    reveille.until("web", "another one is ready", |now| now.state == "warm");
    let refused = || envoy.stat("cluster.reveille/default/web.ssl.fail_verify_error");
    wait_until("Envoy has tried, and refused", || {
        let answer = client.get("/");
        assert_eq!(answer.status, 502, "{answer:?}");
        refused() > 0
    });
    assert_eq!(reveille.lines("requests").len(), heard);

    trust("first.crt");
    wait_until("the server is trusted again", || {
        client.get("/").status == 200
    });
}

/// A Reveille whose clients speak TLS, either version of HTTP, as an endpoint
/// of the Service `web`.
fn endpoint(certified_by: &Starter) -> Reveille {
    let target = Target::python().scaled("minReplicaCount: 1");
    let starter = Reveille::of(target)
        .arg("--proxy-tls-addr", "127.0.0.1:0")
        .arg("--cold-start-header", "false")
        .arg("--tls-cert", "web.crt")
        .arg("--tls-key", "web.key");
    for file in ["web.crt", "web.key"] {
        let from = certified_by.path().join(file);
        fs::copy(from, starter.path().join(file)).expect("copied");
    }
    starter.start()
}

fn backends(addresses: &[SocketAddr], tls: &str) -> String {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let addresses = addresses.join("\", \"");
    format!(
        "\
---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {{name: web}}
spec:
  target: {{service: web, port: 80}}
  rules: [{{hosts: [web.test]}}]
  scalingMetric: {{concurrency: {{targetValue: 100}}}}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {{name: web}}
spec:
  addresses: [\"{addresses}\"]
  appProtocol: https
  tls: {{{tls}}}
"
    )
}

/// With the files of `of` beside the manifest.
fn with_files(manifest: &str, of: &Starter) -> Starter {
    let starter = with_envoy(manifest);
    for file in ["ca.crt", "web.crt", "web.key"] {
        fs::copy(of.path().join(file), starter.path().join(file)).expect("copied");
    }
    starter
}

#[test]
fn one_endpoint_with_a_certificate_of_somebody_else_costs_no_request_and_gets_none() {
    let [ours, others] = [0, 1].map(|_| over_tls(""));
    let (good, bad) = (endpoint(&ours), endpoint(&others));
    let addresses = [good.proxy_tls(), bad.proxy_tls()];
    let manifest = backends(&addresses, "caFile: ca.crt");
    let reveille = with_files(&manifest, &ours).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let client = envoy.client("web");
    until_direct(&client);
    wait_until("Envoy has tried the other one, and refused", || {
        assert_eq!(client.get("/").status, 200);
        envoy.stat("cluster.reveille/default/web.ssl.fail_verify_error") > 0
    });
    assert!(seen_by_us(&good) > 0.0);
    assert_eq!(seen_by_us(&bad), 0.0);
    // They agreed on HTTP/2 with our proxy.
    let http2 = envoy.stat("cluster.reveille/default/web.upstream_cx_http2_total");
    assert!(http2 > 0);
    // Where that is so, connections are switched through us.
    let mut connection = client.connect();
    connection.send(
        b"GET / HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert!(connection.answer().cold_start().is_some());
}

#[test]
fn endpoints_that_nobody_trusts_get_no_request_and_their_route_is_listed() {
    let [ours, others] = [0, 1].map(|_| over_tls(""));
    let bad = endpoint(&others);
    let manifest = backends(&[bad.proxy_tls()], "caFile: ca.crt");
    let reveille = with_files(&manifest, &ours).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    // Our proxy alone.
    envoy.until_members("web", 1);
    assert_eq!(envoy.client("web").get("/").status, 502);
    assert_eq!(seen_by_us(&bad), 0.0);
    let view = reveille.ask("/api/v1/xds").body;
    let reason = r#""route":"default/web","reason":"noHandshake""#;
    assert!(view.contains(reason), "{view}");
}

#[test]
fn nobody_else_gets_the_key_that_we_show() {
    let files = over_tls("");
    let endpoint = endpoint(&files);
    let tls = "caFile: ca.crt, clientCertFile: web.crt, clientKeyFile: web.key";
    let manifest = backends(&[endpoint.proxy_tls()], tls);
    let reveille = with_files(&manifest, &files).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let client = envoy.client("web");
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!(answer.status, 200);
        assert!(answer.cold_start().is_some(), "it came through us");
    }
    let view = reveille.ask("/api/v1/xds").body;
    let reason = r#""route":"default/web","reason":"clientCertificate""#;
    assert!(view.contains(reason), "{view}");
    let dump = envoy.ask("/config_dump?include_eds").body;
    assert!(
        !dump.contains("PRIVATE KEY") && !dump.contains("web.key"),
        "{dump}"
    );
}

#[test]
fn who_believes_anyone_lets_envoy_do_so() {
    let files = over_tls("");
    let endpoint = endpoint(&files);
    let manifest = backends(&[endpoint.proxy_tls()], "insecureSkipVerify: true");
    let reveille = with_files(&manifest, &files).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    until_direct(&envoy.client("web"));
    assert!(envoy.stat("cluster.reveille/default/web.ssl.no_certificate") == 0);
}

#[test]
fn authorities_of_our_system_are_sent_and_any_kind_of_name_is_compared() {
    for (names, server_name) in [
        ("IP:127.0.0.1", "127.0.0.1"),
        ("DNS:*.shop.test", "api.shop.test"),
    ] {
        let files = over_tls("");
        issue(files.path(), "web", names);
        let endpoint = endpoint(&files);
        let tls = format!("serverName: {server_name}");
        let manifest = backends(&[endpoint.proxy_tls()], &tls);
        let starter = with_files(&manifest, &files).env("SSL_CERT_FILE", "ca.crt");
        let reveille = starter.start();
        let envoy = Envoy::of_fleet(reveille.xds());
        until_direct(&envoy.client("web"));
    }
}

#[test]
fn a_replica_that_starts_finds_out_what_endpoints_choose_before_it_serves() {
    let files = over_tls("");
    let endpoint = endpoint(&files);
    // Both replicas find it at the same place.
    let authorities = files.path().join("ca.crt");
    let tls = format!("caFile: {}", authorities.display());
    let manifest = backends(&[endpoint.proxy_tls()], &tls);
    let start = |xds: &str| with_files(&manifest, &files).set("--xds-addr", xds).start();
    let reveille = start("127.0.0.1:0");
    let xds = reveille.xds();
    let envoy = Envoy::of_fleet(xds);
    let client = envoy.client("web");
    // The endpoint and our proxy: nothing has come through us so far.
    envoy.until_members("web", 2);
    let direct = || {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.cold_start()), (200, None));
    };
    direct();
    drop(reveille);
    let modified = || envoy.stat("cluster_manager.cluster_modified");
    let before = modified();
    let again = start(&xds.to_string());
    wait_until("Envoy is back", || {
        direct();
        again.metric("reveille_xds_reporting") == Some(1.0)
    });
    direct();
    assert_eq!(modified(), before, "it had all of it");
    assert_eq!(seen_by_us(&again), 0.0);
}

#[test]
fn of_endpoints_that_choose_differently_those_of_one_kind_are_asked_directly() {
    let files = over_tls("");
    let http2 = endpoint(&files);
    // A replica of another Reveille, of the same authority.
    let target = secured(python()).scaled("minReplicaCount: 1");
    let others = Reveille::of(target).file("tls.py", include_str!("../python/tls.py"));
    for file in ["ca.crt", "web.crt", "web.key"] {
        fs::copy(files.path().join(file), others.path().join(file)).expect("copied");
    }
    let others = others.start();
    let http1 = others.until_warm("web").endpoints[0].address.clone();
    let http1 = http1.parse().expect("an address");
    let manifest = backends(&[http2.proxy_tls(), http1], "caFile: ca.crt");
    let reveille = with_files(&manifest, &files).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    // One of the two, and our proxy.
    envoy.until_members("web", 2);
    for _ in 0..20 {
        let answer = envoy.client("web").get("/");
        assert_eq!((answer.status, answer.cold_start()), (200, None));
    }
    envoy.until_members("web", 2);
    assert!(seen_by_us(&http2) >= 20.0);
    assert!(others.lines("requests").is_empty());
}
