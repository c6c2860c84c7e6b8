//! Several Reveilles that share their demand: whichever of them KEDA asks
//! answers for all.

mod metrics;
mod pages;

use crate::{
    support::{Connection, PATIENCE, Reveille, Starter, Target, wait_until},
    tls::{authority, issue},
};
use rustix::process::Signal;
use scaler::externalscaler::{
    GetMetricsRequest, ScaledObjectRef, external_scaler_client::ExternalScalerClient,
};
use serde::Deserialize;
use std::{fs, path::Path};
use tempfile::TempDir;
use tonic::{Code, Status, transport::Endpoint};

/// `/api/v1/peers`: exactly these.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Peers {
    identity: String,
    blind: bool,
    followers: usize,
    peers: Vec<Peer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code)] // that they are there is what is tested
struct Peer {
    address: String,
    state: String,
    identity: Option<String>,
    name: Option<String>,
    silent_seconds: Option<f64>,
    problem: Option<String>,
}

fn peers(of: &Reveille) -> Peers {
    let answer = of.ask("/api/v1/peers");
    serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.body))
}

pub(crate) fn until_peer(of: &Reveille, other: &str, state: &str) {
    wait_until(&format!("{other} is {state}"), || {
        let peers = peers(of).peers;
        peers.iter().any(|p| p.address == other && p.state == state)
    });
}

/// A target that is served by nobody and never will be: what is held stays.
fn asleep() -> Target {
    Target::new("web", "[sh, -c, 'exec sleep 1000']")
}

/// Replicas find each other in this file.
pub(crate) struct Group {
    folder: TempDir,
}

impl Group {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("peers"), "# nobody yet\n").expect("written");
        Self { folder }
    }

    fn file(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn starter(&self) -> Starter {
        self.starter_of(asleep())
    }

    pub(crate) fn starter_of(&self, manifest: impl Into<String>) -> Starter {
        let source = format!("file:{}", self.file().join("peers").display());
        Reveille::of(manifest)
            .arg("--peers", &source)
            .arg("--peer-grace", "300ms")
    }

    /// Names all of them, to all of them; waits until all are connected.
    pub(crate) fn name(&self, all: &[&Reveille]) {
        let lines: Vec<String> = all.iter().map(|one| one.grpc().to_string()).collect();
        let partial = self.file().join("partial");
        fs::write(&partial, lines.join("\n")).expect("written");
        fs::rename(partial, self.file().join("peers")).expect("renamed");
        for one in all {
            for other in all {
                let itself = one.grpc() == other.grpc();
                let state = if itself { "myself" } else { "connected" };
                until_peer(one, &other.grpc().to_string(), state);
            }
        }
    }
}

fn reference() -> ScaledObjectRef {
    ScaledObjectRef {
        name: "web".into(),
        namespace: "default".into(),
        scaler_metadata: [("interceptorRoute".into(), "web".into())].into(),
    }
}

