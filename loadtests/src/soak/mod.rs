//! `loadtests soak`: all kinds of traffic while backends die and the
//! configuration changes.
//!
//! At the end no request may be lost, and memory, file descriptors, threads
//! and tasks must be what they were. Two subjects: the proxy library
//! (`host.rs`), which replaces its routes by itself, and the program `reveille
//! local`, whose manifests are rewritten (`rewrites.rs`).

mod backend;
mod host;
mod report;
mod rewrites;
mod scrape;
mod subject;
mod tally;
mod traffic;

pub(crate) use backend::{Args as BackendArgs, run as backend};
pub(crate) use host::{Args as HostArgs, run as host};

use crate::{
    fd_limit,
    program::{self, Program},
};
use anyhow::{Context as _, Result, ensure};
use report::{Report, Sample};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};
use subject::{Kind, Subject};
use tally::Tally;
use tokio::time::Instant;

/// Between two samples of memory and the rest.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Between two deaths of a backend, and how long it stays dead.
const KILL_EVERY: Duration = Duration::from_secs(3);
const DEAD_FOR: Duration = Duration::from_millis(300);
/// Options of `soak`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Minutes of traffic
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// What is soaked
    #[arg(long, value_enum, default_value = "library")]
    subject: Kind,
    /// Times that the configuration is replaced
    #[arg(long, default_value_t = 100)]
    reloads: u32,
    /// Write the figures to this file, as JSON
    #[arg(long)]
    out: Option<std::path::PathBuf>,
    #[command(flatten)]
    reveille: crate::reveille::Args,
}

/// Runs it, prints a table, and fails if anything was lost or grew.
pub(crate) async fn run(args: Args) -> Result<()> {
    ensure!(args.minutes > 0.0, "--minutes must be above 0");
    fd_limit::raise(4_096)?;
    let dir = tempfile::tempdir()?;
    let ports = free_ports::<3>()?;
    let mut backends = Vec::new();
    for port in ports {
        backends.push(Some(start_backend(dir.path(), port).await?));
    }
    let addresses = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let mut subject = Subject::start(&args, dir.path(), &addresses).await?;
    let report = soak(&args, dir.path(), &mut subject, &ports, &mut backends).await;
    let log = subject.log_end();
    subject.stop().await?;
    for backend in backends.into_iter().flatten() {
        backend.stop().await?;
    }
    let report = report.with_context(|| format!("the subject's log ends:\n{log}"))?;

    println!("{report}");
    if let Some(out) = &args.out {
        std::fs::write(out, serde_json::to_string_pretty(&report)?)?;
    }
    let problems = report.problems();
    ensure!(
        problems.is_empty(),
        "the soak failed:\n{}",
        problems.join("\n")
    );
    Ok(())
}

async fn soak(
    args: &Args,
    dir: &Path,
    subject: &mut Subject,
    ports: &[u16],
    backends: &mut [Option<Program>],
) -> Result<Report> {
    let before = subject.whole_sample().await?;
    let tally = Arc::new(Tally::default());
    let mut clients = traffic::start(subject.address(), &tally);
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(args.minutes * 60.0);
    let mut sample = tokio::time::interval_at(begun + SAMPLE_EVERY, SAMPLE_EVERY);
    let mut kill = tokio::time::interval_at(begun + KILL_EVERY, KILL_EVERY);
    let reload_every = Duration::from_secs_f64(args.minutes * 60.0) / (args.reloads + 1);
    let mut reload = tokio::time::interval_at(begun + reload_every, reload_every);
    let mut said = begun;
    let (mut samples, mut kills): (Vec<Sample>, usize) = (Vec::new(), 0);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(end) => break,
            _ = sample.tick() => samples.push(subject.sample().await?),
            _ = reload.tick() => subject.reload()?,
            _ = kill.tick() => {
                // The two steady ones in turn; the third belongs to targets
                // that fall asleep.
                let n = kills % 2;
                kills += 1;
                if let Some(backend) = backends[n].take() {
                    backend.kill().await?;
                }
                tokio::time::sleep(DEAD_FOR).await;
                backends[n] = Some(start_backend(dir, ports[n]).await?);
            }
            client = clients.join_next() => {
                client.context("no clients")??;
            }
        }
        if said.elapsed() >= Duration::from_secs(20) {
            said = Instant::now();
            let requests: u64 = tally.counts().values().map(|one| one.answered).sum();
            eprintln!("[{:?}] {requests} requests, {kills} kills", begun.elapsed());
        }
    }
    subject.stop_reloading().await?;
    clients.shutdown().await;
    let took = begun.elapsed();
    tokio::time::sleep(args.subject.settle()).await;
    let after = subject.whole_sample().await?;
    Ok(Report {
        subject: subject.name(),
        seconds: took.as_secs(),
        kills,
        reloads: u64::from(args.reloads),
        counts: tally.counts(),
        reasons: tally.reasons(),
        before,
        samples,
        after,
    })
}

fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held until all are known, so that they differ.
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// Starts one and waits until it accepts.
async fn start_backend(dir: &Path, port: u16) -> Result<Program> {
    let mut command = program::command(std::env::current_exe()?, None);
    command.args(["soak-backend", "--port", &port.to_string()]);
    let log = dir.join(format!("backend-{port}.log"));
    let mut backend = Program::start(&mut command, &log)?;
    backend.accepts((Ipv4Addr::LOCALHOST, port).into()).await?;
    Ok(backend)
}
