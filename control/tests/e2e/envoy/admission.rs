//! Which Envoys are let in: by TLS, by their node ids, and how many.

use super::{until_direct, with_envoy};
use crate::{
    support::{Bootstrap, Envoy, Reveille, Starter, Target, wait_until},
    tls::{authority, issue},
};

/// The piece that the documentation names, for the cluster of our port.
const TLS: &str = include_str!("../../../../deploy/envoy/tls.yaml");

/// Certificates of our authority and of another one, in folders of the test.
fn with_certificates(starter: Starter) -> Starter {
    let (ours, theirs) = (starter.path().join("ours"), starter.path().join("theirs"));
    for folder in [&ours, &theirs] {
        std::fs::create_dir(folder).expect("made");
        authority(folder);
        issue(folder, "client", "DNS:edge.test");
    }
    issue(&ours, "server", "DNS:reveille-xds.test");
    starter
        .arg("--xds-tls-cert", "ours/server.crt")
        .arg("--xds-tls-key", "ours/server.key")
}

fn with_client_certificates() -> Starter {
    with_certificates(with_envoy(Target::hello()))
        .arg("--xds-tls-client-ca", "ours/ca.crt")
        .arg("--xds-tls-client-auth", "required")
}

/// A fleet that trusts our authority and shows a certificate of `by`, a folder
/// of the test; `None`: none.
fn with_tls(reveille: &Reveille, by: Option<&str>) -> Bootstrap {
    let file = |folder: &str, name: &str| {
        let path = reveille.path(folder).join(name);
        path.to_string_lossy().into_owned()
    };
    let piece: Vec<&str> = TLS.lines().filter(|line| !line.starts_with('#')).collect();
    let (before, rest) = (piece.join("\n"), "      type: STRICT_DNS");
    let piece = match by {
        Some(by) => before
            .replace("/etc/reveille/client.crt", &file(by, "client.crt"))
            .replace("/etc/reveille/client.key", &file(by, "client.key")),
        None => {
            let is_shown = |line: &&str| !line.contains("/etc/reveille/client");
            let lines: Vec<&str> = before.lines().filter(is_shown).collect();
            lines.join("\n").replace("tls_certificates:", "")
        }
    };
    let piece = piece
        .replace("/etc/reveille/ca.crt", &file("ours", "ca.crt"))
        .replace("reveille.keda.svc", "reveille-xds.test");
    Bootstrap::fleet(reveille.xds()).replace(rest, &format!("{rest}\n{piece}"))
}

#[test]
fn an_envoy_checks_the_certificate_of_our_port() {
    let reveille = with_certificates(with_envoy(Target::hello())).start();
    let envoy = with_tls(&reveille, None).start("edge");
    until_direct(&envoy.client("web"));
    wait_until("it reports over TLS, too", || {
        reveille.metric("reveille_xds_reporting") == Some(1.0)
    });
    // In the clear there is no answer.
    let plain = Envoy::of_fleet(reveille.xds());
    until_failing(&plain);
    assert_eq!(reveille.metric("reveille_xds_clients"), Some(1.0));
}

/// Waits until connections to our port have failed.
fn until_failing(envoy: &Envoy) {
    wait_until("its streams fail", || {
        envoy.stat("cluster_manager.cds.update_failure") > 0
            || envoy.stat("control_plane.connected_state") == 0
                && envoy.stat("cluster.reveille-xds.upstream_cx_total") > 1
    });
    assert_eq!(envoy.stat("cluster_manager.cds.update_success"), 0);
}

#[test]
fn only_envoys_with_a_certificate_of_our_authority_are_served() {
    let reveille = with_client_certificates().start();
    let known = with_tls(&reveille, Some("ours")).start("known");
    until_direct(&known.client("web"));
    let failed = || {
        let series =
            "reveille_tls_handshake_failures_total{listener=\"xds\",reason=\"client_certificate\"}";
        reveille.metric(series).unwrap_or(0.0)
    };
    assert_eq!(failed(), 0.0);
    for by in [None, Some("theirs")] {
        let before = failed();
        let stranger = with_tls(&reveille, by).start("stranger");
        wait_until("its handshakes fail", || failed() > before);
        until_failing(&stranger);
    }
    let line = reveille.until_logged("shows no certificate that is signed");
    assert!(line.contains("xds"), "{line}");
    assert_eq!(reveille.metric("reveille_xds_clients"), Some(1.0));
    until_direct(&known.client("web"));
}

#[test]
fn only_the_nodes_that_are_named_are_served() {
    let reveille = with_envoy(Target::hello())
        .arg("--xds-nodes", "edge-*")
        .start();
    let fleet = Bootstrap::fleet(reveille.xds());
    let named = fleet.start("edge-7");
    until_direct(&named.client("web"));
    for bootstrap in [fleet.clone(), fleet.whole_states()] {
        let other = bootstrap.start("other-1");
        // Envoy logs messages as they are on the wire, blanks escaped.
        let is_told = |line: &str| line.contains("other-1") && line.contains("--xds-nodes");
        wait_until("it is told why", || other.log().lines().any(is_told));
        assert_eq!(other.stat("cluster_manager.cds.update_success"), 0);
    }
    let line = reveille.until_logged("--xds-nodes does not name it");
    assert!(line.contains("other-1"), "{line}");
    assert_eq!(reveille.metric("reveille_xds_clients"), Some(1.0));
}

#[test]
fn more_envoys_than_may_connect_wait_until_one_goes() {
    // An Envoy has one connection for xDS and load reports.
    let reveille = with_envoy(Target::hello())
        .arg("--xds-max-clients", "1")
        .start();
    let first = Envoy::of_fleet(reveille.xds());
    until_direct(&first.client("web"));
    wait_until("it reports, too", || {
        reveille.metric("reveille_xds_reporting") == Some(1.0)
    });
    let second = Bootstrap::fleet(reveille.xds()).start("second");
    until_failing(&second);
    let line = reveille.until_logged("too many connections");
    assert!(line.contains("--xds-max-clients"), "{line}");
    until_direct(&first.client("web"));
    drop(first);
    until_direct(&second.client("web"));
}
