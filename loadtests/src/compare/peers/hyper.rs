//! The bare pass-through of this crate (`passthrough.rs`) as a peer.

use crate::{
    compare::{
        lab::{self, Lab},
        peer::{Peer, Running},
    },
    program::{self, Program},
};
use anyhow::Result;

/// Starts it.
pub(in crate::compare) async fn start(lab: &Lab<'_>) -> Result<Running> {
    let (http1, http2) = (lab::free_address()?, lab::free_address()?);
    let mut command = program::command(std::env::current_exe()?, Some(lab.args.proxy_core));
    command.arg("passthrough");
    for (flag, address) in [
        ("--http1", http1),
        ("--http2", http2),
        ("--origin", lab.origin),
    ] {
        command.args([flag, &address.to_string()]);
    }
    let log = lab.peer_dir(Peer::Hyper)?.join("passthrough.log");
    let mut program = Program::start(&mut command, &log)?;
    program.accepts(http1).await?;
    Ok(Running {
        program,
        http1,
        http2,
        host: "fixed.localhost".to_owned(),
    })
}
