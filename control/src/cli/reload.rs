//! Flags: how manifests are followed while they are served.

use super::time;
use clap::Args;
use std::time::Duration;

/// Following manifests.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// How often the files of -f are looked at, and reloaded if they have
    /// changed; 0s: only on SIGHUP
    #[arg(long, env = "REVEILLE_MANIFEST_RELOAD_INTERVAL", default_value = "1s", value_parser = time)]
    pub manifest_reload_interval: Duration,
}

impl ReloadArgs {
    /// How often they are looked at; `None`: never.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        Some(self.manifest_reload_interval).filter(|every| !every.is_zero())
    }
}