/// What KEDA is told by this replica.
async fn concurrency(of: &Reveille) -> Result<f64, Status> {
    let endpoint = Endpoint::from_shared(format!("http://{}", of.grpc())).expect("an address");
    let channel = endpoint.connect().await.expect("it listens");
    let request = GetMetricsRequest {
        scaled_object_ref: Some(reference()),
        metric_name: "http_web_concurrency".into(),
    };
    let answer = ExternalScalerClient::new(channel)
        .get_metrics(request)
        .await?;
    Ok(answer.into_inner().metric_values[0].metric_value_float)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn until_concurrency(of: &Reveille, wanted: f64) {
    wait_until(&format!("KEDA is told {wanted}"), || {
        block_on(concurrency(of)).is_ok_and(|told| told == wanted)
    });
}

fn hold(at: &Reveille, count: usize) -> Vec<Connection> {
    let client = at.client("web");
    let held = (0..count).map(|_| client.begin("GET", "/")).collect();
    at.until_held("web", count as u64);
    held
}

#[test]
fn what_is_held_at_one_replica_is_told_by_the_other_and_wakes_through_its_stream() {
    let group = Group::new();
    let (a, b) = (group.starter().start(), group.starter().start());
    group.name(&[&a, &b]);
    assert_ne!(peers(&a).identity, peers(&b).identity);
    assert_eq!((peers(&b).blind, peers(&b).followers), (false, 1));
    let told = block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{}", b.grpc())).expect("an address");
        let channel = endpoint.connect().await.expect("it listens");
        let mut client = ExternalScalerClient::new(channel);
        let opened = client
            .stream_is_active(reference())
            .await
            .expect("it opens");
        let mut stream = opened.into_inner();
        let first = stream
            .message()
            .await
            .expect("no error")
            .expect("the state");
        let _held = a.client("web").begin("GET", "/");
        let edge = tokio::time::timeout(PATIENCE, stream.message()).await;
        let edge = edge
            .expect("in time")
            .expect("no error")
            .expect("a message");
        (first.result, edge.result)
    });
    assert_eq!(told, (false, true));
    let _a = hold(&a, 3);
    let _b = hold(&b, 2);
    until_concurrency(&a, 5.0);
    until_concurrency(&b, 5.0);
    let page = b.ask("/metrics").body;
    assert!(
        page.contains("reveille_peers{state=\"connected\"} 1\n"),
        "{page}"
    );
    let age = format!(
        "reveille_peer_last_frame_age_seconds{{peer=\"{}\"}} 0",
        a.grpc()
    );
    assert!(page.contains(&age), "{page}");
}

#[test]
fn a_replica_that_is_killed_counts_no_more_after_the_grace_and_counts_again_when_it_is_back() {
    let group = Group::new();
    let (a, b) = (group.starter().start(), group.starter().start());
    group.name(&[&a, &b]);
    let held = hold(&a, 2);
    until_concurrency(&b, 2.0);
    let address = a.grpc().to_string();
    a.signal(Signal::KILL);
    until_peer(&b, &address, "lost");
    wait_until("it counts no more", || {
        block_on(concurrency(&b)).is_ok_and(|told| told < 2.0)
    });
    until_concurrency(&b, 0.0);
    b.until_logged("a peer is not connected");
    drop((held, a));
    // Another start at the same address.
    let again = group.starter().set("--grpc-addr", &address).start();
    until_peer(&b, &address, "connected");
    let _held = hold(&again, 1);
    until_concurrency(&b, 1.0);
    until_concurrency(&again, 1.0);
}

#[test]
fn a_replica_that_stands_still_is_lost_and_counts_again_when_it_goes_on() {
    let group = Group::new();
    let (a, b) = (group.starter().start(), group.starter().start());
    group.name(&[&a, &b]);
    let _held = hold(&a, 2);
    until_concurrency(&b, 2.0);
    let address = a.grpc().to_string();
    a.signal(Signal::STOP);
    until_peer(&b, &address, "lost");
    wait_until("what was there counts no more", || {
        b.target("web").concurrency == 0.0
    });
    // But it may well be there, so KEDA is not told zero.
    wait_until("KEDA is refused", || {
        block_on(concurrency(&b)).is_err_and(|status| status.code() == Code::Unavailable)
    });
    b.until_logged("peers are silent that may have requests");
    a.signal(Signal::CONT);
    until_peer(&b, &address, "connected");
    until_concurrency(&b, 2.0);
}

#[test]
fn keda_is_refused_until_the_peers_were_heard_and_then_gets_their_demand() {
    let group = Group::new();
    let a = group.starter().start();
    let _held = hold(&a, 4);
    // A peer that accepts connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_at = silent.local_addr().expect("bound").to_string();
    let b = Reveille::of(asleep())
        .arg("--peers", &format!("{},{silent_at}", a.grpc()))
        .arg("--peers-timeout", "2s")
        .start();
    if peers(&b).blind {
        let refused = block_on(concurrency(&b));
        // It may have opened its eyes just now; it never says zero.
        match refused {
            Err(status) => assert_eq!(status.code(), Code::Unavailable),
            Ok(told) => assert_eq!(told, 4.0),
        }
    }
    let line = b.until_logged("not all peers were heard in time");
    assert!(
        line.contains(&silent_at) && !line.contains(&a.grpc().to_string()),
        "{line}"
    );
    wait_until("it is ready", || b.ask("/readyz").status == 200);
    assert_eq!(block_on(concurrency(&b)).expect("an answer"), 4.0);
}

