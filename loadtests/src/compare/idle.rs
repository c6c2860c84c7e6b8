//! What an idle keep-alive connection costs in memory, some seconds after a
//! burst over all of them.

use super::{Args, case::Values, peer::Running, results::Metric};
use crate::{http1::Reader, proc};
use anyhow::{Context as _, Result, ensure};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Semaphore, task::JoinSet};

/// Requests on each connection, and how many of them at once.
const BURST: usize = 5;
const AT_ONCE: usize = 64;

/// From the burst until memory is read.
pub(super) fn settle(args: &Args) -> Duration {
    Duration::from_secs(if args.quick { 3 } else { 5 })
}

/// Opens `count` connections to a fresh process, uses all of them, leaves them
/// idle, and reads its memory.
pub(super) async fn measure(
    running: &mut Running,
    count: usize,
    settle: Duration,
) -> Result<Values> {
    let pid = running.program.pid();
    let before = proc::tree_pss_kib(pid)?;
    let connections = burst(running.http1, &running.host, count).await?;
    tokio::time::sleep(settle).await;
    let after = proc::tree_pss_kib(pid)?;
    for connection in &connections {
        ensure!(is_open(connection), "it closed an idle connection");
    }
    running.program.check_alive()?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let each = after.saturating_sub(before) as f64 / count as f64;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let mib = |kib: u64| kib as f64 / 1024.0;
    Ok(Values::from([
        (Metric::KibPerConnection, each),
        (Metric::BeforeMib, mib(before)),
        (Metric::WithMib, mib(after)),
    ]))
}

async fn burst(proxy: SocketAddr, host: &str, count: usize) -> Result<Vec<TcpStream>> {
    let request: Arc<str> = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").into();
    let mut connections = Vec::with_capacity(count);
    for n in 0..count {
        let opened = TcpStream::connect(proxy).await;
        connections.push(opened.with_context(|| format!("connection {n}"))?);
    }
    for _ in 0..BURST {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for stream in connections.drain(..) {
            let (places, request) = (places.clone(), request.clone());
            tasks.spawn(async move {
                let _place = places.acquire_owned().await?;
                exchange(stream, &request).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            connections.push(done??);
        }
    }
    Ok(connections)
}

/// One request and its whole answer.
async fn exchange(mut stream: TcpStream, request: &str) -> Result<TcpStream> {
    stream.write_all(request.as_bytes()).await?;
    let mut reader = Reader::new();
    let head = reader.head(&mut stream, || {}).await?;
    let head = head.context("closed without an answer")?;
    ensure!(head.status()? == 200, "answered {}", head.first_line);
    reader.body(&mut stream, head.body_length()?).await?;
    Ok(stream)
}

fn is_open(stream: &TcpStream) -> bool {
    let mut byte = [0; 1];
    let read = stream.try_read(&mut byte);
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}
