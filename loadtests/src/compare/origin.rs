//! The backend of all peers: nginx, one worker, 1 KiB from memory.
//!
//! Its path `/seen` tells what reached it, for `check.rs`.

use super::{lab, peers::nginx};
use crate::program::Program;
use anyhow::{Context as _, Result};
use std::{net::SocketAddr, path::Path};

/// Of each answer's body.
pub(super) const BODY_BYTES: usize = 1024;

/// The running backend.
pub(crate) struct Origin {
    program: Program,
    pub(crate) address: SocketAddr,
}

impl Origin {
    /// Starts it on `core`.
    pub(crate) async fn start(dir: &Path, core: usize) -> Result<Self> {
        let dir = dir.join("origin");
        std::fs::create_dir_all(&dir)?;
        let address = lab::free_address()?;
        let body = "x".repeat(BODY_BYTES);
        let http = format!(
            "
    server {{
        listen {address} backlog=4096;
        location = /seen {{ return 200 \"$http_x_forwarded_for $connection_requests\"; }}
        location / {{ return 200 \"{body}\"; }}
    }}"
        );
        let program = nginx::serve(&dir, core, address, &http).await?;
        Ok(Self { program, address })
    }

    pub(crate) async fn stop(self) -> Result<()> {
        self.program.stop().await.context("origin")
    }
}
