//! `loadtests held`: what a held request costs in memory.
//!
//! Requests to targets whose processes never listen. Each has its own
//! connection, as the worst case has.

use crate::{
    client::{self, Sent},
    fd_limit, manifest, proc,
    reveille::{self, Reveille},
};
use anyhow::{Context as _, Result, ensure};
use std::time::Duration;

/// Reveille's default bound per target.
const MOST_PER_TARGET: usize = 1_000;
/// The goal of the data plane, KiB of each.
const TARGET_KIB: f64 = 16.0;
const SETTLE: Duration = Duration::from_secs(2);

/// Options of `held`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Requests to hold at once
    #[arg(long, default_value_t = 10_000)]
    count: usize,
    #[command(flatten)]
    reveille: reveille::Args,
}

/// Runs the measurement and prints a table.
pub(crate) async fn run(args: Args) -> Result<()> {
    // One descriptor per request in each process.
    fd_limit::raise(u64::try_from(args.count)? + 1_000)?;
    let dir = tempfile::tempdir()?;
    let targets = args.count.div_ceil(MOST_PER_TARGET);
    let names: Vec<String> = (0..targets).map(|n| format!("never-{n}")).collect();
    for name in &names {
        manifest::write_sleeping(dir.path(), name, &["sleep", "600"])?;
    }
    let reveille = Reveille::start(&args.reveille, dir.path(), None).await?;
    let measured = measure(&args, &names, &reveille).await;
    let log = reveille.program.log_end();
    reveille.program.stop().await.context("reveille")?;
    measured.with_context(|| format!("reveille's log ends:\n{log}"))
}

async fn measure(args: &Args, names: &[String], reveille: &Reveille) -> Result<()> {
    let pid = reveille.program.pid();
    tokio::time::sleep(SETTLE).await;
    let before = proc::pss_kib(pid)?;
    let mut held: Vec<Sent> = Vec::with_capacity(args.count);
    for (n, name) in names.iter().cycle().take(args.count).enumerate() {
        let sent = client::send(reveille.addresses.proxy, &manifest::host(name), "/").await;
        held.push(sent.with_context(|| format!("request {n}"))?);
    }
    tokio::time::sleep(SETTLE).await;
    let waiting = held.iter().filter(|sent| sent.is_waiting()).count();
    let during = proc::pss_kib(pid)?;
    drop(held);
    tokio::time::sleep(SETTLE).await;
    let after = proc::pss_kib(pid)?;

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = during.saturating_sub(before) as f64 / args.count as f64;
    let verdict = if each < TARGET_KIB { "PASS" } else { "MISS" };
    println!("| held | before KiB | held KiB | 2 s after KiB | KiB per held request | target |");
    println!("|---|---|---|---|---|---|");
    println!(
        "| {waiting} | {before} | {during} | {after} | {each:.1} | < {TARGET_KIB:.1}: {verdict} |"
    );
    ensure!(
        waiting == args.count,
        "{} of {} requests were not held",
        args.count - waiting,
        args.count
    );
    Ok(())
}
