//! A running `reveille local`.

use super::{
    Answer, ApiServer, Client, LOOK_EACH, ManifestsNow, Marker, PATIENCE, TargetNow,
    processes::{self, Marked},
    wait_for, wait_until,
};
use rustix::process::Signal;
use serde::Deserialize;
use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};
use tempfile::TempDir;
use tokio::time::Instant;

/// What a test may set before the start.
pub(crate) struct Starter {
    dir: TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

/// The binary, without any variable of whoever runs the tests that it reads.
pub(crate) fn command(marker: &Marker) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
    for (name, _) in std::env::vars_os() {
        let read = [
            "REVEILLE_",
            "KEDA",
            "OTEL_",
            "OTLP_",
            "METRIC_STORE_",
            "PROFILING_BIND_ADDRESS",
        ];
        let text = name.to_string_lossy();
        if read.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    let (name, mark) = marker.variable();
    command.env(name, mark).stdin(Stdio::null());
    command
}

impl Starter {
    /// A file for the workloads, in the folder of the manifest, which is also
    /// their working directory.
    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        fs::write(self.dir.path().join(name), content).expect("written");
        self
    }

    /// Another value for a flag that is set already.
    pub(crate) fn set(mut self, flag: &str, value: &str) -> Self {
        let at = self
            .args
            .iter()
            .position(|arg| arg == flag)
            .expect("it is set");
        value.clone_into(&mut self.args[at + 1]);
        self
    }

    /// Is this flag set?
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.args.iter().any(|arg| arg == flag)
    }

    /// A folder beside the manifest.
    pub(crate) fn folder(self, name: &str) -> Self {
        fs::create_dir(self.dir.path().join(name)).expect("made");
        self
    }

    /// The folder of the manifest.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A flag and its value.
    pub(crate) fn arg(mut self, flag: &str, value: &str) -> Self {
        self.args.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// A variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(self) -> Reveille {
        let mut reveille = self.spawn();
        let path = reveille.path("addresses.json");
        let file = wait_for("it is ready", || {
            if let Some(status) = reveille.child.try_wait().expect("a child") {
                panic!("it ended: {status}");
            }
            fs::read(&path).ok()
        });
        let bound: Addresses = serde_json::from_slice(&file).expect("valid JSON");
        reveille.addresses = Some(bound);
        reveille
    }

    /// Starts it and waits until it has ended by itself.
    pub(crate) fn run(self) -> Ended {
        let mut reveille = self.spawn();
        let status = reveille.wait();
        Ended {
            status,
            log: reveille.log(),
            left: reveille.marker.living(),
        }
    }

    fn spawn(self) -> Reveille {
        let marker = Marker::new();
        let log = File::create(self.dir.path().join("log")).expect("created");
        let out = log.try_clone().expect("cloned");
        let mut command = command(&marker);
        command
            .args(&self.args)
            .envs(self.env)
            .current_dir(self.dir.path())
            .stdout(out)
            .stderr(log);
        let child = command.spawn().expect("the binary runs");
        Reveille {
            child,
            marker,
            addresses: None,
            dir: self.dir,
        }
    }
}

/// A Reveille that ended by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
    /// Processes that it left behind.
    pub(crate) left: Vec<Marked>,
}

/// The addresses file: exactly these.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Addresses {
    proxy: SocketAddr,
    proxy_tls: Option<SocketAddr>,
    grpc: SocketAddr,
    admin: SocketAddr,
    otlp_grpc: Option<SocketAddr>,
    otlp_http: Option<SocketAddr>,
    opencensus: Option<SocketAddr>,
    xds: Option<SocketAddr>,
}

/// A running Reveille. When the test ends it is killed with everything that it
/// started; when the test fails, its log is shown.
#[derive(Debug)]
pub(crate) struct Reveille {
    child: Child,
    marker: Marker,
    addresses: Option<Addresses>,
    dir: TempDir,
}

impl Reveille {
    /// `reveille local` of this manifest on free ports, with windows that are
    /// short enough for a test. `server.py` lies beside the manifest.
    pub(crate) fn of(manifest: impl Into<String>) -> Starter {
        let manifest = manifest.into();
        let mut starter = Self::bare().file("test.yaml", &manifest);
        starter.args.extend(["-f", "test.yaml"].map(str::to_owned));
        starter
            .arg("--activity-window", "300ms")
            .arg("--concurrency-window", "1s")
            .arg("--hpa-sync-period", "100ms")
    }

