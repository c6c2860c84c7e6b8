//! What k6 and hey cannot measure of Reveille.
//!
//! Run by hand or by CI on an otherwise idle Linux machine; README.md has the
//! commands and past figures. Loads 127.0.0.1 only, and for a bounded time.

mod application;
mod backend;
mod client;
mod clock;
mod cold_start;
mod compare;
mod envoy;
mod fd_limit;
mod figure;
mod held;
mod http1;
mod ingest;
mod instructions;
mod interrupt;
mod keda;
mod keda_scale;
mod keep_alive;
mod kubernetes;
mod machine;
mod manifest;
mod open_loop;
mod overview;
mod passthrough;
mod proc;
mod program;
mod progress;
mod report;
mod reveille;
mod scrape;
mod signal;
mod soak;
mod stats;
mod svg;

use anyhow::Result;
use clap::{Parser, Subcommand};
use interrupt::or_interrupted;

/// As Reveille has it, so that the pass-through compares.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One report of everything that can be measured here in a few minutes
    Report(overview::Args),
    /// Wake many sleeping targets, one after another, and say where time goes
    ColdStart(cold_start::Args),
    /// How soon KEDA hears of a request to a sleeping target
    Signal(signal::Args),
    /// Thousands of ScaledObjects on one connection: latency, CPU, memory
    KedaScale(keda_scale::Args),
    /// A large cluster: memory, time to the first route, CPU under changes
    Kubernetes(kubernetes::Args),
    /// Metrics: points per core, memory per series, how soon KEDA hears of them
    Ingest(ingest::Args),
    /// Beside Envoy: cold to direct, 10,000 routes, CPU per request, demand
    Envoy(envoy::Args),
    /// Cost per request and per idle connection beside other proxies; or, with
    /// two files, what changed between two runs
    Compare(compare::Args),
    /// User instructions per warm request, counted by valgrind
    Instructions(instructions::Args),
    /// All kinds of traffic while backends die and the configuration changes
    Soak(soak::Args),
    /// CPU time per page of metrics that is fetched
    Scrape(scrape::Args),
    /// Memory per held request
    Held(held::Args),
    /// Load at a fixed rate, latency from the scheduled instant
    OpenLoop(open_loop::Args),
    /// A bare hyper proxy, the floor of compare
    Passthrough(passthrough::Args),
    /// The proxy library, as soak uses it
    SoakHost(soak::HostArgs),
    /// The application behind the soak
    SoakBackend(soak::BackendArgs),
    /// The application behind the scripts of k6 and hey
    Application(application::Args),
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
        // Reports what it has when it is told to end.
        Command::Report(args) => overview::run(args).await,
        Command::ColdStart(args) => or_interrupted(cold_start::run(args)).await,
        Command::Signal(args) => or_interrupted(signal::run(args)).await,
        Command::KedaScale(args) => or_interrupted(keda_scale::run(args)).await,
        Command::Kubernetes(args) => or_interrupted(kubernetes::run(args)).await,
        Command::Ingest(args) => or_interrupted(ingest::run(args)).await,
        Command::Envoy(args) => or_interrupted(envoy::run(args)).await,
        // Reports what it has when it is told to end.
        Command::Compare(args) => compare::run(args).await,
        Command::Instructions(args) => or_interrupted(instructions::run(args)).await,
        Command::Soak(args) => or_interrupted(soak::run(args)).await,
        Command::SoakHost(args) => soak::host(args).await,
        Command::SoakBackend(args) => soak::backend(args).await,
        Command::Scrape(args) => scrape::run(&args),
        Command::Held(args) => or_interrupted(held::run(args)).await,
        Command::OpenLoop(args) => open_loop::run(args).await,
        Command::Passthrough(args) => passthrough::run(args).await,
        Command::Application(args) => application::run(args).await,
        // Starts nothing, so SIGTERM may end it as it ends any program.
        Command::Backend(args) => backend::run(args, started).await,
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
