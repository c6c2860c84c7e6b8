//! Many sleeping targets asked for at once: when is each stream told?
//!
//! The requests are sent by a thread of their own on connections that are
//! open already, so that sending does not delay the stamps of the streams.

use crate::{clock::monotonic_ns, keda::Streams, manifest};
use anyhow::{Context as _, Result, anyhow};
use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// When the streams were told, ms.
pub(crate) struct Told {
    /// From each request to its stream.
    pub(crate) each_ms: Vec<f64>,
    /// From the first request to the last stream.
    pub(crate) all_ms: f64,
    /// From the first request to the last.
    pub(crate) sending_ms: f64,
}

fn ms(from: u64, to: u64) -> f64 {
    Duration::from_nanos(to.saturating_sub(from)).as_secs_f64() * 1e3
}

/// Sends one request to each target. The first of `streams` are theirs.
pub(crate) async fn wake(
    proxy: SocketAddr,
    names: &[String],
    streams: &mut Streams,
) -> Result<Told> {
    let mut connections = Vec::with_capacity(names.len());
    for name in names {
        let connection = TcpStream::connect(proxy).context("the proxy")?;
        connection.set_nodelay(true)?;
        let host = manifest::host(name);
        connections.push((
            connection,
            format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        ));
    }
    // The proxy takes them in.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let sending = std::thread::spawn(move || {
        let mut sent = Vec::with_capacity(connections.len());
        for (connection, request) in &mut connections {
            sent.push(monotonic_ns());
            connection.write_all(request.as_bytes())?;
        }
        // Open until the streams were read: who leaves is not waited for.
        anyhow::Ok((sent, connections))
    });
    let all = async {
        let mut told = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            told.push(
                streams
                    .activated(index)
                    .await
                    .with_context(|| name.clone())?,
            );
        }
        anyhow::Ok(told)
    };
    let told = tokio::time::timeout(TOLD_WITHIN, all).await;
    let told = told.with_context(|| format!("not all were told within {TOLD_WITHIN:?}"))??;
    let sent = sending.join().map_err(|_| anyhow!("the sender panicked"))?;
    let (sent, _connections) = sent?;
    let (first, last) = (sent.first(), sent.last());
    let (first, last) = first.zip(last).context("nothing to wake")?;
    let last_told = told.iter().max().context("nothing to wake")?;
    Ok(Told {
        all_ms: ms(*first, *last_told),
        sending_ms: ms(*first, *last),
        each_ms: sent
            .iter()
            .zip(&told)
            .map(|(&sent, &told)| ms(sent, told))
            .collect(),
    })
}
