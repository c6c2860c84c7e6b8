//! `loadtests open-loop`: load at a fixed rate with Poisson arrivals.
//!
//! Requests come when they come, whether earlier ones were answered or not;
//! latency counts from the scheduled instant, so a proxy that stalls pays for
//! every request that should have been sent meanwhile. Runs as a process of
//! its own, to be on its own core.

use crate::{clock::monotonic_ns, http1::Reader, program, stats::Percentiles};
use anyhow::{Context as _, Result, ensure};
use parking_lot::Mutex;
use rustix::{
    io::Errno,
    thread::{clock_nanosleep_absolute, set_current_timer_slack},
    time::{ClockId, Timespec},
};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, net::SocketAddr, num::NonZeroU64, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::Semaphore, task::JoinSet};

/// How long answers may take after the last arrival.
const GRACE: Duration = Duration::from_secs(10);

/// Options of `open-loop`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to
    proxy: SocketAddr,
    /// The Host header
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Requests per second, in the mean
    #[arg(long, default_value_t = 8_000)]
    rate: u32,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Milliseconds of arrivals
    #[arg(long, default_value_t = 10_000)]
    milliseconds: u64,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Answered with 2xx.
    pub(crate) requests: u64,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) errors: u64,
}

/// Runs `open-loop` of this program on `core`.
pub(crate) async fn run_on(
    core: usize,
    proxy: SocketAddr,
    host: &str,
    rate: u32,
    connections: usize,
    time: Duration,
) -> Result<Done> {
    let mut command = program::command(std::env::current_exe()?, Some(core));
    command.args(["open-loop", &proxy.to_string(), "--host", host]);
    command.args(["--rate", &rate.to_string()]);
    command.args(["--connections", &connections.to_string()]);
    command.args(["--milliseconds", &time.as_millis().to_string()]);
    let json = program::output(&mut command, time + 2 * GRACE).await?;
    serde_json::from_str(&json).with_context(|| format!("open-loop said: {json}"))
}

/// Prints [`Done`] as JSON.
pub(crate) async fn run(args: Args) -> Result<()> {
    let done = load(args).await?;
    println!("{}", serde_json::to_string(&done)?);
    Ok(())
}

/// Arrivals that no connection has taken yet, as scheduled instants.
struct Queue {
    arrivals: Mutex<VecDeque<u64>>,
    /// One permit for each; closed after the last.
    ready: Semaphore,
}

/// What one connection has seen.
#[derive(Default)]
struct Seen {
    latencies_ms: Vec<f64>,
    errors: u64,
}

async fn load(args: Args) -> Result<Done> {
    ensure!(args.rate > 0 && args.connections > 0, "nothing to send");
    let queue = Arc::new(Queue {
        arrivals: Mutex::default(),
        ready: Semaphore::new(0),
    });
    let request: Arc<str> = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", args.host).into();
    let mut tasks = JoinSet::new();
    for _ in 0..args.connections {
        let stream = connect(args.proxy).await?;
        tasks.spawn(connection(
            args.proxy,
            stream,
            queue.clone(),
            request.clone(),
        ));
    }
    let begun = monotonic_ns();
    let time = Duration::from_millis(args.milliseconds);
    tokio::task::spawn_blocking(move || schedule(&queue, begun, args.rate, time)).await??;
    let seconds = Duration::from_nanos(monotonic_ns() - begun).as_secs_f64();
    let all = tokio::time::timeout(GRACE, tasks.join_all()).await;
    let all = all.context("the last requests were not answered")?;
    let errors = all.iter().map(|seen| seen.errors).sum();
    let latencies = all.into_iter().flat_map(|seen| seen.latencies_ms);
    let measured = Percentiles::of(latencies).context("no request was answered")?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let requests_per_second = measured.count as f64 / seconds;
    Ok(Done {
        requests: u64::try_from(measured.count)?,
        requests_per_second,
        p50_ms: measured.p50,
        p99_ms: measured.p99,
        max_ms: measured.max,
        errors,
    })
}

/// Puts arrivals into the queue at their instants, in exponentially
/// distributed distances. Blocks: the runtime's own timer counts milliseconds.
fn schedule(queue: &Queue, begun: u64, rate: u32, time: Duration) -> Result<()> {
    // Or the kernel may wake this thread 50 microseconds late.
    set_current_timer_slack(Some(NonZeroU64::MIN))?;
    let end = begun + u64::try_from(time.as_nanos())?;
    let mut at = begun;
    loop {
        at += u64::try_from(distance(rate, fastrand::f64()).as_nanos())?;
        if at >= end {
            queue.ready.close();
            return Ok(());
        }
        sleep_until(at)?;
        queue.arrivals.lock().push_back(at);
        queue.ready.add_permits(1);
    }
}

fn sleep_until(at: u64) -> Result<()> {
    let instant = Timespec {
        tv_sec: i64::try_from(at / 1_000_000_000)?,
        tv_nsec: i64::try_from(at % 1_000_000_000)?,
    };
    while at > monotonic_ns() {
        match clock_nanosleep_absolute(ClockId::Monotonic, &instant) {
            Ok(()) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Between two arrivals, for a `uniform` in [0, 1).
fn distance(rate: u32, uniform: f64) -> Duration {
    Duration::from_secs_f64(-(1.0 - uniform).ln() / f64::from(rate))
}

async fn connect(proxy: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(proxy).await.context("connect")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Takes arrivals, the longest idle connection first, until there are none.
async fn connection(
    proxy: SocketAddr,
    mut stream: TcpStream,
    queue: Arc<Queue>,
    request: Arc<str>,
) -> Seen {
    let mut seen = Seen::default();
    let mut reader = Reader::new();
    loop {
        match queue.ready.acquire().await {
            Ok(permit) => permit.forget(),
            // Closed: take what is left.
            Err(_closed) => {}
        }
        let Some(arrived) = queue.arrivals.lock().pop_front() else {
            return seen;
        };
        match exchange(&mut stream, &mut reader, &request).await {
            Ok(()) => {
                let took = Duration::from_nanos(monotonic_ns().saturating_sub(arrived));
                seen.latencies_ms.push(took.as_secs_f64() * 1e3);
            }
            Err(_) => {
                seen.errors += 1;
                let Ok(fresh) = connect(proxy).await else {
                    return seen;
                };
                (stream, reader) = (fresh, Reader::new());
            }
        }
    }
}

async fn exchange(stream: &mut TcpStream, reader: &mut Reader, request: &str) -> Result<()> {
    stream.write_all(request.as_bytes()).await?;
    let head = reader.head(stream, || {}).await?;
    let head = head.context("closed without an answer")?;
    ensure!(head.status()? == 200, "answered {}", head.first_line);
    reader.body(stream, head.body_length()?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Args, distance, load};
    use crate::backend;
    use std::time::Duration;

    #[test]
    fn distances_are_exponential() {
        assert_eq!(distance(1000, 0.0), Duration::ZERO);
        let median = distance(1000, 0.5).as_secs_f64();
        assert!((median - 0.000_693_147).abs() < 1e-8, "{median}");
    }

    #[tokio::test]
    async fn every_arrival_is_answered() {
        let args = Args {
            proxy: backend::spawn(10).await.unwrap(),
            host: "a".to_owned(),
            rate: 2_000,
            connections: 4,
            milliseconds: 100,
        };
        let done = load(args).await.unwrap();
        assert_eq!(done.errors, 0);
        // 200 in the mean; this far off once in many universes.
        assert!((100..350).contains(&done.requests), "{done:?}");
        assert!(done.p50_ms <= done.p99_ms && done.p99_ms <= done.max_ms);
    }
}
