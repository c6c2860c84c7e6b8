use super::*;
use crate::series::Growth;
use proptest::prelude::*;

fn side(offset: i32, counts: &[u64]) -> Side {
    Side {
        offset,
        counts: counts.to_vec(),
    }
}

fn point(scale: i32, zeros: u64, above: Side, below: Side) -> ExponentialPoint {
    let mut point = ExponentialPoint {
        scale,
        zeros,
        above,
        below,
        ..ExponentialPoint::default()
    };
    let total = |side: &Side| side.counts.iter().sum::<u64>();
    point.totals.count = zeros + total(&point.above) + total(&point.below);
    point
}

/// The buckets, as bound and count.
fn buckets(point: &ExponentialPoint, before: Option<Span>) -> (Vec<(f64, f64)>, Span) {
    let mut parts = Vec::new();
    let span = point
        .parts(Temporality::Cumulative, before, &mut parts)
        .expect("a good point");
    assert!(parts.iter().all(|part| part.growth == Growth::Since(None)));
    let buckets = parts
        .iter()
        .filter_map(|part| Some((part.label?.1, part.value)));
    (buckets.collect(), span)
}

#[test]
fn whole_powers_of_two_keep_their_bounds() {
    // Scale 0: (1, 2] holds 3, (2, 4] none, (4, 8] holds 1.
    let (got, _) = buckets(&point(0, 2, side(0, &[3, 0, 1]), Side::default()), None);
    let wanted = [(0.0, 2.0), (1.0, 2.0), (2.0, 5.0), (4.0, 5.0), (8.0, 6.0)];
    assert_eq!(got[..5], wanted);
    assert_eq!(got[5], (f64::INFINITY, 6.0));
}

#[test]
fn finer_buckets_are_added_up() {
    // Scale 3 has four buckets where scale 1 has one: 8..12 is (2, 2·√2].
    let (got, span) = buckets(
        &point(3, 0, side(8, &[1, 1, 1, 1, 5]), Side::default()),
        None,
    );
    let root = std::f64::consts::SQRT_2;
    let wanted = [(0.0, 0.0), (2.0, 0.0), (2.0 * root, 4.0), (4.0, 9.0)];
    assert_eq!(got[..4], wanted);
    assert_eq!((span.scale, span.above), (1, Some((2, 3))));
}

#[test]
fn negative_buckets_count_from_below() {
    // Scale 0, below zero: [-2, -1) holds 4, [-4, -2) holds 1.
    let (got, _) = buckets(&point(0, 1, Side::default(), side(0, &[4, 1])), None);
    let wanted = [(-4.0, 0.0), (-2.0, 1.0), (-1.0, 5.0), (0.0, 6.0)];
    assert_eq!(got[..4], wanted);
}

#[test]
fn buckets_that_were_there_stay() {
    let (_, first) = buckets(&point(0, 0, side(0, &[1]), Side::default()), None);
    let (got, second) = buckets(&point(0, 0, side(2, &[1]), Side::default()), Some(first));
    assert_eq!(second.above, Some((0, 2)));
    assert_eq!(
        got,
        [
            (0.0, 0.0),
            (1.0, 0.0),
            (2.0, 0.0),
            (4.0, 0.0),
            (8.0, 1.0),
            (f64::INFINITY, 1.0)
        ]
    );
}

#[test]
fn a_wide_span_is_made_coarse() {
    let wide = point(1, 0, side(-900, &[1; 1800]), Side::default());
    let (got, span) = buckets(&wide, None);
    assert!(span.scale < 1);
    assert!(got.len() <= 163, "{}", got.len());
    assert_eq!(got.last(), Some(&(f64::INFINITY, 1800.0)));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let good = || point(0, 0, side(0, &[1]), Side::default());
    let refused = |change: fn(&mut ExponentialPoint)| {
        let mut point = good();
        change(&mut point);
        let refused = point.parts(Temporality::Cumulative, None, &mut Vec::new());
        assert_eq!(refused.expect_err("wrong"), DropReason::Malformed);
    };
    refused(|point| point.totals.count = 7);
    refused(|point| point.scale = 21);
    refused(|point| point.scale = -11);
    refused(|point| point.zero_threshold = f64::NAN);
    refused(|point| point.above.counts = vec![u64::MAX, 2]);
    refused(|point| point.above.counts = vec![0; MOST_SENT + 1]);
    let unknown = good().parts(Temporality::Unspecified, None, &mut Vec::new());
    assert_eq!(
        unknown.expect_err("no temporality"),
        DropReason::Unsupported
    );
}

#[test]
fn bounds_next_to_zero_do_not_meet() {
    // 2^-1073.5 and 2^-1074 are one float.
    let point = point(15, 0, Side::default(), side(-35_176_449, &[1]));
    let (got, _) = buckets(&point, None);
    assert!(got.windows(2).all(|two| two[0].0 < two[1].0), "{got:?}");
}

proptest! {
    /// Whatever is sent: bounds rise, counts rise, and there are not too many.
    #[test]
    fn buckets_are_a_distribution(
        scale in -10_i32..=20,
        zeros in 0_u64..5,
        above in (any::<i32>(), prop::collection::vec(0_u64..5, 0..200)),
        below in (any::<i32>(), prop::collection::vec(0_u64..5, 0..200)),
    ) {
        let point = point(scale, zeros, side(above.0, &above.1), side(below.0, &below.1));
        let (got, _) = buckets(&point, None);
        prop_assert!(got.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1));
        prop_assert!(got.len() as i64 <= MOST + 4);
        prop_assert_eq!(got.last().map(|last| last.1), Some(point.totals.count as f64));
    }

    /// Each measurement is below the bound that it should be below.
    #[test]
    fn each_value_is_in_its_bucket(value in 1e-6_f64..1e6, scale in -4_i32..=8) {
        let index = (value.log2() * f64::from(scale).exp2()).ceil() as i32 - 1;
        let (got, _) = buckets(&point(scale, 0, side(index, &[1]), Side::default()), None);
        let first = got.iter().find(|(_, count)| *count > 0.0).map(|(le, _)| *le);
        let before = got.iter().rev().find(|(_, count)| *count == 0.0).map(|(le, _)| *le);
        prop_assert!(first.is_some_and(|le| value <= le * (1.0 + 1e-9)), "{first:?}");
        prop_assert!(before.is_some_and(|le| value > le * (1.0 - 1e-9)), "{before:?}");
    }
}
