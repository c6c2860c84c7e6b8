//! How exact and how old the demand is that KEDA hears of traffic through Envoy
//! alone.
//!
//! The truth is known: requests at a constant rate, evenly spaced, and a number
//! of requests that an application holds until it is told to answer. KEDA's
//! calls are made beside them, much more often than KEDA makes them, so that an
//! age is that of the demand and not of the poll.

use super::{
    Args,
    edge::{Connection, Edge},
    hold::Holder,
    page::Page,
};
use crate::{
    backend,
    clock::monotonic_ns,
    compare::lab,
    keda::{self, Streams},
    manifest,
    report::{Goal, Row, Table},
    reveille::Reveille,
};
use anyhow::{Context as _, Result, ensure};
use scaler::externalscaler::external_scaler_client::ExternalScalerClient;
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tonic::transport::Channel;

/// Of each route that is sent to at a rate, a second.
const RATE: u32 = 100;
/// Requests that are held at once.
const HELD: usize = 100;
/// The window of a route that names none, and another one.
const WINDOW: Duration = Duration::from_secs(60);
const SHORT_WINDOW: Duration = Duration::from_secs(10);
/// The window of concurrency.
const CONCURRENCY_WINDOW: Duration = Duration::from_secs(5);
const ASK_EACH: Duration = Duration::from_millis(5);
const SAMPLE_EACH: Duration = Duration::from_millis(97);
const PATIENCE: Duration = Duration::from_secs(30);

const RATE_ERROR: f64 = 2.0;
const CONCURRENCY_ERROR: f64 = 10.0;
const AGE_MS: f64 = 1_500.0;

/// What was heard of requests that are held.
#[derive(Default)]
struct Steps {
    told_ms: Vec<f64>,
    began_ms: Vec<f64>,
    ended_ms: Vec<f64>,
    error: Vec<f64>,
}

/// Sends for [`Args::demand_seconds`] after the longest window is full.
pub(super) async fn measure(args: &Args, envoy: &Path, dir: &Path) -> Result<Page> {
    let (origin, holder) = (backend::spawn(64).await?, Holder::spawn().await?);
    let long = "requestRate: {targetValue: 100}".to_owned();
    let short = format!(
        "requestRate: {{targetValue: 100, window: {}s}}",
        SHORT_WINDOW.as_secs()
    );
    for (name, metric) in [("rate", long), ("rate-short", short)] {
        manifest::write_measured(dir, name, origin, &metric)?;
    }
    let held = manifest::names("held", args.steps);
    for name in &held {
        manifest::write_measured(dir, name, holder.address, "concurrency: {targetValue: 100}")?;
    }
    let listener = lab::free_address()?;
    let reveille = Reveille::start_beside_envoy(&args.reveille, dir, None, listener).await?;
    let edge = Edge::of_fleet(envoy, (reveille.xds()?, listener), dir, None).await?;
    let keda = keda::connect(reveille.addresses.grpc).await?;
    let measured = async {
        for name in ["rate", "rate-short"] {
            let host = manifest::host(name);
            Connection::open(edge.listener, &host)
                .await?
                .until_direct()
                .await?;
        }
        // Envoy counts what it sends to a new cluster from its next report on,
        // and for the grace nobody is idle.
        sleep(Duration::from_secs(3)).await;
        let rates = rates(args, edge.listener, keda.clone());
        let steps = steps(&held, &holder, edge.listener, keda.clone());
        tokio::try_join!(rates, steps)
    };
    let measured = measured.await;
    let log = reveille.program.log_end();
    edge.program.stop().await.context("Envoy")?;
    reveille.program.stop().await.context("reveille")?;
    let ([long, short], steps) =
        measured.with_context(|| format!("reveille's log ends:\n{log}"))?;

    let age = [Goal::max(AGE_MS)];
    let errors = Table::new(
        format!("{RATE} requests a second, and {HELD} held, through Envoy alone; errors in %"),
        [
            Row::new(
                "request rate over a minute, the default",
                long,
                &[Goal::max(RATE_ERROR)],
            ),
            Row::new("request rate over 10 s", short, &[Goal::max(RATE_ERROR)]),
            Row::new(
                "requests at once",
                steps.error,
                &[Goal::max(CONCURRENCY_ERROR)],
            ),
        ],
    );
    let ages = Table::new(
        format!(
            "{HELD} requests at once through Envoy, {} times; milliseconds",
            held.len()
        ),
        [
            Row::new("they begin → `true` on KEDA's stream", steps.told_ms, &age),
            Row::new("they begin → GetMetrics says more", steps.began_ms, &age),
            Row::new("they end → GetMetrics says less", steps.ended_ms, &age),
        ],
    );
    Ok(Page::of(errors).table(ages))
}

