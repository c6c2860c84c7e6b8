//! `loadtests keda-scale`: what thousands of ScaledObjects cost the scaler.
//!
//! As KEDA would: all of them on one HTTP/2 connection, two streams each, and
//! the calls of polls and HPA reads beside them. Then many targets are asked
//! for at once. Targets sleep and nobody wakes them, so nothing but the signal
//! is measured.

mod calls;
mod wake;

use crate::{
    fd_limit, keda, manifest, proc,
    report::{Goal, Row, Table},
    reveille::{self, Reveille},
};
use anyhow::{Context as _, Result, ensure};
use std::time::Duration;
use tokio::time::Instant;

const LESS_THAN_A_CORE: f64 = 10.0;
const LESS_THAN_KIB: f64 = 4.0;
/// Allocators and windows come to rest.
const SETTLE: Duration = Duration::from_secs(6);

/// Options of `keda-scale`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// ScaledObjects, with two streams each
    #[arg(long, default_value_t = 2_000)]
    objects: usize,
    /// Calls per second, on the connection of the streams
    #[arg(long, default_value_t = 600)]
    rate: u32,
    /// Seconds of calls
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Targets that are asked for at once
    #[arg(long, default_value_t = 1_000)]
    wake: usize,
    #[command(flatten)]
    reveille: reveille::Args,
}

/// What was measured.
struct Measured {
    /// PSS in KiB: routes alone, with all streams, after the calls.
    routes_kib: u64,
    streams_kib: u64,
    calls_kib: u64,
    /// Percent of a core: with streams alone, and under the calls.
    idle_cpu: f64,
    calls_cpu: f64,
    calls: calls::Answers,
    wake: wake::Told,
}

/// Runs the measurement and prints tables.
pub(crate) async fn run(args: Args) -> Result<()> {
    ensure!(args.wake <= args.objects, "more to wake than objects");
    // One descriptor per request in each process.
    fd_limit::raise(u64::try_from(args.wake)? + 1_000)?;
    let one_kib = pss_with_one_route(&args).await?;
    let dir = tempfile::tempdir()?;
    let names = manifest::names("scale", args.objects);
    for name in &names {
        manifest::write_unscaled(dir.path(), name, &["sleep", "600"])?;
    }
    let reveille = Reveille::start(&args.reveille, dir.path(), None).await?;
    let measured = measure(&args, &names, &reveille).await;
    let log = reveille.program.log_end();
    reveille.program.stop().await.context("reveille")?;
    let measured = measured.with_context(|| format!("reveille's log ends:\n{log}"))?;
    print(&args, one_kib, measured);
    Ok(())
}

/// The memory of a Reveille that has nearly nothing to do, KiB.
async fn pss_with_one_route(args: &Args) -> Result<u64> {
    let dir = tempfile::tempdir()?;
    manifest::write_unscaled(dir.path(), "alone", &["sleep", "600"])?;
    let reveille = Reveille::start(&args.reveille, dir.path(), None).await?;
    tokio::time::sleep(SETTLE).await;
    let kib = proc::pss_kib(reveille.program.pid());
    reveille.program.stop().await.context("reveille")?;
    kib
}

async fn measure(args: &Args, names: &[String], reveille: &Reveille) -> Result<Measured> {
    let pid = reveille.program.pid();
    tokio::time::sleep(SETTLE).await;
    let routes_kib = proc::pss_kib(pid)?;
    let mut client = keda::connect(reveille.addresses.grpc).await?;
    let mut streams = keda::Streams::open_on(&mut client, names).await?;
    let _specs = keda::open_spec_streams(&mut client, names).await?;
    let (idle_cpu, ()) = cpu(pid, async {
        tokio::time::sleep(SETTLE).await;
        Ok(())
    })
    .await?;
    let streams_kib = proc::pss_kib(pid)?;
    let calling = calls::call(&client, names, args.rate, args.seconds);
    let (calls_cpu, calls) = cpu(pid, calling).await?;
    let calls_kib = proc::pss_kib(pid)?;
    let to_wake = names.get(..args.wake).context("checked above")?;
    let wake = wake::wake(reveille.addresses.proxy, to_wake, &mut streams).await?;
    Ok(Measured {
        routes_kib,
        streams_kib,
        calls_kib,
        idle_cpu,
        calls_cpu,
        calls,
        wake,
    })
}

/// What the process used meanwhile, in percent of a core.
async fn cpu<T>(pid: u32, during: impl Future<Output = Result<T>>) -> Result<(f64, T)> {
    let (before, started) = (proc::tree_cpu(pid)?, Instant::now());
    let result = during.await?;
    let used = proc::tree_cpu(pid)?.since(before);
    let percent = 100.0 * (used.user + used.system) / started.elapsed().as_secs_f64();
    Ok((percent, result))
}

fn print(args: &Args, one_kib: u64, measured: Measured) {
    let title = format!(
        "{} ScaledObjects with two streams each, {} calls/s for {} s on their connection, then \
         {} targets asked for at once; milliseconds",
        args.objects, args.rate, args.seconds, args.wake
    );
    let calls::Answers {
        specs_ms,
        metrics_ms,
        active_ms,
    } = measured.calls;
    let rows = [
        Row::new("GetMetrics", metrics_ms, &[Goal::p99(1.0)]),
        Row::new("IsActive", active_ms, &[]),
        Row::new("GetMetricSpec", specs_ms, &[]),
        Row::new(
            "a request → `true` on its stream",
            measured.wake.each_ms,
            &[Goal::max(50.0)],
        ),
        Row::new(
            "the first request → the last stream told",
            [measured.wake.all_ms],
            &[Goal::max(50.0)],
        ),
        Row::new(
            "sending these requests took",
            [measured.wake.sending_ms],
            &[],
        ),
    ];
    println!("{}", Table::new(title, rows));

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = |kib: u64, less: u64| kib.saturating_sub(less) as f64 / args.objects as f64;
    let verdict = |value: f64, below: f64| if value < below { "PASS" } else { "MISS" };
    let streams = each(measured.calls_kib, measured.routes_kib);
    println!("| | | target |");
    println!("|---|---|---|");
    println!(
        "| CPU under the calls, % of a core | {:.1} | < {LESS_THAN_A_CORE}: {} |",
        measured.calls_cpu,
        verdict(measured.calls_cpu, LESS_THAN_A_CORE)
    );
    println!("| CPU with streams alone | {:.1} | |", measured.idle_cpu);
    println!(
        "| memory per object: with streams and calls, less routes alone, KiB | {streams:.2} | < \
         {LESS_THAN_KIB}: {} |",
        verdict(streams, LESS_THAN_KIB)
    );
    println!(
        "| the same before the calls | {:.2} | |",
        each(measured.streams_kib, measured.routes_kib)
    );
    println!(
        "| memory per route with target and process pool | {:.2} | |",
        each(measured.routes_kib, one_kib)
    );
}
