//! The examples of `deploy/examples/dapr`, each from its own files: a real Reveille, real child
//! processes, and the sidecars that `local/sidecars.py` plays.
//!
//! The examples take seconds by themselves (windows, cooldowns), and most of that is waiting: they
//! run beside each other in one test.

mod collector;
mod sidecars;

use crate::support::{Reveille, Starter};
use collector::Collector;
use sidecars::Sidecars;
use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
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
        // A call now, and the next one when the test is over.
        sidecars.calls(1, 0.01);
        self.until(&reveille, by, 1);
        let made = sidecars.state().made;
        assert!(made <= 1, "{}: {made} calls to wake it", self.folder);
        sidecars.calls(4, 1.0);
        self.until(&reveille, by, 2);
        self.restore(&reveille);
        self.until(&reveille, by, 4);
        let now = sidecars.state();
        assert_eq!(now.failed > 0, self.loses, "{}: {now:?}", self.folder);
        assert!(now.served > 0, "{}: {now:?}", self.folder);
        sidecars.calls(4, 0.0);
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

#[test]
fn each_example_wakes_scales_with_its_callers_and_sleeps() {
    thread::scope(|scope| {
        for example in &EXAMPLES {
            scope.spawn(move || example.run(By::Scrape));
        }
        let meter = EXAMPLES.iter().find(|it| it.folder == "demand-meter");
        let meter = meter.expect("it is there");
        scope.spawn(move || meter.run(By::Otlp));
    });
}
