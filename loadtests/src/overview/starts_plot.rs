//! Cold starts as a picture: which share of them was faster than what.

use super::axes::{Panel, Scale};
use crate::{
    cold_start::Start,
    svg::{Svg, Text, length, through},
};

const TITLE: &str = "Cold starts: how many were faster";
const PANEL: Panel = Panel {
    left: 70.0,
    top: 130.0,
    width: 680.0,
    height: 260.0,
};

/// A part of the wait, ms.
type Curve = (&'static str, fn(&Start) -> f64);

/// In the order of their colours.
pub(super) const CURVES: [Curve; 3] = [
    (
        "what the client waits, without the application's own start",
        |start| start.seen_ms() - start.own_start_ms(),
    ),
    (
        "the application listens → its first request",
        Start::released_ms,
    ),
    ("a request → KEDA's stream says so", Start::told_ms),
];

/// A standalone file; `None` without starts.
pub(super) fn svg(starts: &[Start]) -> Option<String> {
    if starts.is_empty() {
        return None;
    }
    let mut out = Svg::new(780.0, 440.0, TITLE);
    out.text(24.0, 34.0, Text::Title, TITLE);
    let classes = ["line-own", "line-second", "line-third"];
    let curves: Vec<Vec<f64>> = CURVES.iter().map(|(_, of)| sorted(starts, *of)).collect();
    let time = Scale::decades(curves.iter().flatten().copied());
    let share = Scale::Linear(100.0);
    PANEL.rows(&mut out, share, &format!("% of {} starts", starts.len()));
    PANEL.columns(&mut out, time, true);
    for (n, (((name, _), values), class)) in CURVES.iter().zip(&curves).zip(classes).enumerate() {
        let all = length(values.len());
        let points = values.iter().enumerate().map(|(rank, value)| {
            let percent = 100.0 * length(rank + 1) / all;
            (PANEL.x(time, *value), PANEL.y(share, percent))
        });
        out.path(class, 2.0, &through(points));
        out.text(24.0, 58.0 + 18.0 * length(n), Text::Key(n), name);
    }
    out.text_around(410.0, 426.0, Text::Note, "milliseconds");
    Some(out.finish())
}

fn sorted(starts: &[Start], of: fn(&Start) -> f64) -> Vec<f64> {
    let mut values: Vec<f64> = starts.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::svg;
    use crate::{cold_start::tests::start, svg::tests::assert_well_formed};

    #[test]
    fn a_curve_for_each_part_of_the_wait() {
        let starts = [start(1), start(2), start(3)];
        let svg = svg(&starts).unwrap();
        assert_well_formed(&svg);
        for class in ["line-own", "line-second", "line-third"] {
            assert!(svg.contains(&format!("<path class=\"{class}\"")), "{class}");
        }
        assert!(svg.contains("% of 3 starts"));
    }

    #[test]
    fn without_starts_there_is_none() {
        assert!(svg(&[]).is_none());
    }
}
