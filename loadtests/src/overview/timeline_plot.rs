//! The timeline as a picture: latency over time, with held requests and
//! replicas beneath.

use super::{
    axes::{Panel, Scale},
    timeline::{State, Timeline},
};
use crate::{
    stats::Percentiles,
    svg::{Svg, Text, through},
};
use std::fmt::Write as _;

const TITLE: &str = "One target, from asleep to many replicas and back";
const WIDTH: f64 = 980.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 24.0;

fn panel(top: f64, height: f64) -> Panel {
    Panel {
        left: LEFT,
        top,
        width: WIDTH - LEFT - RIGHT,
        height,
    }
}

/// A standalone file; `None` if there is nothing to show.
pub(super) fn svg(timeline: &Timeline) -> Option<String> {
    if timeline.answers.is_empty() && timeline.states.is_empty() {
        return None;
    }
    let mut out = Svg::new(WIDTH, 660.0, TITLE);
    out.text(24.0, 34.0, Text::Title, TITLE);
    let note = "Open loop, latency from the time a request was due; one second per point.";
    out.text(24.0, 54.0, Text::Note, note);
    let time = Scale::Linear(timeline.end().max(1.0));
    let panels = [panel(110.0, 230.0), panel(385.0, 100.0), panel(530.0, 80.0)];
    latency(timeline, time, panels[0], &mut out);
    requests(&timeline.states, time, panels[1], &mut out);
    replicas(&timeline.states, time, panels[2], &mut out);
    phases(timeline, time, &panels, &mut out);
    out.text_around(LEFT + panels[2].width / 2.0, 645.0, Text::Note, "seconds");
    Some(out.finish())
}

/// Median and greatest of each second.
fn latency(timeline: &Timeline, time: Scale, panel: Panel, out: &mut Svg) {
    let good = || timeline.answers.iter().filter(|one| one.good);
    let scale = Scale::decades(good().map(|one| one.ms));
    panel.rows(out, scale, "latency, ms");
    panel.columns(out, time, false);
    let mut medians = Vec::new();
    let mut greatest = Vec::new();
    for (second, _) in (0..=3600).zip(0..whole_seconds(timeline)) {
        let from = f64::from(second);
        let own = good().filter(|one| one.at >= from && one.at < from + 1.0);
        if let Some(found) = Percentiles::of(own.map(|one| one.ms)) {
            let x = panel.x(time, from + 0.5);
            medians.push((x, panel.y(scale, found.p50)));
            greatest.push((x, panel.y(scale, found.max)));
        }
    }
    dots(&greatest, "area", out);
    dots(&medians, "own", out);
    let bad = timeline.answers.iter().filter(|one| !one.good);
    let bad: Vec<_> = bad.map(|one| (panel.x(time, one.at), panel.top)).collect();
    dots(&bad, "ink", out);
    let mut key = "median (full), slowest (pale) of each second".to_owned();
    if !bad.is_empty() {
        write!(key, "; {} failed (black, at the top)", bad.len())
            .expect("a String takes everything");
    }
    out.text_before(
        panel.left + panel.width,
        panel.top - 8.0,
        Text::Key(0),
        &key,
    );
}

fn whole_seconds(timeline: &Timeline) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "minutes at most"
    )]
    let seconds = timeline.end().ceil() as u32;
    seconds
}

fn dots(points: &[(f64, f64)], class: &str, out: &mut Svg) {
    for (x, y) in points {
        out.bar(class, x - 2.5, y - 2.5, 5.0, 5.0);
    }
}

fn requests(states: &[State], time: Scale, panel: Panel, out: &mut Svg) {
    let count = |of: fn(&State) -> u64| {
        move |state: &State| u32::try_from(of(state)).map_or(f64::INFINITY, f64::from)
    };
    let (held, in_flight) = (count(|one| one.held), count(|one| one.in_flight));
    let greatest = states.iter().map(|one| in_flight(one).max(held(one)));
    let scale = Scale::up_to(greatest.fold(1.0, f64::max));
    panel.rows(out, scale, "requests at once");
    panel.columns(out, time, false);
    let line = |of: &dyn Fn(&State) -> f64| {
        let points = states.iter();
        through(points.map(|one| (panel.x(time, one.at), panel.y(scale, of(one)))))
    };
    out.path("line-second", 1.6, &line(&in_flight));
    out.path("line-own", 1.6, &line(&held));
    let end = panel.left + panel.width;
    out.text_before(end, panel.top - 8.0, Text::Key(0), "held");
    out.text_before(end - 40.0, panel.top - 8.0, Text::Key(1), "in flight");
}

fn replicas(states: &[State], time: Scale, panel: Panel, out: &mut Svg) {
    let most = states.iter().map(|one| one.wanted.max(one.ready)).max();
    let scale = Scale::Linear(f64::from(most.unwrap_or(1).max(1).next_multiple_of(4)));
    panel.rows(out, scale, "replicas");
    panel.columns(out, time, true);
    // They change at once, and not on the way to the next sample.
    let steps = |of: fn(&State) -> u32| {
        let mut last = None;
        let points = states.iter().flat_map(|one| {
            let (x, y) = (panel.x(time, one.at), panel.y(scale, f64::from(of(one))));
            let before = last.replace(y).unwrap_or(y);
            [(x, before), (x, y)]
        });
        through(points)
    };
    out.path("line-third", 1.6, &steps(|one| one.wanted));
    out.path("line-second", 1.6, &steps(|one| one.ready));
    let end = panel.left + panel.width;
    out.text_before(end, panel.top - 8.0, Text::Key(1), "ready");
    out.text_before(end - 44.0, panel.top - 8.0, Text::Key(2), "wanted");
}

/// A line through all panels where the load changes.
fn phases(timeline: &Timeline, time: Scale, panels: &[Panel], out: &mut Svg) {
    for (at, name) in &timeline.phases {
        for panel in panels {
            let x = panel.x(time, *at);
            out.dashes(
                "guide",
                &format!("M{x:.1} {:.1}v{:.1}", panel.top, panel.height),
            );
        }
        let first = panels.first().map_or(0.0, |panel| panel.x(time, *at));
        out.text(first + 3.0, 82.0, Text::Note, name);
    }
}

#[cfg(test)]
mod tests {
    use super::{Timeline, svg};
    use crate::{overview::timeline::tests::timeline, svg::tests::assert_well_formed};

    #[test]
    fn every_part_is_there() {
        let svg = svg(&timeline()).unwrap();
        assert_well_formed(&svg);
        for text in ["latency, ms", "held", "replicas", "many", "1 failed"] {
            assert!(svg.contains(text), "no {text}");
        }
    }

    #[test]
    fn half_a_run_is_drawn_and_none_is_not() {
        let mut half = timeline();
        half.answers.clear();
        assert_well_formed(&svg(&half).unwrap());
        let mut half = timeline();
        half.states.clear();
        half.phases.clear();
        assert_well_formed(&svg(&half).unwrap());
        assert!(svg(&Timeline::default()).is_none());
    }
}
