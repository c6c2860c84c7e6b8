//! `loadtests compare`: what a request and an idle connection cost, beside
//! other proxies.
//!
//! One worker each; the proxy alone on one core, backend and load on another;
//! rounds interleaved in rotated order, so that a slow minute hits all alike.
//! CPU is the figure to trust; requests per second and latencies are noisy.
//! Interrupted, it reports what it has.
//!
//! A new peer is a file in `peers/` and a variant in `peer.rs`; a new load is
//! a variant in `case.rs`.

mod case;
mod check;
mod diff;
mod h2load;
mod idle;
mod lab;
mod origin;
mod peer;
mod peers;
mod plot;
mod results;
mod schedule;
mod table;
mod wrk;

use crate::{fd_limit, interrupt, program};
use anyhow::{Context as _, Result, bail, ensure};
use case::Case;
use lab::Lab;
use origin::Origin;
use peer::Peer;
use results::Results;
use std::path::PathBuf;

pub(crate) use diff::{Args as DiffArgs, run as diff};

/// Most idle connections, twice, and some room.
const OPEN_FILES: u64 = 16_384;

/// Options of `compare`.
#[derive(clap::Args)]
pub(crate) struct Args {
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
    #[arg(long, default_value_t = 8_000)]
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
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 2 } else { 3 })
    }

    fn seconds(&self) -> u64 {
        self.seconds.unwrap_or(if self.quick { 1 } else { 4 })
    }
}

/// Runs the measurement, prints tables, writes them, the figures and a plot.
pub(crate) async fn run(mut args: Args) -> Result<()> {
    let (peers, cases) = what_can_run(&mut args)?;
    fd_limit::raise(OPEN_FILES)?;
    let temp = tempfile::tempdir()?;
    let origin = Origin::start(temp.path(), args.load_core).await?;
    let lab = Lab {
        dir: temp.path().to_owned(),
        origin: origin.address,
        args: &args,
    };
    let mut results = Results::new(&lab, &peers).await;
    let interrupted = tokio::select! {
        () = schedule::run(&lab, &peers, &cases, &mut results) => false,
        told = interrupt::told() => {
            eprintln!("{}: reporting what there is", told?);
            true
        }
    };
    let stopped = origin.stop().await;

    report(&args, &results)?;
    stopped?;
    ensure!(!interrupted, "interrupted");
    ensure!(
        results.failures.is_empty(),
        "{} measurements failed, see above",
        results.failures.len()
    );
    Ok(())
}

/// The peers and loads that can be measured here; says what is left out.
fn what_can_run(args: &mut Args) -> Result<(Vec<Peer>, Vec<Case>)> {
    if args.envoy.is_none() {
        args.envoy = program::find("envoy");
    }
    let lacking: Vec<&str> = [("taskset", "util-linux"), ("nginx", "nginx")]
        .into_iter()
        .filter(|(name, _)| program::find(name).is_none())
        .map(|(_, package)| package)
        .collect();
    if !lacking.is_empty() {
        bail!(
            "nothing can be compared without {0}: `apt-get install {0}`",
            lacking.join(" ")
        );
    }
    let mut peers = args.peers.clone();
    if args.a_a {
        peers.push(Peer::NginxAgain);
    }
    peers.retain(|peer| {
        let missing = peer.missing(args);
        if let Some(why) = &missing {
            println!("skipped {}: {why}", peer.name());
        }
        missing.is_none()
    });
    let mut cases = args.cases.clone();
    if args.quick {
        cases.retain(|case| *case != Case::Idle5000);
    }
    cases.retain(|case| {
        let missing = case.missing();
        if let Some(why) = &missing {
            println!("skipped {}: {why}", case.name());
        }
        missing.is_none()
    });
    ensure!(!peers.is_empty() && !cases.is_empty(), "nothing to measure");
    Ok((peers, cases))
}

fn report(args: &Args, results: &Results) -> Result<()> {
    let text = table::markdown(results);
    println!("{text}");
    let dir = &args.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("--dir {}", dir.display()))?;
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    write("compare.md", &text)?;
    write("compare.json", &serde_json::to_string_pretty(results)?)?;
    write("compare.svg", &plot::svg(results))?;
    println!(
        "written to {}: compare.md, compare.json, compare.svg",
        dir.display()
    );
    Ok(())
}
