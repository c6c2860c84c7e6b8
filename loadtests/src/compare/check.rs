//! Whether a peer does what the comparison is about: a proxy that drops a
//! header or opens a connection per request is not compared.

use super::{origin::BODY_BYTES, peer::Running};
use crate::client;
use anyhow::{Context as _, Result, ensure};
use std::net::IpAddr;

/// Fails unless a request arrives at the origin with X-Forwarded-For, over a
/// connection that is used again, and brings the whole body.
pub(super) async fn through(running: &Running) -> Result<()> {
    let (proxy, host) = (running.http1, running.host.as_str());
    let plain = client::send(proxy, host, "/").await?.answer().await?;
    ensure!(plain.head.status()? == 200, "{}", plain.head.first_line);
    ensure!(plain.body.len() == BODY_BYTES, "not the origin's body");
    let seen = client::send(proxy, host, "/seen").await?.answer().await?;
    let seen = String::from_utf8(seen.body)?;
    let (forwarded_for, requests) = seen.split_once(' ').context("not the origin's answer")?;
    // Envoy gives its own address in place of a loopback client's.
    ensure!(
        forwarded_for.parse::<IpAddr>().is_ok(),
        "X-Forwarded-For is {forwarded_for:?}"
    );
    let requests: u64 = requests.parse()?;
    ensure!(requests > 1, "a new connection to the origin per request");
    Ok(())
}
