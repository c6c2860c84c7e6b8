//! Two stores that tell each other, without a network: they come to the same
//! points, whatever arrives where and when it is told.

use super::*;
use crate::series::{
    Growth, History, Labels, Limits, MatchOp, Matcher, Registration, Select, Selector, Store,
};
use proptest::prelude::*;
use std::{sync::Arc, time::Duration};

const NOW: i64 = 1_700_000_000_000;

/// When all is written and told: within what is kept.
const LATER: i64 = NOW + 100_000;

fn labels() -> Labels {
    Labels::new([("__name__", "x")]).expect("no duplicates")
}

fn selector() -> Selector {
    let x = Matcher::new("__name__", MatchOp::Equal, "x").expect("no pattern");
    Selector {
        matchers: vec![x],
        back: Duration::from_secs(600),
    }
}

fn store() -> Arc<Store> {
    Arc::new(Store::new(Limits::default()))
}

fn points(store: &Store) -> Vec<(i64, f64)> {
    let mut found = Vec::new();
    store.select(&[], i64::MIN, i64::MAX, &mut |_, points| {
        let points = points.iter();
        found.extend(points.map(|point| (point.at_ms - NOW, point.value)));
    });
    found
}

fn arrive(store: &Store, at: i64, value: f64, growth: Growth) -> Result<(), AppendError> {
    let mut writer = store.write(LATER);
    let series = writer.intern(labels()).expect("there is room");
    writer.append(series, NOW + at, value, growth)
}

/// One tells the other.
struct Way {
    history: History,
    to: Arc<Store>,
    _need: Arc<Registration>,
}

impl Way {
    fn new(from: &Arc<Store>, to: &Arc<Store>) -> Self {
        let need = from.register_for_another(&selector());
        let mut history = History::new(from.clone());
        history.add(need.id());
        Self {
            history,
            to: to.clone(),
            _need: need,
        }
    }

    /// What is there to be told. Returns how many points that were.
    fn tell(&mut self) -> usize {
        let mut count = 0;
        loop {
            let mut told = self.history.arrived_here(7);
            told.extend(self.history.kept(7, LATER));
            if told.is_empty() && self.history.is_told() {
                return count;
            }
            let mut writer = self.to.write(LATER);
            for told in told {
                count += told.points.len();
                let series = writer.intern(told.labels).expect("there is room");
                let piece = Piece {
                    points: &told.points,
                    values: told.values,
                };
                let merged = writer.merge(series, piece).expect("it is there");
                assert_eq!(merged.refused, 0, "{merged:?}");
            }
        }
    }
}

fn delta(since: i64) -> Growth {
    Growth::Delta {
        since: Some(NOW + since),
        monotonic: true,
    }
}

#[test]
fn a_series_that_is_sent_to_both_is_one_series() {
    let (a, b) = (store(), store());
    let (mut to_b, mut to_a) = (Way::new(&a, &b), Way::new(&b, &a));
    let since = Growth::Since(Some(NOW));
    for (at, store) in [(1_000, &a), (2_000, &b), (3_000, &b), (4_000, &a)] {
        arrive(store, at, at as f64, since).expect("a good point");
        to_b.tell();
        to_a.tell();
    }
    let all: Vec<_> = (0..=4)
        .map(|at| (at * 1_000, at as f64 * 1_000.0))
        .collect();
    assert_eq!((points(&a), points(&b)), (all.clone(), all));
}

#[test]
fn deltas_that_went_to_either_add_up_in_both() {
    let (a, b) = (store(), store());
    let (mut to_b, mut to_a) = (Way::new(&a, &b), Way::new(&b, &a));
    arrive(&a, 1_000, 5.0, delta(0)).expect("a good point");
    // Nothing was told yet: it begins with a zero, where the other has a five.
    arrive(&b, 2_000, 3.0, delta(1_000)).expect("a good point");
    to_b.tell();
    to_a.tell();
    let all = vec![(0, 0.0), (1_000, 5.0), (2_000, 8.0)];
    assert_eq!((points(&a), points(&b)), (all.clone(), all));
    // Once more, all of it.
    (to_b, to_a) = (Way::new(&a, &b), Way::new(&b, &a));
    assert_eq!((to_b.tell(), to_a.tell()), (3, 3));
    assert_eq!(points(&a), points(&b));
    assert_eq!(points(&a).len(), 3);
}

#[test]
fn what_is_told_back_and_forth_does_not_creep() {
    let (a, b) = (store(), store());
    for step in 0..50_i64 {
        let store = if step % 2 == 0 { &a } else { &b };
        arrive(store, (step + 1) * 1_000, 0.1, delta(step * 1_000)).expect("a good point");
        Way::new(&a, &b).tell();
        Way::new(&b, &a).tell();
    }
    let (of_a, of_b) = (points(&a), points(&b));
    assert_eq!(of_a, of_b);
    let last = of_a.last().expect("there are some").1;
    assert!((last - 5.0).abs() < 1e-12, "{last}");
}

