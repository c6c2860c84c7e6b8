//! `loadtests ingest`: what metrics cost, and how soon KEDA hears of them.
//!
//! Over OTLP/gRPC, as OpenTelemetry's SDKs send. Each part has a Reveille of
//! its own: points as fast as one connection brings them; 100,000 idle series,
//! and GetMetrics beside them; then single points that wake, to a stream of the
//! replica that is sent them and to one of another replica.

mod calls;
mod edge;
mod sender;

use crate::{
    manifest, proc,
    report::{Goal, Row, Table},
    reveille::{self, Reveille},
};
use anyhow::{Context as _, Result};
use sender::Sender;
use std::{path::Path, time::Duration};
use tokio::time::{Instant, sleep};

const POINTS_PER_CORE: f64 = 500_000.0;
const BYTES_PER_SERIES: f64 = 400.0;

/// Points in a request.
const BATCH: usize = 1_000;

/// The allocator comes to rest.
const SETTLE: Duration = Duration::from_secs(6);

/// Options of `ingest`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds of points as fast as they go
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Series that these points are of, in thousands
    #[arg(long, default_value_t = 10)]
    busy_thousands: usize,
    /// Series that are stored while KEDA asks, in thousands
    #[arg(long, default_value_t = 100)]
    idle_thousands: usize,
    /// Calls of GetMetrics per second, for ten seconds
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Metrics that wake, each once, on each of two streams
    #[arg(long, default_value_t = 200)]
    edges: usize,
    #[command(flatten)]
    reveille: reveille::Args,
}

/// Runs the measurement and prints tables.
pub(crate) async fn run(args: Args) -> Result<()> {
    let per_core = points_per_core(&args).await?;
    let (bytes, calls_ms) = idle_series(&args).await?;
    let (here_ms, there_ms) = edges(&args).await?;
    let rows = [
        Row::new("GetMetrics", calls_ms, &[Goal::p99(1.0)]),
        Row::new(
            "a point sent → `true` on KEDA's stream",
            here_ms,
            &[Goal::p99(5.0)],
        ),
        Row::new(
            "the same → a stream at another replica",
            there_ms,
            &[Goal::p99(5.0)],
        ),
    ];
    let title = format!(
        "metrics over OTLP/gRPC, {},000 series stored; milliseconds",
        args.idle_thousands
    );
    println!("{}", Table::new(title, rows));
    let verdict = |met: bool| if met { "PASS" } else { "MISS" };
    println!("| | | target |");
    println!("|---|---|---|");
    println!(
        "| points per second and core, batches of {BATCH}, {},000 series | {per_core:.0} | > \
         {POINTS_PER_CORE}: {} |",
        args.busy_thousands,
        verdict(per_core > POINTS_PER_CORE)
    );
    println!(
        "| bytes per idle series, of the process | {bytes:.0} | < {BYTES_PER_SERIES}: {} |",
        verdict(bytes < BYTES_PER_SERIES)
    );
    Ok(())
}

/// Replicas that ingest and know each other.
async fn start(args: &Args, dir: &Path, count: usize) -> Result<Vec<Reveille>> {
    let peers = dir.join("peers");
    std::fs::write(&peers, "# nobody yet\n")?;
    let mut replicas = Vec::new();
    for number in 0..count {
        let own = dir.join(number.to_string());
        std::fs::create_dir(&own)?;
        // Metrics need none, but nothing starts without a manifest.
        manifest::write_unscaled(&own, "idle", &["sleep", "600"])?;
        let started = Reveille::start_ingesting(&peers, &args.reveille, &own);
        replicas.push(started.await?);
    }
    if count > 1 {
        reveille::introduce(&peers, &replicas).await?;
    }
    Ok(replicas)
}

/// Stops them; what failed comes with the end of their logs.
async fn stop<T>(replicas: Vec<Reveille>, measured: Result<T>) -> Result<T> {
    let mut logs = String::new();
    for replica in replicas {
        logs += &replica.program.log_end();
        replica.program.stop().await.context("reveille")?;
    }
    measured.with_context(|| format!("reveille's log ends:\n{logs}"))
}

async fn sender(replica: &Reveille) -> Result<Sender> {
    let address = replica.addresses.otlp_grpc;
    Sender::connect(address.context("it does not say where metrics come in")?).await
}

/// Points per second of CPU of the whole process.
async fn points_per_core(args: &Args) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let replicas = start(args, dir.path(), 1).await?;
    let measured = async {
        let pid = replicas[0].program.pid();
        let mut sender = sender(&replicas[0]).await?;
        // The first of each series is dear, and once.
        for app in 0..args.busy_thousands {
            sender.send(app).await?;
        }
        let before = proc::tree_cpu(pid)?;
        let until = Instant::now() + Duration::from_secs(args.seconds);
        let mut points = 0.0;
        for app in (0..args.busy_thousands).cycle() {
            if Instant::now() >= until {
                break;
            }
            sender.send(app).await?;
            points += sender::POINTS;
        }
        let used = proc::tree_cpu(pid)?.since(before);
        Ok(points / (used.user + used.system))
    };
    let measured = measured.await;
    stop(replicas, measured).await
}

/// Bytes per series, and how long GetMetrics took beside them.
async fn idle_series(args: &Args) -> Result<(f64, Vec<f64>)> {
    let dir = tempfile::tempdir()?;
    let replicas = start(args, dir.path(), 1).await?;
    let measured = async {
        let pid = replicas[0].program.pid();
        let mut sender = sender(&replicas[0]).await?;
        // What the first request costs, whatever it brings.
        sender.send(0).await?;
        sleep(SETTLE).await;
        let before = proc::pss_kib(pid)?;
        for app in 0..args.idle_thousands {
            sender.send(app).await?;
        }
        sleep(SETTLE).await;
        let kib = proc::pss_kib(pid)?.saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let bytes = kib as f64 * 1024.0 / (args.idle_thousands * BATCH - BATCH) as f64;
        let calls = calls::call(replicas[0].addresses.grpc, args.rate, 10).await?;
        Ok((bytes, calls))
    };
    let measured = measured.await;
    stop(replicas, measured).await
}

/// From a point that is sent to the stream of the replica that it is sent to,
/// and to that of another one, ms.
async fn edges(args: &Args) -> Result<(Vec<f64>, Vec<f64>)> {
    let dir = tempfile::tempdir()?;
    let replicas = start(args, dir.path(), 2).await?;
    let measured = async {
        let mut sender = sender(&replicas[0]).await?;
        for app in 0..args.idle_thousands {
            sender.send(app).await?;
        }
        let here = edge::measure(&mut sender, replicas[0].addresses.grpc, "here", args.edges);
        let here = here.await?;
        let there = edge::measure(&mut sender, replicas[1].addresses.grpc, "there", args.edges);
        Ok((here, there.await?))
    };
    let measured = measured.await;
    stop(replicas, measured).await
}
