//! The examples of `deploy/examples/dapr`, each from its own files: a real Reveille, real child
//! processes, and the sidecars that `local/sidecars.py` plays.
//!
//! The examples take seconds by themselves (windows, cooldowns), and most of that is waiting: they
//! run beside each other in one test.

use crate::{
    ingest::post,
    support::{Client, Reveille, Starter},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// What of the examples a run takes.
struct Example {
    folder: &'static str,
    /// What the sidecars are told about the policies of the example.
    sidecars: &'static [&'static str],
    /// Replicas while nobody calls.
    idle: u32,
    /// Whether the calls are lost that wake it.
    loses: bool,
}

/// Longer than a window, a cooldown and a poll of the examples together, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EACH: Duration = Duration::from_millis(100);
/// How often the collector fetches pages.
const COLLECT_EACH: Duration = Duration::from_millis(500);

const EXAMPLES: [Example; 6] = [
    Example {
        folder: "invocation-rate",
        sidecars: &[],
        // Who counts the calls must be there to count the first one.
        idle: 1,
        loses: false,
    },
    Example {
        folder: "failing-calls",
        sidecars: &[],
        idle: 0,
        loses: true,
    },
    Example {
        folder: "resiliency-activations",
        sidecars: &["--retry"],
        idle: 0,
        loses: false,
    },
    Example {
        folder: "demand-meter",
        sidecars: &["--meter"],
        idle: 0,
        loses: true,
    },
    Example {
        folder: "callers-sent",
        sidecars: &["--meter"],
        idle: 0,
        loses: true,
    },
    Example {
        folder: "held-calls",
        sidecars: &["--proxy"],
        idle: 0,
        loses: false,
    },
];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/dapr")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = examples().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// How the sidecars' metrics come to Reveille.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// It fetches them itself.
    Scrape,
    /// A collector does, and sends them over OTLP.
    Otlp,
}

impl Example {
    /// The manifests of the example, by their names.
    fn manifests(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(examples().join(self.folder)).expect("a folder");
        let one = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().expect("a name");
            (name, read(entry.path()))
        };
        entries.map(|entry| one(entry.expect("an entry"))).collect()
    }

    /// `reveille local` of the example, edited so that two callers share a replica, and of
    /// `local/nodeapp.yaml`.
    fn starter(&self, by: By) -> Starter {
        let nodeapp = read("local/nodeapp.yaml");
        let (process, _) = nodeapp.split_once("---\n").expect("two documents");
        let local = match by {
            By::Scrape => &nodeapp,
            By::Otlp => process,
        };
        let mut starter = Reveille::bare()
            .folder("example")
            .folder("local")
            .file("local/nodeapp.yaml", local)
            .arg("-f", "example")
            .arg("-f", "local/nodeapp.yaml")
            .arg("--otlp-http-addr", "127.0.0.1:0")
            .arg("--activity-window", "1s")
            .arg("--manifest-reload-interval", "100ms");
        for (name, text) in self.manifests() {
            starter = starter.file(&format!("example/{name}"), &shared(&text));
        }
        starter
    }

    /// From now on the manifests are those of the repository, letter by letter.
    fn restore(&self, reveille: &Reveille) {
        for (name, text) in self.manifests() {
            let file = reveille.path(&format!("example/{name}"));
            let partial = file.with_extension("partial");
            fs::write(&partial, text).expect("written");
            fs::rename(&partial, &file).expect("renamed");
        }
    }

    /// Waits until nodeapp has so many replicas.
    fn until(&self, reveille: &Reveille, by: By, count: u32) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = reveille.replicas("nodeapp");
            if now == [f64::from(count); 2] {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{} by {by:?}: waited in vain for {count} replicas, wanted and ready are {now:?}\n{}",
                self.folder,
                reveille.log()
            );
            thread::sleep(LOOK_EACH);
        }
    }

    /// Nobody calls; then one does, then four do, and in the end nobody again.
    fn run(&self, by: By) {
        let reveille = self.starter(by).start();
        let proxy = reveille.proxy().to_string();
        let mut arguments: Vec<&str> = self.sidecars.to_vec();
        if self.sidecars == ["--proxy"] {
            arguments.push(&proxy);
        }
        let targets = reveille.path("local/targets.txt");
        let sidecars = Sidecars::start(reveille.admin(), &targets, &arguments);
        let collector = (by == By::Otlp).then(|| {
            let (_, otlp) = reveille.otlp();
            Collector::start(targets, otlp.expect("it was asked for"))
        });

        self.until(&reveille, by, self.idle);
        sidecars.calls(1, 1);
        self.until(&reveille, by, 1);
        sidecars.calls(4, 1);
        self.until(&reveille, by, 2);
        self.restore(&reveille);
        self.until(&reveille, by, 4);
        let now = sidecars.state();
        assert_eq!(now.failed > 0, self.loses, "{}: {now:?}", self.folder);
        assert!(now.served > 0, "{}: {now:?}", self.folder);
        sidecars.calls(4, 0);
        self.until(&reveille, by, self.idle);
        drop(collector);
        reveille.stop();
    }
}

