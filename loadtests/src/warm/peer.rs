//! The proxies that can be compared.
//!
//! Each knows whether it can run here, and how to be started as one worker
//! that passes everything to the origin.

use super::{Lab, nginx, reveille};
use crate::program::{self, Program};
use anyhow::Result;
use serde::Serialize;
use std::net::SocketAddr;

/// A proxy to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Peer {
    /// The reference that others are compared with.
    Nginx,
    Reveille,
}

/// A peer that serves.
pub(super) struct Running {
    pub(super) program: Program,
    pub(super) address: SocketAddr,
    /// The Host header that it routes by.
    pub(super) host: String,
}

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Reveille => "reveille",
        }
    }

    /// Why it cannot be measured here.
    pub(super) fn missing(self, args: &crate::reveille::Args) -> Option<String> {
        match self {
            Self::Nginx => (!program::is_installed("nginx")).then(|| "not installed".to_owned()),
            Self::Reveille => args.binary().err().map(|error| format!("{error:#}")),
        }
    }

    pub(super) async fn start(self, lab: &Lab<'_>) -> Result<Running> {
        match self {
            Self::Nginx => nginx::start(lab).await,
            Self::Reveille => reveille::start(lab).await,
        }
    }
}
