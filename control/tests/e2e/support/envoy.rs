//! A real Envoy with the bootstraps of `deploy/envoy`.

use super::{Answer, Client, wait_for};
use std::{
    env,
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

const FLEET: &str = include_str!("../../../../deploy/envoy/bootstrap.yaml");
const OWN_LISTENER: &str = include_str!("../../../../deploy/envoy/own-listener.yaml");

/// What an Envoy is started with.
#[derive(Clone)]
pub(crate) struct Bootstrap(String);

impl Bootstrap {
    /// It takes everything from Reveille's xDS server at that address.
    pub(crate) fn fleet(xds: SocketAddr) -> Self {
        Self::of(FLEET, xds)
    }

    /// It has a listener of its own.
    pub(crate) fn own_listener(xds: SocketAddr) -> Self {
        Self::of(OWN_LISTENER, xds).replace("10000", "0")
    }

    fn of(file: &str, xds: SocketAddr) -> Self {
        // The admin server takes a free port.
        Self(file.to_owned())
            .replace("18000", &xds.port().to_string())
            .replace("9902", "0")
    }

    /// In the state-of-the-world variant of the protocol.
    pub(crate) fn whole_states(self) -> Self {
        self.replace("DELTA_GRPC", "GRPC")
    }

    /// With another text in the place of one that is there.
    pub(crate) fn replace(self, old: &str, new: &str) -> Self {
        assert!(self.0.contains(old), "no {old:?} in {}", self.0);
        Self(self.0.replace(old, new))
    }

    /// With more at its end.
    pub(crate) fn and(self, more: &str) -> Self {
        Self(self.0 + more)
    }

    /// Starts an Envoy of that node id.
    pub(crate) fn start(&self, node: &str) -> Envoy {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("bootstrap.yaml"), &self.0).expect("written");
        let (child, admin) = launch(dir.path(), node);
        Envoy {
            child,
            dir,
            admin,
            node: node.to_owned(),
        }
    }
}

/// A running Envoy. It is killed when the test ends; when the test fails, its
/// log is shown.
pub(crate) struct Envoy {
    child: Child,
    dir: TempDir,
    admin: SocketAddr,
    node: String,
}

impl Envoy {
    /// One that takes everything from Reveille's xDS server at that address.
    pub(crate) fn of_fleet(xds: SocketAddr) -> Self {
        Bootstrap::fleet(xds).start("fleet-1")
    }

    /// Likewise, in the other variant of the protocol.
    pub(crate) fn of_fleet_with_whole_states(xds: SocketAddr) -> Self {
        Bootstrap::fleet(xds).whole_states().start("fleet-2")
    }

    /// One with a listener of its own.
    pub(crate) fn with_own_listener(xds: SocketAddr) -> Self {
        Bootstrap::own_listener(xds).start("own-1")
    }

    /// Kills it, and starts it again as the same node. Its ports are others.
    pub(crate) fn restart(&mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("a child");
        fs::remove_file(self.dir.path().join("admin")).expect("removed");
        (self.child, self.admin) = launch(self.dir.path(), &self.node);
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        log(self.dir.path())
    }

    /// Where it listens for clients, once it does.
    pub(crate) fn listener(&self) -> SocketAddr {
        wait_for("Envoy listens", || {
            let page = self.ask("/listeners?format=json").body;
            let page: serde_json::Value = serde_json::from_str(&page).ok()?;
            let socket = page.pointer("/listener_statuses/0/local_address/socket_address")?;
            let port = u16::try_from(socket.get("port_value")?.as_u64()?).ok()?;
            let addr = SocketAddr::from(([127, 0, 0, 1], port));
            // It is bound a moment before it is listened to.
            TcpStream::connect(addr).is_ok().then_some(addr)
        })
    }

    /// A client of the target of that name, through it.
    pub(crate) fn client(&self, target: &str) -> Client {
        Client::new(self.listener(), &format!("{target}.test"))
    }

    /// Asks its admin server.
    pub(crate) fn ask(&self, path: &str) -> Answer {
        Client::new(self.admin, "admin").get(path)
    }

    /// A counter or gauge; 0 if there is none.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let page = self.ask(&format!("/stats?filter=^{name}$")).body;
        let value = page
            .trim()
            .rsplit_once(": ")
            .map(|(_, value)| value.parse());
        value.map_or(0, |value| value.expect("a number"))
    }

    /// Waits until it has so many endpoints of a target, our proxy among them.
    pub(crate) fn until_members(&self, target: &str, count: u64) {
        let name = format!("cluster.reveille/default/{target}.membership_total");
        wait_for(
            &format!("Envoy knows {count} endpoints of {target}"),
            || (self.stat(&name) == count).then_some(()),
        );
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- Envoy:\n{}", tail(self.dir.path()));
        }
        // It may have ended.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Starts Envoy on the bootstrap in `dir`; where its admin server is.
fn launch(dir: &Path, node: &str) -> (Child, SocketAddr) {
    let mut log = File::options();
    let log = log.append(true).create(true).open(dir.join("log"));
    let log = log.expect("created");
    let mut command = Command::new(binary());
    command
        .args(["--concurrency", "1", "--disable-hot-restart"])
        .args(["-l", "warning"])
        .args(["--service-node", node, "--service-cluster", "test"])
        .arg("--admin-address-path")
        .arg(dir.join("admin"))
        .arg("-c")
        .arg(dir.join("bootstrap.yaml"))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("cloned"))
        .stderr(log);
    let mut child = command.spawn().expect("Envoy runs");
    let admin = wait_for("Envoy says where its admin server is", || {
        if let Some(status) = child.try_wait().expect("a child") {
            panic!("Envoy ended: {status}: {}", tail(dir));
        }
        let text = fs::read_to_string(dir.join("admin")).ok()?;
        text.trim().parse().ok()
    });
    (child, admin)
}

fn log(dir: &Path) -> String {
    let log = fs::read(dir.join("log")).unwrap_or_default();
    String::from_utf8_lossy(&log).into_owned()
}

fn tail(dir: &Path) -> String {
    let log = log(dir);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Envoy's program, as `.ci/tools` installs it.
fn binary() -> PathBuf {
    let named = env::var_os("REVEILLE_TEST_ENVOY").map(PathBuf::from);
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/envoy");
    let binary = named.unwrap_or(made);
    assert!(
        binary.is_file(),
        "these tests need Envoy: run `.ci/tools`, which installs it"
    );
    binary
}
