//! `loadtests compare`: what a request and an idle connection cost, beside
//! other proxies.
//!
//! One worker each; the proxy alone on one core, backend and load on another;
//! rounds interleaved in rotated order, so that a slow minute hits all alike.
//! CPU is the figure to trust; requests per second and latencies are noisy.
//! Interrupted, it reports what it has. With two files it compares runs instead.
//!
//! A new peer is a file in `peers/` and a variant in `peer.rs`; a new load is
//! a variant in `case.rs`.

mod case;
mod check;
mod files;
mod h2load;
mod idle;
pub(crate) mod lab;
pub(crate) mod origin;
mod peer;
pub(crate) mod peers;
mod plot;
mod results;
mod schedule;
mod table;
pub(crate) mod wrk;

use crate::{fd_limit, figure::Figure, interrupt, program};
use anyhow::{Context as _, Result, bail, ensure};
use case::Case;
use clap::ValueEnum as _;
use lab::Lab;
use origin::Origin;
use peer::Peer;
use results::Results;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Most idle connections, twice, and some room.
const OPEN_FILES: u64 = 16_384;
/// Of the open loop, per second.
const RATE: u32 = 8_000;
/// About how long the quick comparison takes.
pub(crate) const QUICK_TAKES: Duration = Duration::from_secs(130);

/// Options of `compare`.
#[derive(Clone, clap::Args)]
pub(crate) struct Args {
    /// Two files, before and after, that `report` or `compare` wrote: compares
    /// these, and measures nothing
    #[arg(num_args = 2, value_names = ["A.json", "B.json"])]
    files: Vec<PathBuf>,
    /// Rounds; each measures every peer once. Default: 3, with --quick 2
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of load per measurement. Default: 4, with --quick 1
    #[arg(long)]
    seconds: Option<u64>,
    /// Two minutes in place of ten: says whether everything works, and little more
    #[arg(long)]
    quick: bool,
    /// nginx a second time, measured against the first: how much is noise
    #[arg(long)]
    a_a: bool,
    /// What to measure, in this order first
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "nginx,haproxy,envoy,hyper,reveille"
    )]
    peers: Vec<Peer>,
    /// Which loads
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "get-64,get-256,post,open-loop,h2c,connect,idle-1000,idle-5000"
    )]
    cases: Vec<Case>,
    /// Requests per second of the open loop
    #[arg(long, default_value_t = RATE)]
    rate: u32,
    /// The proxy's core; backend and load share the other one
    #[arg(long, default_value_t = 0)]
    proxy_core: usize,
    /// The core of backend and load
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// The Envoy binary. Default: `envoy` on PATH
    #[arg(long, env = "ENVOY")]
    envoy: Option<PathBuf>,
    /// Directory for compare.json, compare.md and compare.svg
    #[arg(long, default_value = "target/compare")]
    dir: PathBuf,
    #[command(flatten)]
    reveille: crate::reveille::Args,
}

impl Args {
    /// The quick comparison, and anything else as it is by default.
    pub(crate) fn quick(envoy: Option<PathBuf>, reveille: crate::reveille::Args) -> Self {
        Self {
            files: Vec::new(),
            rounds: None,
            seconds: None,
            quick: true,
            a_a: false,
            peers: Peer::ALL.to_vec(),
            cases: Case::value_variants().to_vec(),
            rate: RATE,
            proxy_core: 0,
            load_core: 1,
            envoy: envoy.or_else(|| program::find("envoy")),
            dir: PathBuf::new(),
            reveille,
        }
    }

    /// Peers and loads that cannot be measured here, and why.
    pub(crate) fn left_out(&self) -> Vec<String> {
        let peers = self.peers.iter();
        let peers =
            peers.filter_map(|peer| Some(format!("{}: {}", peer.name(), peer.missing(self)?)));
        let cases = self.cases.iter();
        let cases = cases.filter_map(|case| Some(format!("{}: {}", case.name(), case.missing()?)));
        peers.chain(cases).collect()
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { 3 })
    }

    fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.quick { 1 } else { 4 })
    }
}

