//! TLS as clients and servers see it that nobody here wrote: curl and openssl.

use crate::support::{Reveille, Starter, Target, wait_until};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Stdio},
};

/// What a program printed, and whether it was content.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) is_content: bool,
}

fn run(dir: &Path, program: &str, args: &[&str]) -> Said {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    Said {
        text: String::from_utf8_lossy(&text).into_owned(),
        is_content: output.status.success(),
    }
}

const EC: [&str; 3] = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

/// Makes `NAME.crt` and `NAME.key`, a key of this kind.
fn make(dir: &Path, name: &str, kind: &[&str], days: &str, rest: &[&str]) {
    let (cert, key) = (format!("{name}.crt"), format!("{name}.key"));
    let subject = format!("/CN={name}");
    let mut args = vec!["req", "-x509", "-nodes", "-days", days, "-subj", &subject];
    args.extend(["-keyout", &key, "-out", &cert, "-newkey"]);
    args.extend_from_slice(kind);
    args.extend_from_slice(rest);
    let said = run(dir, "openssl", &args);
    assert!(said.is_content, "{}", said.text);
}

/// An authority in the folder.
pub(crate) fn authority(dir: &Path) {
    authority_named(dir, "ca");
}

/// Another one.
pub(crate) fn authority_named(dir: &Path, name: &str) {
    make(dir, name, &EC, "400", &[]);
}

/// A certificate of that authority.
fn issue_with(dir: &Path, name: &str, kind: &[&str], days: &str, names: &str) {
    let names = format!("subjectAltName={names}");
    let end = "basicConstraints=critical,CA:FALSE";
    let rest = [
        "-CA", "ca.crt", "-CAkey", "ca.key", "-addext", &names, "-addext", end,
    ];
    make(dir, name, kind, days, &rest);
}

pub(crate) fn issue(dir: &Path, name: &str, names: &str) {
    issue_with(dir, name, &EC, "300", names);
}

/// The target `web` behind a listener with these certificates of an authority.
fn serving(target: Target, certificates: &[(&str, &str)]) -> Starter {
    let mut starter = Reveille::of(target)
        .arg("--proxy-tls-addr", "127.0.0.1:0")
        .arg("--tls-reload-interval", "20ms");
    authority(starter.path());
    for (name, names) in certificates {
        issue(starter.path(), name, names);
        starter = starter
            .arg("--tls-cert", &format!("{name}.crt"))
            .arg("--tls-key", &format!("{name}.key"));
    }
    starter
}

fn folder(reveille: &Reveille) -> std::path::PathBuf {
    reveille.path("")
}

/// What `openssl s_client` makes of a connection to `addr`.
pub(crate) fn s_client(dir: &Path, addr: SocketAddr, args: &[&str]) -> Said {
    let addr = addr.to_string();
    let mut all = vec![
        "s_client",
        "-connect",
        &addr,
        "-CAfile",
        "ca.crt",
        "-verify_return_error",
        "-brief",
    ];
    all.extend_from_slice(args);
    run(dir, "openssl", &all)
}

/// What curl makes of `https://NAME/`.
pub(crate) fn curl(dir: &Path, name: &str, addr: SocketAddr, args: &[&str]) -> Said {
    let port = addr.port();
    let resolve = format!("{name}:{port}:127.0.0.1");
    let url = format!("https://{name}:{port}/");
    let mut all = vec![
        "--silent",
        "--show-error",
        "--cacert",
        "ca.crt",
        "--noproxy",
        "*",
        "--resolve",
        &resolve,
        "--write-out",
        "|%{http_code} HTTP/%{http_version}",
        &url,
    ];
    all.extend_from_slice(args);
    run(dir, "curl", &all)
}

#[test]
fn openssl_gets_the_certificate_of_the_name_it_asks_for() {
    let certificates = [
        ("first", "DNS:first.test"),
        ("wild", "DNS:*.wild.test"),
        ("exact", "DNS:x.wild.test"),
    ];
    let reveille = serving(Target::hello(), &certificates).start();
    for (asked, expected) in [
        ("first.test", "CN = first"),
        ("unknown.test", "CN = first"),
        ("y.wild.test", "CN = wild"),
        ("x.wild.test", "CN = exact"),
        ("x.y.wild.test", "CN = first"),
        ("wild.test", "CN = first"),
    ] {
        let dir = folder(&reveille);
        let said = s_client(&dir, reveille.proxy_tls(), &["-servername", asked]);
        assert!(said.is_content, "{said:?}");
        assert!(
            subject(&said) == expected.replace(' ', ""),
            "{asked}: {said:?}"
        );
    }
    let said = s_client(&folder(&reveille), reveille.proxy_tls(), &["-noservername"]);
    assert_eq!(subject(&said), "CN=first", "{said:?}");
    reveille.stop();
}

