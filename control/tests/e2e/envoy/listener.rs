//! TLS on the listener that Envoys are given: with files of their own.

use super::{until_direct, with_envoy};
use crate::{
    support::{Ended, Envoy, Reveille, Target, wait_until},
    tls::{authority, curl, issue, s_client, subject},
};
use std::fs;

#[test]
fn clients_speak_tls_with_either_version_of_http_and_get_renewed_certificates() {
    let starter = with_envoy(Target::hello());
    // Envoy's folder, which Reveille need not see.
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    authority(dir);
    issue(dir, "web", "DNS:web.test");
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let reveille = starter
        .arg("--xds-listener-tls-cert", &file("web.crt"))
        .arg("--xds-listener-tls-key", &file("web.key"))
        .start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let addr = envoy.listener();
    let first = curl(dir, "web.test", addr, &["--http1.1"]);
    assert!(first.text.ends_with("|200 HTTP/1.1"), "{first:?}");
    let second = curl(dir, "web.test", addr, &["--http2"]);
    assert!(second.text.ends_with("|200 HTTP/2"), "{second:?}");
    // Nobody is served in the clear.
    let mut clear = envoy.client("web").begin("GET", "/");
    assert!(clear.try_answer().is_err());

    issue(dir, "renewed", "DNS:web.test");
    for end in ["key", "crt"] {
        let (from, to) = (format!("renewed.{end}"), format!("web.{end}"));
        fs::rename(dir.join(from), dir.join(to)).expect("swapped");
    }
    wait_until("the renewed one is shown", || {
        let said = s_client(dir, addr, &["-servername", "web.test"]);
        said.is_content && subject(&said) == "CN=renewed"
    });
    let page = reveille.ask("/api/v1/xds").body;
    assert!(page.contains(r#""kind":"secret""#), "{page}");
}

#[test]
fn files_that_envoy_does_not_have_are_its_refusal() {
    let starter = with_envoy(Target::hello())
        .arg("--xds-listener-tls-cert", "/no/such/web.crt")
        .arg("--xds-listener-tls-key", "/no/such/web.key");
    let reveille = starter.start();
    let _envoy = Envoy::of_fleet(reveille.xds());
    let line = reveille.until_logged("an Envoy refused what it was sent");
    assert!(
        line.contains("secret") && line.contains("/no/such/"),
        "{line}"
    );
    // Its routes are served on, to whoever has a listener of his own.
    until_direct(&Envoy::with_own_listener(reveille.xds()).client("web"));
}

#[test]
fn flags_that_mean_nothing_are_told_at_the_start() {
    let refused = |flags: &[(&str, &str)]| {
        let mut starter = Reveille::of(Target::hello());
        for (flag, value) in flags {
            starter = starter.arg(flag, value);
        }
        let Ended { status, log, .. } = starter.run();
        assert_eq!(status.code(), Some(1), "{log}");
        log
    };
    let (cert, key) = ("--xds-listener-tls-cert", "--xds-listener-tls-key");
    let log = refused(&[(cert, "tls.crt")]);
    for message in [
        "--xds-listener-tls-cert tls.crt: is for the listener that Envoys are given, and there is none",
        "--xds-listener-tls-cert tls.crt: needs --xds-listener-tls-key as well",
        "--xds-listener-tls-cert tls.crt: must be an absolute path",
    ] {
        assert!(log.contains(message), "{message} in {log}");
    }
    let log = refused(&[("--xds-listener", "127.0.0.1:0"), (key, "/tls.key")]);
    let message = "--xds-listener-tls-key /tls.key: needs --xds-listener-tls-cert as well";
    assert!(log.contains(message), "{log}");
    assert!(!log.contains("absolute"), "{log}");
}
