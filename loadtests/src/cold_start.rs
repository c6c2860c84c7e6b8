//! `loadtests cold-start`: how long a first request waits, and for what.
//!
//! Many sleeping targets are woken one after another, each once. All instants
//! are CLOCK_MONOTONIC ns of this machine: the client's, the KEDA stream's and
//! the backend's.

use crate::{
    backend::{FIRST_BYTE, LISTENING, STARTED},
    client,
    keda::Streams,
    manifest,
    report::{Goal, Row, Table},
    reveille::{self, Reveille},
};
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use std::{path::PathBuf, time::Duration};

const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const DELAY_MS: &str = "20..150";
const PAUSE_MS: u64 = 20;

/// Options of `cold-start`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Targets to wake, each once
    #[arg(long, default_value_t = 200)]
    starts: usize,
    /// Milliseconds from a backend's start to its listen(2): drawn from A..B
    #[arg(long, default_value = DELAY_MS)]
    delay_ms: String,
    /// Milliseconds between an answer and the next request
    #[arg(long, default_value_t = PAUSE_MS)]
    pause_ms: u64,
    /// Fail also when a target is missed, not only on errors
    #[arg(long)]
    fail_on_miss: bool,
    /// Write every start and the summary to this file
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    reveille: reveille::Args,
}

impl Args {
    /// So many starts, and anything else as it is by default.
    pub(crate) fn of(starts: usize, reveille: reveille::Args) -> Self {
        Self {
            starts,
            delay_ms: DELAY_MS.to_owned(),
            pause_ms: PAUSE_MS,
            fail_on_miss: false,
            out: None,
            reveille,
        }
    }
}

/// The instants of one start.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Start {
    sent: u64,
    told: u64,
    started: u64,
    listening: u64,
    first_byte: u64,
    answered: u64,
}

impl Start {
    fn between(from: u64, to: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 ns")]
        let ns = to.saturating_sub(from) as f64;
        ns / 1e6
    }

    /// Request → `true` on KEDA's stream, ms.
    pub(crate) fn told_ms(&self) -> f64 {
        Self::between(self.sent, self.told)
    }
    /// `listen(2)` → first byte of a request, ms.
    pub(crate) fn released_ms(&self) -> f64 {
        Self::between(self.listening, self.first_byte)
    }
    /// Request → the backend's `main`, ms.
    fn spawned_ms(&self) -> f64 {
        Self::between(self.sent, self.started)
    }
    /// The application's own start: `main` → `listen(2)`, ms.
    pub(crate) fn own_start_ms(&self) -> f64 {
        Self::between(self.started, self.listening)
    }
    /// First byte at the backend → whole answer at the client, ms.
    fn answer_ms(&self) -> f64 {
        Self::between(self.first_byte, self.answered)
    }
    /// What the client sees, ms.
    pub(crate) fn seen_ms(&self) -> f64 {
        Self::between(self.sent, self.answered)
    }
}

#[derive(Serialize)]
struct Results<'a> {
    table: &'a Table,
    errors: &'a [String],
    starts_ns: &'a [Start],
}

/// What was measured so far.
#[derive(Default)]
pub(crate) struct Measured {
    pub(crate) starts: Vec<Start>,
    /// Of starts that failed.
    pub(crate) errors: Vec<String>,
}

/// Wakes all targets, and adds to `measured` as it goes. Gives the end of
/// Reveille's log. Cancel safe: dropped, what it started is stopped.
///
/// # Errors
/// Reveille does not start, or does not stop. Starts that fail are noted.
pub(crate) async fn measure(args: &Args, measured: &mut Measured) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let own = std::env::current_exe()?;
    let own = own.to_str().context("a path that is not UTF-8")?;
    let names: Vec<String> = (0..args.starts).map(|n| format!("cold-{n}")).collect();
    let delay = args.delay_ms.as_str();
    for name in &names {
        let command = [own, "backend", "--port", "{port}", "--delay-ms", delay];
        manifest::write_sleeping(dir.path(), name, &command)?;
    }
    let mut reveille = Reveille::start(&args.reveille, dir.path(), None).await?;
    let done = wake_all(args, &names, &reveille, measured).await;
    reveille.program.check_alive().context("reveille")?;
    let log = reveille.program.log_end();
    let stopped = reveille.program.stop().await.context("reveille");
    done?;
    stopped?;
    Ok(log)
}

