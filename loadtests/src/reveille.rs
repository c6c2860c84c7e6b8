//! Reveille, started for a measurement.
//!
//! On free loopback ports, which it tells by its addresses file.

use crate::{
    client,
    program::{self, Program},
};
use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{process::Command, time::Instant};

const READY_WITHIN: Duration = Duration::from_secs(20);

const LOOK_EACH: Duration = Duration::from_millis(2);

/// Replicas look into the file of their peers each second.
const CONNECTED_WITHIN: Duration = Duration::from_secs(20);

/// Options of the program under test.
#[derive(Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// The reveille binary. Default: beside this program
    #[arg(long, env = "REVEILLE")]
    reveille: Option<PathBuf>,
    /// Its worker threads for requests
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// How workers map to runtimes: per-core or shared
    #[arg(long, default_value = "per-core")]
    runtime: String,
}

impl Args {
    /// Where the binary is.
    pub(crate) fn binary(&self) -> Result<PathBuf> {
        let binary = match &self.reveille {
            Some(binary) => binary.clone(),
            None => std::env::current_exe()?.with_file_name("reveille"),
        };
        if !binary.is_file() {
            bail!(
                "no reveille at {}: `cargo build --release`, or give --reveille",
                binary.display()
            );
        }
        Ok(binary)
    }
}

/// Where it listens.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) proxy: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Where Envoys connect, if they may.
    pub(crate) xds: Option<SocketAddr>,
    /// Where metrics come in, if they do.
    pub(crate) otlp_grpc: Option<SocketAddr>,
}

