//! `loadtests signal`: from a request to KEDA, and nothing else.
//!
//! As in a cluster, where somebody else starts the processes: sleeping targets
//! without a ScaledObject, which nobody wakes. Beside `cold-start`, whose
//! Reveille also forks and probes at that moment, it tells what the signal
//! itself takes.
//!
//! With `--to-replica` the streams are open at another replica than the one
//! that is asked.

use crate::{
    client,
    keda::Streams,
    manifest,
    report::{Goal, Row, Table},
    reveille::{self, Reveille},
};
use anyhow::{Context as _, Result};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::time::sleep;

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
    /// Two replicas: requests go to one, KEDA listens at the other
    #[arg(long)]
    to_replica: bool,
    #[command(flatten)]
    reveille: reveille::Args,
}

/// Runs the measurement and prints a table.
pub(crate) async fn run(args: Args) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let names: Vec<String> = (0..args.targets).map(|n| format!("signal-{n}")).collect();
    let replicas = if args.to_replica {
        start_two(&args.reveille, dir.path(), &names).await?
    } else {
        write_all(dir.path(), &names)?;
        vec![Reveille::start(&args.reveille, dir.path(), None).await?]
    };
    let (asked, heard) = (&replicas[0], &replicas[replicas.len() - 1]);
    let (proxy, scaler) = (asked.addresses.proxy, heard.addresses.grpc);
    let measured = ask_all(&args, &names, proxy, scaler).await;
    let mut logs = String::new();
    for replica in replicas {
        logs += &replica.program.log_end();
        replica.program.stop().await.context("reveille")?;
    }
    let told_ms = measured.with_context(|| format!("reveille's log ends:\n{logs}"))?;

    let title = format!(
        "{} requests to sleeping targets, one after another; milliseconds",
        told_ms.len()
    );
    let (what, goals) = if args.to_replica {
        let what = "request sent → `true` on KEDA's stream at another replica";
        (what, vec![Goal::p99(5.0)])
    } else {
        let what = "request sent → `true` on KEDA's stream, nothing started";
        (what, vec![Goal::p50(1.0), Goal::p99(5.0)])
    };
    let row = Row::new(what, told_ms, &goals);
    println!("{}", Table::new(title, [row]));
    Ok(())
}

fn write_all(dir: &Path, names: &[String]) -> Result<()> {
    for name in names {
        manifest::write_unscaled(dir, name, &["sleep", "600"])?;
    }
    Ok(())
}

/// Two replicas with the same targets, which have heard each other.
async fn start_two(args: &reveille::Args, dir: &Path, names: &[String]) -> Result<Vec<Reveille>> {
    let peers = dir.join("peers");
    std::fs::write(&peers, "# nobody yet\n")?;
    let mut replicas = Vec::new();
    for name in ["a", "b"] {
        let own = dir.join(name);
        std::fs::create_dir(&own)?;
        write_all(&own, names)?;
        replicas.push(Reveille::start_among(&peers, args, &own).await?);
    }
    reveille::introduce(&peers, &replicas).await?;
    Ok(replicas)
}

/// What each took, ms.
async fn ask_all(
    args: &Args,
    names: &[String],
    proxy: SocketAddr,
    scaler: SocketAddr,
) -> Result<Vec<f64>> {
    let mut streams = Streams::open(scaler, names).await?;
    let mut told_ms = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let host = manifest::host(name);
        let sent = client::send(proxy, &host, "/").await?;
        let told = tokio::time::timeout(TOLD_WITHIN, streams.activated(index)).await;
        let told = told.with_context(|| format!("{name}: nothing within {TOLD_WITHIN:?}"))??;
        told_ms.push(Duration::from_nanos(told.saturating_sub(sent.at)).as_secs_f64() * 1e3);
        drop(sent);
        sleep(Duration::from_millis(args.pause_ms)).await;
    }
    Ok(told_ms)
}
