//! `loadtests soak-host`: the proxy library in a process of its own, with what
//! a control plane does to it, quickly and all the time.
//!
//! - Routes are replaced as a whole, with new targets among old ones, as often
//!   as it is told.
//! - Targets fall asleep when nobody asks for them, and are woken by demand.
//! - A line of figures about itself is printed on each line that it reads.

use super::traffic::{COMES_AND_GOES, SLEEPY, STEADY, sleepy};
use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use proxy::{
    Clock, DemandSink, Endpoint, EndpointSet, Proxy, ProxyConfig, Target, TargetId,
    route::{Route, RouteSpec, RouteTable, Rule},
};
use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    runtime::Handle,
    sync::mpsc,
};

/// Routes that nobody asks for, with new targets at each reload.
const OTHER_ROUTES: usize = 1_000;
/// From demand to an endpoint.
const START_TAKES: Duration = Duration::from_millis(40);
/// How often targets that nobody asks for are put to sleep.
const SLEEP_EVERY: Duration = Duration::from_millis(300);

/// Options of `soak-host`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Backends that are always up
    #[arg(long, value_delimiter = ',')]
    steady: Vec<SocketAddr>,
    /// The backend of targets that fall asleep
    #[arg(long)]
    sleepy: SocketAddr,
    /// Milliseconds between two reloads
    #[arg(long)]
    reload_every_ms: u64,
    /// Where it tells its address
    #[arg(long)]
    addresses_file: std::path::PathBuf,
}

/// What it says about itself.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Status {
    pub(super) reloads: u64,
    pub(super) wakes: u64,
    /// Client connections.
    pub(super) connections: usize,
    /// Tasks that live on the worker; nothing before the first wake.
    pub(super) tasks: Option<usize>,
    pub(super) held: usize,
    pub(super) in_flight: u64,
}

/// Told of demand on the worker, whose runtime it remembers.
struct Sink {
    waiting: mpsc::UnboundedSender<TargetId>,
    worker: Mutex<Option<Handle>>,
}

impl DemandSink for Sink {
    fn waiting(&self, target: &TargetId) {
        let mut worker = self.worker.lock();
        if worker.is_none() {
            *worker = Handle::try_current().ok();
        }
        // Nobody receives any more when the process ends.
        self.waiting.send(target.clone()).ok();
    }

    fn stirred(&self, _target: &TargetId, _at_us: u64) {}
}

struct Host {
    proxy: Proxy,
    sink: Arc<Sink>,
    steady: Arc<Target>,
    sleepy: Vec<Arc<Target>>,
    /// Where replicas of the sleepy ones are.
    replica: SocketAddr,
}

/// Runs until standard input closes.
pub(crate) async fn run(args: Args) -> Result<()> {
    let (waiting, mut told) = mpsc::unbounded_channel();
    let host = Host::start(&args, waiting)?;
    host.reload(0);
    let address = host.proxy.listen(([127, 0, 0, 1], 0).into())?;
    std::fs::write(&args.addresses_file, serde_json::to_string(&address)?)?;

    let mut status = Status::default();
    let mut asked = BufReader::new(tokio::io::stdin()).lines();
    let mut reload = tokio::time::interval(Duration::from_millis(args.reload_every_ms));
    let mut sleep = tokio::time::interval(SLEEP_EVERY);
    let mut stopped = false;
    reload.tick().await;
    loop {
        tokio::select! {
            line = asked.next_line() => match line?.as_deref() {
                None => break,
                Some("stop reloading") => stopped = true,
                Some(_) => println!("{}", serde_json::to_string(&host.status(status))?),
            },
            target = told.recv() => {
                host.wake(&target.context("the sink is gone")?);
                status.wakes += 1;
            }
            _ = reload.tick(), if !stopped => {
                status.reloads += 1;
                host.reload(status.reloads);
            }
            _ = sleep.tick() => host.put_to_sleep(),
        }
    }
    host.proxy.drain(Duration::from_secs(1)).await;
    Ok(())
}

impl Host {
    fn start(args: &Args, waiting: mpsc::UnboundedSender<TargetId>) -> Result<Self> {
        let clock = Clock::start();
        let sink = Arc::new(Sink {
            waiting,
            worker: Mutex::default(),
        });
        let config = ProxyConfig {
            // Short, so that what stays open at the end is a leak.
            upstream_idle_timeout: Duration::from_secs(2),
            ..ProxyConfig::default()
        };
        let proxy = Proxy::new(config, clock, sink.clone())?;
        let endpoint = |address: &SocketAddr| proxy.endpoint(*address, "replica");
        let steady: Vec<Arc<Endpoint>> = args.steady.iter().map(endpoint).collect();
        let target = |name: &str| proxy.target(TargetId::new("default", name));
        let steady_target = target("steady");
        steady_target.set_endpoints(Arc::new(EndpointSet::new(steady)));
        let sleepy = (0..SLEEPY)
            .map(|n| target(&format!("sleepy-{n}")))
            .collect();
        Ok(Self {
            steady: steady_target,
            sleepy,
            replica: args.sleepy,
            sink,
            proxy,
        })
    }

    /// Replaces all routes.
    fn reload(&self, generation: u64) {
        let spec = |host: String, target: Arc<Target>| RouteSpec {
            route: Arc::new(Route::new(target)),
            rules: vec![Rule {
                hosts: vec![host],
                ..Rule::default()
            }],
            created: generation,
        };
        let mut specs = vec![spec(STEADY.to_owned(), self.steady.clone())];
        let sleepy_targets = self.sleepy.iter().enumerate();
        specs.extend(sleepy_targets.map(|(n, target)| spec(sleepy(n), target.clone())));
        if generation.is_multiple_of(2) {
            specs.push(spec(COMES_AND_GOES.to_owned(), self.steady.clone()));
        }
        for n in 0..OTHER_ROUTES {
            let name = format!("other-{generation}-{n}");
            let target = self.proxy.target(TargetId::new("default", &name));
            specs.push(spec(format!("{name}.localhost"), target));
        }
        self.proxy.set_routes(RouteTable::build(specs));
    }

    fn wake(&self, id: &TargetId) {
        let mut all = self.sleepy.iter();
        if let Some(target) = all.find(|target| target.id() == id).cloned() {
            // Each start is another replica, whose connections go with it.
            let replica = self.proxy.endpoint(self.replica, "replica");
            tokio::spawn(async move {
                tokio::time::sleep(START_TAKES).await;
                target.set_endpoints(Arc::new(EndpointSet::new(vec![replica])));
            });
        }
    }

    fn put_to_sleep(&self) {
        for target in &self.sleepy {
            if target.totals().in_flight() == 0 {
                target.set_endpoints(Arc::new(EndpointSet::empty()));
            }
        }
    }

    fn status(&self, so_far: Status) -> Status {
        let targets = || self.sleepy.iter().chain([&self.steady]);
        let worker = self.sink.worker.lock();
        Status {
            connections: self.proxy.connections(),
            tasks: worker
                .as_ref()
                .map(|worker| worker.metrics().num_alive_tasks()),
            held: targets().map(|target| target.held()).sum(),
            in_flight: targets().map(|target| target.totals().in_flight()).sum(),
            ..so_far
        }
    }
}
