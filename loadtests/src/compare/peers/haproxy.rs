//! haproxy as a proxy.

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
    let config = format!(
        "global
    nbthread 1
    maxconn 7000
defaults
    mode http
    http-reuse always
    option forwardfor
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
frontend front
    bind {http1} backlog 4096
    bind {http2} proto h2 backlog 4096
    default_backend origin
backend origin
    server origin {origin}
",
        origin = lab.origin
    );
    let dir = lab.peer_dir(Peer::Haproxy)?;
    let file = dir.join("haproxy.cfg");
    std::fs::write(&file, config)?;
    let mut command = program::command("haproxy", Some(lab.args.proxy_core));
    command.args(["-db", "-f"]).arg(&file);
    let mut program = Program::start(&mut command, &dir.join("haproxy.log"))?;
    program.accepts(http1).await?;
    Ok(Running {
        program,
        http1,
        http2,
        host: "fixed.localhost".to_owned(),
    })
}
