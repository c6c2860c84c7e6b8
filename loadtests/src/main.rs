//! What k6 and hey cannot measure of Reveille.
//!
//! Run by hand or by CI on an otherwise idle Linux machine; README.md has the
//! commands and past figures. Loads 127.0.0.1 only, and for a bounded time.

mod backend;
mod client;
mod clock;
mod cold_start;
mod held;
mod http1;
mod instructions;
mod keda;
mod keep_alive;
mod manifest;
mod proc;
mod program;
mod report;
mod reveille;
mod signal;
mod stats;
mod warm;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use tokio::signal::unix;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Wake many sleeping targets, one after another, and say where time goes
    ColdStart(cold_start::Args),
    /// How soon KEDA hears of a request to a sleeping target
    Signal(signal::Args),
    /// CPU per 100,000 warm requests beside other proxies
    Warm(warm::Args),
    /// User instructions per warm request, counted by valgrind
    Instructions(instructions::Args),
    /// Memory per held request
    Held(held::Args),
    /// The application that cold-start wakes
    Backend(backend::Args),
}

fn main() -> Result<()> {
    // First of all: a backend tells how long its own start took.
    let started = clock::monotonic_ns();
    let cli = Cli::parse();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(run(cli.command, started))
}

async fn run(command: Command, started: u64) -> Result<()> {
    match command {
        Command::ColdStart(args) => or_interrupted(cold_start::run(args)).await,
        Command::Signal(args) => or_interrupted(signal::run(args)).await,
        Command::Warm(args) => or_interrupted(warm::run(args)).await,
        Command::Instructions(args) => or_interrupted(instructions::run(args)).await,
        Command::Held(args) => or_interrupted(held::run(args)).await,
        // Starts nothing, so SIGTERM may end it as it ends any program.
        Command::Backend(args) => backend::run(args, started).await,
    }
}

/// Dropping a measurement stops the programs that it started.
async fn or_interrupted(measurement: impl Future<Output = Result<()>>) -> Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        done = measurement => done,
        interrupt = tokio::signal::ctrl_c() => {
            interrupt?;
            bail!("interrupted")
        }
        _ = terminate.recv() => bail!("told to end"),
    }
}
