//! Summaries: `{quantile}`, `_sum` and `_count`.

use super::{
    known::Key,
    number::ATTRIBUTES,
    part::{Part, Temporality, Times},
    wire::{Fields, WireError},
};
use crate::series::{DropReason, Growth};

/// Most quantiles of one summary.
const MOST: usize = 64;

/// A `SummaryDataPoint`; reused for one after another.
#[derive(Debug, Default)]
pub(super) struct SummaryPoint {
    pub(super) times: Times,
    count: u64,
    sum: f64,
    /// Quantile and value; NaN as value: nothing was measured lately.
    quantiles: Vec<(f64, f64)>,
}

impl SummaryPoint {
    pub(super) fn read(&mut self, bytes: &[u8], key: &mut Key<'_>) -> Result<(), WireError> {
        self.times = Times::default();
        self.count = 0;
        self.sum = 0.0;
        self.quantiles.clear();
        for field in Fields::of("SummaryDataPoint", bytes) {
            let field = field?;
            match field.number {
                ATTRIBUTES => key.add(field.bytes()?),
                4 => self.count = field.fixed64()?,
                5 => self.sum = field.double()?,
                6 => {
                    let mut pair = (0.0, 0.0);
                    for field in Fields::of("ValueAtQuantile", field.bytes()?) {
                        let field = field?;
                        match field.number {
                            1 => pair.0 = field.double()?,
                            2 => pair.1 = field.double()?,
                            _ => {}
                        }
                    }
                    self.quantiles.push(pair);
                }
                8 => self.times.flags = field.varint()?,
                _ => self.times.take(&field)?,
            }
        }
        Ok(())
    }

    /// Count and sum of a summary are cumulative by definition.
    pub(super) fn parts(&self, to: &mut Vec<Part>) -> Result<(), DropReason> {
        let growth = Temporality::Cumulative.growth(&self.times)?;
        to.push(Part::new("_count", self.count as f64, growth));
        if self.sum.is_finite() {
            to.push(Part::new("_sum", self.sum, growth));
        }
        if self.quantiles.len() > MOST {
            return Err(DropReason::Malformed);
        }
        for (index, (quantile, value)) in self.quantiles.iter().enumerate() {
            let twice = self.quantiles.iter().take(index);
            if !(0.0..=1.0).contains(quantile) || twice.clone().any(|(other, _)| other == quantile)
            {
                return Err(DropReason::Malformed);
            }
            to.push(Part {
                suffix: "",
                label: Some(("quantile", *quantile)),
                value: *value,
                growth: Growth::Level,
            });
        }
        Ok(())
    }
}