impl Addresses {
    /// `None` while the file is not there or not yet whole.
    pub(crate) fn read(file: &Path) -> Option<Self> {
        let text = std::fs::read(file).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// A running Reveille.
pub(crate) struct Reveille {
    pub(crate) program: Program,
    pub(crate) addresses: Addresses,
}

impl Reveille {
    /// Starts it with the manifests in `dir`/manifests, on one core if given,
    /// and waits until it is ready. Writes only into `dir`.
    pub(crate) async fn start(args: &Args, dir: &Path, core: Option<usize>) -> Result<Self> {
        let command = program::command(args.binary()?, core);
        Self::start_with(command, args, dir).await
    }

    /// Likewise, as one of the replicas that the file `peers` names, an address
    /// on each line; it may do so later.
    pub(crate) async fn start_among(peers: &Path, args: &Args, dir: &Path) -> Result<Self> {
        let mut command = program::command(args.binary()?, None);
        // Whoever reads the environment gets the flag.
        command.env("REVEILLE_PEERS", format!("file:{}", peers.display()));
        Self::start_with(command, args, dir).await
    }

    /// Likewise, where metrics come in over gRPC, too.
    pub(crate) async fn start_ingesting(peers: &Path, args: &Args, dir: &Path) -> Result<Self> {
        let mut command = program::command(args.binary()?, None);
        command.env("REVEILLE_PEERS", format!("file:{}", peers.display()));
        command.env("REVEILLE_OTLP_GRPC_ADDR", "127.0.0.1:0");
        Self::start_with(command, args, dir).await
    }

    /// Likewise, where Envoys connect, too, and get a `listener`. Targets are
    /// idle a second after the start, whoever may turn up.
    pub(crate) async fn start_beside_envoy(
        args: &Args,
        dir: &Path,
        core: Option<usize>,
        listener: SocketAddr,
    ) -> Result<Self> {
        let mut command = program::command(args.binary()?, core);
        beside_envoy(&mut command, listener);
        command.env("REVEILLE_XDS_LOAD_GRACE", "1s");
        Self::start_with(command, args, dir).await
    }

    /// Likewise, as the last argument of another program's command line.
    pub(crate) async fn start_under(wrapper: &[OsString], args: &Args, dir: &Path) -> Result<Self> {
        let (first, rest) = wrapper.split_first().context("an empty command line")?;
        let mut command = Command::new(first);
        command.args(rest).arg(args.binary()?);
        Self::start_with(command, args, dir).await
    }

    /// Starts `reveille kubernetes` for the cluster of `kubeconfig`, and waits
    /// until it listens. Writes only into `dir`.
    pub(crate) async fn start_in_cluster(
        kubeconfig: &Path,
        args: &Args,
        dir: &Path,
    ) -> Result<Self> {
        let command = program::command(args.binary()?, None);
        Self::in_cluster(command, kubeconfig, args, dir).await
    }

    /// Likewise, where Envoys connect, too, and get a `listener`.
    pub(crate) async fn start_in_cluster_beside_envoy(
        kubeconfig: &Path,
        args: &Args,
        dir: &Path,
        listener: SocketAddr,
    ) -> Result<Self> {
        let mut command = program::command(args.binary()?, None);
        beside_envoy(&mut command, listener);
        Self::in_cluster(command, kubeconfig, args, dir).await
    }

    async fn in_cluster(
        mut command: Command,
        kubeconfig: &Path,
        args: &Args,
        dir: &Path,
    ) -> Result<Self> {
        command
            .arg("kubernetes")
            .arg("--kubeconfig")
            .arg(kubeconfig);
        command.args(["--shutdown-delay", "0s"]);
        Self::listening(command, args, dir).await
    }

    /// Where Envoys connect.
    pub(crate) fn xds(&self) -> Result<SocketAddr> {
        self.addresses.xds.context("no xDS port")
    }

    async fn start_with(mut command: Command, args: &Args, dir: &Path) -> Result<Self> {
        command.arg("local").arg("-f").arg(dir.join("manifests"));
        Self::listening(command, args, dir).await
    }

    /// Starts it on free ports, and waits until it says which.
    async fn listening(mut command: Command, args: &Args, dir: &Path) -> Result<Self> {
        let file = dir.join("addresses.json");
        // What an earlier one wrote.
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
        for port in ["--proxy-addr", "--grpc-addr", "--admin-addr"] {
            command.args([port, "127.0.0.1:0"]);
        }
        command.arg("--addresses-file").arg(&file);
        command.args(["--workers", &args.workers.to_string()]);
        command.args(["--runtime", &args.runtime, "--log-level", "warn"]);
        let mut program = Program::start(&mut command, &dir.join("reveille.log"))?;
        let deadline = Instant::now() + READY_WITHIN;
        let addresses = loop {
            program.check_alive().context("reveille")?;
            if let Some(addresses) = Addresses::read(&file) {
                break addresses;
            }
            if Instant::now() > deadline {
                bail!("reveille not ready in time:\n{}", program.log_end());
            }
            tokio::time::sleep(LOOK_EACH).await;
        };
        Ok(Self { program, addresses })
    }
}

fn beside_envoy(command: &mut Command, listener: SocketAddr) {
    command.env("REVEILLE_XDS_ADDR", "127.0.0.1:0");
    command.env("REVEILLE_XDS_LISTENER", listener.to_string());
}

/// Names replicas to each other, and waits until they are connected.
pub(crate) async fn introduce(peers: &Path, replicas: &[Reveille]) -> Result<()> {
    let addresses = replicas.iter().map(|replica| replica.addresses.grpc);
    let addresses: Vec<String> = addresses.map(|address| address.to_string()).collect();
    let partial = peers.with_extension("partial");
    std::fs::write(&partial, addresses.join("\n"))?;
    std::fs::rename(&partial, peers)?;
    for replica in replicas {
        until_connected(replica.addresses.admin).await?;
    }
    Ok(())
}

/// Waits until a replica follows another one.
async fn until_connected(admin: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + CONNECTED_WITHIN;
    loop {
        let asked = client::send(admin, "admin", "/api/v1/peers").await?;
        let body = asked.answer().await?.body;
        if String::from_utf8_lossy(&body).contains(r#""connected""#) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "replicas do not find each other");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
