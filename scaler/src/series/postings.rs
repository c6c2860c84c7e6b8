//! Which series have a label of a value: the index that keeps a selector away
//! from series that it does not want.
//!
//! Keys are hashes of name and value, no text: whoever reads checks the labels
//! of what it gets anyway, so two pairs with one hash cost a look and no more.

use super::Labels;
use foldhash::quality::RandomState;
use hashbrown::{HashSet, HashTable, hash_table::Entry};
use std::hash::BuildHasher;

/// Lists of series by label pair.
#[derive(Debug, Default)]
pub(super) struct Postings {
    hasher: RandomState,
    lists: HashTable<List>,
}

#[derive(Debug)]
struct List {
    pair: u64,
    slots: Slots,
}

/// Most pairs that tell pods apart are of one series only.
#[derive(Debug)]
enum Slots {
    One(u32),
    Many(Vec<u32>),
}

impl Slots {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(slots) => slots,
        }
    }

    fn push(&mut self, slot: u32) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, slot]),
            Self::Many(slots) => slots.push(slot),
        }
    }
}

impl Postings {
    /// A series of these labels is now in `slot`.
    pub(super) fn add(&mut self, slot: u32, labels: &Labels) {
        for pair in labels {
            let pair = self.hasher.hash_one(pair);
            match self
                .lists
                .entry(pair, |list| list.pair == pair, |list| list.pair)
            {
                Entry::Occupied(mut list) => list.get_mut().slots.push(slot),
                Entry::Vacant(place) => {
                    place.insert(List {
                        pair,
                        slots: Slots::One(slot),
                    });
                }
            }
        }
    }

    /// All series that may have this label; those that have it are among them.
    pub(super) fn with(&self, name: &str, value: &str) -> &[u32] {
        let pair = self.hasher.hash_one((name, value));
        self.lists
            .find(pair, |list| list.pair == pair)
            .map_or(&[], |list| list.slots.as_slice())
    }

    /// Takes many series out at once: each list is gone through once, however
    /// many of its series go.
    pub(super) fn remove<'a>(&mut self, gone: impl Iterator<Item = (u32, &'a Labels)>) {
        let mut slots = HashSet::with_hasher(RandomState::default());
        let mut pairs = HashSet::with_hasher(RandomState::default());
        for (slot, labels) in gone {
            slots.insert(slot);
            pairs.extend(labels.iter().map(|pair| self.hasher.hash_one(pair)));
        }
        for pair in pairs {
            let Ok(mut list) = self.lists.find_entry(pair, |list| list.pair == pair) else {
                continue;
            };
            let left = match &mut list.get_mut().slots {
                Slots::One(slot) => usize::from(!slots.contains(slot)),
                Slots::Many(held) => {
                    held.retain(|slot| !slots.contains(slot));
                    if held.capacity() > 4 * held.len() {
                        held.shrink_to(2 * held.len());
                    }
                    held.len()
                }
            };
            if left == 0 {
                list.remove();
            }
        }
        if self.lists.capacity() > 4 * self.lists.len() {
            self.lists.shrink_to(2 * self.lists.len(), |list| list.pair);
        }
    }

    #[cfg(test)]
    pub(super) fn lists(&self) -> usize {
        self.lists.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn a_pair_leads_to_its_series() {
        let mut postings = Postings::default();
        postings.add(1, &labels(&[("__name__", "x"), ("pod", "a")]));
        postings.add(2, &labels(&[("__name__", "x"), ("pod", "b")]));
        assert_eq!(postings.with("__name__", "x"), [1, 2]);
        assert_eq!(postings.with("pod", "b"), [2]);
        assert_eq!(postings.with("pod", "c"), [] as [u32; 0]);
        assert_eq!(postings.with("p", "odb"), [] as [u32; 0]);
    }

    #[test]
    fn removed_series_leave_nothing_behind() {
        let mut postings = Postings::default();
        let all: Vec<_> = (0..100)
            .map(|n| (n, labels(&[("__name__", "x"), ("pod", &n.to_string())])))
            .collect();
        for (slot, labels) in &all {
            postings.add(*slot, labels);
        }
        postings.remove(all.iter().take(99).map(|(slot, labels)| (*slot, labels)));
        assert_eq!(postings.with("__name__", "x"), [99]);
        assert_eq!(postings.lists(), 2);
        postings.remove(all.iter().skip(99).map(|(slot, labels)| (*slot, labels)));
        assert_eq!(postings.lists(), 0);
    }
}
