use super::*;
use crate::series::{Growth, Labels, Limits, MatchOp, Matcher};
use std::time::Duration;

const NOW: i64 = 1_700_000_000_000;

fn labels(name: &str, pod: usize) -> Labels {
    let pod = pod.to_string();
    Labels::new([("__name__", name), ("pod", &pod), ("app", "shop")]).expect("no duplicates")
}

fn selector(pairs: &[(&str, MatchOp, &str)]) -> Selector {
    let matchers = pairs.iter();
    let matchers = matchers.map(|(name, op, value)| Matcher::new(name, *op, value));
    Selector {
        matchers: matchers.collect::<Result<_, _>>().expect("good patterns"),
        back: Duration::from_secs(300),
    }
}

fn push(store: &Store, name: &str, pods: std::ops::Range<usize>) {
    let mut writer = store.write(NOW);
    for pod in pods {
        let series = writer.intern(labels(name, pod)).expect("there is room");
        let kept = writer.append(series, NOW, 1.0, Growth::Level);
        kept.expect("it is a good point");
    }
}

fn filled() -> Arc<Store> {
    let store = Arc::new(Store::new(Limits {
        series: 200_000,
        ..Limits::default()
    }));
    push(&store, "common", 0..99_000);
    push(&store, "rare", 0..1_000);
    store
}

#[test]
fn points_keep_coming_in_while_a_query_is_told_to_a_hundred_thousand_series() {
    let store = filled();
    for (selector, needed) in [
        (selector(&[("app", MatchOp::Equal, "shop")]), 100_000),
        (selector(&[("__name__", MatchOp::Regex, "comm.*")]), 99_000),
    ] {
        let ask = std::slice::from_ref(&selector);
        let (id, _arrivals) = store.inner.write().needs.add(ask, For::Ourselves);
        let mut walk = Walk::new(&store, id, &selector);
        let (mut steps, mut before) = (0, 0);
        while walk.step(&store) {
            steps += 1;
            let now = store.stats().needed;
            assert!(now - before <= AT_ONCE, "{} under one hold", now - before);
            // The lock is free between any two steps.
            assert!(store.inner.try_write().is_some());
            if steps == 10 {
                push(&store, "common", 99_000..99_100);
            }
            before = store.stats().needed;
        }
        assert!(steps >= 90, "{steps} steps");
        // What came meanwhile is needed as well.
        assert_eq!(store.stats().needed, needed + 100);
        store.inner.write().needs.remove(id);
        assert_eq!(store.stats().needed, 0);
        let gone: Vec<u32> = {
            let inner = store.inner.read();
            let late = |series: &crate::series::slots::Series| {
                let pod = series.labels.get("pod").and_then(|pod| pod.parse().ok());
                pod.is_some_and(|pod: usize| pod >= 99_000)
            };
            let all = inner.slots.from(0);
            all.filter(|(_, series)| late(series))
                .map(|(at, _)| at)
                .collect()
        };
        store.inner.write().remove(&gone);
    }
}

#[test]
fn only_series_of_the_rarest_label_are_looked_at() {
    let store = filled();
    let candidates =
        |pairs: &[(&str, MatchOp, &str)]| match Walk::new(&store, 0, &selector(pairs)).candidates {
            Candidates::These(slots) => slots.len(),
            Candidates::Below(end) => end,
        };
    let app = ("app", MatchOp::Equal, "shop");
    let rare = ("__name__", MatchOp::Equal, "rare");
    assert_eq!(candidates(&[app, rare]), 1_000);
    assert_eq!(candidates(&[rare, ("pod", MatchOp::Equal, "7")]), 2);
    assert_eq!(candidates(&[("__name__", MatchOp::Equal, "none")]), 0);
    assert_eq!(candidates(&[("pod", MatchOp::Regex, "7")]), 100_000);
}

#[test]
fn queries_that_come_and_go_leave_nothing_behind() {
    let store = Arc::new(Store::new(Limits::default()));
    push(&store, "x", 0..100);
    let of = |pod: &str| {
        selector(&[
            ("__name__", MatchOp::Equal, "x"),
            ("pod", MatchOp::Equal, pod),
        ])
    };
    for _ in 0..50 {
        let all = store.register(&[selector(&[("__name__", MatchOp::Equal, "x")])]);
        let some: Vec<_> = (0..20)
            .map(|pod| store.register(&[of(&pod.to_string())]))
            .collect();
        assert_eq!(store.stats().needed, 100);
        drop(all);
        assert_eq!(store.stats().needed, 20);
        drop(some);
        assert_eq!((store.stats().needed, store.stats().queries), (0, 0));
    }
    let sets = store.inner.read().needs.sets();
    assert!(sets <= 22, "{sets} sets");
    let numbers: Vec<u32> = (0..100).collect();
    store.inner.write().remove(&numbers);
    assert_eq!(store.inner.read().needs.sets(), 1);
}

#[test]
fn what_other_replicas_need_is_registered_once_and_kept() {
    let store = Arc::new(Store::new(Limits::default()));
    push(&store, "x", 0..3);
    let x = selector(&[("__name__", MatchOp::Equal, "x")]);
    let (one, two) = (
        store.register_for_another(&x),
        store.register_for_another(&x),
    );
    assert_eq!(one.id(), two.id());
    assert_eq!((store.stats().needed, store.stats().queries), (3, 1));
    assert!(store.asked().all().1.is_empty(), "it is not asked on");
    drop(one);
    assert_eq!(store.stats().needed, 3);
    drop(two);
    assert_eq!(store.stats().needed, 0);
    drop(store.register_for_another(&x));
}