/// Errors of what KEDA hears of both rates, in percent, once windows are full.
async fn rates(
    args: &Args,
    edge: SocketAddr,
    mut keda: ExternalScalerClient<Channel>,
) -> Result<[Vec<f64>; 2]> {
    let mut sending = JoinSet::new();
    sending.spawn(send(edge, "rate"));
    sending.spawn(send(edge, "rate-short"));
    let mut errors = [Vec::new(), Vec::new()];
    let sampling = async {
        sleep(WINDOW + Duration::from_secs(2)).await;
        let end = Instant::now() + Duration::from_secs(args.demand_seconds);
        let mut every = interval(SAMPLE_EACH);
        while Instant::now() < end {
            every.tick().await;
            for (errors, name) in errors.iter_mut().zip(["rate", "rate-short"]) {
                let told = keda::metric(&mut keda, name, "rate").await?;
                errors.push(error(told, f64::from(RATE)));
            }
        }
        anyhow::Ok(())
    };
    tokio::select! {
        sampled = sampling => sampled?,
        Some(ended) = sending.join_next() => ended??,
    }
    Ok(errors)
}

/// Sends requests in even distances, without an end.
async fn send(edge: SocketAddr, name: &str) -> Result<()> {
    let mut asking = Connection::open(edge, &manifest::host(name)).await?;
    let mut every = interval(Duration::from_secs(1) / RATE);
    // One that is late is made up for.
    every.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        every.tick().await;
        asking.send().await?;
        ensure!(asking.answer().await?, "{name}: through our proxy");
    }
}

/// Holds requests of one target after the other for a while.
async fn steps(
    names: &[String],
    holder: &Holder,
    edge: SocketAddr,
    mut keda: ExternalScalerClient<Channel>,
) -> Result<Steps> {
    let mut streams = Streams::open_on(&mut keda, names).await?;
    let mut steps = Steps::default();
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let wanted = HELD as f64;
    for (nth, name) in names.iter().enumerate() {
        let mut open = Vec::with_capacity(HELD);
        for _ in 0..HELD {
            open.push(Connection::open(edge, &manifest::host(name)).await?);
        }
        anywhere().await;
        let began = monotonic_ns();
        for connection in &mut open {
            connection.send().await?;
        }
        let told = timeout(PATIENCE, streams.activated(nth));
        let more = until(&mut keda, name, |value| value > 0.5);
        let (told, more) = tokio::try_join!(async { told.await? }, more)?;
        steps.told_ms.push(ms(began, told));
        steps.began_ms.push(ms(began, more));
        holder.until_holding(HELD).await?;
        sleep(CONCURRENCY_WINDOW + Duration::from_secs(1)).await;
        for _ in 0..10 {
            let value = keda::metric(&mut keda, name, "concurrency").await?;
            steps.error.push(error(value, wanted));
            sleep(SAMPLE_EACH).await;
        }
        anywhere().await;
        let full = keda::metric(&mut keda, name, "concurrency").await?;
        let ended = monotonic_ns();
        holder.answer_all();
        let less = until(&mut keda, name, |value| value < full - 0.5).await?;
        steps.ended_ms.push(ms(ended, less));
        for connection in &mut open {
            ensure!(connection.answer().await?, "{name}: through our proxy");
        }
    }
    Ok(steps)
}

/// Whatever was before, it ends anywhere between two reports.
async fn anywhere() {
    sleep(Duration::from_millis(fastrand::u64(0..1_000))).await;
}

/// When GetMetrics says that it is so.
async fn until(
    keda: &mut ExternalScalerClient<Channel>,
    name: &str,
    is_so: impl Fn(f64) -> bool,
) -> Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let value = keda::metric(keda, name, "concurrency").await?;
        if is_so(value) {
            return Ok(monotonic_ns());
        }
        ensure!(
            Instant::now() < deadline,
            "KEDA hears nothing of it: {value}"
        );
        sleep(ASK_EACH).await;
    }
}

/// In percent.
fn error(told: f64, truth: f64) -> f64 {
    (told - truth).abs() / truth * 100.0
}

fn ms(from: u64, to: u64) -> f64 {
    Duration::from_nanos(to.saturating_sub(from)).as_secs_f64() * 1e3
}
