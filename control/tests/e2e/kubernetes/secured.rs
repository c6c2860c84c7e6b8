//! An API server as a real one is met: over TLS, with a token that changes.

use super::objects::all_of;
use crate::{
    support::{ApiServer, Pod, Reveille, wait_until},
    tls::{authority, issue},
};
use std::{fs, path::Path};
use tempfile::TempDir;

/// A folder with an authority, the server's certificate and a token.
fn folder(token: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    authority(folder.path());
    issue(folder.path(), "server", "IP:127.0.0.2");
    write(folder.path(), "token", token.as_bytes());
    folder
}

/// In one step, as the kubelet does it.
fn write(folder: &Path, name: &str, content: &[u8]) {
    let partial = folder.join("partial");
    fs::write(&partial, content).expect("written");
    fs::rename(partial, folder.join(name)).expect("renamed");
}

#[test]
fn a_token_that_has_changed_is_read_anew_when_the_old_one_is_refused() {
    let (folder, pod) = (folder("one"), Pod::start("pod"));
    let api = ApiServer::start_secured(folder.path());
    api.know_only("one");
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "pod");
    for token in ["two", "three"] {
        write(folder.path(), "token", token.as_bytes());
        api.know_only(token);
        api.put_all(all_of(token, &pod));
        wait_until("what is new is seen", || {
            reveille.client(token).get("/").body == "pod"
        });
    }
    reveille.stop();
}

#[test]
fn a_token_that_is_not_known_is_named() {
    let folder = folder("wrong");
    let api = ApiServer::start_secured(folder.path());
    api.know_only("right");
    let reveille = Reveille::in_cluster(&api).start();
    let line = reveille.until_logged("does not know who asks (401)");
    assert!(line.contains("token"), "{line}");
    assert_eq!(reveille.ask("/readyz").status, 503);
    write(folder.path(), "token", b"right");
    reveille.until_ready();
    reveille.stop();
}

#[test]
fn an_authority_that_did_not_sign_the_servers_certificate_is_named() {
    let (folder, pod) = (folder("one"), Pod::start("pod"));
    let stranger = tempfile::tempdir().expect("a folder");
    authority(stranger.path());
    let read = |folder: &TempDir| fs::read(folder.path().join("ca.crt")).expect("a certificate");
    let right = read(&folder);
    write(folder.path(), "ca.crt", &read(&stranger));
    let api = ApiServer::start_secured(folder.path());
    api.know_only("one");
    api.put_all(all_of("web", &pod));
    let reveille = Reveille::in_cluster(&api).start();
    let line = reveille.until_logged("certificate is not trusted");
    assert!(line.contains("certificate-authority"), "{line}");
    assert_eq!(reveille.ask("/readyz").status, 503);
    // It may be mended while it runs.
    write(folder.path(), "ca.crt", &right);
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "pod");
    reveille.stop();
}
