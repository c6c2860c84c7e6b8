//! wrk: the load, and what it says about it.

use super::case::Load;
use crate::program;
use anyhow::{Context as _, Result};
use std::{net::SocketAddr, path::Path, time::Duration};

/// How much longer than it was told to it may run.
const GRACE: Duration = Duration::from_secs(10);

/// What each request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Get,
    /// 64 KiB.
    Post,
    /// A GET after which the connection closes.
    Close,
}

const POST: &str = "wrk.method = \"POST\"
wrk.body = string.rep(\"x\", 65536)
wrk.headers[\"Content-Type\"] = \"application/octet-stream\"
";

/// Closed loop from one thread on `core` for `time`, to an address and a host.
/// Writes its script into `dir`.
pub(crate) async fn run(
    core: usize,
    (to, host): (SocketAddr, &str),
    connections: usize,
    kind: Kind,
    time: Duration,
    dir: &Path,
) -> Result<Load> {
    let mut command = program::command("wrk", Some(core));
    command.args(["-t1", "--latency"]);
    command.arg(format!("-c{connections}"));
    command.arg(format!("-d{}s", time.as_secs()));
    command.args(["-H", &format!("Host: {host}")]);
    match kind {
        Kind::Get => {}
        Kind::Close => {
            command.args(["-H", "Connection: close"]);
        }
        Kind::Post => {
            let script = dir.join("post.lua");
            std::fs::write(&script, POST)?;
            command.arg("-s").arg(script);
        }
    }
    command.arg(format!("http://{to}/"));
    let text = program::output(&mut command, time + GRACE).await?;
    parse(&text).with_context(|| format!("wrk said:\n{text}"))
}

fn parse(text: &str) -> Result<Load> {
    let lines = || text.lines().map(str::trim);
    let after = |prefix: &str| lines().find_map(|line| line.strip_prefix(prefix));
    let percentile = |prefix| -> Result<f64> {
        let value = after(prefix).with_context(|| format!("no {prefix}"))?;
        parse_ms(value.trim()).with_context(|| format!("not a time: {value}"))
    };
    let requests = lines()
        .find_map(|line| line.split_once(" requests in "))
        .context("no count of requests")?
        .0;
    let rate = after("Requests/sec:").context("no Requests/sec")?;
    Ok(Load {
        requests: requests.parse()?,
        requests_per_second: rate.trim().parse()?,
        p50_ms: Some(percentile("50%")?),
        p99_ms: Some(percentile("99%")?),
        errors: after("Socket errors:").map_or(Ok(0), sum_of_counts)?
            + after("Non-2xx or 3xx responses:").map_or(Ok(0), sum_of_counts)?,
    })
}

/// `connect 0, read 3, write 0, timeout 1` or a bare number.
fn sum_of_counts(text: &str) -> Result<u64> {
    let last_words = text
        .split(',')
        .filter_map(|part| part.split_whitespace().last());
    last_words.map(|count| Ok(count.parse::<u64>()?)).sum()
}

/// wrk's times: `812.00us`, `1.11ms`, `2.03s`, `1.50m`.
fn parse_ms(text: &str) -> Option<f64> {
    let units = [
        ("us", 0.001),
        ("ms", 1.0),
        ("s", 1e3),
        ("m", 60e3),
        ("h", 3600e3),
    ];
    units.into_iter().find_map(|(unit, in_ms)| {
        let number = text.strip_suffix(unit)?.parse::<f64>().ok()?;
        Some(number * in_ms)
    })
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_ms};

    const GOOD: &str = "Running 10s test @ http://127.0.0.1:18080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.21ms  623.55us  12.72ms   84.12%
    Req/Sec    53.11k     2.11k   56.01k    81.00%
  Latency Distribution
     50%    1.12ms
     75%    1.31ms
     90%    1.88ms
     99%  912.00us
  528701 requests in 10.00s, 620.31MB read
Requests/sec:  52861.13
Transfer/sec:     62.02MB
";

    #[test]
    fn a_good_run() {
        let load = parse(GOOD).unwrap();
        assert_eq!(load.requests, 528_701);
        assert_eq!(load.requests_per_second, 52_861.13);
        assert_eq!((load.p50_ms, load.p99_ms), (Some(1.12), Some(0.912)));
        assert_eq!(load.errors, 0);
    }

    #[test]
    fn errors_are_added_up() {
        let bad = format!(
            "{GOOD}  Socket errors: connect 1, read 20, write 0, timeout 4\n  Non-2xx or 3xx responses: 100\n"
        );
        assert_eq!(parse(&bad).unwrap().errors, 125);
    }

    #[test]
    fn no_run_at_all() {
        assert!(parse("unable to connect to 127.0.0.1:1").is_err());
    }

    #[test]
    fn times() {
        assert_eq!(parse_ms("2.50s"), Some(2500.0));
        assert_eq!(parse_ms("250.00us"), Some(0.25));
        assert_eq!(parse_ms("1.50m"), Some(90_000.0));
        assert_eq!(parse_ms("1.5"), None);
    }
}