#[test]
fn openssl_gets_the_kind_of_key_that_it_can_verify() {
    let starter = serving(Target::hello(), &[("ec", "DNS:web.test")])
        .arg("--tls-cert", "rsa.crt")
        .arg("--tls-key", "rsa.key");
    issue_with(starter.path(), "rsa", &["rsa:2048"], "300", "DNS:web.test");
    let reveille = starter.start();
    for (known, expected) in [("ECDSA+SHA256", "CN=ec"), ("RSA-PSS+SHA256", "CN=rsa")] {
        let dir = folder(&reveille);
        let args = ["-servername", "web.test", "-sigalgs", known];
        // What the authority signed with is another matter.
        let said = s_client(&dir, reveille.proxy_tls(), &args);
        assert_eq!(subject(&said), expected, "{said:?}");
    }
    reveille.stop();
}

/// Whose certificate it was, without the blanks that versions of openssl
/// differ in.
pub(crate) fn subject(said: &Said) -> String {
    let line = said.text.lines();
    let mut line = line.filter_map(|line| line.strip_prefix("Peer certificate: "));
    line.next().unwrap_or_default().replace(' ', "")
}

#[test]
fn openssl_is_held_to_the_versions_and_protocols() {
    let reveille = serving(Target::hello(), &[("web", "DNS:web.test")])
        .arg("--tls-min-version", "1.3")
        .start();
    let (dir, addr) = (folder(&reveille), reveille.proxy_tls());
    let new = s_client(&dir, addr, &["-tls1_3", "-alpn", "h2,http/1.1"]);
    assert!(new.is_content && new.text.contains("TLSv1.3"), "{new:?}");
    let old = s_client(&dir, addr, &["-tls1_2"]);
    assert!(
        !old.is_content && old.text.contains("protocol version"),
        "{old:?}"
    );
    wait_until("it is counted", || {
        let page = reveille.ask("/metrics").body;
        page.contains(
            "reveille_tls_handshake_failures_total{listener=\"proxy\",reason=\"incompatible\"} 1\n",
        ) && page.contains("reveille_tls_handshakes_total{listener=\"proxy\"} 1\n")
    });
    reveille.stop();

    let reveille = serving(Target::hello(), &[("web", "DNS:web.test")])
        .arg("--tls-max-version", "1.2")
        .start();
    let (dir, addr) = (folder(&reveille), reveille.proxy_tls());
    let old = s_client(&dir, addr, &[]);
    assert!(old.is_content && old.text.contains("TLSv1.2"), "{old:?}");
    assert!(!s_client(&dir, addr, &["-tls1_3"]).is_content);
    reveille.stop();
}

#[test]
fn curl_wakes_a_service_over_tls_with_either_version_of_http() {
    let reveille = serving(Target::hello(), &[("web", "DNS:web.test")]).start();
    assert!(reveille.target("web").is_asleep());
    let (dir, addr) = (folder(&reveille), reveille.proxy_tls());
    let first = curl(&dir, "web.test", addr, &["--http1.1"]);
    assert!(
        first.is_content && first.text.ends_with("|200 HTTP/1.1"),
        "{first:?}"
    );
    let second = curl(&dir, "web.test", addr, &["--http2"]);
    assert!(
        second.is_content && second.text.ends_with("|200 HTTP/2"),
        "{second:?}"
    );
    // The clear port is still there.
    assert_eq!(reveille.client("web").get("/").status, 200);
    let page = reveille.ask("/metrics").body;
    let expiry = "reveille_certificate_expiry_timestamp_seconds{path=\"web.crt\",role=\"server\",subject=\"CN=web\"} ";
    let line = page.lines().find(|line| line.starts_with(expiry));
    let line = line.unwrap_or_else(|| panic!("no {expiry} in {page}"));
    let end = run(
        &dir,
        "openssl",
        &["x509", "-in", "web.crt", "-noout", "-enddate"],
    );
    let end = end
        .text
        .trim()
        .strip_prefix("notAfter=")
        .expect("a date")
        .to_owned();
    let end = run(&dir, "date", &["--date", &end, "+%s"]);
    assert_eq!(line, format!("{expiry}{}", end.text.trim()));
    reveille.stop();
}

