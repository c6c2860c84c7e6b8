//! Spellings of sources, and files that change.

use super::*;
use std::fs;

fn list(addresses: &[&str]) -> BTreeSet<String> {
    addresses
        .iter()
        .map(|&address| address.to_owned())
        .collect()
}

#[test]
fn the_three_spellings() {
    let source = |text: &str| text.parse::<PeerSource>().expect("it is right");
    let wanted = list(&["10.0.0.1:9090", "[::1]:9090", "b.example:9091"]);
    assert_eq!(
        source(" 10.0.0.1:9090, b.example:9091,[::1]:9090,"),
        PeerSource::List(wanted)
    );
    let name = "reveille-peers.keda.svc".to_owned();
    let dns = source("dns://reveille-peers.keda.svc:9090");
    assert_eq!(dns, PeerSource::Dns { name, port: 9090 });
    assert_eq!(dns.to_string(), "dns://reveille-peers.keda.svc:9090");
    assert_eq!(
        source("file:/etc/peers"),
        PeerSource::File("/etc/peers".into())
    );
    assert_eq!(
        source("file:///etc/peers"),
        PeerSource::File("/etc/peers".into())
    );
    assert_eq!(source("file:peers"), PeerSource::File("peers".into()));
}

#[test]
fn what_is_wrong_is_quoted() {
    let cases = [
        ("", "names no peer"),
        (" , ", "names no peer"),
        ("file:", "names no peer"),
        ("web", "\"web\" is not host:port"),
        ("web:0", "\"web:0\" is not host:port"),
        ("web:70000", "\"web:70000\" is not host:port"),
        ("::1:9090", "\"::1:9090\" is not host:port"),
        ("a b:1", "\"a b:1\" is not host:port"),
        ("http://web:9090", "\"http://\" is unknown"),
        ("dns://web", "\"web\" is not host:port"),
    ];
    for (text, wanted) in cases {
        let error = text.parse::<PeerSource>().expect_err(text).to_string();
        assert!(error.starts_with(wanted), "{text}: {error}");
    }
    let many: Vec<String> = (0..300).map(|n| format!("h{n}:1")).collect();
    let error = many.join(",").parse::<PeerSource>().expect_err("too many");
    assert_eq!(error, BadSource::TooMany(300));
}

#[tokio::test]
async fn a_file_that_is_wrong_or_gone_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("peers");
    assert!(read(&path).await.is_err());
    fs::write(&path, "# replicas\n a:1 # the first\n\n[::1]:2\n").expect("written");
    assert_eq!(read(&path).await, Ok(list(&["a:1", "[::1]:2"])));
    fs::write(&path, "a:1\nb").expect("written");
    let error = read(&path).await.expect_err("half a file");
    assert!(
        error.starts_with("line 2: \"b\" is not host:port"),
        "{error}"
    );
    fs::write(&path, "#".repeat(70_000)).expect("written");
    let error = read(&path).await.expect_err("too large");
    assert_eq!(error, "it is larger than 65536 bytes");
    fs::write(&path, "").expect("written");
    assert_eq!(read(&path).await, Ok(list(&[])));
}

#[tokio::test]
async fn a_file_is_read_again_and_a_broken_one_leaves_what_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("peers");
    let (found, mut addresses) = watch::channel(None);
    let source = PeerSource::File(path.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(discover(source, found, async {
        stopped.await.ok();
    }));
    fs::write(&path, "a:1").expect("written");
    let first = addresses
        .wait_for(Option::is_some)
        .await
        .expect("found")
        .clone();
    assert_eq!(first, Some(list(&["a:1"])));
    fs::write(&path, "broken").expect("written");
    fs::write(&path, "b:2").expect("written");
    let second = list(&["b:2"]);
    let both = addresses
        .wait_for(|now| now.as_ref() == Some(&second))
        .await;
    assert!(both.is_ok());
    stop.send(()).expect("it runs");
    task.await.expect("a clean end");
}

#[tokio::test]
async fn a_name_becomes_all_its_addresses() {
    let found = resolve("localhost", 9090)
        .await
        .expect("it is known everywhere");
    assert!(
        found.contains("127.0.0.1:9090") || found.contains("[::1]:9090"),
        "{found:?}"
    );
    assert!(resolve("no.such.host.invalid", 1).await.is_err());
}
