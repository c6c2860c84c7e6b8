//! Results as a picture: one panel per load, one bar per peer, its median,
//! and a line from the least to the greatest round.

use super::{
    case::Case,
    peer::Peer,
    results::{Metric, Results},
};
use std::fmt::Write as _;

const COLUMNS: usize = 2;
const PANEL_WIDTH: f64 = 470.0;
const LABEL_WIDTH: f64 = 82.0;
const VALUE_WIDTH: f64 = 110.0;
const BAR: f64 = 18.0;
const GAP: f64 = 7.0;
const HEAD: f64 = 58.0;
const TOP: f64 = 76.0;
const MARGIN: f64 = 24.0;

/// A standalone SVG file on a light background.
pub(super) fn svg(results: &Results) -> String {
    let panels = panels(results);
    let peers = results.peers();
    let height = HEAD + rows(peers.len()) * (BAR + GAP) + 14.0;
    let width = 2.0 * MARGIN + rows(COLUMNS) * PANEL_WIDTH;
    let total = TOP + height * rows(panels.len().div_ceil(COLUMNS)) + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{total:.0}\" \
         viewBox=\"0 0 {width:.0} {total:.0}\" font-family=\"system-ui, Helvetica, Arial, sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    text(
        &mut out,
        MARGIN,
        34.0,
        20,
        "600",
        "#1f2933",
        "One worker each: less is better",
    );
    let note = format!(
        "Bars: median; lines: least to greatest round; dashed: nginx. {}",
        results.setup
    );
    text(&mut out, MARGIN, 56.0, 12, "400", "#52606d", &note);
    for (n, (case, metric)) in panels.iter().enumerate() {
        let x = MARGIN + rows(n % COLUMNS) * PANEL_WIDTH;
        let y = TOP + rows(n / COLUMNS) * height;
        panel(results, &peers, *case, *metric, (x, y), &mut out);
    }
    out += "</svg>\n";
    out
}

/// Small counts as lengths.
fn rows(count: usize) -> f64 {
    u16::try_from(count).map_or(f64::from(u16::MAX), f64::from)
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
    out: &mut String,
) {
    text(out, x, y + 26.0, 14, "600", "#1f2933", case.title());
    let unit = match metric {
        Metric::P99 => "latency from the scheduled time, p99, ms",
        other => other.unit(),
    };
    text(out, x, y + 43.0, 12, "400", "#52606d", unit);
    let spread = |peer: &Peer| results.spread(*peer, case, metric);
    let greatest = peers.iter().filter_map(spread).map(|one| one.max);
    let greatest = greatest.fold(f64::MIN_POSITIVE, f64::max);
    let left = x + LABEL_WIDTH;
    let full = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH;
    let scale = |value: f64| full * value / greatest;
    for (n, peer) in peers.iter().enumerate() {
        let top = y + HEAD + rows(n) * (BAR + GAP);
        let middle = top + BAR / 2.0;
        text(out, x, middle + 4.0, 12, "400", "#1f2933", peer.name());
        let Some(found) = spread(peer) else {
            text(
                out,
                left + 4.0,
                middle + 4.0,
                12,
                "400",
                "#9aa5b1",
                "not measured",
            );
            continue;
        };
        shape(
            out,
            format_args!(
                "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{}\"/>",
                scale(found.median),
                colour(*peer)
            ),
        );
        let (from, to) = (left + scale(found.min), left + scale(found.max));
        shape(
            out,
            format_args!(
                "<path d=\"M{from:.1} {middle:.1}H{to:.1}M{from:.1} {:.1}v8M{to:.1} {:.1}v8\" stroke=\"#1f2933\" stroke-width=\"1.3\" fill=\"none\"/>",
                middle - 4.0,
                middle - 4.0
            ),
        );
        let digits = metric.digits();
        let mut label = format!("{:.digits$}", found.median);
        if let Some(ratio) = results
            .ratio(*peer, case, metric)
            .filter(|_| *peer != Peer::Nginx)
        {
            label += &format!("  ×{:.2}", ratio.median);
        }
        text(
            out,
            left + full + 10.0,
            middle + 4.0,
            12,
            "400",
            "#1f2933",
            &label,
        );
    }
    if let Some(nginx) = spread(&Peer::Nginx) {
        let (at, from) = (left + scale(nginx.median), y + HEAD - 3.0);
        let length = rows(peers.len()) * (BAR + GAP);
        shape(
            out,
            format_args!(
                "<path d=\"M{at:.1} {from:.1}v{length:.1}\" stroke=\"#52606d\" stroke-dasharray=\"3 3\" fill=\"none\"/>"
            ),
        );
    }
}

fn colour(peer: Peer) -> &'static str {
    match peer {
        Peer::Reveille => "#f08c2e",
        Peer::Nginx | Peer::NginxAgain => "#7b8794",
        Peer::Hyper => "#b9c7d4",
        Peer::Haproxy | Peer::Envoy => "#9fb3c8",
    }
}

fn text(out: &mut String, x: f64, y: f64, size: u8, weight: &str, fill: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    shape(
        out,
        format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" font-weight=\"{weight}\" fill=\"{fill}\">{words}</text>"
        ),
    );
}

fn shape(out: &mut String, shape: std::fmt::Arguments<'_>) {
    writeln!(out, "{shape}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::{Peer, svg};
    use crate::compare::results::tests::results;

    #[test]
    fn a_bar_for_each_peer() {
        let mut results = results(&[(0, Peer::Nginx, 1.0), (0, Peer::Reveille, 1.5)]);
        results.setup = "a < b & c".to_owned();
        let svg = svg(&results);
        assert_eq!(svg.matches("rx=\"2\"").count(), 2);
        assert!(svg.contains(">1.50  ×1.50<"), "{svg}");
        assert!(svg.contains("a &lt; b &amp; c"));
        assert!(svg.ends_with("</svg>\n"));
    }
}