#[test]
fn curl_must_show_a_certificate_where_that_is_required() {
    let starter = serving(Target::hello(), &[("web", "DNS:web.test")])
        .arg("--tls-client-auth", "required")
        .arg("--tls-client-ca", "ca.crt");
    issue(starter.path(), "client", "DNS:client.test");
    let reveille = starter.start();
    let (dir, addr) = (folder(&reveille), reveille.proxy_tls());
    let identity = ["--cert", "client.crt", "--key", "client.key"];
    let with = curl(&dir, "web.test", addr, &identity);
    assert!(with.is_content && with.text.contains("|200"), "{with:?}");
    let without = curl(&dir, "web.test", addr, &[]);
    assert!(!without.is_content, "{without:?}");
    wait_until("it is counted", || {
        let page = reveille.ask("/metrics").body;
        page.contains("reveille_tls_handshake_failures_total{listener=\"proxy\",reason=\"client_certificate\"} 1\n")
    });
    reveille.stop();
}

/// `openssl s_server` as the sleeping service: it asks for a certificate, too.
#[test]
fn a_service_that_speaks_tls_is_woken_and_trusted() {
    let server = "[openssl, s_server, -accept, '127.0.0.1:{port}', -www, -cert, web.crt, \
                  -key, web.key, -CAfile, ca.crt, -Verify, '1', -verify_return_error]";
    let target = Target::new("web", server)
        .process("appProtocol: https")
        .process("tls: {caFile: ca.crt, clientCertFile: me.crt, clientKeyFile: me.key}");
    let starter = Reveille::of(target);
    authority(starter.path());
    issue(starter.path(), "web", "DNS:web.default");
    issue(starter.path(), "me", "DNS:reveille.test");
    let reveille = starter.start();
    let answer = reveille.client("web").get("/");
    assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
    assert!(answer.body.contains("s_server"), "{}", answer.body);
    // It saw who asked; versions of openssl differ in blanks.
    assert!(answer.body.replace(' ', "").contains("CN=me"), "{answer:?}");
    let page = reveille.ask("/metrics").body;
    for role in [
        "role=\"client\",subject=\"CN=me\"",
        "role=\"ca\",subject=\"CN=ca\"",
    ] {
        assert!(page.contains(role), "{role} in {page}");
    }
    reveille.stop();
}

#[test]
fn a_service_with_a_wrong_name_is_refused_and_the_log_says_why() {
    let server =
        "[openssl, s_server, -accept, '127.0.0.1:{port}', -www, -cert, web.crt, -key, web.key]";
    let target = Target::new("web", server).process("appProtocol: https");
    let starter = Reveille::of(target).arg("--upstream-ca", "ca.crt");
    authority(starter.path());
    issue(starter.path(), "web", "DNS:elsewhere.test");
    let reveille = starter.start();
    assert_eq!(reveille.client("web").get("/").status, 502);
    let line = reveille.until_logged("TLS handshake with an endpoint failed");
    assert!(
        line.contains("default/web") && line.contains("web.default"),
        "{line}"
    );
    reveille.stop();
}

#[test]
fn a_renewed_certificate_is_served_and_a_broken_one_is_not() {
    let reveille = serving(Target::hello(), &[("web", "DNS:web.test")]).start();
    let (dir, addr) = (folder(&reveille), reveille.proxy_tls());
    let write = |name: &str, from: &str| {
        fs::copy(dir.join(from), dir.join("fresh")).expect("copied");
        fs::rename(dir.join("fresh"), dir.join(name)).expect("swapped");
    };
    let serial = || {
        let said = s_client(&dir, addr, &["-servername", "web.test"]);
        assert!(said.is_content, "{said:?}");
        subject(&said)
    };
    assert_eq!(serial(), "CN=web");
    // Neither is the other's.
    write("web.crt", "ca.crt");
    let line = reveille.until_logged("not reloaded, what was in use stays");
    let reason = "web.key: is not the key of the certificate in web.crt";
    assert!(line.contains("ERROR") && line.contains(reason), "{line}");
    assert_eq!(serial(), "CN=web");
    assert!(
        reveille
            .ask("/metrics")
            .body
            .contains("reveille_tls_reload_failures_total 1\n")
    );
    issue(&dir, "renewed", "DNS:web.test");
    write("web.key", "renewed.key");
    write("web.crt", "renewed.crt");
    wait_until("the renewed one is served", || serial() == "CN=renewed");
    reveille.until_logged("certificates reloaded");
    reveille.stop();
}

