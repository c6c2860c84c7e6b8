//! Many routes: how long the first snapshot takes, what of that is ours and
//! what is Envoy's, and what one changed endpoint costs after it.
//!
//! Against the played cluster of `loadtests kubernetes`, where a change of an
//! EndpointSlice is a change of one target. First a client that only speaks the
//! protocol ([`super::ads`]), then a real Envoy.

use super::{
    Args,
    ads::Client,
    edge::{Connection, Edge},
    facts::{Facts, Goal},
    page::Page,
};
use crate::{
    client,
    compare::lab,
    kubernetes::{
        server::Server,
        store::Store,
        world::{self, World},
    },
    proc::{self, Cpu},
    report::{self, Row, Table},
    reveille::Reveille,
};
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// Allocators and queues come to rest.
const SETTLE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_EACH: Duration = Duration::from_millis(50);
const ASK_EACH: Duration = Duration::from_millis(1);
/// Between two changes.
const CHANGE_EACH: Duration = Duration::from_millis(20);

const BELOW_MS: f64 = 1_000.0;

/// Whoever follows changes of endpoints.
enum Follower {
    /// One that speaks the protocol.
    Client(Box<Client>),
    /// A real Envoy, as our admin server shows it: the version that it uses.
    Envoy(SocketAddr, String),
}

/// What changes cost.
struct Changed {
    each_ms: Vec<f64>,
    /// The most resources of one.
    resources: usize,
    /// CPU time of ours for each, less what is used at rest, ms.
    cpu_ms: f64,
}

/// Starts the cluster and Reveille, and measures both clients.
pub(super) async fn measure(args: &Args, envoy: &Path, dir: &Path) -> Result<Page> {
    let origin = tokio::net::TcpListener::bind((world::pod_address(0), 0)).await?;
    let world = World {
        routes: args.routes,
        services: args.routes,
        pods: 1,
        port: origin.local_addr()?.port(),
    };
    let _answering = crate::kubernetes::answer(vec![origin]);
    let store = Arc::new(Store::new(world));
    let server = Server::start(store.clone())?;
    let kubeconfig = dir.join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig())?;
    let listener = lab::free_address()?;
    let reveille =
        Reveille::start_in_cluster_beside_envoy(&kubeconfig, &args.reveille, dir, listener);
    let reveille = reveille.await?;
    let measured = both(args, envoy, dir, listener, &store, &reveille).await;
    let log = reveille.program.log_end();
    reveille.program.stop().await.context("reveille")?;
    measured.with_context(|| format!("reveille's log ends:\n{log}"))
}

async fn both(
    args: &Args,
    envoy: &Path,
    dir: &Path,
    listener: SocketAddr,
    store: &Store,
    reveille: &Reveille,
) -> Result<Page> {
    let pid = reveille.program.pid();
    let deadline = Instant::now() + PATIENCE;
    while store.statuses() < args.routes {
        ensure!(Instant::now() < deadline, "{} statuses", store.statuses());
        sleep(LOOK_EACH).await;
    }
    sleep(SETTLE).await;
    let idle = cpu_ms(pid, sleep(SETTLE)).await?.0 / SETTLE.as_secs_f64();
    let alone_kib = proc::pss_kib(pid)?;

    let began = Instant::now();
    let (ours_cpu, taken) = cpu_ms(pid, async {
        let mut client = Client::connect(reveille.xds()?).await?;
        let first = client.first().await?;
        anyhow::Ok((client, first, began.elapsed()))
    })
    .await?;
    let (client, first, ours) = taken?;
    sleep(SETTLE).await;
    let with_kib = proc::pss_kib(pid)?;
    let mut follower = Follower::Client(Box::new(client));
    let changed = changes(args, pid, idle, store, &mut follower).await?;
    drop(follower);
    sleep(SETTLE).await;

    let began = Instant::now();
    let (beside_cpu, served) = cpu_ms(pid, async {
        let edge = Edge::of_fleet(envoy, (reveille.xds()?, listener), dir, None).await?;
        let mut asking = Connection::open(edge.listener, &world::host(0)).await?;
        asking.until_direct().await?;
        anyhow::Ok((edge, began.elapsed()))
    })
    .await?;
    let (edge, theirs) = served?;
    let envoy_cpu = total_ms(proc::tree_cpu(edge.program.pid())?);
    sleep(SETTLE).await;
    let envoy_kib = proc::tree_pss_kib(edge.program.pid())?;
    let admin = reveille.addresses.admin;
    let known = used(admin).await?.context("Envoy has no endpoints")?;
    let mut follower = Follower::Envoy(admin, known);
    let acked = changes(args, pid, idle, store, &mut follower).await?;
    edge.program.stop().await.context("Envoy")?;

    ensure!(
        first.clusters == args.routes + 1 && first.endpoints == args.routes + 1,
        "{first:?} of {} routes",
        args.routes
    );
    let mut facts = Facts::new(format!(
        "{} routes with a target each; {} changes of an EndpointSlice, one each {CHANGE_EACH:?}",
        args.routes, args.changes
    ));
    facts.judge(
        "our part of the first snapshot: connect → its last resource, ms",
        ours.as_secs_f64() * 1e3,
        Goal::Below(BELOW_MS),
    );
    facts.add("CPU time of ours meanwhile, ms", ours_cpu);
    facts.add("MiB of resources in it", mib(first.bytes as u64 / 1024));
    facts.add(
        "a real Envoy: its start → the first 200 through it, ms",
        theirs.as_secs_f64() * 1e3,
    );
    facts.add("CPU time of ours meanwhile, ms", beside_cpu);
    facts.add("CPU time of Envoy meanwhile, ms", envoy_cpu);
    facts.add("memory of ours before any client, PSS, MiB", mib(alone_kib));
    facts.add("with one that has everything", mib(with_kib));
    facts.add("memory of Envoy", mib(envoy_kib));
    facts.judge(
        "resources sent for one changed endpoint, at most",
        changed.resources as f64,
        Goal::Exactly(1.0),
    );
    facts.add(
        "CPU of ours per change, from EndpointSlice to wire, ms",
        changed.cpu_ms,
    );
    facts.add(
        "the same with Envoy, and asked whether it has it, ms",
        acked.cpu_ms,
    );
    let title = "one changed EndpointSlice; milliseconds".to_owned();
    let rows = [
        Row::new("changed → at the client", changed.each_ms, &[]),
        Row::new(
            "changed → a real Envoy uses it",
            acked.each_ms,
            &[report::Goal::p99(100.0)],
        ),
    ];
    Ok(Page::of(Table::new(title, rows)).facts(facts))
}