    /// The same without a manifest.
    pub(crate) fn bare() -> Starter {
        let mut starter = Self::empty().file("server.py", include_str!("../python/server.py"));
        starter.args.push("local".to_owned());
        starter
            .arg("--addresses-file", "addresses.json")
            .arg("--proxy-addr", "127.0.0.1:0")
            .arg("--grpc-addr", "127.0.0.1:0")
            .arg("--admin-addr", "127.0.0.1:0")
    }

    /// `reveille kubernetes` for the cluster of that API server, on free ports.
    pub(crate) fn in_cluster(api: &ApiServer) -> Starter {
        Self::in_cluster_of(|folder| api.kubeconfig(folder))
    }

    /// The same for the cluster of the kubeconfig that is written into its folder.
    pub(crate) fn in_cluster_of(kubeconfig: impl FnOnce(&Path) -> PathBuf) -> Starter {
        let mut starter = Self::empty();
        let kubeconfig = kubeconfig(starter.path());
        starter.args.push("kubernetes".to_owned());
        starter
            .arg("--kubeconfig", &kubeconfig.to_string_lossy())
            .arg("--addresses-file", "addresses.json")
            .arg("--proxy-addr", "127.0.0.1:0")
            .arg("--grpc-addr", "127.0.0.1:0")
            .arg("--admin-addr", "127.0.0.1:0")
            .arg("--shutdown-delay", "0s")
            .arg("--activity-window", "300ms")
            .arg("--concurrency-window", "1s")
    }

    /// `reveille` without an argument, its ports set by variables.
    pub(crate) fn variables_only() -> Starter {
        Self::empty()
            .env("REVEILLE_ADDRESSES_FILE", "addresses.json")
            .env("REVEILLE_PROXY_ADDR", "127.0.0.1:0")
            .env("REVEILLE_GRPC_ADDR", "127.0.0.1:0")
            .env("REVEILLE_ADMIN_ADDR", "127.0.0.1:0")
    }

    fn empty() -> Starter {
        Starter {
            dir: tempfile::tempdir().expect("a folder"),
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    fn addresses(&self) -> Addresses {
        self.addresses.expect("it was waited for")
    }

    /// Where clients connect.
    pub(crate) fn proxy(&self) -> SocketAddr {
        self.addresses().proxy
    }

    /// Where clients connect with TLS.
    pub(crate) fn proxy_tls(&self) -> SocketAddr {
        self.addresses().proxy_tls.expect("certificates were given")
    }

    /// Where KEDA connects.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.addresses().grpc
    }

    /// Where OTLP comes in over gRPC and HTTP, if it does.
    pub(crate) fn otlp(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        (self.addresses().otlp_grpc, self.addresses().otlp_http)
    }

    /// Where the OpenCensus agent's protocol comes in.
    pub(crate) fn opencensus(&self) -> SocketAddr {
        self.addresses().opencensus.expect("it was asked for")
    }

    /// Where Envoys connect.
    pub(crate) fn xds(&self) -> SocketAddr {
        self.addresses().xds.expect("it was asked for")
    }

    /// Where operators connect.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.addresses().admin
    }

    /// A client of the target of that name.
    pub(crate) fn client(&self, target: &str) -> Client {
        Client::new(self.proxy(), &format!("{target}.test"))
    }

    /// Asks the admin server.
    pub(crate) fn ask(&self, path: &str) -> Answer {
        Client::new(self.admin(), "admin").get(path)
    }

