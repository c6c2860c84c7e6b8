//! The order of measurements: rounds, peers in rotated order, loads.

use super::{
    case::{self, Case},
    lab::Lab,
    peer::{Peer, Running},
    results::{Measurement, Metric, Results},
};
use crate::progress;
use anyhow::{Context as _, Result};
use std::time::Duration;
use tokio::time::Instant;

/// Runs everything and adds to `results` as it goes. A measurement that fails
/// is noted and the others go on.
///
/// Cancel safe: dropped, what it started is stopped.
pub(super) async fn run(lab: &Lab<'_>, peers: &[Peer], cases: &[Case], results: &mut Results) {
    let rounds = lab.args.rounds();
    let each: u64 = cases.iter().map(|case| case.seconds(lab.args)).sum();
    let all = u64::try_from(rounds * peers.len()).unwrap_or(u64::MAX);
    let mut progress = Progress {
        begun: Instant::now(),
        left: rounds * peers.len() * cases.len(),
    };
    progress.say(&format!(
        "{rounds} rounds of {} peers and {} loads, about {} s",
        peers.len(),
        cases.len(),
        all.saturating_mul(each + 4)
    ));
    for round in 0..rounds {
        for peer in rotated(peers, round) {
            let mut running = None;
            for case in cases {
                progress.left -= 1;
                let measured = measure(lab, peer, *case, &mut running).await;
                let what = format!("round {} {} {}", round + 1, peer.name(), case.name());
                match measured {
                    Ok(values) => {
                        let main = case.main_metric();
                        let value = values.get(&main).copied().unwrap_or(f64::NAN);
                        progress.say(&format!("{what}: {value:.2} {}", main.unit()));
                        results.measurements.push(Measurement {
                            round,
                            peer,
                            case: *case,
                            values,
                        });
                    }
                    Err(error) => {
                        let log = running.take().map(|one: Running| one.program.log_end());
                        let log = log.unwrap_or_default();
                        progress.say(&format!("{what}: FAILED: {error:#}\n{log}"));
                        results.failures.push(format!("{what}: {error:#}"));
                    }
                }
            }
            if let Err(error) = stop(running).await {
                let failure = format!("{}: {error:#}", peer.name());
                progress.say(&failure);
                results.failures.push(failure);
            }
        }
    }
}

/// Each round begins with another peer.
fn rotated(peers: &[Peer], round: usize) -> impl Iterator<Item = Peer> {
    let first = round % peers.len();
    peers.iter().copied().cycle().skip(first).take(peers.len())
}

/// Loads share one process; idle connections get one of their own.
async fn measure(
    lab: &Lab<'_>,
    peer: Peer,
    case: Case,
    running: &mut Option<Running>,
) -> Result<std::collections::BTreeMap<Metric, f64>> {
    if case.idle_connections().is_some() {
        stop(running.take()).await?;
    }
    let one = match running {
        Some(one) => one,
        None => {
            let one = running.insert(peer.start(lab).await?);
            case::warm_up(lab, one).await.context("before the load")?;
            one
        }
    };
    let values = case.measure(lab, one).await?;
    if case.idle_connections().is_some() {
        stop(running.take()).await?;
    }
    Ok(values)
}

async fn stop(running: Option<Running>) -> Result<()> {
    match running {
        Some(running) => running.program.stop().await,
        None => Ok(()),
    }
}

/// Lines on standard error.
struct Progress {
    begun: Instant,
    left: usize,
}

impl Progress {
    fn say(&self, what: &str) {
        let passed = Duration::from_secs(self.begun.elapsed().as_secs());
        progress::say(&format!("[{passed:?}, {} to go] {what}", self.left));
    }
}

#[cfg(test)]
mod tests {
    use super::{Peer, rotated};

    #[test]
    fn each_round_begins_with_another() {
        let peers = [Peer::Nginx, Peer::Haproxy, Peer::Reveille];
        let second: Vec<Peer> = rotated(&peers, 4).collect();
        assert_eq!(second, [Peer::Haproxy, Peer::Reveille, Peer::Nginx]);
    }
}