/// Runs the measurement and prints a table.
pub(crate) async fn run(args: Args) -> Result<()> {
    let mut measured = Measured::default();
    let log = measure(&args, &mut measured).await?;
    let Measured { starts, errors } = measured;

    let table = summary(&starts, &args);
    println!("{table}");
    for error in errors.iter().take(10) {
        println!("error: {error}");
    }
    if !errors.is_empty() {
        println!("reveille's log ends:\n{log}");
    }
    if let Some(out) = &args.out {
        let (errors, starts_ns) = (errors.as_slice(), starts.as_slice());
        let results = Results {
            table: &table,
            errors,
            starts_ns,
        };
        std::fs::write(out, serde_json::to_string_pretty(&results)?)?;
    }
    ensure!(
        errors.is_empty(),
        "{} of {} starts failed",
        errors.len(),
        args.starts
    );
    ensure!(table.all_met() || !args.fail_on_miss, "a target was missed");
    Ok(())
}

async fn wake_all(
    args: &Args,
    names: &[String],
    reveille: &Reveille,
    measured: &mut Measured,
) -> Result<()> {
    let mut streams = Streams::open(reveille.addresses.grpc, names).await?;
    for (index, name) in names.iter().enumerate() {
        let woken = wake(reveille, &mut streams, index, name);
        match tokio::time::timeout(ANSWER_WITHIN, woken).await {
            Ok(Ok(start)) => measured.starts.push(start),
            Ok(Err(error)) => measured.errors.push(format!("{name}: {error:#}")),
            Err(_) => {
                let error = format!("{name}: nothing within {ANSWER_WITHIN:?}");
                measured.errors.push(error);
            }
        }
        tokio::time::sleep(Duration::from_millis(args.pause_ms)).await;
    }
    Ok(())
}

async fn wake(
    reveille: &Reveille,
    streams: &mut Streams,
    index: usize,
    name: &str,
) -> Result<Start> {
    let sent = client::send(reveille.addresses.proxy, &manifest::host(name), "/").await?;
    let sent_at = sent.at;
    let (answer, told) = tokio::join!(sent.answer(), streams.activated(index));
    let answer = answer?;
    let status = answer.head.status()?;
    let body = || String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(status == 200, "status {status}: {}", body());
    let instant = |name| answer.head.number(name).context(name);
    Ok(Start {
        sent: sent_at,
        told: told?,
        started: instant(STARTED)?,
        listening: instant(LISTENING)?,
        first_byte: instant(FIRST_BYTE)?,
        answered: answer.at,
    })
}

fn summary(starts: &[Start], args: &Args) -> Table {
    let row =
        |what, of: fn(&Start) -> f64, goals: &[Goal]| Row::new(what, starts.iter().map(of), goals);
    let title = format!(
        "{} cold starts, one after another; backends listen {} ms after their start; milliseconds",
        starts.len(),
        args.delay_ms
    );
    Table::new(
        title,
        [
            row(
                "(a) request sent → `true` on KEDA's stream",
                Start::told_ms,
                &[Goal::p50(1.0), Goal::p99(5.0)],
            ),
            row(
                "(b) backend's listen() → first byte of a request",
                Start::released_ms,
                &[Goal::p99(15.0)],
            ),
            row("(c) latency seen by the client", Start::seen_ms, &[]),
            row(
                "(c) without the application's own start",
                |start| start.seen_ms() - start.own_start_ms(),
                &[],
            ),
            row(
                "request sent → backend's main() (signal, autoscaler, fork, exec)",
                Start::spawned_ms,
                &[],
            ),
            row(
                "the application's own start: main() → listen()",
                Start::own_start_ms,
                &[],
            ),
            row(
                "first byte at the backend → answer at the client",
                Start::answer_ms,
                &[],
            ),
        ],
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::Start;

    /// All parts take so many milliseconds.
    pub(crate) fn start(ms: u64) -> Start {
        let at = |parts: u64| parts * ms * 1_000_000;
        Start {
            sent: at(0),
            told: at(1),
            started: at(2),
            listening: at(3),
            first_byte: at(4),
            answered: at(5),
        }
    }

    #[test]
    fn parts_of_a_start() {
        let start = start(2);
        assert_eq!((start.told_ms(), start.spawned_ms()), (2.0, 4.0));
        assert_eq!((start.own_start_ms(), start.released_ms()), (2.0, 2.0));
        assert_eq!((start.answer_ms(), start.seen_ms()), (2.0, 10.0));
    }
}