    /// The value of a series of `/metrics`, by its name and labels as they are written.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let page = self.ask("/metrics").body;
        let mut lines = page.lines().filter_map(|line| line.rsplit_once(' '));
        let found = lines.find(|(known, _)| *known == series);
        found.map(|(_, value)| value.parse().expect("a number"))
    }

    /// Replicas of a workload that are wanted and ready, whether a route leads to it or not.
    pub(crate) fn replicas(&self, workload: &str) -> [f64; 2] {
        ["wanted", "ready"].map(|state| {
            let labels = format!("{{state=\"{state}\",workload=\"default/{workload}\"}}");
            let series = format!("reveille_replicas{labels}");
            self.metric(&series)
                .unwrap_or_else(|| panic!("no {series}"))
        })
    }

    /// Waits until so many replicas of a workload are wanted and ready.
    pub(crate) fn until_replicas(&self, workload: &str, count: u32) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.replicas(workload);
            if now == [f64::from(count); 2] {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain until {workload} has {count} replicas: wanted and ready are {now:?}"
            );
            std::thread::sleep(LOOK_EACH);
        }
    }

    /// All targets, in the order of the manifest.
    pub(crate) fn targets(&self) -> Vec<TargetNow> {
        let answer = self.ask("/api/v1/targets");
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.body))
    }

    /// The manifests that it serves.
    pub(crate) fn manifests(&self) -> ManifestsNow {
        let answer = self.ask("/api/v1/manifests");
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", answer.body))
    }

    /// Waits for a state of theirs.
    pub(crate) fn until_manifests(
        &self,
        what: &str,
        is_so: impl Fn(&ManifestsNow) -> bool,
    ) -> ManifestsNow {
        wait_for(what, || Some(self.manifests()).filter(|now| is_so(now)))
    }

    /// The target of that name.
    pub(crate) fn target(&self, name: &str) -> TargetNow {
        let full_name = format!("default/{name}");
        let mut targets = self.targets().into_iter();
        targets
            .find(|target| target.name == full_name)
            .unwrap_or_else(|| panic!("no target {full_name}"))
    }

    /// Waits for a state of a target.
    pub(crate) fn until(
        &self,
        target: &str,
        what: &str,
        is_so: impl Fn(&TargetNow) -> bool,
    ) -> TargetNow {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.target(target);
            if is_so(&now) {
                return now;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain until {what}: {now:#?}"
            );
            std::thread::sleep(LOOK_EACH);
        }
    }

    /// Waits until traffic may be sent to it.
    pub(crate) fn until_ready(&self) {
        wait_until("it is ready", || self.ask("/readyz").status == 200);
    }

    /// Waits until a target serves at all.
    pub(crate) fn until_warm(&self, target: &str) -> TargetNow {
        self.until(target, "it is warm", |now| now.state == "warm")
    }

    /// Waits until a target sleeps.
    pub(crate) fn until_asleep(&self, target: &str) -> TargetNow {
        self.until(target, "it sleeps", TargetNow::is_asleep)
    }

    /// Waits until so many requests are held for a target.
    pub(crate) fn until_held(&self, target: &str, held: u64) -> TargetNow {
        self.until(target, &format!("{held} are held"), |now| now.held == held)
    }

    /// A file in the working directory of the workloads.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes an empty file there, which workloads wait for.
    pub(crate) fn touch(&self, name: &str) {
        fs::write(self.path(name), "").expect("written");
    }

    /// The lines of a file there; none if there is no such file.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Everything that was logged so far.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.path("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until something is logged; gives the first line with it.
    pub(crate) fn until_logged(&self, what: &str) -> String {
        wait_for(&format!("{what:?} is logged"), || {
            let log = self.log();
            log.lines()
                .find(|line| line.contains(what))
                .map(str::to_owned)
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processes that it started, and those that they started.
    pub(crate) fn workloads(&self) -> Vec<Marked> {
        let mut living = self.marker.living();
        living.retain(|process| process.pid != self.child.id());
        living
    }

    /// Waits until exactly so many of them live.
    pub(crate) fn until_workloads(&self, count: usize) -> Vec<Marked> {
        wait_for(&format!("{count} processes live"), || {
            Some(self.workloads()).filter(|living| living.len() == count)
        })
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        processes::kill(self.child.id(), signal);
    }

    /// Kills one of its workloads.
    pub(crate) fn kill(&self, process: &Marked) {
        processes::kill(process.pid, Signal::KILL);
    }

    /// Sends SIGTERM and waits until it says that it is not ready any more.
    pub(crate) fn begin_stop(&self) {
        self.signal(Signal::TERM);
        self.until_logged("not ready any more");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        wait_for("it ends", || self.child.try_wait().expect("a child"))
    }

    /// Waits for its end with exit code 0, and that nobody is left.
    pub(crate) fn wait_for_orderly_end(&mut self) {
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{status}");
        // Killed grandchildren die in their own time.
        self.until_workloads(0);
    }

    /// Stops it in order.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        self.wait_for_orderly_end();
    }

    /// Waits until nothing listens at an address any more.
    pub(crate) fn until_closed(addr: SocketAddr) {
        wait_until("it does not listen any more", || {
            std::net::TcpStream::connect(addr).is_err()
        });
    }
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let log = fs::read(path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

impl Drop for Reveille {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the log ends with\n{}\n---", tail(&self.path("log")));
        }
        self.marker.kill_all();
        let _reaped = self.child.wait();
    }
}