/// An example as its README edits it: a replica is good for two callers. Other documents are as
/// they were.
fn shared(text: &str) -> String {
    text.replacen("targetValue: \"1\"", "targetValue: \"2\"", 1)
        .replacen("{targetValue: 1,", "{targetValue: 2,", 1)
}

/// What `sidecars.py` says of its calls, as far as it matters.
#[derive(Debug, Deserialize)]
struct State {
    served: u64,
    failed: u64,
}

/// A running `sidecars.py`, which ends with the test.
struct Sidecars {
    child: Child,
    control: SocketAddr,
}

impl Sidecars {
    fn start(admin: SocketAddr, targets: &Path, more: &[&str]) -> Self {
        let mut child = Command::new("python3")
            .arg("-B")
            .arg(examples().join("local/sidecars.py"))
            .args(["--control", "127.0.0.1:0", "--rate", "0"])
            .args(["--admin", &admin.to_string(), "--targets"])
            .arg(targets)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let mut line = String::new();
        let output = child.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let control = line.trim().strip_prefix("control: http://");
        let control = control.and_then(|rest| rest.strip_suffix('/')?.parse().ok());
        Self {
            child,
            control: control.unwrap_or_else(|| panic!("no address: {line:?}")),
        }
    }

    /// From now on there are so many callers with so many calls a second each.
    fn calls(&self, callers: u32, rate: u32) {
        let path = format!("/?callers={callers}&rate={rate}");
        let answer = Client::new(self.control, "sidecars")
            .begin("POST", &path)
            .answer();
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn state(&self) -> State {
        let answer = Client::new(self.control, "sidecars").get("/");
        serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"))
    }
}

impl Drop for Sidecars {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A collector: fetches the pages of all sidecars and sends them on over OTLP, under Dapr's own
/// names. It ends with the test.
struct Collector {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    fn start(targets: PathBuf, otlp: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let addresses = fs::read_to_string(&targets).unwrap_or_default();
                for address in addresses.lines() {
                    // It may be gone already.
                    let Ok(page) = page(address.parse().expect("an address")) else {
                        continue;
                    };
                    let answer = post(otlp, &otlp_json(address, &page));
                    assert_eq!((answer.status, &*answer.body), (200, "{}"));
                }
                thread::sleep(COLLECT_EACH);
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(
            thread::panicking() || matches!(ended, Some(Ok(()))),
            "the collector failed"
        );
    }
}

fn page(sidecar: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(sidecar)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: sidecar\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, page) = answer
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(page.to_owned())
}

/// The counters of a page as cumulative sums.
fn otlp_json(instance: &str, page: &str) -> String {
    let nanos = |seconds: f64| ((seconds * 1e9) as u64).to_string();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = nanos(now.expect("after 1970").as_secs_f64());
    let started = page
        .lines()
        .find_map(|line| line.strip_prefix("process_start_time_seconds "));
    let started: f64 = started.and_then(|text| text.parse().ok()).expect("a start");
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let sums = page.lines().filter_map(|line| {
        let (row, value) = line.strip_prefix("dapr_")?.rsplit_once(' ')?;
        let (name, labels) = row.strip_suffix('}')?.split_once('{')?;
        // No value of these pages has a comma or a quotation mark in it.
        let labels = labels.split(',').filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some(text(key, value.trim_matches('"')))
        });
        Some(json!({
            "name": name,
            "sum": {"isMonotonic": true, "aggregationTemporality": 2, "dataPoints": [{
                "attributes": labels.collect::<Vec<Value>>(),
                "startTimeUnixNano": nanos(started),
                "timeUnixNano": now,
                "asDouble": value.parse::<f64>().expect("a number"),
            }]},
        }))
    });
    json!({"resourceMetrics": [{
        "resource": {"attributes": [text("service.instance.id", instance)]},
        "scopeMetrics": [{"metrics": sums.collect::<Vec<Value>>()}],
    }]})
    .to_string()
}

#[test]
fn each_example_wakes_scales_with_its_callers_and_sleeps() {
    thread::scope(|scope| {
        for example in &EXAMPLES {
            scope.spawn(move || example.run(By::Otlp));
        }
        let meter = EXAMPLES.iter().find(|it| it.folder == "demand-meter");
        let meter = meter.expect("it is there");
        scope.spawn(move || meter.run(By::Otlp));
    });
}
