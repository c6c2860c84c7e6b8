//! A given number of warm GETs over a few keep-alive connections.
//!
//! For measurements that count per request and not per second. Fails on any
//! answer but 200.

use crate::http1::Reader;
use anyhow::{Context as _, Result, ensure};
use std::net::SocketAddr;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};

/// Sends `requests` for `host`, evenly over `connections`.
pub(crate) async fn run(
    proxy: SocketAddr,
    host: &str,
    connections: usize,
    requests: usize,
) -> Result<()> {
    ensure!(
        connections > 0 && requests.is_multiple_of(connections),
        "{requests} requests cannot be spread evenly over {connections} connections"
    );
    let request = format!(
        "GET /a/path?query=1 HTTP/1.1\r\nhost: {host}\r\nuser-agent: loadtests\r\naccept: */*\r\n\r\n"
    );
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(one(proxy, request.clone(), requests / connections));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn one(proxy: SocketAddr, request: String, requests: usize) -> Result<()> {
    let mut stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    let mut reader = Reader::new();
    for _ in 0..requests {
        stream.write_all(request.as_bytes()).await?;
        let head = reader.head(&mut stream, || {}).await?;
        let head = head.context("closed without an answer")?;
        ensure!(head.status()? == 200, "answered {}", head.first_line);
        reader.body(&mut stream, head.body_length()?).await?;
    }
    Ok(())
}
