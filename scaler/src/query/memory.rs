//! Series in memory for the tests of queries, written the way Prometheus'
//! own tests load them.

use crate::series::{Labels, Matcher, Point, Points, Select};

/// Series and their points, looked through one after the other.
#[derive(Debug, Default)]
pub(super) struct Memory(Vec<(Labels, Vec<Point>)>);

impl Memory {
    /// One series for each line: `name{label=value,…} v v _ stale 1+2x3`. The
    /// first value is at zero, each next one `step_ms` later; `_` is no point,
    /// `1+2x3` is 1, 3, 5, 7. Values of labels are not quoted.
    pub(super) fn load(step_ms: i64, lines: &str) -> Self {
        let mut memory = Self::default();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            // Values of labels may hold spaces.
            let end = line
                .find('}')
                .map_or_else(|| line.find(' '), |brace| Some(brace + 1));
            let (series, values) = line.split_at(end.expect("a series, then values"));
            let mut points = Vec::new();
            let mut slot = 0;
            for value in values.split_whitespace() {
                for value in expanded(value) {
                    let at_ms = slot * step_ms;
                    slot += 1;
                    match value.as_str() {
                        "_" => {}
                        "stale" => points.push(Point::stale(at_ms)),
                        number => {
                            let number = number.parse().expect("a number");
                            points.push(Point::new(at_ms, number));
                        }
                    }
                }
            }
            memory.0.push((labels(series), points));
        }
        memory
    }

    pub(super) fn push(&mut self, labels: Labels, points: Vec<Point>) {
        self.0.push((labels, points));
    }
}

fn expanded(value: &str) -> Vec<String> {
    let Some((ramp, times)) = value.split_once('x') else {
        return vec![value.to_owned()];
    };
    let (start, step) = ramp.split_once('+').expect("a start and a step");
    let (start, step): (f64, f64) = (
        start.parse().expect("a start"),
        step.parse().expect("a step"),
    );
    let times: u32 = times.parse().expect("how often");
    (0..=times)
        .map(|n| (start + step * f64::from(n)).to_string())
        .collect()
}

fn labels(series: &str) -> Labels {
    let (name, rest) = series.split_once('{').unwrap_or((series, "}"));
    let inner = rest.strip_suffix('}').expect("a closed brace");
    let pairs = inner
        .split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').expect("a label and a value"));
    Labels::new(pairs.chain([("__name__", name)])).expect("no label twice")
}

impl Select for Memory {
    fn select(
        &self,
        matchers: &[Matcher],
        from_ms: i64,
        to_ms: i64,
        found: &mut dyn FnMut(&Labels, Points<'_>),
    ) {
        for (labels, points) in &self.0 {
            // As a ring gives them: in two parts.
            let (head, tail) = points.split_at(points.len() / 2);
            let points = Points::new(head, tail).within(from_ms, to_ms);
            let matches = matchers
                .iter()
                .all(|matcher| matcher.matches_series(labels));
            if matches && !points.is_empty() {
                found(labels, points);
            }
        }
    }
}
