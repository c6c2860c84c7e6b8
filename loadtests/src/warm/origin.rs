//! The backend of all peers: nginx, one worker, 1 KiB from memory.
//!
//! Its path `/seen` tells what reached it, so that a comparison with a proxy
//! that drops a header or opens a connection per request is refused.

use super::nginx;
use crate::{client, program::Program};
use anyhow::{Context as _, Result, ensure};
use std::{net::SocketAddr, path::Path};

const BODY_BYTES: usize = 1024;

/// The running backend.
pub(super) struct Origin {
    program: Program,
    pub(super) address: SocketAddr,
}

impl Origin {
    /// Starts it on `core`.
    pub(super) async fn start(dir: &Path, core: usize) -> Result<Self> {
        let dir = dir.join("origin");
        std::fs::create_dir_all(&dir)?;
        let body = "x".repeat(BODY_BYTES);
        let http = |port: u16| {
            format!(
                "
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /seen {{ return 200 \"$http_x_forwarded_for $connection_requests\"; }}
        location / {{ return 200 \"{body}\"; }}
    }}"
            )
        };
        let (program, address) = nginx::serve(&dir, core, http).await?;
        Ok(Self { program, address })
    }

    pub(super) async fn stop(self) -> Result<()> {
        self.program.stop().await.context("origin")
    }
}

/// Fails unless a request through `proxy` arrives with X-Forwarded-For, over a
/// connection that is used again, and brings the whole body.
pub(super) async fn check_through(proxy: SocketAddr, host: &str) -> Result<()> {
    let plain = client::send(proxy, host, "/").await?.answer().await?;
    ensure!(plain.head.status()? == 200, "{}", plain.head.first_line);
    ensure!(plain.body.len() == BODY_BYTES, "not the origin's body");
    let seen = client::send(proxy, host, "/seen").await?.answer().await?;
    let seen = String::from_utf8(seen.body)?;
    let (forwarded_for, requests) = seen.split_once(' ').context("not the origin's answer")?;
    ensure!(
        forwarded_for == "127.0.0.1",
        "X-Forwarded-For is {forwarded_for:?}"
    );
    let requests: u64 = requests.parse()?;
    ensure!(requests > 1, "a new connection to the origin per request");
    Ok(())
}
