//! The loads that peers are compared under.

use super::{Args, check, h2load, idle, lab::Lab, peer::Running, results::Metric, wrk};
use crate::{open_loop, proc, program};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Connections of the open loop.
const OPEN_LOOP_CONNECTIONS: usize = 64;

/// What one measurement gives.
pub(super) type Values = BTreeMap<Metric, f64>;

/// A load.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Case {
    #[value(name = "get-64")]
    #[serde(rename = "get-64")]
    Get64,
    #[value(name = "get-256")]
    #[serde(rename = "get-256")]
    Get256,
    Post,
    OpenLoop,
    H2c,
    Connect,
    #[value(name = "idle-1000")]
    #[serde(rename = "idle-1000")]
    Idle1000,
    #[value(name = "idle-5000")]
    #[serde(rename = "idle-5000")]
    Idle5000,
}

impl Case {
    /// What it is called on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get64 => "get-64",
            Self::Get256 => "get-256",
            Self::Post => "post",
            Self::OpenLoop => "open-loop",
            Self::H2c => "h2c",
            Self::Connect => "connect",
            Self::Idle1000 => "idle-1000",
            Self::Idle5000 => "idle-5000",
        }
    }

    /// For headings.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Get64 => "GET 1 KiB, 64 connections",
            Self::Get256 => "GET 1 KiB, 256 connections",
            Self::Post => "POST 64 KiB, 64 connections",
            Self::OpenLoop => "GET 1 KiB, open loop, fixed rate",
            Self::H2c => "GET 1 KiB, h2c, 8 connections x 16 streams",
            Self::Connect => "GET 1 KiB, a new connection each",
            Self::Idle1000 => "1,000 idle connections",
            Self::Idle5000 => "5,000 idle connections",
        }
    }

    /// The figure that peers are compared by.
    pub(super) fn main_metric(self) -> Metric {
        match self.idle_connections() {
            None => Metric::Cpu,
            Some(_) => Metric::KibPerConnection,
        }
    }

    /// How many connections are left idle, if that is what is measured. Each
    /// such measurement needs a fresh process.
    pub(super) fn idle_connections(self) -> Option<usize> {
        match self {
            Self::Idle1000 => Some(1_000),
            Self::Idle5000 => Some(5_000),
            _ => None,
        }
    }

    /// Why it cannot be measured here.
    pub(super) fn missing(self) -> Option<String> {
        let (tool, package) = match self {
            Self::Get64 | Self::Get256 | Self::Post | Self::Connect => ("wrk", "wrk"),
            Self::H2c => ("h2load", "nghttp2-client"),
            Self::OpenLoop | Self::Idle1000 | Self::Idle5000 => return None,
        };
        program::find(tool)
            .is_none()
            .then(|| format!("{tool} is not installed: `apt-get install {package}`"))
    }

    /// Seconds that it takes, about.
    pub(super) fn seconds(self, args: &Args) -> u64 {
        match self.idle_connections() {
            None => args.seconds(),
            Some(_) => idle::settle(args).as_secs() + 2,
        }
    }

    /// Measures `running`, which is warm, or fresh if idle connections are
    /// measured.
    pub(super) async fn measure(self, lab: &Lab<'_>, running: &mut Running) -> Result<Values> {
        if let Some(count) = self.idle_connections() {
            return idle::measure(running, count, idle::settle(lab.args)).await;
        }
        let pid = running.program.pid();
        let before = proc::tree_cpu(pid)?;
        let load = self.load(lab, running).await?;
        let cpu = proc::tree_cpu(pid)?.since(before);
        running.program.check_alive()?;
        ensure!(load.requests > 0, "no request was answered");
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (requests, errors) = (load.requests as f64, load.errors as f64);
        let per = 100_000.0 / requests;
        let mut values = Values::from([
            (Metric::Cpu, (cpu.user + cpu.system) * per),
            (Metric::User, cpu.user * per),
            (Metric::System, cpu.system * per),
            (Metric::PerSecond, load.requests_per_second),
        ]);
        values.extend(load.p50_ms.map(|ms| (Metric::P50, ms)));
        values.extend(load.p99_ms.map(|ms| (Metric::P99, ms)));
        if load.errors > 0 {
            values.insert(Metric::Errors, errors);
        }
        ensure!(
            errors <= requests / 100.0,
            "{errors} of {requests} requests failed"
        );
        Ok(values)
    }

    async fn load(self, lab: &Lab<'_>, running: &Running) -> Result<Load> {
        let time = Duration::from_secs(lab.args.seconds());
        let core = lab.args.load_core;
        let to = (running.http1, running.host.as_str());
        let wrk = |connections, kind| wrk::run(core, to, connections, kind, time, &lab.dir);
        match self {
            Self::Get64 => wrk(64, wrk::Kind::Get).await,
            Self::Get256 => wrk(256, wrk::Kind::Get).await,
            Self::Post => wrk(64, wrk::Kind::Post).await,
            Self::Connect => wrk(64, wrk::Kind::Close).await,
            Self::H2c => h2load::run(core, running, time).await,
            Self::OpenLoop => {
                let (rate, connections) = (lab.args.rate, OPEN_LOOP_CONNECTIONS);
                let (proxy, host) = (running.http1, running.host.as_str());
                let done = open_loop::run_on(core, proxy, host, rate, connections, time).await?;
                Ok(Load {
                    requests: done.requests,
                    requests_per_second: done.requests_per_second,
                    p50_ms: Some(done.p50_ms),
                    p99_ms: Some(done.p99_ms),
                    errors: done.errors,
                })
            }
            Self::Idle1000 | Self::Idle5000 => unreachable!("not a load"),
        }
    }
}

/// What a load generator says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(super) requests_per_second: f64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// Socket errors, and answers other than 2xx and 3xx.
    pub(crate) errors: u64,
}

/// Requests before the measured ones: connections and caches become warm.
pub(super) async fn warm_up(lab: &Lab<'_>, running: &Running) -> Result<()> {
    check::through(running).await?;
    let time = Duration::from_secs(if lab.args.quick { 1 } else { 2 });
    open_loop::run_on(
        lab.args.load_core,
        running.http1,
        &running.host,
        lab.args.rate,
        OPEN_LOOP_CONNECTIONS,
        time,
    )
    .await?;
    Ok(())
}
