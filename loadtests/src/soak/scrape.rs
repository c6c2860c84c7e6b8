//! What the program says about itself on its metrics page.

use super::host::Status;
use crate::client;
use anyhow::{Context as _, Result, ensure};
use std::net::SocketAddr;

/// Reads it.
pub(super) async fn status(admin: SocketAddr) -> Result<Status> {
    let sent = client::send(admin, "localhost", "/metrics").await?;
    let answer = sent.answer().await.context("/metrics")?;
    read(&String::from_utf8_lossy(&answer.body))
}

fn read(page: &str) -> Result<Status> {
    ensure!(page.ends_with("# EOF\n"), "the metrics page is cut off");
    let refused = sum(page, r#"reveille_manifest_reloads_total{result="refused"}"#)?;
    ensure!(refused == 0, "{refused} reloads were refused: see its log");
    let count = |name| anyhow::Ok(usize::try_from(sum(page, name)?)?);
    Ok(Status {
        reloads: sum(page, r#"reveille_manifest_reloads_total{result="applied"}"#)?,
        wakes: sum(page, "reveille_cold_starts_total")?,
        connections: count("reveille_client_connections")?,
        tasks: Some(count("reveille_tasks")?),
        held: count("reveille_held_requests")?,
        in_flight: sum(page, "interceptor_request_concurrency")?,
    })
}

/// The sum of all series of this name, or of one with its labels.
fn sum(page: &str, name: &str) -> Result<u64> {
    let mut sum = None;
    for line in page.lines() {
        let Some(rest) = line.strip_prefix(name) else {
            continue;
        };
        if rest.starts_with(['{', ' ']) {
            let (_, value) = rest.rsplit_once(' ').context("a series without a value")?;
            let value: u64 = value.parse().with_context(|| format!("{line:?}"))?;
            *sum.get_or_insert(0) += value;
        }
    }
    sum.with_context(|| format!("there is no {name} on the metrics page"))
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn series_of_one_name_are_added_up() {
        let page = "# TYPE a gauge\na{b=\"c d\"} 1\na{b=\"e\"} 2\nab 4\nz 8\n";
        assert_eq!(sum(page, "a").unwrap(), 3);
        assert_eq!(sum(page, "a{b=\"e\"}").unwrap(), 2);
        assert_eq!(sum(page, "z").unwrap(), 8);
        assert!(sum(page, "b").is_err());
    }
}
