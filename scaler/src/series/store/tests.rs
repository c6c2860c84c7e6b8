use super::*;
use crate::series::{AppendError, Growth, MatchOp, Selector};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

const NOW: i64 = 1_700_000_000_000;

fn labels(text: &[(&str, &str)]) -> Labels {
    Labels::new(text.iter().copied()).unwrap()
}

fn named(name: &str, pod: u32) -> Labels {
    labels(&[("__name__", name), ("pod", &pod.to_string())])
}

fn store(limits: Limits) -> Arc<Store> {
    Arc::new(Store::new(limits))
}

fn is(name: &str, value: &str) -> Matcher {
    Matcher::new(name, MatchOp::Equal, value).unwrap()
}

fn need(name: &str, back: u64) -> Selector {
    Selector {
        matchers: vec![is("__name__", name)],
        back: Duration::from_secs(back),
    }
}

/// All points of all series, by labels.
fn all(store: &Store) -> BTreeMap<String, Vec<(i64, f64)>> {
    let mut all = BTreeMap::new();
    store.select(&[], i64::MIN, i64::MAX, &mut |labels, points| {
        let points = points.iter().map(|p| (p.at_ms - NOW, p.value)).collect();
        assert_eq!(all.insert(labels.to_string(), points), None);
    });
    all
}

fn found(store: &Store, matchers: &[Matcher]) -> Vec<String> {
    let mut found = Vec::new();
    store.select(matchers, i64::MIN, i64::MAX, &mut |labels, _| {
        found.push(labels.to_string());
    });
    found.sort();
    found
}

/// Adds points at times relative to `NOW` to the one series `x`.
fn write(store: &Store, points: &[(i64, f64, Growth)]) -> Vec<Result<(), AppendError>> {
    let mut writer = store.write(NOW);
    let series = writer.intern(named("x", 0)).unwrap();
    points
        .iter()
        .map(|&(at, value, growth)| writer.append(series, NOW + at, value, growth))
        .collect()
}

