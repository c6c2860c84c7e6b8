//! The series themselves, each in a numbered slot.
//!
//! A number is used again after its series is gone, with another generation, so
//! that whoever keeps a [`SeriesRef`] notices.

use super::{Labels, need::NeedId, ring::Ring};

/// Where a series is. Good until the series is gone, then [`Slots::get_mut`]
/// gives none for it, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeriesRef {
    pub(super) slot: u32,
    generation: u32,
}

/// One series.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) labels: Labels,
    pub(super) ring: Ring,
    /// Since when its values count, where the sender said so; else `i64::MIN`.
    pub(super) start_ms: i64,
    /// When its last point came, by our clock.
    pub(super) arrived_ms: i64,
    pub(super) need: NeedId,
    /// Its values are increments, added up here.
    pub(super) is_summed: bool,
    /// Points that were before the first one are gone.
    pub(super) is_cut: bool,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    series: Option<Series>,
}

/// All series.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    count: usize,
}

impl Slots {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// One more than the highest number in use.
    pub(super) fn end(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn add(&mut self, series: Series) -> SeriesRef {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.end() - 1
        });
        let slot = &mut self.slots[number as usize];
        slot.series = Some(series);
        self.count += 1;
        SeriesRef {
            slot: number,
            generation: slot.generation,
        }
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Series> {
        let slot = self.slots.get_mut(number as usize)?;
        let series = slot.series.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(number);
        self.count -= 1;
        Some(series)
    }

    pub(super) fn at(&self, number: u32) -> Option<&Series> {
        self.slots.get(number as usize)?.series.as_ref()
    }

    pub(super) fn at_mut(&mut self, number: u32) -> Option<&mut Series> {
        self.slots.get_mut(number as usize)?.series.as_mut()
    }

    pub(super) fn get(&self, series: SeriesRef) -> Option<&Series> {
        let slot = self.slots.get(series.slot as usize)?;
        if slot.generation == series.generation {
            slot.series.as_ref()
        } else {
            None
        }
    }

    pub(super) fn get_mut(&mut self, series: SeriesRef) -> Option<&mut Series> {
        let slot = self.slots.get_mut(series.slot as usize)?;
        if slot.generation == series.generation {
            slot.series.as_mut()
        } else {
            None
        }
    }

    /// The reference to the series that is at a number now.
    pub(super) fn reference(&self, number: u32) -> Option<SeriesRef> {
        let slot = self.slots.get(number as usize)?;
        slot.series.as_ref().map(|_| SeriesRef {
            slot: number,
            generation: slot.generation,
        })
    }

    /// Those from a number on, by number.
    pub(super) fn from(&self, number: u32) -> impl Iterator<Item = (u32, &Series)> {
        let slots = self.slots.get(number as usize..).unwrap_or_default();
        (number..)
            .zip(slots)
            .filter_map(|(number, slot)| Some((number, slot.series.as_ref()?)))
    }
}
