//! h2load: HTTP/2 with prior knowledge, and what it says about it.

use super::{case::Load, peer::Running};
use crate::program;
use anyhow::{Context as _, Result};
use std::time::Duration;

/// How much longer than it was told to it may run.
const GRACE: Duration = Duration::from_secs(10);

/// Closed loop of 8 connections with 16 streams each from one thread on
/// `core` for `time`.
pub(super) async fn run(core: usize, to: &Running, time: Duration) -> Result<Load> {
    let mut command = program::command("h2load", Some(core));
    command.args(["-t1", "-c8", "-m16"]);
    command.arg(format!("-D{}", time.as_secs()));
    // The name is the request's authority, the address is where it goes.
    command.arg(format!("--connect-to={}", to.http2));
    command.arg(format!("http://{}/", to.host));
    let text = program::output(&mut command, time + GRACE).await?;
    parse(&text).with_context(|| format!("h2load said:\n{text}"))
}

fn parse(text: &str) -> Result<Load> {
    let line = |prefix: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(prefix));
        found.with_context(|| format!("no line {prefix:?}"))
    };
    let counts = line("requests: ")?;
    let count = |what: &str| -> Result<u64> {
        let found = counts.split(", ").find_map(|part| {
            let (count, name) = part.trim().split_once(' ')?;
            (name == what).then_some(count)
        });
        Ok(found.with_context(|| format!("no {what}"))?.parse()?)
    };
    let codes = line("status codes: ")?;
    let succeeded = codes.split_once(" 2xx").context("no 2xx")?.0;
    let requests: u64 = succeeded.trim().parse()?;
    let done = count("done")?;
    let finished = line("finished in ")?;
    let rate = finished.split(", ").nth(1).context("no rate")?;
    let rate = rate.strip_suffix(" req/s").context("no rate")?;
    Ok(Load {
        requests,
        requests_per_second: rate.parse()?,
        p50_ms: None,
        p99_ms: None,
        errors: done.saturating_sub(requests) + count("errored")? + count("timeout")?,
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    const SAID: &str = "finished in 1.31s, 3043.30 req/s, 3.43MB/s
requests: 4000 total, 4000 started, 4000 done, 3990 succeeded, 10 failed, 0 errored, 2 timeout
status codes: 3990 2xx, 0 3xx, 10 4xx, 0 5xx
";

    #[test]
    fn what_it_says() {
        let load = parse(SAID).unwrap();
        assert_eq!((load.requests, load.errors), (3990, 12));
        assert_eq!(load.requests_per_second, 3043.3);
        assert!(parse("nothing").is_err());
    }
}
