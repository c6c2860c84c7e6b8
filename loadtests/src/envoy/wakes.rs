//! How soon Envoy sends straight to an endpoint that has just become ready.
//!
//! Each target is woken by a request through Envoy, which our proxy holds. The
//! first byte of that request at the application is the moment at which the
//! endpoint is ready and everybody is told. Then the same client asks again and
//! again; the end is the first answer that came straight from the endpoint.
//! Each target twice: the first time its protocol is news, too, and the cluster
//! changes; from then on its endpoints alone do.

use super::{
    Args,
    edge::{Connection, Edge},
    page::Page,
};
use crate::{
    backend::{FIRST_BYTE, LISTENING},
    client,
    clock::monotonic_ns,
    compare::lab,
    manifest,
    report::{Goal, Row, Table},
    reveille::Reveille,
};
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::time::{Instant, sleep, timeout};

const BELOW_MS: f64 = 100.0;
const DELAY_MS: &str = "20..150";
/// From the last request until a target sleeps, and longer.
const ASLEEP_WITHIN: Duration = Duration::from_secs(90);
const DIRECT_WITHIN: Duration = Duration::from_secs(30);

/// What the wakes of one round took, ms.
#[derive(Default)]
struct Wakes {
    ready_ms: Vec<f64>,
    listening_ms: Vec<f64>,
}

/// Wakes all targets twice.
pub(super) async fn measure(args: &Args, envoy: &Path, dir: &Path) -> Result<Page> {
    let own = std::env::current_exe()?;
    let own = own.to_str().context("a path that is not UTF-8")?;
    let names = manifest::names("wakes", args.wakes);
    let command = [own, "backend", "--port", "{port}", "--delay-ms", DELAY_MS];
    for name in &names {
        manifest::write_sleeping_for(dir, name, &command, 1)?;
    }
    let listener = lab::free_address()?;
    let reveille = Reveille::start_beside_envoy(&args.reveille, dir, None, listener).await?;
    let edge = Edge::of_fleet(envoy, (reveille.xds()?, listener), dir, None).await?;
    let first = wake_all(&names, edge.listener).await?;
    until_asleep(reveille.addresses.admin).await?;
    let again = wake_all(&names, edge.listener).await?;
    edge.program.stop().await.context("Envoy")?;
    reveille.program.stop().await.context("reveille")?;

    let goal = [Goal::max(BELOW_MS)];
    let rows = [
        Row::new("endpoint ready → direct, first wake", first.ready_ms, &goal),
        Row::new("endpoint ready → direct, again", again.ready_ms, &goal),
        Row::new(
            "the same from the backend's listen(), first",
            first.listening_ms,
            &[],
        ),
        Row::new(
            "the same from the backend's listen(), again",
            again.listening_ms,
            &[],
        ),
    ];
    let title = format!(
        "{} targets woken through Envoy, one after another, twice; milliseconds until an answer \
         comes straight from the endpoint",
        args.wakes
    );
    Ok(Page::of(Table::new(title, rows)))
}

async fn wake_all(names: &[String], edge: SocketAddr) -> Result<Wakes> {
    let mut wakes = Wakes::default();
    for name in names {
        let woken = timeout(DIRECT_WITHIN, wake(edge, name));
        let (ready, listening, direct) = woken.await.with_context(|| name.clone())??;
        wakes.ready_ms.push(ms(ready, direct));
        wakes.listening_ms.push(ms(listening, direct));
    }
    Ok(wakes)
}

/// When the endpoint was ready, when it began to listen, and when the first
/// direct answer was here, CLOCK_MONOTONIC ns.
async fn wake(edge: SocketAddr, name: &str) -> Result<(u64, u64, u64)> {
    let host = manifest::host(name);
    let answer = client::send(edge, &host, "/").await?.answer().await?;
    let head = &answer.head;
    ensure!(head.status()? == 200, "{name}: {}", head.first_line);
    let cold = head.get("x-keda-http-cold-start");
    ensure!(cold == Some("true"), "{name} was not asleep");
    let instant = |name| head.number(name).context(name);
    let (ready, listening) = (instant(FIRST_BYTE)?, instant(LISTENING)?);
    Connection::open(edge, &host).await?.until_direct().await?;
    Ok((ready, listening, monotonic_ns()))
}

fn ms(from: u64, to: u64) -> f64 {
    Duration::from_nanos(to.saturating_sub(from)).as_secs_f64() * 1e3
}

#[derive(Deserialize)]
struct Target {
    state: String,
    replicas: Replicas,
}

#[derive(Deserialize)]
struct Replicas {
    ready: u32,
    wanted: u32,
}

/// Waits until no target has a process.
async fn until_asleep(admin: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + ASLEEP_WITHIN;
    loop {
        let asked = client::send(admin, "admin", "/api/v1/targets").await?;
        let targets: Vec<Target> = serde_json::from_slice(&asked.answer().await?.body)?;
        let is_asleep = |one: &Target| {
            one.state == "cold" && one.replicas.ready == 0 && one.replicas.wanted == 0
        };
        if targets.iter().all(is_asleep) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "targets do not fall asleep");
        sleep(Duration::from_millis(200)).await;
    }
}