/// Changes one EndpointSlice after the other, and waits for each.
async fn changes(
    args: &Args,
    pid: u32,
    idle_ms: f64,
    store: &Store,
    follower: &mut Follower,
) -> Result<Changed> {
    let mut every = interval(CHANGE_EACH);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut each_ms, mut resources) = (Vec::new(), 0);
    let began = Instant::now();
    let (cpu, done) = cpu_ms(pid, async {
        // The first one is what Envoy is asked for.
        for update in 1..=args.changes {
            every.tick().await;
            let changed = Instant::now();
            store.change_slice(update);
            resources = resources.max(follower.next().await?);
            each_ms.push(changed.elapsed().as_secs_f64() * 1e3);
        }
        anyhow::Ok(())
    })
    .await?;
    done?;
    let at_rest = idle_ms * began.elapsed().as_secs_f64();
    Ok(Changed {
        cpu_ms: (cpu - at_rest) / each_ms.len().max(1) as f64,
        each_ms,
        resources,
    })
}

impl Follower {
    /// Waits until it has the next change: how many resources that was.
    async fn next(&mut self) -> Result<usize> {
        match self {
            Self::Client(client) => client.change().await,
            Self::Envoy(admin, known) => {
                let deadline = Instant::now() + PATIENCE;
                loop {
                    match used(*admin).await? {
                        Some(now) if now != *known => {
                            *known = now;
                            return Ok(1);
                        }
                        _ => ensure!(Instant::now() < deadline, "Envoy does not hear of it"),
                    }
                    sleep(ASK_EACH).await;
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct View {
    clients: Vec<ClientView>,
}

#[derive(Deserialize)]
struct ClientView {
    kinds: Vec<KindView>,
}

#[derive(Deserialize)]
struct KindView {
    kind: String,
    version: String,
    waiting: bool,
}

/// The version of the endpoints that the one Envoy uses; `None`: it has not
/// answered yet.
async fn used(admin: SocketAddr) -> Result<Option<String>> {
    let asked = client::send(admin, "admin", "/api/v1/xds").await?;
    let view: View = serde_json::from_slice(&asked.answer().await?.body)?;
    let mut kinds = view.clients.into_iter().flat_map(|client| client.kinds);
    let endpoints = kinds.find(|one| one.kind == "endpoints" && !one.waiting);
    Ok(endpoints.map(|one| one.version))
}

/// CPU time of the process meanwhile, ms.
async fn cpu_ms<T>(pid: u32, during: impl Future<Output = T>) -> Result<(f64, T)> {
    let before = proc::tree_cpu(pid)?;
    let result = during.await;
    let used = proc::tree_cpu(pid)?.since(before);
    Ok((total_ms(used), result))
}

fn total_ms(cpu: Cpu) -> f64 {
    (cpu.user + cpu.system) * 1e3
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
