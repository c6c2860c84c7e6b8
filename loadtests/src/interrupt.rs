//! SIGINT and SIGTERM.
//!
//! A measurement that is told to end is dropped, which stops the programs that
//! it started.

use anyhow::{Result, bail};
use tokio::signal::unix;

/// Resolves when this process is told to end, and says by what.
pub(crate) async fn told() -> Result<&'static str> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => {
            interrupt?;
            Ok("interrupted")
        }
        _ = terminate.recv() => Ok("told to end"),
    }
}

/// Runs a measurement unless it is told to end.
pub(crate) async fn or_interrupted(measurement: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::select! {
        done = measurement => done,
        told = told() => bail!("{}", told?),
    }
}
