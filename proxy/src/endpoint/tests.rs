use super::*;

const NO_LIMIT: PlaceLimit = PlaceLimit::NONE;

fn set(count: u16) -> EndpointSet {
    let endpoint = |port| {
        let addr = ([127, 0, 0, 1], port).into();
        Arc::new(Endpoint::new(addr, "e", Protocol::Http1, 1))
    };
    EndpointSet::new((1..=count).map(endpoint).collect())
}

#[test]
fn a_lease_counts_until_it_is_dropped() {
    let set = set(1);
    let lease = set.pick(0, NO_LIMIT).expect("one endpoint");
    assert_eq!(lease.endpoint().in_flight(), 1);
    drop(lease);
    assert_eq!(set.iter().next().expect("one endpoint").in_flight(), 0);
}

#[test]
fn an_ejected_endpoint_is_not_picked_until_its_time_is_up_or_it_is_readmitted() {
    let set = set(2);
    let (first, second) = (&set.endpoints[0], &set.endpoints[1]);
    first.eject(0);
    for _ in 0..50 {
        assert_eq!(
            set.pick(1, NO_LIMIT)
                .expect("one is left")
                .endpoint()
                .addr(),
            second.addr()
        );
    }
    second.eject(0);
    assert!(set.pick(1, NO_LIMIT).is_none());
    assert_eq!(set.pickable(1), 0);
    second.readmit();
    assert_eq!(
        set.pick(1, NO_LIMIT).expect("readmitted").endpoint().addr(),
        second.addr()
    );
    assert_eq!(set.pickable(60_000_000), 2);
}

#[test]
fn who_stopped_watching_is_not_kept() {
    let set = set(1);
    let endpoint = &set.endpoints[0];
    let [first, second] = [Notify::new(), Notify::new()].map(Arc::new);
    endpoint.unwatch(&first);
    endpoint.watch(&first);
    endpoint.watch(&second);
    endpoint.unwatch(&first);
    assert_eq!(Arc::strong_count(&first), 1);
    assert_eq!(Arc::strong_count(&second), 2);
}

#[test]
fn load_spreads_over_all_endpoints() {
    let set = set(4);
    let leases: Vec<Lease> = (0..400)
        .map(|_| set.pick(0, NO_LIMIT).expect("four endpoints"))
        .collect();
    for endpoint in set.iter() {
        assert!(
            (60..=140).contains(&endpoint.in_flight()),
            "{}",
            endpoint.in_flight()
        );
    }
    drop(leases);
}

#[test]
fn nobody_claims_more_than_the_limit_from_several_threads() {
    let set = set(3);
    let limit = PlaceLimit::new(4);
    let claimed: usize = std::thread::scope(|scope| {
        let claim = || {
            (0..100)
                .filter_map(|_| set.pick(0, limit))
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(claim)).collect();
        let leases = threads.into_iter().map(|t| t.join().expect("no panic"));
        leases.collect::<Vec<_>>().iter().map(Vec::len).sum()
    });
    assert_eq!(claimed, 12, "all places, and no more");
    assert_eq!(set.free_places(0, 4), 12);
}

#[test]
fn who_is_out_for_answers_is_used_when_nobody_else_is_left() {
    let set = set(2);
    let (first, second) = (&set.endpoints[0], &set.endpoints[1]);
    first.eject_for_answers(0);
    assert_eq!(set.pickable(1), 1);
    second.eject(0);
    assert_eq!(set.pickable(1), 1);
    for limit in [NO_LIMIT, PlaceLimit::new(1)] {
        let lease = set.pick(1, limit).expect("better than nobody");
        assert_eq!(lease.endpoint().addr(), first.addr());
    }
}

#[test]
fn at_most_a_share_is_spared_and_never_the_last() {
    let set = set(4);
    let all = &set.endpoints;
    assert!(set.may_spare(&all[0], 1, 50));
    all[0].eject_for_answers(0);
    assert!(set.may_spare(&all[1], 1, 50));
    all[1].eject_for_answers(0);
    assert!(!set.may_spare(&all[2], 1, 50));
    assert!(set.may_spare(&all[2], 1, 100));
    all[3].eject(0);
    assert!(!set.may_spare(&all[2], 1, 100), "it is the last one");
    assert!(!self::set(1).may_spare(&all[2], 1, 100), "of another set");
}

#[test]
fn a_retry_goes_to_another_endpoint_where_there_is_one() {
    let set = set(3);
    let avoid = set.endpoints[1].clone();
    for _ in 0..50 {
        let lease = set.pick_other(0, NO_LIMIT, &avoid).expect("two others");
        assert_ne!(lease.endpoint().addr(), avoid.addr());
    }
    assert!(self::set(1).pick_other(0, NO_LIMIT, &avoid).is_some());
    set.endpoints[0].eject(0);
    set.endpoints[2].eject(0);
    assert!(set.pick_other(1, NO_LIMIT, &avoid).is_none());
}

/// The share of 10,000 picks that the last of `ages_s` gets.
fn share_of_last(ages_s: &[u64]) -> f64 {
    let now_us = 1_000_000_000;
    let endpoint = |(port, age_s): (u16, &u64)| {
        let addr = ([127, 0, 0, 1], port).into();
        let born_us = now_us - age_s * 1_000_000;
        let made = Endpoint::new(addr, "e", Protocol::Http1, 1);
        Arc::new(made.born(born_us, Duration::from_secs(10)))
    };
    let set = EndpointSet::new((1..).zip(ages_s).map(endpoint).collect());
    let last = set.endpoints.last().expect("one").addr();
    let picks = (0..10_000).filter_map(|_| set.pick(now_us, NO_LIMIT));
    let hits = picks.filter(|lease| lease.endpoint().addr() == last);
    hits.count() as f64 / 10_000.0
}

#[test]
fn the_share_of_a_fresh_endpoint_grows() {
    let near = |share: f64, wanted: f64| {
        assert!((share - wanted).abs() < 0.03, "{share}, not {wanted}");
    };
    near(share_of_last(&[100, 0]), 0.05);
    near(share_of_last(&[100, 5]), 0.25);
    near(share_of_last(&[100, 10]), 0.5);
    near(share_of_last(&[100, 100, 100, 0]), 0.025);
    // Nobody is older, or there is nobody else.
    near(share_of_last(&[0, 0]), 0.5);
    near(share_of_last(&[2, 2, 2, 2]), 0.25);
    near(share_of_last(&[0]), 1.0);
}