fn of_x(store: &Store) -> Vec<(i64, f64)> {
    all(store).remove(r#"x{pod="0"}"#).unwrap_or_default()
}

fn fill(store: &Store, name: &str, pods: std::ops::Range<u32>, now: i64) -> usize {
    let mut writer = store.write(now);
    pods.filter(|pod| match writer.intern(named(name, *pod)) {
        Ok(series) => writer.append(series, now, 1.0, Growth::Level).is_ok(),
        Err(_) => false,
    })
    .count()
}

#[test]
fn equal_labels_are_one_series() {
    let store = store(Limits::default());
    let mut writer = store.write(NOW);
    let a = writer.intern(labels(&[("a", "1"), ("b", "2")])).unwrap();
    let b = writer.intern(labels(&[("b", "2"), ("a", "1")])).unwrap();
    let c = writer.intern(labels(&[("a", "1")])).unwrap();
    assert_eq!(a, b);
    assert_ne!(a, c);
    drop(writer);
    assert_eq!(store.stats().series, 2);
}

#[test]
fn selectors_find_what_matches_and_nothing_else() {
    let store = store(Limits::default());
    fill(&store, "x", 0..3, NOW);
    fill(&store, "y", 0..3, NOW);
    let regex = |name, value| Matcher::new(name, MatchOp::Regex, value).unwrap();
    assert_eq!(
        found(&store, &[is("__name__", "x"), is("pod", "1")]),
        [r#"x{pod="1"}"#]
    );
    assert_eq!(
        found(&store, &[is("__name__", "dapr_x"), regex("pod", "[12]")]),
        [r#"x{pod="1"}"#, r#"x{pod="2"}"#]
    );
    assert_eq!(
        found(&store, &[regex("__name__", "x|y"), is("pod", "2")]),
        [r#"x{pod="2"}"#, r#"y{pod="2"}"#]
    );
    assert_eq!(
        found(&store, &[is("__name__", "x"), is("zone", "")]).len(),
        3
    );
    assert_eq!(found(&store, &[is("__name__", "z")]), [""; 0]);
    assert_eq!(found(&store, &[is("pod", "9")]), [""; 0]);
}

#[test]
fn levels_come_in_any_order_and_once_per_time() {
    let store = store(Limits::default());
    let got = write(
        &store,
        &[
            (-10, 1.0, Growth::Level),
            (0, 3.0, Growth::Level),
            (-5, -2.0, Growth::Level),
            (-5, 7.0, Growth::Level),
        ],
    );
    assert_eq!(got[3], Err(AppendError::Dropped(DropReason::Duplicate)));
    assert_eq!(of_x(&store), [(-10, 1.0), (-5, -2.0), (0, 3.0)]);
}

#[test]
fn a_count_that_starts_within_what_is_kept_counts_from_zero() {
    for (start, wanted) in [
        (Some(-60_000), vec![(-60_000, 0.0), (-10, 5.0)]),
        // Longer ago than anything is kept: nobody knows what is new.
        (Some(-600_000), vec![(-10, 5.0)]),
        (Some(-10), vec![(-10, 5.0)]),
        (Some(5), vec![(-10, 5.0)]),
        (None, vec![(-10, 5.0)]),
    ] {
        let store = store(Limits::default());
        let growth = Growth::Since(start.map(|start| NOW + start));
        assert_eq!(write(&store, &[(-10, 5.0, growth)]), [Ok(())]);
        assert_eq!(of_x(&store), wanted, "{start:?}");
    }
}

#[test]
fn a_new_start_is_a_reset_even_if_the_value_grew() {
    let store = store(Limits::default());
    let since = |start: i64| Growth::Since(Some(NOW + start));
    write(
        &store,
        &[
            (-9_000, 5.0, since(-500_000)),
            (-8_000, 6.0, since(-500_000)),
            (-1_000, 8.0, since(-3_000)),
            (0, 9.0, since(-3_000)),
        ],
    );
    assert_eq!(
        of_x(&store),
        [
            (-9_000, 5.0),
            (-8_000, 6.0),
            (-3_000, 0.0),
            (-1_000, 8.0),
            (0, 9.0)
        ]
    );
}

#[test]
fn a_start_that_only_wanders_is_no_reset() {
    let store = store(Limits::default());
    let since = |start: i64| Growth::Since(Some(NOW + start));
    write(
        &store,
        &[(-2_000, 5.0, since(-500_000)), (0, 6.0, since(-2_500))],
    );
    assert_eq!(of_x(&store), [(-2_000, 5.0), (0, 6.0)]);
}

fn delta(since: i64) -> Growth {
    Growth::Delta {
        since: Some(NOW + since),
        monotonic: true,
    }
}

#[test]
fn deltas_add_up_to_a_count() {
    let store = store(Limits::default());
    write(
        &store,
        &[
            (-20, 2.0, delta(-30)),
            (-10, 3.0, delta(-20)),
            (0, 0.0, delta(-10)),
        ],
    );
    assert_eq!(of_x(&store), [(-30, 0.0), (-20, 2.0), (-10, 5.0), (0, 5.0)]);
}

#[test]
fn deltas_that_come_late_or_twice_give_the_same_count() {
    let store = store(Limits::default());
    let got = write(
        &store,
        &[
            (-20, 2.0, delta(-30)),
            (0, 4.0, delta(-10)),
            (-10, 3.0, delta(-20)),
            (-10, 3.0, delta(-20)),
            (-40, 1.0, delta(-50)),
        ],
    );
    assert_eq!(got[3], Err(AppendError::Dropped(DropReason::Duplicate)));
    assert_eq!(got[4], Err(AppendError::Dropped(DropReason::OutOfOrder)));
    assert_eq!(of_x(&store), [(-30, 0.0), (-20, 2.0), (-10, 5.0), (0, 9.0)]);
}

#[test]
fn deltas_that_may_fall_have_no_zero_before_them() {
    let store = store(Limits::default());
    let growth = Growth::Delta {
        since: Some(NOW - 30),
        monotonic: false,
    };
    write(&store, &[(-20, 2.0, growth), (-10, -3.0, growth)]);
    assert_eq!(of_x(&store), [(-20, 2.0), (-10, -1.0)]);
}

#[test]
fn after_its_end_a_delta_series_counts_anew() {
    let store = store(Limits::default());
    write(&store, &[(-40, 2.0, delta(-50))]);
    let mut writer = store.write(NOW);
    let series = writer.intern(named("x", 0)).unwrap();
    writer.end(series, NOW - 30).unwrap();
    writer.end(series, NOW - 29).unwrap();
    writer.append(series, NOW - 10, 3.0, delta(-20)).unwrap();
    drop(writer);
    let got = of_x(&store);
    assert_eq!(got.len(), 5, "{got:?}");
    assert!(got[2].1.is_nan());
    assert_eq!(got[3..], [(-20, 0.0), (-10, 3.0)]);
}

#[test]
fn times_that_cannot_be_are_refused() {
    let store = store(Limits::default());
    let got = write(
        &store,
        &[
            (60_001, 1.0, Growth::Level),
            (-125_001, 1.0, Growth::Level),
            (60_000, 1.0, Growth::Level),
            (-125_000, 1.0, Growth::Level),
        ],
    );
    assert_eq!(got[0], Err(AppendError::Dropped(DropReason::TooFarAhead)));
    assert_eq!(got[1], Err(AppendError::Dropped(DropReason::TooOld)));
    assert_eq!(got[2..], [Ok(()), Ok(())]);
    let mut writer = store.write(NOW);
    let series = writer.intern(named("x", 0)).unwrap();
    for at in [i64::MIN, i64::MAX] {
        assert!(writer.append(series, at, 1.0, Growth::Level).is_err());
        assert!(
            writer
                .append(series, NOW, 1.0, Growth::Since(Some(at)))
                .is_ok()
                || at == i64::MAX
        );
    }
}

#[test]
fn points_are_kept_as_far_back_as_a_registered_query_needs() {
    let store = store(Limits::default());
    let wanted = store.register(&[need("x", 600), need("x", 10)]);
    assert_eq!(write(&store, &[(-600_000, 1.0, Growth::Level)]), [Ok(())]);
    assert_eq!(store.stats().needed, 1);
    store.expire(NOW + 4_000);
    assert_eq!(of_x(&store).len(), 1);
    drop(wanted);
    assert_eq!(store.stats().needed, 0);
    store.expire(NOW);
    assert_eq!(store.stats().series, 0);
    assert_eq!(store.stats().expired, 1);
    assert_eq!(store.stats().bytes, 0);
}

#[test]
fn a_query_that_registers_late_keeps_what_is_there() {
    let store = store(Limits::default());
    write(&store, &[(0, 1.0, Growth::Level)]);
    let _wanted = store.register(&[need("dapr_x", 600)]);
    assert_eq!(store.stats().needed, 1);
    store.expire(NOW + 500_000);
    assert_eq!(of_x(&store), [(0, 1.0)]);
    store.expire(NOW + 605_001);
    assert_eq!(store.stats().series, 0);
}

#[test]
fn a_series_that_goes_on_forgets_old_points() {
    let store = store(Limits::default());
    write(
        &store,
        &[(-100_000, 1.0, Growth::Level), (0, 2.0, Growth::Level)],
    );
    store.expire(NOW + 100_000);
    assert_eq!(of_x(&store), [(0, 2.0)]);
}

#[test]
fn at_the_limit_the_longest_silent_unneeded_series_go_first() {
    let store = store(Limits {
        series: 64,
        ..Limits::default()
    });
    let _wanted = store.register(&[need("needed", 60)]);
    assert_eq!(fill(&store, "needed", 0..10, NOW), 10);
    assert_eq!(fill(&store, "old", 0..20, NOW + 1), 20);
    assert_eq!(fill(&store, "young", 0..34, NOW + 2), 34);
    assert_eq!(store.stats().series, 64);
    assert_eq!(fill(&store, "new", 0..15, NOW + 3), 15);
    let count = |name| found(&store, &[is("__name__", name)]).len();
    assert_eq!(
        (count("needed"), count("old"), count("young"), count("new")),
        (10, 5, 34, 15)
    );
    assert_eq!(store.stats().evicted_for_series, 15);
}

#[test]
fn a_flood_of_unneeded_series_takes_nothing_that_is_needed() {
    let store = store(Limits {
        series: 1_000,
        ..Limits::default()
    });
    let _wanted = store.register(&[need("needed", 60)]);
    fill(&store, "needed", 0..900, NOW);
    fill(&store, "flood", 0..20_000, NOW + 1);
    assert_eq!(found(&store, &[is("__name__", "needed")]).len(), 900);
    assert!(store.stats().series <= 1_000);
    // Needed ones push the flood out, and only then there is no more room.
    assert_eq!(fill(&store, "needed", 900..1_200, NOW + 2), 100);
    assert_eq!(fill(&store, "flood", 0..10, NOW + 2), 0);
    assert_eq!(
        store.write(NOW).intern(named("flood", 0)),
        Err(DropReason::SeriesLimit)
    );
    assert_eq!(store.stats().needed, 1_000);
}

#[test]
fn bytes_stay_within_their_limit() {
    let bytes = 200_000;
    let store = store(Limits {
        bytes,
        ..Limits::default()
    });
    let _wanted = store.register(&[need("needed", 60)]);
    fill(&store, "needed", 0..100, NOW);
    for round in 0..50 {
        fill(&store, "flood", round * 100..(round + 1) * 100, NOW + 1);
        assert!(store.stats().bytes <= bytes);
    }
    assert!(store.stats().evicted_for_bytes > 4_000);
    // Points of needed series push the flood out, then their own oldest ones.
    for at in 1..200 {
        assert_eq!(fill(&store, "needed", 0..100, NOW + at), 100);
        assert!(store.stats().bytes <= bytes);
    }
    assert_eq!(found(&store, &[is("__name__", "flood")]).len(), 0);
    assert!(store.stats().overwritten_points > 0);
    assert_eq!(found(&store, &[is("__name__", "needed")]).len(), 100);
}

#[test]
fn a_series_that_nobody_needs_keeps_few_points() {
    let store = store(Limits {
        points: 8,
        unneeded_points: 4,
        ..Limits::default()
    });
    let points: Vec<_> = (0..20).map(|at| (at, 1.0, Growth::Level)).collect();
    write(&store, &points);
    assert_eq!(of_x(&store).len(), 4);
    let _wanted = store.register(&[need("x", 60)]);
    let points: Vec<_> = (20..40).map(|at| (at, 1.0, Growth::Level)).collect();
    write(&store, &points);
    assert_eq!(of_x(&store).len(), 8);
    assert_eq!(store.stats().overwritten_points, 16 + 16);
}

#[test]
fn who_keeps_a_reference_notices_that_the_series_is_gone() {
    let store = store(Limits::default());
    let series = store.write(NOW).intern(named("x", 0)).unwrap();
    store.expire(NOW + 1_000_000);
    let mut writer = store.write(NOW);
    let other = writer.intern(named("y", 0)).unwrap();
    assert_eq!(other.slot, series.slot);
    let got = writer.append(series, NOW, 1.0, Growth::Level);
    assert_eq!(got, Err(AppendError::Gone));
}

#[tokio::test]
async fn registered_queries_are_told_of_their_points_only() {
    use futures_util::FutureExt;
    let store = store(Limits::default());
    let mut of_x = store.register(&[need("x", 60)]);
    let mut of_y = store.register(&[need("y", 60)]);
    assert!(of_x.arrived().now_or_never().is_none());
    fill(&store, "x", 0..1_000, NOW);
    assert!(of_x.arrived().now_or_never().is_some());
    assert!(of_x.arrived().now_or_never().is_none());
    assert!(of_y.arrived().now_or_never().is_none());
    fill(&store, "y", 0..1, NOW);
    assert!(of_y.arrived().now_or_never().is_some());
}

#[test]
fn pages_list_each_series_once() {
    let store = store(Limits::default());
    fill(&store, "x", 0..25, NOW);
    fill(&store, "y", 0..25, NOW);
    let mut listed = Vec::new();
    let mut from = Some(0);
    while let Some(at) = from {
        let page = store.list(&[vec![is("__name__", "y")]], at, 10);
        assert!(page.series.len() <= 10);
        listed.extend(page.series.into_iter().map(|view| view.labels.to_string()));
        from = page.next;
    }
    let count = listed.len();
    listed.sort();
    listed.dedup();
    assert_eq!((listed.len(), count), (25, 25));
}

#[derive(Clone, Debug)]
enum Step {
    Write { pod: u32, at: i64 },
    Expire { after: i64 },
    Register { name: u8 },
    Let { go: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0_u32..60, 0_i64..400).prop_map(|(pod, at)| Step::Write { pod, at }),
        1 => (0_i64..400).prop_map(|after| Step::Expire { after }),
        1 => (0_u8..3).prop_map(|name| Step::Register { name }),
        1 => (0_usize..3).prop_map(|go| Step::Let { go }),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    /// Whatever comes in whatever order: the bounds hold, counts are those of
    /// what is there, and each series is found by its labels.
    #[test]
    fn counts_and_indexes_agree(steps in steps()) {
        let limits = Limits { series: 40, bytes: 14_000, ..Limits::default() };
        let store = store(limits);
        let mut queries = Vec::new();
        for step in steps {
            match step {
                Step::Write { pod, at } => {
                    let mut writer = store.write(NOW + at * 1_000);
                    let name = ["a", "b", "c"][pod as usize % 3];
                    if let Ok(series) = writer.intern(named(name, pod)) {
                        let _kept = writer.append(series, NOW + at * 1_000, 1.0, Growth::Level);
                    }
                }
                Step::Expire { after } => store.expire(NOW + after * 1_000),
                Step::Register { name } => {
                    let name = ["a", "b", "c"][name as usize];
                    queries.push((name, store.register(&[need(name, 60)])));
                }
                Step::Let { go } => {
                    if go < queries.len() {
                        queries.swap_remove(go);
                    }
                }
            }
            let stats = store.stats();
            prop_assert!(stats.series <= limits.series);
            prop_assert!(stats.bytes <= limits.bytes);
            let inner = store.inner.read();
            let mut bytes = 0;
            let mut needed = 0;
            let mut count = 0;
            for (number, series) in inner.slots.from(0) {
                bytes += cost(&series.labels) + series.ring.bytes();
                needed += usize::from(inner.needs.is_needed(series.need));
                let name = series.labels.metric_name().unwrap_or_default();
                let wanted = queries.iter().filter(|(of, _): &&(_, Registration)| *of == name);
                let mut wanted: Vec<_> = wanted.map(|(_, query)| query.id()).collect();
                wanted.sort_unstable();
                let who = inner.needs.who(series.need).iter();
                prop_assert_eq!(who.map(|(id, _)| *id).collect::<Vec<_>>(), wanted);
                count += 1;
                let hash = inner.hasher.hash_one(&series.labels);
                let found = inner.find(hash, &series.labels).map(|found| found.slot);
                prop_assert_eq!(found, Some(number));
                for (name, value) in &series.labels {
                    prop_assert!(inner.postings.with(name, value).contains(&number));
                }
            }
            prop_assert_eq!((bytes, needed, count), (stats.bytes, stats.needed, stats.series));
            prop_assert_eq!(inner.by_labels.len(), count);
        }
    }
}