#[test]
fn what_was_heard_is_not_told_on_but_for_those_who_are_new() {
    let (a, b, c) = (store(), store(), store());
    let (mut a_to_b, mut b_to_c) = (Way::new(&a, &b), Way::new(&b, &c));
    assert_eq!((a_to_b.tell(), b_to_c.tell()), (0, 0));
    arrive(&a, 1_000, 1.0, Growth::Level).expect("a good point");
    assert_eq!(a_to_b.tell(), 1);
    assert_eq!(b_to_c.tell(), 0);
    // One that comes later learns what A told, even if A is gone.
    assert_eq!(Way::new(&b, &c).tell(), 1);
    assert_eq!(points(&c), points(&a));
}

#[test]
fn whoever_is_new_takes_over_a_sum_whose_beginning_is_forgotten() {
    let (a, b) = (store(), store());
    arrive(&a, 0, 100.0, delta(0)).expect("a good point");
    arrive(&a, 1_000, 1.0, delta(0)).expect("a good point");
    let _short = a.inner.write().slots.at_mut(0).map(|series| {
        series.ring.forget_before(NOW + 1_000);
        series.is_cut = true;
    });
    // It has a later one already, of its own.
    arrive(&b, 2_000, 7.0, delta(1_000)).expect("a good point");
    let (mut to_b, mut to_a) = (Way::new(&a, &b), Way::new(&b, &a));
    to_b.tell();
    to_a.tell();
    let all = vec![(1_000, 101.0), (2_000, 108.0)];
    assert_eq!((points(&a), points(&b)), (all.clone(), all));
}

#[test]
fn an_end_is_an_end_on_both() {
    let (a, b) = (store(), store());
    let mut to_b = Way::new(&a, &b);
    arrive(&a, 1_000, 2.0, delta(0)).expect("a good point");
    let mut writer = a.write(LATER);
    let series = writer.intern(labels()).expect("it is there");
    writer.end(series, NOW + 2_000).expect("a good end");
    drop(writer);
    arrive(&a, 3_000, 1.0, delta(2_500)).expect("a good point");
    to_b.tell();
    let bits = |store: &Store| -> Vec<_> {
        let points = points(store).into_iter();
        points.map(|(at, value)| (at, value.to_bits())).collect()
    };
    assert_eq!(bits(&a), bits(&b));
    // And for one that hears of it later.
    let c = store();
    Way::new(&a, &c).tell();
    assert_eq!(bits(&a), bits(&c));
}

#[test]
fn what_is_too_far_ahead_is_counted_and_harms_nothing() {
    let store = store();
    let mut writer = store.write(NOW);
    let series = writer.intern(labels()).expect("there is room");
    let points = [Point::new(NOW, 1.0), Point::new(NOW + 3_600_000, 2.0)];
    let piece = Piece {
        points: &points,
        values: Values::Plain,
    };
    let merged = writer.merge(series, piece).expect("it is there");
    assert_eq!((merged.news, merged.refused), (1, 1));
    assert_eq!(merged.reason, Some(DropReason::TooFarAhead));
}

proptest! {
    /// A balanced sender's deltas: each goes to one of three, in the order of
    /// their times; told on at any moment, some links broken and made anew.
    #[test]
    fn all_come_to_the_same_sum(
        events in prop::collection::vec((0..3usize, 1..50u32, 0..9usize, any::<bool>()), 1..60),
    ) {
        let stores = [store(), store(), store()];
        let pairs = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
        let way = |(from, to): (usize, usize)| Way::new(&stores[from], &stores[to]);
        let mut ways: Vec<Way> = pairs.map(way).into();
        let mut sent = 0.0;
        for (at, (to, value, told, anew)) in events.iter().enumerate() {
            let at = at as i64 * 1_000;
            let value = f64::from(*value);
            sent += value;
            arrive(&stores[*to], at + 1_000, value, delta(at)).expect("a good point");
            if let Some(way) = ways.get_mut(*told) {
                way.tell();
            }
            if *anew {
                let broken = told % 6;
                ways[broken] = way(pairs[broken]);
            }
        }
        ways.iter_mut().for_each(|way| { way.tell(); });
        let first = points(&stores[0]);
        prop_assert_eq!(first.last().map(|last| last.1), Some(sent));
        for other in &stores[1..] {
            prop_assert_eq!(&first, &points(other));
        }
    }
}
