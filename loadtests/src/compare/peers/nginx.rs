//! nginx as a proxy, and what the origin shares with it.

use crate::{
    compare::{
        lab::{self, Lab},
        peer::{Peer, Running},
    },
    program::{self, Program},
};
use anyhow::{Context as _, Result};
use std::{net::SocketAddr, path::Path};

/// The proxy under test.
pub(in crate::compare) async fn start(lab: &Lab<'_>, peer: Peer) -> Result<Running> {
    let (http1, http2) = (lab::free_address()?, lab::free_address()?);
    let http = format!(
        "
    upstream origin {{
        server {origin};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {http1} backlog=4096;
        listen {http2} http2 backlog=4096;
        client_max_body_size 0;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Connection \"\";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}",
        origin = lab.origin
    );
    let dir = lab.peer_dir(peer)?;
    let program = serve(&dir, lab.args.proxy_core, http1, &http).await?;
    Ok(Running {
        program,
        http1,
        http2,
        host: "fixed.localhost".to_owned(),
    })
}

/// Starts an nginx with one worker and the given rest of its `http` block, and
/// waits until it accepts on `address`. Writes only into `dir`.
pub(in crate::compare) async fn serve(
    dir: &Path,
    core: usize,
    address: SocketAddr,
    http: &str,
) -> Result<Program> {
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {}/{kind};\n", dir.display()))
        .collect();
    let config = format!(
        "worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
{temp}{http}
}}
",
        dir = dir.display(),
    );
    let file = dir.join("nginx.conf");
    std::fs::write(&file, config)?;
    let mut command = program::command("nginx", Some(core));
    command.arg("-p").arg(dir).arg("-c").arg(&file);
    command.args(["-e", "stderr"]);
    let mut program = Program::start(&mut command, &dir.join("nginx.log"))?;
    program.accepts(address).await.context("nginx")?;
    Ok(program)
}
