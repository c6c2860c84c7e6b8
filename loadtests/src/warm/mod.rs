//! `loadtests warm`: CPU per 100,000 warm requests, beside other proxies.
//!
//! One worker each; the proxy alone on one core, backend and load on another;
//! rounds interleaved in rotated order, so that a slow minute hits all alike.
//! CPU is the figure to trust; requests per second and latencies are noisy.
//!
//! A new peer is a file beside `nginx.rs` and a variant in `peer.rs`.

mod nginx;
mod origin;
mod peer;
mod reveille;
mod summary;
mod wrk;

use crate::{proc, program};
use anyhow::{Context as _, Result, bail, ensure};
use origin::Origin;
use peer::{Peer, Running};
use serde::Serialize;
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use summary::Summary;

/// Requests before the measured ones: connections and caches become warm.
const WARM_UP: Duration = Duration::from_secs(2);

/// Options of `warm`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Rounds; each measures every peer once
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of load per measurement
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections of the load, all busy
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// What to measure, in this order first
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "nginx,reveille"
    )]
    peers: Vec<Peer>,
    /// The proxy's core; backend and load share the other one
    #[arg(long, default_value_t = 0)]
    proxy_core: usize,
    /// The core of backend and load
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Write every measurement to this file
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    reveille: crate::reveille::Args,
}

/// What a peer needs to be started.
struct Lab<'a> {
    dir: PathBuf,
    origin: SocketAddr,
    core: usize,
    reveille: &'a crate::reveille::Args,
}

/// One peer in one round.
#[derive(Clone, Copy, Debug, Serialize)]
struct Measurement {
    round: usize,
    peer: Peer,
    requests: u64,
    requests_per_second: f64,
    /// CPU seconds per 100,000 requests.
    user: f64,
    system: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Measurement {
    /// CPU seconds per 100,000 requests.
    fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// Runs the measurement and prints a table.
pub(crate) async fn run(args: Args) -> Result<()> {
    let missing: Vec<&str> = ["taskset", "nginx", "wrk"]
        .into_iter()
        .filter(|name| !program::is_installed(name))
        .collect();
    if !missing.is_empty() {
        println!("skipped: not installed: {}", missing.join(", "));
        return Ok(());
    }
    let mut peers = Vec::new();
    for peer in &args.peers {
        match peer.missing(&args.reveille) {
            Some(why) => println!("skipped {}: {why}", peer.name()),
            None => peers.push(*peer),
        }
    }
    ensure!(!peers.is_empty(), "nothing to measure");

    let dir = tempfile::tempdir()?;
    let origin = Origin::start(dir.path(), args.load_core).await?;
    let measured = measure_all(&args, &peers, dir.path(), origin.address).await;
    origin.stop().await?;
    let measurements = measured?;

    println!("{}", Summary::new(&peers, &measurements, args.connections));
    if let Some(out) = &args.out {
        std::fs::write(out, serde_json::to_string_pretty(&measurements)?)?;
    }
    Ok(())
}

async fn measure_all(
    args: &Args,
    peers: &[Peer],
    dir: &std::path::Path,
    origin: SocketAddr,
) -> Result<Vec<Measurement>> {
    let mut measurements = Vec::new();
    for round in 0..args.rounds {
        let first = round % peers.len();
        for (n, peer) in peers
            .iter()
            .cycle()
            .skip(first)
            .take(peers.len())
            .enumerate()
        {
            let lab = Lab {
                dir: dir.join(format!("{round}-{n}-{}", peer.name())),
                origin,
                core: args.proxy_core,
                reveille: &args.reveille,
            };
            std::fs::create_dir_all(&lab.dir)?;
            let mut running = peer.start(&lab).await.context(peer.name())?;
            let measured = measure(args, &mut running).await;
            let log = running.program.log_end();
            running.program.stop().await.context(peer.name())?;
            let (load, cpu) =
                measured.with_context(|| format!("{}, whose log ends:\n{log}", peer.name()))?;
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let per = 100_000.0 / load.requests as f64;
            let measurement = Measurement {
                round,
                peer: *peer,
                requests: load.requests,
                requests_per_second: load.requests_per_second,
                user: cpu.user * per,
                system: cpu.system * per,
                p50_ms: load.p50_ms,
                p99_ms: load.p99_ms,
            };
            eprintln!(
                "round {round} {}: {:.2} CPU s per 100,000",
                peer.name(),
                measurement.cpu()
            );
            measurements.push(measurement);
        }
    }
    Ok(measurements)
}

async fn measure(args: &Args, running: &mut Running) -> Result<(wrk::Load, proc::Cpu)> {
    origin::check_through(running.address, &running.host).await?;
    let pid = running.program.pid();
    let load = |time| {
        wrk::run(
            args.load_core,
            running.address,
            &running.host,
            args.connections,
            time,
        )
    };
    load(WARM_UP).await?;
    let before = proc::tree_cpu(pid)?;
    let done = load(Duration::from_secs(args.seconds)).await?;
    let cpu = proc::tree_cpu(pid)?.since(before);
    running.program.check_alive()?;
    if done.errors > 0 {
        bail!("{} of {} requests failed", done.errors, done.requests);
    }
    Ok((done, cpu))
}