#[test]
fn peers_that_cannot_be_are_an_error_of_the_start_that_names_the_flag() {
    for (value, why) in [
        ("web", "\"web\" is not host:port"),
        ("http://web:1", "\"http://\" is unknown"),
        ("", "names no peer"),
    ] {
        let ended = Reveille::of(asleep()).arg("--peers", value).run();
        assert!(!ended.status.success());
        assert!(
            ended.log.contains("--peers") && ended.log.contains(why),
            "{}",
            ended.log
        );
    }
    let ended = Reveille::of(asleep()).arg("--peers-timeout", "0s").run();
    assert!(ended.log.contains("--peers-timeout"), "{}", ended.log);
}

#[test]
fn a_replica_that_stops_in_order_takes_its_demand_with_it() {
    let group = Group::new();
    let (a, b) = (
        group.starter().arg("--drain-timeout", "100ms").start(),
        group.starter().set("--peer-grace", "1h").start(),
    );
    group.name(&[&a, &b]);
    let _held = hold(&a, 2);
    until_concurrency(&b, 2.0);
    let address = a.grpc().to_string();
    a.stop();
    wait_until("it left", || {
        let peers = peers(&b).peers;
        peers
            .iter()
            .any(|p| p.address == address && p.state == "left")
    });
    // Not after the grace of an hour.
    until_concurrency(&b, 0.0);
}

/// One of a group whose gRPC ports take only clients with a certificate.
fn guarded(group: &Group, certificate: &str) -> Starter {
    let file = |name: &str| group.file().join(name).display().to_string();
    group
        .starter()
        .arg("--grpc-tls-cert", &file("server.crt"))
        .arg("--grpc-tls-key", &file("server.key"))
        .arg("--grpc-tls-client-ca", &file("ca.crt"))
        .arg("--grpc-tls-client-auth", "required")
        .arg("--peers-tls-ca", &file("ca.crt"))
        .arg("--peers-tls-cert", &file(&format!("{certificate}.crt")))
        .arg("--peers-tls-key", &file(&format!("{certificate}.key")))
}

#[test]
fn replicas_with_certificates_share_their_demand_and_nobody_else_is_told_of_it() {
    let group = Group::new();
    authority(group.file());
    for name in ["server", "client"] {
        issue(group.file(), name, "IP:127.0.0.1");
    }
    // Signed by somebody else.
    let stranger = tempfile::tempdir().expect("a folder");
    authority(stranger.path());
    issue(stranger.path(), "stranger", "IP:127.0.0.1");
    for end in ["crt", "key"] {
        let name = format!("stranger.{end}");
        fs::copy(stranger.path().join(&name), group.file().join(&name)).expect("copied");
    }

    let (a, b) = (
        guarded(&group, "client").start(),
        guarded(&group, "client").start(),
    );
    group.name(&[&a, &b]);
    let _held = hold(&a, 3);
    wait_until("the other says the same", || {
        b.target("web").concurrency == 3.0
    });

    let c = guarded(&group, "stranger").start();
    wait_until("it is told why", || {
        let peers = peers(&c).peers;
        let theirs = peers.iter().filter(|p| p.state != "myself");
        theirs.clone().count() == 2 && theirs.clone().all(|p| p.problem.is_some())
    });
    assert_eq!(c.target("web").concurrency, 0.0);
}

#[test]
fn peers_are_not_followed_in_the_clear_if_their_ports_speak_tls() {
    let starter = Reveille::of(asleep()).arg("--peers", "127.0.0.1:1");
    authority(starter.path());
    issue(starter.path(), "server", "IP:127.0.0.1");
    let ended = starter
        .arg("--grpc-tls-cert", "server.crt")
        .arg("--grpc-tls-key", "server.key")
        .run();
    assert!(!ended.status.success());
    assert!(ended.log.contains("give --peers-tls"), "{}", ended.log);
    let ended = Reveille::of(asleep())
        .arg("--peers", "127.0.0.1:1")
        .arg("--peers-tls-ca", "none.crt")
        .run();
    let wanted = "--peers-tls-ca: none.crt";
    assert!(ended.log.contains(wanted), "{}", ended.log);
}
