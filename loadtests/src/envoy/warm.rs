//! What a warm request costs at the edge: through an Envoy that knows nothing
//! of Reveille, through one that Reveille tells where endpoints are, through one
//! whose own configuration says the same, and through our proxy behind an Envoy.
//!
//! Proxies on one core, backend and load on the other; rounds in rotated order;
//! CPU of Envoy and of Reveille together, from /proc.

use super::{
    Args,
    edge::{Connection, Edge},
    facts::{Facts, Goal},
    page::Page,
};
use crate::{
    compare::{lab, origin::Origin, wrk},
    manifest, proc, program, progress,
    reveille::Reveille,
    stats::Spread,
};
use anyhow::{Context as _, Result, ensure};
use std::{path::Path, time::Duration};

/// By the noise of the load with 64 connections, as in `compare`.
const TIE: f64 = 1.1;
const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_secs(2);
const ROUTE: &str = "warm";
/// Among the ways.
const TOLD: usize = 2;

/// A way of requests to the backend.
struct Way {
    name: &'static str,
    edge: Edge,
    /// For each 100,000 requests, of each round.
    envoy_s: Vec<f64>,
    ours_s: Vec<f64>,
}

/// Why it cannot be measured here, and what to do about it.
pub(super) fn missing() -> Option<String> {
    let lacking = ["wrk", "nginx", "taskset"];
    let mut lacking = lacking
        .into_iter()
        .filter(|name| program::find(name).is_none());
    let name = lacking.next()?;
    Some(format!(
        "{name} is not installed: `apt-get install wrk nginx util-linux`"
    ))
}

/// Measures all ways in turn.
pub(super) async fn measure(args: &Args, envoy: &Path, dir: &Path) -> Result<Page> {
    let core = Some(args.proxy_core);
    let origin = Origin::start(dir, args.load_core).await?;
    let metric = "concurrency: {targetValue: 100}";
    manifest::write_measured(dir, ROUTE, origin.address, metric)?;
    let listener = lab::free_address()?;
    let reveille = Reveille::start_beside_envoy(&args.reveille, dir, core, listener).await?;
    let ours = reveille.addresses.proxy;
    let told = Edge::of_fleet(envoy, (reveille.xds()?, listener), dir, core).await?;
    let host = manifest::host(ROUTE);
    let mut asking = Connection::open(told.listener, &host).await?;
    asking.until_direct().await?;
    let ways = [
        (
            "Envoy, a bare static route",
            Edge::fixed(envoy, origin.address, dir, "static", core).await?,
        ),
        (
            "Envoy, the same settings, static",
            told.frozen(envoy, dir, "frozen", core).await?,
        ),
        ("Envoy, told by Reveille", told),
        (
            "Envoy, then Reveille",
            Edge::fixed(envoy, ours, dir, "two-hop", core).await?,
        ),
    ];
    let mut ways = ways.map(|(name, edge)| Way {
        name,
        edge,
        envoy_s: Vec::new(),
        ours_s: Vec::new(),
    });
    let measured = rounds(args, dir, &reveille, &mut ways).await;
    let page = page(args, &ways);
    for way in ways {
        way.edge.program.stop().await.context(way.name)?;
    }
    reveille.program.stop().await.context("reveille")?;
    origin.stop().await?;
    measured.and(Ok(page))
}

async fn rounds(args: &Args, dir: &Path, reveille: &Reveille, ways: &mut [Way; 4]) -> Result<()> {
    let host = manifest::host(ROUTE);
    for (nth, way) in ways.iter_mut().enumerate() {
        let mut asking = Connection::open(way.edge.listener, &host).await?;
        if nth < 3 {
            asking.until_direct().await?;
        } else {
            asking.send().await?;
            ensure!(!asking.answer().await?, "{} goes past our proxy", way.name);
        }
        load(args, dir, way, reveille, WARM_UP).await?;
    }
    for round in 0..args.rounds {
        for nth in 0..ways.len() {
            let nth = (nth + round) % ways.len();
            let way = &mut ways[nth];
            let time = Duration::from_secs(args.seconds);
            let (envoy_s, ours_s) = load(args, dir, way, reveille, time).await?;
            way.envoy_s.push(envoy_s);
            way.ours_s.push(ours_s);
            progress::say(&format!(
                "round {}: {}: {envoy_s:.2} + {ours_s:.2} s of CPU for 100,000 requests",
                round + 1,
                way.name
            ));
        }
    }
    Ok(())
}

/// CPU seconds of Envoy and of ours for 100,000 requests.
async fn load(
    args: &Args,
    dir: &Path,
    way: &Way,
    reveille: &Reveille,
    time: Duration,
) -> Result<(f64, f64)> {
    let pids = [way.edge.program.pid(), reveille.program.pid()];
    let before = [proc::tree_cpu(pids[0])?, proc::tree_cpu(pids[1])?];
    let host = manifest::host(ROUTE);
    let to = (way.edge.listener, host.as_str());
    let done = wrk::run(args.load_core, to, CONNECTIONS, wrk::Kind::Get, time, dir).await?;
    ensure!(done.errors == 0, "{} errors: {}", done.errors, way.name);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let requests = done.requests as f64;
    let each = |nth: usize| -> Result<f64> {
        let used = proc::tree_cpu(pids[nth])?.since(before[nth]);
        Ok((used.user + used.system) / requests * 1e5)
    };
    Ok((each(0)?, each(1)?))
}

fn page(args: &Args, ways: &[Way; 4]) -> Page {
    let mut facts = Facts::new(format!(
        "GET 1 KiB, {CONNECTIONS} connections, {} rounds of {} s; CPU seconds for 100,000 \
         requests, medians, and ratios paired by round",
        args.rounds, args.seconds
    ));
    let both = |way: &Way| -> Vec<f64> {
        let pairs = way.envoy_s.iter().zip(&way.ours_s);
        pairs.map(|(envoy, ours)| envoy + ours).collect()
    };
    let [bare, same] = [both(&ways[0]), both(&ways[1])];
    for (nth, way) in ways.iter().enumerate() {
        let median = |values: &[f64]| Spread::of(values.iter().copied());
        let Some((envoy, ours)) = median(&way.envoy_s).zip(median(&way.ours_s)) else {
            continue;
        };
        facts.add(format!("{}: CPU of Envoy", way.name), envoy.median);
        facts.add(format!("{}: CPU of Reveille", way.name), ours.median);
        for (reference, to, goal) in [
            (&bare, "the bare one", None),
            (&same, "the same static one", Some(Goal::Below(TIE))),
        ] {
            let pairs = both(way).into_iter().zip(reference);
            let ratio = Spread::of(pairs.map(|(own, reference)| own / reference));
            let Some(ratio) = ratio.filter(|_| nth > 0) else {
                continue;
            };
            let what = format!(
                "{}: both, to {to} ({:.2} to {:.2})",
                way.name, ratio.min, ratio.max
            );
            match goal.filter(|_| nth == TOLD) {
                Some(goal) => facts.judge(what, ratio.median, goal),
                None => facts.add(what, ratio.median),
            }
        }
    }
    Page::default().facts(facts)
}
