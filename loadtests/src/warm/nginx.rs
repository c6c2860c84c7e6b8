//! nginx as a reverse proxy with one worker: the reference.
//!
//! Also starts the nginx of `origin.rs`, which differs in its server block.

use super::{Lab, peer::Running};
use crate::program::{self, Program};
use anyhow::{Context as _, Result, bail};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};
use tokio::{net::TcpStream, time::Instant};

const READY_WITHIN: Duration = Duration::from_secs(10);

/// The proxy under test.
pub(super) async fn start(lab: &Lab<'_>) -> Result<Running> {
    let http = |port: u16| {
        format!(
            "
    upstream origin {{
        server {origin};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
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
        )
    };
    let (program, address) = serve(&lab.dir, lab.core, http).await?;
    let host = "fixed.localhost".to_owned();
    Ok(Running {
        program,
        address,
        host,
    })
}

/// Starts an nginx with one worker on a free port, with the given rest of its
/// `http` block, and waits until it accepts. Writes only into `dir`.
pub(super) async fn serve(
    dir: &Path,
    core: usize,
    http: impl Fn(u16) -> String,
) -> Result<(Program, SocketAddr)> {
    let address = free_address()?;
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {}/{kind};\n", dir.display()))
        .collect();
    let config = format!(
        "worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
{temp}{http}
}}
",
        dir = dir.display(),
        http = http(address.port())
    );
    let file = dir.join("nginx.conf");
    std::fs::write(&file, config)?;
    let mut command = program::command("nginx", Some(core));
    command.arg("-p").arg(dir).arg("-c").arg(&file);
    command.args(["-e", "stderr"]);
    let mut program = Program::start(&mut command, &dir.join("nginx.log"))?;
    let deadline = Instant::now() + READY_WITHIN;
    while TcpStream::connect(address).await.is_err() {
        program.check_alive().context("nginx")?;
        if Instant::now() > deadline {
            bail!("nginx not ready in time:\n{}", program.log_end());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((program, address))
}

/// A loopback address that nobody listens on now.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
