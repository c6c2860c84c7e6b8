//! A real Envoy at the edge: with the bootstrap that users start it with, or
//! with a static configuration that knows nothing of Reveille.

use super::frozen;
use crate::{
    compare::{lab, peers},
    http1::Reader,
    program::{self, Program},
};
use anyhow::{Context as _, Result, ensure};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    time::{Instant, sleep},
};

const FLEET: &str = include_str!("../../../deploy/envoy/bootstrap.yaml");

/// What our proxy writes into each answer.
const THROUGH_US: &str = "x-keda-http-cold-start";

/// With thousands of clusters it takes its time.
const READY_WITHIN: Duration = Duration::from_secs(120);
const LOOK_EACH: Duration = Duration::from_millis(2);

/// A running Envoy.
pub(super) struct Edge {
    pub(super) program: Program,
    /// Where clients connect.
    pub(super) listener: SocketAddr,
    /// Its admin server, if it has one.
    admin: Option<SocketAddr>,
}

impl Edge {
    /// One that takes everything from the xDS server at `xds`, which gives it a
    /// listener at that address; returns once it listens. Writes only into
    /// `dir`.
    pub(super) async fn of_fleet(
        binary: &Path,
        (xds, listener): (SocketAddr, SocketAddr),
        dir: &Path,
        core: Option<usize>,
    ) -> Result<Self> {
        let bootstrap = FLEET.replace("18000", &xds.port().to_string());
        let admin = lab::free_address()?;
        let bootstrap = bootstrap.replace("9902", &admin.port().to_string());
        let mut program = start(binary, &bootstrap, dir, "fleet", core)?;
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect(listener).await.is_err() {
            program.check_alive().context("Envoy")?;
            ensure!(
                Instant::now() < deadline,
                "Envoy does not listen in time; its log ends:\n{}",
                program.log_end()
            );
            sleep(LOOK_EACH).await;
        }
        Ok(Self {
            program,
            listener,
            admin: Some(admin),
        })
    }

    /// One with what this one was told as its own configuration.
    pub(super) async fn frozen(
        &self,
        binary: &Path,
        dir: &Path,
        name: &str,
        core: Option<usize>,
    ) -> Result<Self> {
        let admin = self.admin.context("an Envoy that nobody tells anything")?;
        let dump = frozen::dump(admin).await.context("Envoy's /config_dump")?;
        let listener = lab::free_address()?;
        let config = frozen::bootstrap(&dump, listener)?.to_string();
        Self::configured(binary, &config, listener, (dir, name), core).await
    }

    /// One that passes everything on to `origin`.
    pub(super) async fn fixed(
        binary: &Path,
        origin: SocketAddr,
        dir: &Path,
        name: &str,
        core: Option<usize>,
    ) -> Result<Self> {
        let listener = lab::free_address()?;
        let config = peers::envoy::config(listener, origin).to_string();
        Self::configured(binary, &config, listener, (dir, name), core).await
    }

    async fn configured(
        binary: &Path,
        config: &str,
        listener: SocketAddr,
        (dir, name): (&Path, &str),
        core: Option<usize>,
    ) -> Result<Self> {
        let mut program = start(binary, config, dir, name, core)?;
        program.accepts(listener).await?;
        Ok(Self {
            program,
            listener,
            admin: None,
        })
    }
}

fn start(
    binary: &Path,
    config: &str,
    dir: &Path,
    name: &str,
    core: Option<usize>,
) -> Result<Program> {
    let file = dir.join(format!("{name}.yaml"));
    std::fs::write(&file, config)?;
    let mut command = program::command(binary, core);
    command.args([
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "warning",
    ]);
    command.args(["--service-node", name, "--service-cluster", "loadtests"]);
    command.arg("-c").arg(&file);
    Program::start(&mut command, &dir.join(format!("{name}.log")))
}

/// A client's connection that is used again and again.
pub(super) struct Connection {
    stream: TcpStream,
    reader: Reader,
    request: String,
}

impl Connection {
    pub(super) async fn open(to: SocketAddr, host: &str) -> Result<Self> {
        let stream = TcpStream::connect(to).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            reader: Reader::new(),
            request: format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        })
    }

    /// Sends a request; does not wait for its answer.
    pub(super) async fn send(&mut self) -> Result<()> {
        Ok(self.stream.write_all(self.request.as_bytes()).await?)
    }

    /// The answer, which must be 200: whether it came straight from an
    /// endpoint.
    pub(super) async fn answer(&mut self) -> Result<bool> {
        let head = self.reader.head(&mut self.stream, || {}).await?;
        let head = head.context("closed without an answer")?;
        ensure!(head.status()? == 200, "answered {}", head.first_line);
        let length = head.body_length()?;
        self.reader.body(&mut self.stream, length).await?;
        Ok(head.get(THROUGH_US).is_none())
    }

    /// Asks until an answer comes straight from an endpoint.
    pub(super) async fn until_direct(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.send().await?;
            if self.answer().await? {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "it never goes direct");
            sleep(LOOK_EACH).await;
        }
    }
}
