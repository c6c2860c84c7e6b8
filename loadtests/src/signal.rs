//! `loadtests signal`: from a request to KEDA, and nothing else.
//!
//! As in a cluster, where somebody else starts the processes: sleeping targets
//! without a ScaledObject, which nobody wakes. Beside `cold-start`, whose
//! Reveille also forks and probes at that moment, it tells what the signal
//! itself takes.

use crate::{
    client,
    keda::Streams,
    manifest,
    report::{Goal, Row, Table},
    reveille::{self, Reveille},
};
use anyhow::{Context as _, Result};
use std::time::Duration;

const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// Options of `signal`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Targets to ask for, each once
    #[arg(long, default_value_t = 500)]
    targets: usize,
    /// Milliseconds between one message and the next request
    #[arg(long, default_value_t = 20)]
    pause_ms: u64,
    #[command(flatten)]
    reveille: reveille::Args,
}

/// Runs the measurement and prints a table.
pub(crate) async fn run(args: Args) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let names: Vec<String> = (0..args.targets).map(|n| format!("signal-{n}")).collect();
    for name in &names {
        manifest::write_unscaled(dir.path(), name, &["sleep", "600"])?;
    }
    let reveille = Reveille::start(&args.reveille, dir.path(), None).await?;
    let measured = ask_all(&args, &names, &reveille).await;
    let log = reveille.program.log_end();
    reveille.program.stop().await.context("reveille")?;
    let told_ms = measured.with_context(|| format!("reveille's log ends:\n{log}"))?;

    let title = format!(
        "{} requests to sleeping targets, one after another; milliseconds",
        told_ms.len()
    );
    let goals = [Goal::p50(1.0), Goal::p99(5.0)];
    let row = Row::new(
        "request sent → `true` on KEDA's stream, nothing started",
        told_ms,
        &goals,
    );
    println!("{}", Table::new(title, [row]));
    Ok(())
}

/// What each took, ms.
async fn ask_all(args: &Args, names: &[String], reveille: &Reveille) -> Result<Vec<f64>> {
    let mut streams = Streams::open(reveille.addresses.grpc, names).await?;
    let mut told_ms = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let host = manifest::host(name);
        let sent = client::send(reveille.addresses.proxy, &host, "/").await?;
        let told = tokio::time::timeout(TOLD_WITHIN, streams.activated(index)).await;
        let told = told.with_context(|| format!("{name}: nothing within {TOLD_WITHIN:?}"))??;
        told_ms.push(Duration::from_nanos(told.saturating_sub(sent.at)).as_secs_f64() * 1e3);
        drop(sent);
        tokio::time::sleep(Duration::from_millis(args.pause_ms)).await;
    }
    Ok(told_ms)
}
