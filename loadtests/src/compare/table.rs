//! Results as Markdown: an overview, then every figure.

use super::{
    case::Case,
    peer::Peer,
    results::{Metric, Results},
};
use crate::stats::Spread;
use std::fmt::Write as _;

/// All metrics, in the order of columns.
const COLUMNS: [Metric; 10] = [
    Metric::Cpu,
    Metric::KibPerConnection,
    Metric::User,
    Metric::System,
    Metric::PerSecond,
    Metric::P50,
    Metric::P99,
    Metric::BeforeMib,
    Metric::WithMib,
    Metric::Errors,
];

/// The whole report.
pub(super) fn markdown(results: &Results) -> String {
    let mut out = format!("{}; {}.\n\n", results.machine, results.setup);
    for (peer, version) in &results.versions {
        out += &format!("- {}: {version}\n", peer.name());
    }
    out += "\nMedians over the rounds: CPU (user and system, the whole process tree) in seconds per \
            100,000 requests, memory in KiB per connection; × is the ratio to nginx, paired by \
            round.\n\n";
    out += &overview(results);
    for case in results.cases() {
        out += &format!("\n### {}\n\nMedian (min–max).\n\n", case.title());
        details(results, case, &mut out);
    }
    for failure in &results.failures {
        out += &format!("\nFAILED {failure}\n");
    }
    out
}

/// The main figure of each peer under each load.
pub(super) fn overview(results: &Results) -> String {
    let mut out = String::new();
    let cases = results.cases();
    out += "| peer |";
    for case in &cases {
        out += &format!(" {} |", case.name());
    }
    if cases.contains(&Case::OpenLoop) {
        out += " open-loop p99 ms |";
    }
    out += "\n|---|";
    out += &"---|".repeat(cases.len() + usize::from(cases.contains(&Case::OpenLoop)));
    out += "\n";
    for peer in results.peers() {
        out += &format!("| {} |", peer.name());
        for case in &cases {
            let metric = case.main_metric();
            out += &cell(results, peer, *case, metric);
        }
        if cases.contains(&Case::OpenLoop) {
            out += &cell(results, peer, Case::OpenLoop, Metric::P99);
        }
        out += "\n";
    }
    out
}

/// ` 1.51 ×1.39 |`
fn cell(results: &Results, peer: Peer, case: Case, metric: Metric) -> String {
    let digits = metric.digits();
    let Some(spread) = results.spread(peer, case, metric) else {
        return " – |".to_owned();
    };
    match results.ratio(peer, case, metric) {
        Some(ratio) if peer != Peer::Nginx => {
            format!(" {:.digits$} ×{:.2} |", spread.median, ratio.median)
        }
        _ => format!(" {:.digits$} |", spread.median),
    }
}

fn details(results: &Results, case: Case, out: &mut String) {
    let peers = results.peers();
    let has = |metric: &Metric| {
        let mut peers = peers.iter();
        peers.any(|peer| results.spread(*peer, case, *metric).is_some())
    };
    let columns: Vec<Metric> = COLUMNS.into_iter().filter(has).collect();
    let main = case.main_metric();
    *out += "| peer | rounds |";
    for metric in &columns {
        *out += &format!(" {} |", metric.title());
        if *metric == main {
            *out += " ratio to nginx |";
        }
    }
    *out += "\n|---|---|---|";
    *out += &"---|".repeat(columns.len());
    *out += "\n";
    for peer in peers.iter().filter(|peer| results.rounds(**peer, case) > 0) {
        write_row(results, *peer, case, &columns, out);
    }
}

fn write_row(results: &Results, peer: Peer, case: Case, columns: &[Metric], out: &mut String) {
    let rounds = results.rounds(peer, case);
    *out += &format!("| {} | {rounds} |", peer.name());
    for metric in columns {
        let digits = metric.digits();
        write_spread(results.spread(peer, case, *metric), digits, out);
        if *metric == case.main_metric() {
            write_spread(results.ratio(peer, case, *metric), 2, out);
        }
    }
    *out += "\n";
}

fn write_spread(spread: Option<Spread>, digits: usize, out: &mut String) {
    let written = match spread {
        None => write!(out, " – |"),
        Some(Spread { median, min, max }) => {
            write!(out, " {median:.digits$} ({min:.digits$}–{max:.digits$}) |")
        }
    };
    written.expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::{Peer, markdown};
    use crate::compare::results::tests::results;

    #[test]
    fn an_overview_and_details() {
        let mut results = results(&[
            (0, Peer::Nginx, 1.0),
            (0, Peer::Reveille, 1.5),
            (1, Peer::Nginx, 2.0),
            (1, Peer::Reveille, 2.0),
        ]);
        results
            .failures
            .push("round 2 Envoy post: broken".to_owned());
        let text = markdown(&results);
        for line in [
            "| peer | get-64 |",
            "| nginx | 1.50 |",
            "| Reveille | 1.75 ×1.25 |",
            "| Reveille | 2 | 1.75 (1.50–2.00) | 1.25 (1.00–1.50) |",
            "FAILED round 2 Envoy post: broken",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
    }
}
