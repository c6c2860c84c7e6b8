//! `loadtests kubernetes`: what a large cluster costs `reveille kubernetes`.
//!
//! `world.rs` has the objects, as an API server would send them; `store.rs`
//! their state and history; `server.rs` answers, on a thread of its own. Two
//! starts: one into a cluster that has never seen Reveille, where each route
//! gets its status, and a restart, where they stand there. Then EndpointSlices
//! change, and in the end every target must have exactly the endpoints that its
//! objects say.

mod measured;
pub(crate) mod server;
pub(crate) mod store;
mod targets;
pub(crate) mod world;

use crate::{
    client, proc,
    reveille::{self, Reveille},
};
use anyhow::{Context as _, Result, ensure};
use measured::{First, Measured};
use server::Server;
use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};
use store::Store;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpListener,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use world::World;

/// Allocators and queues come to rest.
const SETTLE: Duration = Duration::from_secs(5);
/// Longer than any of the states that are waited for takes.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_EACH: Duration = Duration::from_millis(50);

/// Options of `kubernetes`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// InterceptorRoutes
    #[arg(long, default_value_t = 10_000)]
    routes: usize,
    /// Services, each with an EndpointSlice and a ScaledObject
    #[arg(long, default_value_t = 1_000)]
    services: usize,
    /// Ready Pods of each Service
    #[arg(long, default_value_t = 5)]
    pods: usize,
    /// Changes of EndpointSlices in a minute
    #[arg(long, default_value_t = 10_000)]
    updates: u32,
    /// Seconds of changes
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Fails when a target is missed
    #[arg(long)]
    fail_on_miss: bool,
    #[command(flatten)]
    reveille: reveille::Args,
}

/// Runs the measurement and prints a table.
pub(crate) async fn run(args: Args) -> Result<()> {
    ensure!(
        args.services > 0 && args.routes >= args.services,
        "fewer routes than services"
    );
    let (pods, port) = listen(args.pods).await?;
    let world = World {
        routes: args.routes,
        services: args.services,
        pods: args.pods,
        port,
    };
    let _answering = answer(pods);
    let store = Arc::new(Store::new(world));
    let server = Server::start(store.clone())?;
    let dir = tempfile::tempdir()?;
    let kubeconfig = dir.path().join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig())?;

    let mut measured = Measured::default();
    first_start(&args, &kubeconfig, dir.path(), &store, &mut measured).await?;
    restart(&args, &kubeconfig, dir.path(), &store, &mut measured).await?;
    let is_met = measured.print(&world, args.seconds);
    ensure!(is_met || !args.fail_on_miss, "a target was missed");
    Ok(())
}

/// The Pods of the first Service, all at one port.
async fn listen(pods: usize) -> Result<(Vec<TcpListener>, u16)> {
    let address = |pod: usize| IpAddr::from(world::pod_address(pod));
    let first = TcpListener::bind((address(0), 0)).await?;
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    for pod in 1..pods {
        listeners.push(TcpListener::bind((address(pod), port)).await?);
    }
    Ok((listeners, port))
}

/// Answers the requests of tests: each on its own connection.
pub(crate) fn answer(pods: Vec<TcpListener>) -> JoinSet<()> {
    let mut answering = JoinSet::new();
    for pod in pods {
        answering.spawn(async move {
            while let Ok((mut stream, _)) = pod.accept().await {
                // What was asked does not matter.
                let _sent = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await;
                tokio::spawn(async move {
                    let mut rest = Vec::new();
                    let _closed =
                        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
                });
            }
        });
    }
    answering
}

/// Into a cluster that has never seen Reveille.
async fn first_start(
    args: &Args,
    kubeconfig: &Path,
    dir: &Path,
    store: &Store,
    measured: &mut Measured,
) -> Result<()> {
    let (reveille, took) = start(args, kubeconfig, dir).await?;
    let pid = reveille.program.pid();
    let (began, deadline) = (Instant::now(), Instant::now() + PATIENCE);
    while store.statuses() < args.routes {
        ensure!(
            Instant::now() < deadline,
            "{} statuses of {}",
            store.statuses(),
            args.routes
        );
        sleep(LOOK_EACH).await;
    }
    measured.first = took;
    measured.statuses_s = began.elapsed().as_secs_f64();
    sleep(SETTLE).await;
    (measured.first_resident_kib, measured.first_peak_kib) = proc::resident_kib(pid)?;
    reveille.program.stop().await.context("reveille")
}

/// Where everything stands as it left it.
async fn restart(
    args: &Args,
    kubeconfig: &Path,
    dir: &Path,
    store: &Store,
    measured: &mut Measured,
) -> Result<()> {
    let (reveille, took) = start(args, kubeconfig, dir).await?;
    measured.restart = took;
    let changed = changes(args, store, &reveille, measured).await;
    let log = reveille.program.log_end();
    reveille.program.stop().await.context("reveille")?;
    changed.with_context(|| format!("reveille's log ends:\n{log}"))
}

/// Starts it; tells what it took until a route answered.
async fn start(args: &Args, kubeconfig: &Path, dir: &Path) -> Result<(Reveille, First)> {
    let began = Instant::now();
    let reveille = Reveille::start_in_cluster(kubeconfig, &args.reveille, dir).await?;
    let sent = client::send(reveille.addresses.proxy, &world::host(0), "/").await?;
    let answer = sent.answer().await?;
    let used = proc::tree_cpu(reveille.program.pid())?;
    let first = First {
        took: began.elapsed().as_secs_f64() * 1e3,
        cpu: (used.user + used.system) * 1e3,
    };
    ensure!(answer.head.status()? == 200, "{}", answer.head.first_line);
    Ok((reveille, first))
}

async fn changes(
    args: &Args,
    store: &Store,
    reveille: &Reveille,
    measured: &mut Measured,
) -> Result<()> {
    let pid = reveille.program.pid();
    sleep(SETTLE).await;
    (measured.resident_kib, measured.peak_kib) = proc::resident_kib(pid)?;
    let (used, updates) = cpu(pid, change(args, store)).await?;
    (measured.updates_cpu, measured.updates) = (used, updates);
    let last = Instant::now();
    loop {
        let wrong = targets::wrong(reveille.addresses.admin, store).await?;
        if wrong == 0 {
            break;
        }
        ensure!(
            last.elapsed() < PATIENCE,
            "{wrong} targets have other endpoints than their objects say"
        );
        sleep(LOOK_EACH).await;
    }
    measured.caught_up_ms = last.elapsed().as_secs_f64() * 1e3;
    sleep(SETTLE).await;
    measured.idle_cpu = cpu(pid, sleep(SETTLE)).await?.0;
    Ok(())
}

/// Changes one EndpointSlice after the other, evenly in time.
async fn change(args: &Args, store: &Store) -> u64 {
    let mut every = interval(Duration::from_secs(60) / args.updates.max(1));
    every.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (end, mut updates) = (Instant::now() + Duration::from_secs(args.seconds), 0);
    while Instant::now() < end {
        every.tick().await;
        store.change_slice(updates);
        updates += 1;
    }
    updates as u64
}

/// What the process used meanwhile, in percent of a core.
async fn cpu<T>(pid: u32, during: impl Future<Output = T>) -> Result<(f64, T)> {
    let (before, started) = (proc::tree_cpu(pid)?, Instant::now());
    let result = during.await;
    let used = proc::tree_cpu(pid)?.since(before);
    let percent = 100.0 * (used.user + used.system) / started.elapsed().as_secs_f64();
    Ok((percent, result))
}
