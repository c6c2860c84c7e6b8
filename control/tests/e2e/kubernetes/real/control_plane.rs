//! A real control plane: etcd and kube-apiserver, the programs that
//! `REVEILLE_TEST_ETCD` and `REVEILLE_TEST_KUBE_APISERVER` name. `.ci/apiserver`
//! builds them.
//!
//! No controllers and no kubelet: what those would write, tests write. Its certificates,
//! keys and data are in a folder that goes with it.

use super::client::Client;
use crate::{
    kubernetes::cluster::Network,
    support::Marker,
    tls::{authority, issue},
};
use serde_json::json;
use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::Instant;

/// Whoever shows this may do everything.
const ADMIN: &str = "who-may-do-everything";
/// A start takes some seconds of a core.
const START_WITHIN: Duration = Duration::from_secs(120);

/// A running control plane. It is killed when the test ends; when the test fails, the
/// logs' ends are shown.
pub(super) struct ControlPlane {
    programs: Programs,
    etcd: Child,
    apiserver: Child,
    addr: SocketAddr,
    client: Client,
    marker: Marker,
    dir: TempDir,
    /// Nobody else has its addresses.
    _network: Network,
}

struct Programs {
    etcd: OsString,
    apiserver: OsString,
}

impl Programs {
    /// `None`: they are not named. One alone is a mistake.
    fn named() -> Option<Self> {
        let names = ["REVEILLE_TEST_ETCD", "REVEILLE_TEST_KUBE_APISERVER"];
        match names.map(env::var_os) {
            [Some(etcd), Some(apiserver)] => Some(Self { etcd, apiserver }),
            [None, None] => {
                eprintln!("SKIPPED: {} name no control plane", names.join(" and "));
                None
            }
            _ => panic!("{} need each other", names.join(" and ")),
        }
    }
}

impl ControlPlane {
    /// One with an empty cluster; `None`, with a word about it, where there is none to be had.
    pub(super) fn start() -> Option<Self> {
        let programs = Programs::named()?;
        let (network, marker) = (Network::new(), Marker::new());
        let ip = network.address();
        let addr = SocketAddr::new(ip, 6443);
        let dir = tempfile::tempdir().expect("a folder");
        authority(dir.path());
        issue(dir.path(), "server", &format!("IP:{ip}"));
        let tokens = format!("{ADMIN},admin,1,\"system:masters\"\n");
        fs::write(dir.path().join("tokens.csv"), tokens).expect("written");
        let etcd = start_etcd(&programs, dir.path(), &marker, ip.to_string().as_str());
        let apiserver = start_apiserver(&programs, dir.path(), &marker, addr);
        let kubeconfig = write_kubeconfig(dir.path(), "admin", addr, ADMIN);
        let mut started = Self {
            programs,
            etcd,
            apiserver,
            addr,
            client: Client::new(&kubeconfig),
            marker,
            dir,
            _network: network,
        };
        started.until_ready();
        Some(started)
    }

    /// A client that may do everything.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// A kubeconfig in `folder` for the ServiceAccount `keda/reveille`.
    pub(super) fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let account = "/api/v1/namespaces/keda/serviceaccounts/reveille";
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600}});
        let made = self.client.create(&format!("{account}/token"), &request);
        let token = made["status"]["token"].as_str().expect("a token");
        fs::copy(self.dir.path().join("ca.crt"), folder.join("ca.crt")).expect("copied");
        write_kubeconfig(folder, "reveille", self.addr, token)
    }

    /// The API server is gone, without a word to anybody.
    pub(super) fn kill_apiserver(&mut self) {
        self.apiserver.kill().expect("it runs");
        self.apiserver.wait().expect("a child");
    }

    /// It is there again, at the same address, with the same objects.
    pub(super) fn start_apiserver(&mut self) {
        self.apiserver = start_apiserver(&self.programs, self.dir.path(), &self.marker, self.addr);
        self.until_ready();
    }

    fn until_ready(&mut self) {
        let deadline = Instant::now() + START_WITHIN;
        // Its client would open connections in vain.
        while TcpStream::connect(self.addr).is_err() || !self.client.is_ready() {
            for (name, child) in [("etcd", &mut self.etcd), ("apiserver", &mut self.apiserver)] {
                if let Some(status) = child.try_wait().expect("a child") {
                    panic!("{name} ended: {status}: {}", tail(self.dir.path(), name));
                }
            }
            assert!(Instant::now() < deadline, "the API server is not ready");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn start_etcd(programs: &Programs, dir: &Path, marker: &Marker, ip: &str) -> Child {
    let (clients, peers) = (format!("http://{ip}:2379"), format!("http://{ip}:2380"));
    let mut command = Command::new(&programs.etcd);
    command
        .args(["--data-dir", "etcd", "--log-level", "warn"])
        .arg("--unsafe-no-fsync")
        .args(["--listen-client-urls", &clients])
        .args(["--advertise-client-urls", &clients])
        .args(["--listen-peer-urls", &peers])
        .args(["--initial-advertise-peer-urls", &peers])
        .args(["--initial-cluster", &format!("default={peers}")]);
    spawn(command, "etcd", dir, marker)
}

fn start_apiserver(programs: &Programs, dir: &Path, marker: &Marker, addr: SocketAddr) -> Child {
    let ip = addr.ip().to_string();
    let mut command = Command::new(&programs.apiserver);
    command
        .args(["--etcd-servers", &format!("http://{ip}:2379")])
        .args(["--bind-address", &ip])
        .args(["--secure-port", &addr.port().to_string()])
        .args(["--tls-cert-file", "server.crt"])
        .args(["--tls-private-key-file", "server.key"])
        .args(["--token-auth-file", "tokens.csv"])
        .args(["--authorization-mode", "RBAC"])
        .args(["--service-account-issuer", "https://kubernetes.default.svc"])
        .args(["--service-account-key-file", "server.crt"])
        .args(["--service-account-signing-key-file", "server.key"])
        .args(["--service-cluster-ip-range", "10.96.0.0/16"])
        // It would announce a loopback address, which may not be.
        .args(["--endpoint-reconciler-type", "none"]);
    spawn(command, "apiserver", dir, marker)
}

fn spawn(mut command: Command, name: &str, dir: &Path, marker: &Marker) -> Child {
    let mut log = File::options();
    let log = log.create(true).append(true);
    let log = log
        .open(dir.join(name).with_extension("log"))
        .expect("created");
    let (variable, mark) = marker.variable();
    command
        .current_dir(dir)
        .env(variable, mark)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("cloned"))
        .stderr(log);
    let program = command.get_program().to_owned();
    command
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

fn write_kubeconfig(folder: &Path, user: &str, addr: SocketAddr, token: &str) -> PathBuf {
    let cluster = json!({"server": format!("https://{addr}"),
        "certificate-authority": folder.join("ca.crt")});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": user,
        "clusters": [{"name": user, "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": user,
            "context": {"cluster": user, "user": user, "namespace": "keda"}}],
    });
    let path = folder.join(format!("{user}.kubeconfig"));
    fs::write(&path, config.to_string()).expect("written");
    path
}

/// The last lines of a log.
fn tail(dir: &Path, name: &str) -> String {
    let log = fs::read(dir.join(name).with_extension("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if thread::panicking() {
            for name in ["etcd", "apiserver"] {
                eprintln!(
                    "--- the log of {name} ends with\n{}\n---",
                    tail(self.dir.path(), name)
                );
            }
        }
        self.marker.kill_all();
        for child in [&mut self.apiserver, &mut self.etcd] {
            let _reaped = child.wait();
        }
    }
}
