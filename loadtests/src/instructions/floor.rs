//! The same requests through the bare pass-through of this crate: what hyper
//! alone takes.

use super::callgrind;
use crate::program::{self, Program};
use anyhow::{Context as _, Result};
use std::{net::SocketAddr, path::Path};
use tokio::process::Command;

/// A pass-through under callgrind, and where it listens.
pub(super) async fn start(
    file: &Path,
    dir: &Path,
    origin: SocketAddr,
) -> Result<(Program, SocketAddr)> {
    let (http1, http2) = (program::free_address()?, program::free_address()?);
    let wrapper = callgrind::command(file);
    let (first, rest) = wrapper.split_first().context("an empty command line")?;
    let mut command = Command::new(first);
    command.args(rest).arg(std::env::current_exe()?);
    command.arg("passthrough");
    for (flag, address) in [("--http1", http1), ("--http2", http2), ("--origin", origin)] {
        command.args([flag, &address.to_string()]);
    }
    let mut program = Program::start(&mut command, &dir.join("passthrough.log"))?;
    program.accepts(http1).await?;
    Ok((program, http1))
}