/// Runs the measurement, prints tables, writes them, the figures and a plot.
pub(crate) async fn run(mut args: Args) -> Result<()> {
    if let [before, after] = args.files.as_slice() {
        return files::run(before, after);
    }
    if args.envoy.is_none() {
        args.envoy = program::find("envoy");
    }
    for one in args.left_out() {
        println!("skipped {one}");
    }
    let mut measured = Measured::default();
    let interrupted = tokio::select! {
        done = measure(args.clone(), &mut measured) => {
            done?;
            false
        }
        told = interrupt::told() => {
            eprintln!("{}: reporting what there is", told?);
            true
        }
    };
    let results = measured
        .0
        .context("interrupted before anything was measured")?;
    let text = table::markdown(&results);
    println!("{text}");
    write(&args.dir, &results)?;
    println!(
        "written to {}: compare.md, compare.json, compare.svg",
        args.dir.display()
    );
    ensure!(!interrupted, "interrupted");
    ensure!(
        results.failures.is_empty(),
        "{} measurements failed, see above",
        results.failures.len()
    );
    Ok(())
}

/// What was measured so far.
#[derive(Default)]
pub(crate) struct Measured(Option<Results>);

impl Measured {
    /// For other reports: the overview as Markdown, figures, and what failed.
    pub(crate) fn overview(&self) -> Option<(String, Vec<Figure>, &[String])> {
        let results = self.0.as_ref()?;
        Some((
            table::overview(results),
            results.figures(),
            &results.failures,
        ))
    }

    /// Writes compare.md, compare.json and compare.svg.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        self.0
            .as_ref()
            .map_or(Ok(()), |results| write(dir, results))
    }
}

/// Measures, and adds to `measured` as it goes. Cancel safe: dropped, what it
/// started is stopped.
///
/// # Errors
/// Nothing can be measured here. What fails later is noted.
pub(crate) async fn measure(args: Args, measured: &mut Measured) -> Result<()> {
    let (peers, cases) = what_can_run(&args)?;
    fd_limit::raise(OPEN_FILES)?;
    let temp = tempfile::tempdir()?;
    let origin = Origin::start(temp.path(), args.load_core).await?;
    let lab = Lab {
        dir: temp.path().to_owned(),
        origin: origin.address,
        args: &args,
    };
    let results = measured.0.insert(Results::new(&lab, &peers).await);
    schedule::run(&lab, &peers, &cases, results).await;
    origin.stop().await
}

/// Why nothing can be compared here, and what to do about it.
pub(crate) fn impossible() -> Option<String> {
    let lacking: Vec<&str> = [("taskset", "util-linux"), ("nginx", "nginx")]
        .into_iter()
        .filter(|(name, _)| program::find(name).is_none())
        .map(|(_, package)| package)
        .collect();
    let lacking = lacking.join(" ");
    (!lacking.is_empty())
        .then(|| format!("nothing can be compared without {lacking}: `apt-get install {lacking}`"))
}

/// The peers and loads that can be measured here.
fn what_can_run(args: &Args) -> Result<(Vec<Peer>, Vec<Case>)> {
    if let Some(why) = impossible() {
        bail!("{why}");
    }
    let mut peers = args.peers.clone();
    if args.a_a {
        peers.push(Peer::NginxAgain);
    }
    peers.retain(|peer| peer.missing(args).is_none());
    let mut cases = args.cases.clone();
    if args.quick {
        cases.retain(|case| *case != Case::Idle5000);
    }
    cases.retain(|case| case.missing().is_none());
    ensure!(!peers.is_empty() && !cases.is_empty(), "nothing to measure");
    Ok((peers, cases))
}

fn write(dir: &Path, results: &Results) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("--dir {}", dir.display()))?;
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    write("compare.md", &table::markdown(results))?;
    write("compare.json", &serde_json::to_string_pretty(results)?)?;
    write("compare.svg", &plot::svg(results))
}
