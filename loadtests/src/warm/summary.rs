//! Medians over the rounds, and ratios to nginx paired by round.

use super::{Measurement, peer::Peer};
use crate::stats::Spread;
use std::fmt;

/// Prints as a Markdown table.
pub(super) struct Summary<'a> {
    peers: &'a [Peer],
    measurements: &'a [Measurement],
    connections: usize,
}

impl<'a> Summary<'a> {
    pub(super) fn new(
        peers: &'a [Peer],
        measurements: &'a [Measurement],
        connections: usize,
    ) -> Self {
        Self {
            peers,
            measurements,
            connections,
        }
    }

    fn spread(&self, peer: Peer, value: impl Fn(&Measurement) -> f64) -> Option<Spread> {
        let own = self.measurements.iter().filter(|one| one.peer == peer);
        Spread::of(own.map(value))
    }

    /// CPU of `peer` over CPU of nginx, round by round.
    fn ratio(&self, peer: Peer) -> Option<Spread> {
        let own = self.measurements.iter().filter(|one| one.peer == peer);
        let ratios = own.filter_map(|one| {
            let in_round =
                |other: &&Measurement| other.peer == Peer::Nginx && other.round == one.round;
            let reference = self.measurements.iter().find(in_round)?;
            Some(one.cpu() / reference.cpu())
        });
        Spread::of(ratios)
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "GET 1 KiB, {} connections; median (min–max) over rounds; CPU in seconds per 100,000 requests\n",
            self.connections
        )?;
        writeln!(
            f,
            "| peer | rounds | CPU | ratio to nginx | user | system | requests/s | p50 ms | p99 ms |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|")?;
        for peer in self.peers {
            let own = |one: &&Measurement| one.peer == *peer;
            let rounds = self.measurements.iter().filter(own).count();
            write!(f, "| {} | {rounds}", peer.name())?;
            let cells = [
                (self.spread(*peer, Measurement::cpu), 2),
                (self.ratio(*peer), 2),
                (self.spread(*peer, |one| one.user), 2),
                (self.spread(*peer, |one| one.system), 2),
                (self.spread(*peer, |one| one.requests_per_second), 0),
                (self.spread(*peer, |one| one.p50_ms), 2),
                (self.spread(*peer, |one| one.p99_ms), 1),
            ];
            for (spread, digits) in cells {
                match spread {
                    None => write!(f, " | –")?,
                    Some(Spread { median, min, max }) => {
                        write!(f, " | {median:.digits$} ({min:.digits$}–{max:.digits$})")?
                    }
                }
            }
            writeln!(f, " |")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Measurement, Peer, Summary};

    fn measurement(round: usize, peer: Peer, user: f64) -> Measurement {
        Measurement {
            round,
            peer,
            requests: 100_000,
            requests_per_second: 50_000.0,
            user,
            system: 1.0,
            p50_ms: 1.0,
            p99_ms: 3.0,
        }
    }

    #[test]
    fn ratios_are_paired_by_round() {
        let measurements = [
            measurement(0, Peer::Nginx, 1.0),
            measurement(0, Peer::Reveille, 2.0),
            measurement(1, Peer::Reveille, 5.0),
            measurement(1, Peer::Nginx, 3.0),
            measurement(2, Peer::Reveille, 9.0),
        ];
        let summary = Summary::new(&[Peer::Reveille], &measurements, 64);
        let ratio = summary.ratio(Peer::Reveille).unwrap();
        assert_eq!((ratio.min, ratio.max), (1.5, 1.5));
        assert!(
            summary
                .to_string()
                .contains("| reveille | 3 | 6.00 (3.00–10.00) | 1.50")
        );
    }
}
