//! Everything that was measured, as it is written to compare.json.

use super::{case::Case, lab::Lab, peer::Peer};
use crate::{figure::Figure, machine, stats::Spread};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Metric {
    Cpu,
    User,
    System,
    PerSecond,
    P50,
    P99,
    KibPerConnection,
    BeforeMib,
    WithMib,
    Errors,
}

impl Metric {
    /// In headings of tables.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::User => "user",
            Self::System => "system",
            Self::PerSecond => "requests/s",
            Self::P50 => "p50 ms",
            Self::P99 => "p99 ms",
            Self::KibPerConnection => "KiB per connection",
            Self::BeforeMib => "before MiB",
            Self::WithMib => "with them MiB",
            Self::Errors => "errors",
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Self::Cpu | Self::User | Self::System => "CPU s per 100,000 requests",
            Self::PerSecond => "requests/s",
            Self::P50 | Self::P99 => "ms",
            Self::KibPerConnection => "KiB per connection",
            Self::BeforeMib | Self::WithMib => "MiB",
            Self::Errors => "errors",
        }
    }

    pub(super) fn digits(self) -> usize {
        match self {
            Self::PerSecond | Self::Errors => 0,
            Self::KibPerConnection | Self::BeforeMib | Self::WithMib => 1,
            _ => 2,
        }
    }
}

/// One peer under one load in one round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Measurement {
    pub(super) round: usize,
    pub(super) peer: Peer,
    pub(super) case: Case,
    pub(super) values: BTreeMap<Metric, f64>,
}

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Results {
    /// Processor, kernel, and how the run was made.
    pub(super) machine: String,
    pub(super) setup: String,
    pub(super) versions: BTreeMap<Peer, String>,
    pub(super) measurements: Vec<Measurement>,
    pub(super) failures: Vec<String>,
}

impl Results {
    pub(super) async fn new(lab: &Lab<'_>, peers: &[Peer]) -> Self {
        let mut versions = BTreeMap::new();
        for peer in peers {
            versions.insert(*peer, peer.version(lab.args).await);
        }
        let args = lab.args;
        Self {
            machine: machine::describe(),
            setup: format!(
                "{} rounds of {} s; proxy on core {}, backend and load on core {}; open loop at {}/s",
                args.rounds(),
                args.seconds(),
                args.proxy_core,
                args.load_core,
                args.rate
            ),
            versions,
            measurements: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// The peers that have a figure, in order of their first.
    pub(super) fn peers(&self) -> Vec<Peer> {
        in_order(self.measurements.iter().map(|one| one.peer))
    }

    pub(super) fn cases(&self) -> Vec<Case> {
        in_order(self.measurements.iter().map(|one| one.case))
    }

    fn of(&self, peer: Peer, case: Case) -> impl Iterator<Item = &Measurement> {
        let own = move |one: &&Measurement| one.peer == peer && one.case == case;
        self.measurements.iter().filter(own)
    }

    pub(super) fn rounds(&self, peer: Peer, case: Case) -> usize {
        self.of(peer, case).count()
    }

    pub(super) fn spread(&self, peer: Peer, case: Case, metric: Metric) -> Option<Spread> {
        Spread::of(
            self.of(peer, case)
                .filter_map(|one| one.values.get(&metric).copied()),
        )
    }

    /// Over nginx in the same round.
    pub(super) fn ratio(&self, peer: Peer, case: Case, metric: Metric) -> Option<Spread> {
        Spread::of(self.ratios(peer, case, metric))
    }

    fn ratios(&self, peer: Peer, case: Case, metric: Metric) -> impl Iterator<Item = f64> {
        self.of(peer, case).filter_map(move |one| {
            let mut nginx = self.of(Peer::Nginx, case);
            let reference = nginx.find(|other| other.round == one.round)?;
            let (own, reference) = (one.values.get(&metric)?, reference.values.get(&metric)?);
            (*reference > 0.0).then(|| own / reference)
        })
    }

    /// What each peer costs under each load, and that over nginx: it depends
    /// less on the machine's mood.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for peer in self.peers() {
            for case in self.cases() {
                let metric = case.main_metric();
                let values = self.of(peer, case);
                let values = values.filter_map(|one| one.values.get(&metric).copied());
                let name = format!("{} {} {}", peer.name(), case.name(), metric.title());
                figures.push(Figure::lower(&*name, metric.unit(), values.collect()));
                if peer != Peer::Nginx {
                    let ratios = self.ratios(peer, case, metric).collect();
                    let name = format!("{name} by nginx");
                    figures.push(Figure::lower(name, "ratio", ratios));
                }
            }
        }
        figures.retain(|figure| !figure.values.is_empty());
        figures
    }
}

fn in_order<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
pub(super) mod tests {
    use super::{BTreeMap, Case, Measurement, Metric, Peer, Results};

    pub(in crate::compare) fn results(cpu: &[(usize, Peer, f64)]) -> Results {
        let one = |&(round, peer, cpu)| Measurement {
            round,
            peer,
            case: Case::Get64,
            values: BTreeMap::from([(Metric::Cpu, cpu)]),
        };
        Results {
            machine: "a machine".to_owned(),
            setup: "a setup".to_owned(),
            versions: BTreeMap::new(),
            measurements: cpu.iter().map(one).collect(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn ratios_are_paired_by_round() {
        let results = results(&[
            (0, Peer::Nginx, 2.0),
            (0, Peer::Reveille, 3.0),
            (1, Peer::Reveille, 6.0),
            (1, Peer::Nginx, 4.0),
            (2, Peer::Reveille, 10.0),
        ]);
        let ratio = results.ratio(Peer::Reveille, Case::Get64, Metric::Cpu);
        let ratio = ratio.unwrap();
        assert_eq!((ratio.min, ratio.max), (1.5, 1.5));
        let spread = results.spread(Peer::Reveille, Case::Get64, Metric::Cpu);
        assert_eq!(spread.unwrap().median, 6.0);
    }

    #[test]
    fn json_is_read_back() {
        let results = results(&[(0, Peer::NginxAgain, 2.0)]);
        let json = serde_json::to_string(&results).unwrap();
        let back: Results = serde_json::from_str(&json).unwrap();
        assert_eq!(back.measurements[0].peer, Peer::NginxAgain);
        assert_eq!(back.measurements[0].values[&Metric::Cpu], 2.0);
    }
}
