//! Axes: where a value is in a panel, and lines that tell where.

use crate::svg::{Svg, Text};

/// Between the ends of a linear axis.
const MOST_STEPS: f64 = 6.0;

/// A rectangle that curves are drawn into.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// How values become lengths.
#[derive(Clone, Copy)]
pub(super) enum Scale {
    /// From 0 to this.
    Linear(f64),
    /// Decades from 10 to the one to 10 to the other.
    Log(i32, i32),
}

impl Scale {
    /// Linear, up to a round number that is not below the greatest.
    pub(super) fn up_to(greatest: f64) -> Self {
        Self::Linear(step(greatest.max(1.0)))
    }

    /// Whole decades around positive values; one decade from 1 for none.
    pub(super) fn decades(values: impl Iterator<Item = f64>) -> Self {
        let bounds = values
            .filter(|value| *value > 0.0)
            .fold(None, |bounds, value| {
                let (least, most) = bounds.unwrap_or((value, value));
                Some((value.min(least), value.max(most)))
            });
        let (least, most) = bounds.unwrap_or((1.0, 10.0));
        #[expect(clippy::cast_possible_truncation, reason = "at most 308")]
        let decade = |value: f64| value as i32;
        let from = decade(least.log10().floor());
        Self::Log(from, decade(most.log10().ceil()).max(from + 1))
    }

    /// Where a value is, from 0 to 1; what is beyond is at the edge.
    pub(super) fn share(self, value: f64) -> f64 {
        let share = match self {
            Self::Linear(end) => value / end,
            Self::Log(from, to) => {
                let place = value.max(f64::MIN_POSITIVE).log10();
                (place - f64::from(from)) / f64::from(to - from)
            }
        };
        share.clamp(0.0, 1.0)
    }

    /// What is written at the axis.
    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear(end) => {
                let step = step(end / MOST_STEPS);
                let ticks = (0..=8).map(|n| step * f64::from(n));
                // Of the end itself nothing is lost to rounding.
                ticks.filter(|tick| *tick <= end * 1.000_001).collect()
            }
            Self::Log(from, to) => (from..=to).map(|n| 10_f64.powi(n)).collect(),
        }
    }
}

impl Panel {
    pub(super) fn x(&self, scale: Scale, value: f64) -> f64 {
        self.left + self.width * scale.share(value)
    }

    pub(super) fn y(&self, scale: Scale, value: f64) -> f64 {
        self.top + self.height * (1.0 - scale.share(value))
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Horizontal lines with their values, and what they are.
    pub(super) fn rows(&self, out: &mut Svg, scale: Scale, what: &str) {
        out.text(self.left, self.top - 8.0, Text::Heading, what);
        for value in scale.ticks() {
            let y = self.y(scale, value);
            out.path(
                "grid",
                1.0,
                &format!("M{:.1} {y:.1}h{:.1}", self.left, self.width),
            );
            out.text_before(self.left - 8.0, y + 4.0, Text::Note, &plain(value));
        }
    }

    /// Vertical lines; their values below if `labelled`.
    pub(super) fn columns(&self, out: &mut Svg, scale: Scale, labelled: bool) {
        for value in scale.ticks() {
            let x = self.x(scale, value);
            out.path(
                "grid",
                1.0,
                &format!("M{x:.1} {:.1}v{:.1}", self.top, self.height),
            );
            if labelled {
                out.text_around(x, self.bottom() + 16.0, Text::Note, &plain(value));
            }
        }
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below.
fn step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let round = [1.0, 2.0, 5.0].map(|step| step * decade);
    let found = round.into_iter().find(|step| *step >= least);
    found.unwrap_or(10.0 * decade)
}

/// Without digits that say nothing.
fn plain(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Panel, Scale, plain};

    const PANEL: Panel = Panel {
        left: 10.0,
        top: 20.0,
        width: 100.0,
        height: 50.0,
    };

    #[test]
    fn linear_ends_at_a_round_number() {
        let scale = Scale::up_to(37.0);
        assert!(matches!(scale, Scale::Linear(50.0)));
        assert_eq!(PANEL.y(scale, 0.0), 70.0);
        assert_eq!(PANEL.y(scale, 50.0), 20.0);
        assert_eq!(PANEL.x(scale, 25.0), 60.0);
        assert!(matches!(Scale::up_to(0.0), Scale::Linear(1.0)));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(Scale::Linear(75.5).ticks(), [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(Scale::Linear(4.0).ticks(), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(Scale::Linear(100.0).ticks().last(), Some(&100.0));
        assert_eq!(Scale::Log(-1, 1).ticks(), [0.1, 1.0, 10.0]);
    }

    #[test]
    fn decades_hold_all_values_and_nothing_is_outside() {
        let scale = Scale::decades([0.3, 42.0, 0.0].into_iter());
        assert!(matches!(scale, Scale::Log(-1, 2)));
        assert_eq!(PANEL.x(scale, 0.1), 10.0);
        assert_eq!(PANEL.x(scale, 100.0), 110.0);
        assert_eq!(PANEL.x(scale, 0.0), 10.0);
        assert!(matches!(
            Scale::decades([1.0].into_iter()),
            Scale::Log(0, 1)
        ));
        assert!(matches!(
            Scale::decades(std::iter::empty()),
            Scale::Log(0, 1)
        ));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(plain(0.001), "0.001");
        assert_eq!(plain(12.5), "12.5");
        assert_eq!(plain(1000.0), "1000");
        assert_eq!(plain(0.0), "0");
    }
}
