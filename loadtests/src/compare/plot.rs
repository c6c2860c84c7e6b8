//! Results as a picture: one panel per load, one bar per peer, its median,
//! and a line from the least to the greatest round.

use super::{
    case::Case,
    peer::Peer,
    results::{Metric, Results},
};
use crate::svg::{Svg, Text, length};

const COLUMNS: usize = 2;
const PANEL_WIDTH: f64 = 470.0;
const LABEL_WIDTH: f64 = 82.0;
const VALUE_WIDTH: f64 = 110.0;
const BAR: f64 = 18.0;
const GAP: f64 = 7.0;
const HEAD: f64 = 58.0;
const TOP: f64 = 76.0;
const MARGIN: f64 = 24.0;

const TITLE: &str = "One worker each: less is better";

/// A standalone file.
pub(super) fn svg(results: &Results) -> String {
    let panels = panels(results);
    let peers = results.peers();
    let height = HEAD + length(peers.len()) * (BAR + GAP) + 14.0;
    let width = 2.0 * MARGIN + length(COLUMNS) * PANEL_WIDTH;
    let total = TOP + height * length(panels.len().div_ceil(COLUMNS)) + MARGIN;
    let mut out = Svg::new(width, total, TITLE);
    out.text(MARGIN, 34.0, Text::Title, TITLE);
    let note = format!(
        "Bars: median; lines: least to greatest round; dashed: nginx. {}",
        results.setup
    );
    out.text(MARGIN, 56.0, Text::Note, &note);
    for (n, (case, metric)) in panels.iter().enumerate() {
        let x = MARGIN + length(n % COLUMNS) * PANEL_WIDTH;
        let y = TOP + length(n / COLUMNS) * height;
        panel(results, &peers, *case, *metric, (x, y), &mut out);
    }
    out.finish()
}

fn panels(results: &Results) -> Vec<(Case, Metric)> {
    let mut all = Vec::new();
    for case in results.cases() {
        all.push((case, case.main_metric()));
        if case == Case::OpenLoop {
            all.push((case, Metric::P99));
        }
    }
    all
}

fn panel(
    results: &Results,
    peers: &[Peer],
    case: Case,
    metric: Metric,
    (x, y): (f64, f64),
    out: &mut Svg,
) {
    out.text(x, y + 26.0, Text::Heading, case.title());
    let unit = match metric {
        Metric::P99 => "latency from the scheduled time, p99, ms",
        other => other.unit(),
    };
    out.text(x, y + 43.0, Text::Note, unit);
    let spread = |peer: &Peer| results.spread(*peer, case, metric);
    let greatest = peers.iter().filter_map(spread).map(|one| one.max);
    let greatest = greatest.fold(f64::MIN_POSITIVE, f64::max);
    let left = x + LABEL_WIDTH;
    let full = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH;
    let scale = |value: f64| full * value / greatest;
    for (n, peer) in peers.iter().enumerate() {
        let top = y + HEAD + length(n) * (BAR + GAP);
        let middle = top + BAR / 2.0;
        out.text(x, middle + 4.0, Text::Plain, peer.name());
        let Some(found) = spread(peer) else {
            out.text(left + 4.0, middle + 4.0, Text::Missing, "not measured");
            continue;
        };
        out.bar(colour(*peer), left, top, scale(found.median), BAR);
        let (from, to) = (left + scale(found.min), left + scale(found.max));
        let end = middle - 4.0;
        let whiskers =
            format!("M{from:.1} {middle:.1}H{to:.1}M{from:.1} {end:.1}v8M{to:.1} {end:.1}v8");
        out.path("line", 1.3, &whiskers);
        let digits = metric.digits();
        let mut label = format!("{:.digits$}", found.median);
        if let Some(ratio) = results
            .ratio(*peer, case, metric)
            .filter(|_| *peer != Peer::Nginx)
        {
            label += &format!("  ×{:.2}", ratio.median);
        }
        out.text(left + full + 10.0, middle + 4.0, Text::Plain, &label);
    }
    if let Some(nginx) = spread(&Peer::Nginx) {
        let (at, from) = (left + scale(nginx.median), y + HEAD - 3.0);
        let down = length(peers.len()) * (BAR + GAP);
        out.dashes("guide", &format!("M{at:.1} {from:.1}v{down:.1}"));
    }
}

/// The class of a bar.
fn colour(peer: Peer) -> &'static str {
    match peer {
        Peer::Reveille => "own",
        Peer::Nginx | Peer::NginxAgain => "reference",
        Peer::Hyper => "floor",
        Peer::Haproxy | Peer::Envoy => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::{Peer, svg};
    use crate::{compare::results::tests::results, svg::tests::assert_well_formed};

    #[test]
    fn a_bar_for_each_peer() {
        let mut results = results(&[(0, Peer::Nginx, 1.0), (0, Peer::Reveille, 1.5)]);
        results.setup = "a < b & c".to_owned();
        let svg = svg(&results);
        assert_well_formed(&svg);
        assert_eq!(svg.matches("rx=\"2\"").count(), 2);
        assert!(svg.contains(">1.50  ×1.50<"), "{svg}");
        assert!(svg.contains("a &lt; b &amp; c"));
    }
}