/// Draining may take as long as the longest request, and KEDA's streams and
/// other replicas connect to the gRPC port all the while.
#[test]
fn a_certificate_is_renewed_while_requests_drain() {
    let starter = Reveille::of(Target::new("web", "[sh, -c, 'exec sleep 1000']"));
    authority(starter.path());
    for name in ["server", "renewed"] {
        issue(starter.path(), name, "IP:127.0.0.1");
    }
    let mut reveille = starter
        .arg("--grpc-tls-cert", "server.crt")
        .arg("--grpc-tls-key", "server.key")
        .arg("--tls-reload-interval", "20ms")
        .arg("--drain-timeout", "1h")
        .start();
    let held = reveille.client("web").begin("GET", "/");
    reveille.until_held("web", 1);
    reveille.begin_stop();
    reveille.until_logged("draining requests");
    Reveille::until_closed(reveille.proxy());
    let dir = folder(&reveille);
    let shown = || subject(&s_client(&dir, reveille.grpc(), &["-alpn", "h2"]));
    assert_eq!(shown(), "CN=server");
    for end in ["key", "crt"] {
        let (from, to) = (format!("renewed.{end}"), format!("server.{end}"));
        fs::rename(dir.join(from), dir.join(to)).expect("swapped");
    }
    wait_until("the renewed one is served", || shown() == "CN=renewed");
    held.leave();
    reveille.wait_for_orderly_end();
}

#[test]
fn certificates_that_expire_soon_are_named_once() {
    let starter = serving(Target::hello(), &[("good", "DNS:good.test")])
        .arg("--tls-cert", "soon.crt")
        .arg("--tls-key", "soon.key");
    issue_with(starter.path(), "soon", &EC, "5", "DNS:soon.test");
    let reveille = starter.start();
    let line = reveille.until_logged("certificate expires soon");
    for part in ["WARN", "role=\"server\"", "path=soon.crt", "days_left="] {
        assert!(line.contains(part), "{part} in {line}");
    }
    issue(&folder(&reveille), "other", "DNS:other.test");
    fs::rename(reveille.path("other.key"), reveille.path("good.key")).expect("renamed");
    fs::rename(reveille.path("other.crt"), reveille.path("good.crt")).expect("renamed");
    // Several looks later.
    reveille.until_logged("certificates reloaded");
    let log = reveille.log();
    assert_eq!(log.matches("certificate expires soon").count(), 1, "{log}");
    reveille.stop();
}

#[test]
fn all_problems_with_tls_are_told_at_the_start_with_all_others() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("bound").to_string();
    let target = Target::hello()
        .process("appProtocol: https")
        .process("tls: {caFile: no-ca.crt, serverName: 'a b'}");
    let starter = Reveille::of(target)
        .arg("--proxy-tls-addr", &addr)
        .arg("--tls-cert", "no.crt")
        .arg("--tls-key", "no.key")
        .arg("--tls-cert-dir", "no-dir")
        .arg("--tls-client-auth", "optional")
        .arg("--tls-min-version", "1.3")
        .arg("--tls-max-version", "1.2")
        .arg("--upstream-client-cert", "alone.crt");
    let base = fs::canonicalize(starter.path()).expect("a folder");
    let ended = starter.run();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log);
    let base = base.display();
    let expected = format!(
        "reveille: cannot use TLS:
  --tls-max-version: is older than the oldest version that is to be spoken
  --tls-cert, --tls-key: no.crt: No such file or directory (os error 2)
  --tls-cert-dir: no-dir: No such file or directory (os error 2)
  --tls-client-auth: needs the authorities that sign client certificates
  --upstream-client-cert, --upstream-client-key: alone.crt: needs the file of its key as well
  Process default/web: spec.tls.serverName: \"a b\" is neither a DNS name nor an IP address
  Process default/web: spec.tls.caFile: {base}/no-ca.crt: No such file or directory (os error 2)
cannot listen:
  --proxy-tls-addr {addr}: Address already in use (os error 98)
"
    );
    assert!(
        ended.log.contains(&expected),
        "{}\n---\n{expected}",
        ended.log
    );
}
